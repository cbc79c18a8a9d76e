#include "cli/manage_client.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/control_client.h"
#include "cli/http_client.h"
#include "cli/url.h"

/* "PUT queues/..." */
struct question {
    char method[8];
    struct text path; /* "/api/queues/..." */
    json_t *body;     /* borrowed */
    const char *reason;
};

static enum err ask_by_http(const struct common *common, const struct question *q,
                            struct manage_answer *out)
{
    struct url url;
    struct text body = {0};
    long status = 0;
    json_error_t error;

    enum err err = url_parse(common->url, &url);
    if (err)
        return err;
    char *whole = xasprintf("%s%s", url.base, text_string(&q->path));
    char *sent = q->body ? json_dumps(q->body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    struct http_request request = {.method = q->method,
                                   .url = whole,
                                   .user = url.user,
                                   .password = url.password,
                                   .reason = q->reason,
                                   .body = bytes_from_string(sent),
                                   .timeout_ns = common->timeout_ns};
    err = http_ask(&request, &status, &body);
    if (!err) {
        out->status = (int)status;
        out->body = body.size
                        ? json_loadb((const char *)body.data, body.size, JSON_DECODE_ANY, &error)
                        : NULL;
    }
    if (!err && body.size && !out->body && status < 400)
        err = err_set(E_MALFORMED, "%s: the answer is not JSON: %s", whole, error.text);
    text_reset(&body);
    free(sent);
    free(whole);
    url_reset(&url);
    return err;
}

static enum err ask_by_socket(const struct common *common, const struct question *q,
                              struct manage_answer *out)
{
    json_t *result;
    json_t *request = json_pack("{s:s, s:s, s:s, s:s*}", "command", "api", "method", q->method,
                                "path", text_string(&q->path), "reason", q->reason);

    if (!request)
        return err_set(E_INVALID, "a name that is not UTF-8");
    if (q->body)
        json_object_set(request, "body", q->body);
    enum err err = control_ask(common, request, &result);
    if (err)
        return err;
    out->status = (int)json_integer_value(json_object_get(result, "status"));
    out->body = json_incref(json_object_get(result, "body"));
    if (json_is_null(out->body))
        out->body = NULL;
    json_decref(result);
    return OK;
}

static enum err code_of(int status)
{
    switch (status) {
    case 401:
    case 403: return E_REFUSED;
    case 404: return E_NOT_FOUND;
    case 408: return E_TIMEOUT;
    case 501: return E_UNSUPPORTED;
    default: return status < 500 ? E_PRECONDITION : E_IO;
    }
}

/* The reason of an answer that says no; "Object Not Found" alone would not say which. */
static enum err refusal(const struct question *q, const struct manage_answer *answer)
{
    const json_t *reason = json_object_get(answer->body, "reason");
    enum err code = code_of(answer->status);

    if (json_is_string(reason) && code != E_NOT_FOUND)
        return err_set(code, "%s", json_string_value(reason));
    char *other = reason ? json_dumps(reason, JSON_ENCODE_ANY) : NULL;
    (void)err_set(code, "%s %s: %s", q->method, text_string(&q->path),
                  other ? other : err_name(code));
    free(other);
    return code;
}

static enum err ask(const struct common *common, const struct question *q,
                    struct manage_answer *out)
{
    struct manage_answer answer = {0};

    bool is_http = common->url && !common->control; /* PABAL_URL may be set for other commands */
    enum err err = is_http ? ask_by_http(common, q, &answer) : ask_by_socket(common, q, &answer);
    if (!err && answer.status >= 400)
        err = refusal(q, &answer);
    if (!err && out)
        *out = answer;
    else
        json_decref(answer.body);
    return err;
}

enum err manage_ask_text(const struct common *common, json_t *body, struct manage_answer *out,
                         const char *request)
{
    size_t method = strcspn(request, " ");
    struct question q = {.body = body};

    check(method < sizeof q.method && request[method]);
    memcpy(q.method, request, method);
    text_printf(&q.path, "/api/%s", request + method + 1);
    enum err err = ask(common, &q, out);
    text_reset(&q.path);
    json_decref(body);
    return err;
}

enum err manage_close_connection(const struct common *common, const char *name, const char *reason)
{
    struct question q = {.method = "DELETE", .reason = reason};

    url_put_path(&q.path, "/api/connections/%s", name);
    enum err err = ask(common, &q, NULL);
    text_reset(&q.path);
    return err;
}

static enum err ask_format(const struct common *common, json_t *body, struct manage_answer *out,
                           const char *format, va_list segments)
{
    struct text request = {0};

    url_put_path_list(&request, format, segments);
    enum err err = manage_ask_text(common, body, out, text_string(&request));
    text_reset(&request);
    return err;
}

enum err manage_ask(const struct common *common, json_t *body, struct manage_answer *out,
                    const char *request, ...)
{
    va_list segments;

    va_start(segments, request);
    enum err err = ask_format(common, body, out, request, segments);
    va_end(segments);
    return err;
}

enum err manage_get(const struct common *common, json_t **out, const char *request, ...)
{
    struct manage_answer answer = {0};
    va_list segments;

    va_start(segments, request);
    enum err err = ask_format(common, NULL, &answer, request, segments);
    va_end(segments);
    if (!err)
        *out = answer.body ? answer.body : json_null();
    return err;
}
