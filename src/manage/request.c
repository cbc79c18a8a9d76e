/* A request as it came, taken apart: no broker state is touched, so any thread may do it. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "manage/call_internal.h"
#include "manage/definitions.h"
#include "manage/json.h"

enum { ARENA_BYTES = 1 << 20 };

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX, and in a query '+' for a space. A copy with a NUL behind; null data: malformed. */
static struct bytes percent_decode(struct arena *arena, struct bytes in, bool plus_is_space)
{
    struct bytes copy = arena_copy(arena, in);
    uint8_t *out = (uint8_t *)(uintptr_t)copy.data;
    size_t size = 0;

    if (!out)
        return BYTES_NULL;
    for (size_t i = 0; i < in.size; i++) {
        uint8_t c = in.data[i];
        if (c == '%') {
            int high = i + 2 < in.size ? hex_digit(in.data[i + 1]) : -1;
            int low = i + 2 < in.size ? hex_digit(in.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return BYTES_NULL;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[size++] = c;
    }
    out[size] = 0;
    return bytes_of(out, size);
}

/* Cut off what lies before the next `separator`. False at the end. */
static bool cut(struct bytes *rest, char separator, struct bytes *out)
{
    if (!rest->data)
        return false;
    const uint8_t *end = rest->size ? memchr(rest->data, separator, rest->size) : NULL;
    *out = bytes_of(rest->data, end ? (size_t)(end - rest->data) : rest->size);
    *rest = end ? bytes_of(end + 1, rest->size - out->size - 1) : BYTES_NULL;
    return true;
}

static void parse_path(struct manage_call *call, struct bytes path)
{
    struct manage_call_internal *c = call->internal;
    struct bytes segment;

    if (path.size == 0 || path.data[0] != '/') {
        c->broken = "not a path";
        return;
    }
    path = bytes_of(path.data + 1, path.size - 1);
    if (path.size && path.data[path.size - 1] == '/')
        path.size--;
    while (cut(&path, '/', &segment)) {
        if (!c->below_api && c->segment_count == 0 && bytes_equal_string(segment, "api")) {
            c->below_api = true;
            continue;
        }
        struct bytes decoded = percent_decode(&call->arena, segment, false);
        if (!decoded.data || c->segment_count == MANAGE_SEGMENTS_MAX) {
            c->broken = decoded.data ? "path_too_long" : "bad percent-encoding";
            return;
        }
        c->segments[c->segment_count++] = decoded;
    }
}

/* A second one goes behind the first, with a comma: lists of names are given either way. */
static bool put_value(json_t *out, const char *key, struct bytes value)
{
    const json_t *before = json_object_get(out, key);
    json_t *text = before ? json_sprintf("%s,%.*s", json_string_value(before), BYTES_FORMAT(value))
                          : json_stringn((const char *)value.data, value.size);

    return text && json_object_set_new(out, key, text) == 0;
}

bool manage_parse_form(struct manage_call *call, struct bytes form, json_t *out)
{
    struct bytes pair, name;

    while (cut(&form, '&', &pair)) {
        struct bytes rest = pair;
        if (!cut(&rest, '=', &name) || name.size == 0)
            continue;
        struct bytes key = percent_decode(&call->arena, name, true);
        struct bytes value =
            percent_decode(&call->arena, rest.data ? rest : BYTES_LITERAL(""), true);
        if (!key.data || !value.data || !put_value(out, (const char *)key.data, value))
            return false;
    }
    return true;
}

static void parse_target(struct manage_call *call, struct bytes target)
{
    struct bytes path = {0};

    call->query = json_object();
    (void)cut(&target, '?', &path);
    parse_path(call, path);
    if (!call->internal->broken && !manage_parse_form(call, target, call->query))
        call->internal->broken = "bad query";
}

static bool is_json(struct bytes content_type)
{
    return !content_type.data || content_type.size == 0 ||
           !bytes_has_prefix(content_type, "multipart/");
}

static void parse_body(struct manage_call *call, struct bytes body)
{
    if (body.size == 0)
        return;
    call->raw_body = bytes_dup(body);
    if (!is_json(call->content_type)) /* the one form that means something: a file that is JSON */
        body = multipart_file(call->content_type, body);
    if (!body.data)
        return;
    call->internal->is_not_json =
        manage_json_parse(body, JSON_REJECT_DUPLICATES, &call->body) != OK;
}

static bool take_method(struct manage_call *call, struct bytes method)
{
    static const char *const names[MANAGE_METHODS] = {"GET", "PUT", "POST", "DELETE"};

    if (bytes_equal_string(method, "HEAD"))
        method = BYTES_LITERAL("GET");
    for (int m = 0; m < MANAGE_METHODS; m++)
        if (bytes_equal_string(method, names[m])) {
            call->method = (enum manage_method)m;
            return true;
        }
    return false;
}

struct manage_call *manage_call_new(const struct manage_request *request)
{
    struct manage_call *call = xzalloc(sizeof *call);
    struct manage_call_internal *c = xzalloc(sizeof *c);

    call->internal = c;
    arena_init(&call->arena, ARENA_BYTES + 4 * request->target.size);
    c->is_known = take_method(call, request->method);
    c->is_options = bytes_equal_string(request->method, "OPTIONS");
    c->has_login = request->has_login;
    c->peer_is_loopback = request->peer_is_loopback;
    c->is_trusted = request->is_trusted;
    c->user = arena_copy(&call->arena, request->user);
    c->password = arena_copy(&call->arena, request->password);
    if (request->content_type.data)
        call->content_type = arena_copy(&call->arena, request->content_type);
    if (request->cause.data)
        call->cause = arena_copy(&call->arena, request->cause);
    parse_target(call, request->target);
    if (request->json)
        call->body = json_incref(request->json);
    else
        parse_body(call, request->body);
    return call;
}
