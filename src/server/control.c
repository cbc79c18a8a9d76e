#include "server/control.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "manage/json.h"
#include "server/control_internal.h"

enum { LINE_MAX_BYTES = 32 << 20 }; /* definitions are one line */

/* ---- the framing half: lines ---- */

struct line {
    struct input input;
    struct bytes text;
};

static void *framing_open(const struct endpoint *local, const struct endpoint *peer)
{
    (void)local;
    (void)peer;
    return xzalloc(1); /* no state, but something to close */
}

static void framing_close(void *framing)
{
    free(framing);
}

static void push_line(struct bytes text, struct input_list *out)
{
    struct line *line = input_new(sizeof *line, LINE_MAX_BYTES * 2);

    line->text = arena_copy(&line->input.arena, text);
    check(line->text.data); /* the arena's limit is above the line's */
    input_push(out, &line->input);
}

static enum err framing_parse(void *framing, struct rbuf *rbuf, struct bytes in,
                              struct input_list *out, size_t *consumed, size_t *need)
{
    (void)framing;
    (void)rbuf;
    *need = 0;
    while (*consumed < in.size) {
        const uint8_t *start = in.data + *consumed;
        const uint8_t *end = memchr(start, '\n', in.size - *consumed);
        if (!end)
            break;
        push_line(bytes_of(start, (size_t)(end - start)), out);
        *consumed += (size_t)(end - start) + 1;
    }
    return OK;
}

static const struct framing control_framing = {
    .open = framing_open, .close = framing_close, .parse = framing_parse};

/* ---- the core half ---- */

static void write_json(struct control_session *s, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    check(text);
    link_write(s->link, bytes_from_string(text));
    link_write(s->link, BYTES_LITERAL("\n"));
    free(text);
    json_decref(value);
}

static void answer_error(struct control_session *s, enum err err)
{
    const char *text = err_message(err); /* may repeat what came in */
    write_json(s, json_pack("{s:b, s:s, s:o}", "ok", 0, "error", err_name(err), "text",
                            manage_json(bytes_from_string(text))));
}

static void answer(struct control_session *s, json_t *result)
{
    write_json(s, json_pack("{s:b, s:o}", "ok", 1, "result", result));
}

static enum err run_command(const struct line *line, struct control_call *call)
{
    json_t *request = NULL;
    enum err err = manage_json_parse(line->text, 0, &request);
    const char *name = json_string_value(json_object_get(request, "command"));
    const struct control_command *command = name ? control_command_find(name) : NULL;

    call->request = request;
    if (err)
        err = err_wrap(err, "not JSON");
    else if (!command)
        err = err_set(E_UNSUPPORTED, "unknown command %s", name ? name : "(none)");
    else
        err = command->run(call);
    json_decref(request);
    return err;
}

static void finish_request(struct control_session *s)
{
    struct input *input = s->requests.first;

    s->requests.first = input->next;
    if (!s->requests.first)
        input_list_init(&s->requests);
    input_free(input);
}

/* What is text already goes into the answer as it is: it may be large. */
static void write_text_answer(struct control_session *s, const struct manage_answer *from)
{
    struct text head = {0};

    text_printf(&head, "{\"ok\":true,\"result\":{\"status\":%d,\"body\":", from->status);
    link_write(s->link, text_bytes(&head));
    link_write(s->link, text_bytes(&from->text));
    link_write(s->link, BYTES_LITERAL("}}\n"));
    text_reset(&head);
}

/* {"status": 200, "body": ...}; "text" instead of "body" is what is no JSON. */
static void write_answer(struct control_session *s, const struct manage_answer *from)
{
    json_t *result = json_pack("{s:i}", "status", from->status);

    if (from->json)
        json_object_set(result, "body", from->json);
    if (from->text.size)
        json_object_set_new(result, "text",
                            json_stringn((const char *)from->text.data, from->text.size));
    answer(s, result);
}

static void answer_api(struct control_session *s)
{
    const struct manage_answer *from = &s->api->answer;

    if (from->text_is_json)
        write_text_answer(s, from);
    else
        write_answer(s, from);
    manage_call_free(s->api);
    s->api = NULL;
    finish_request(s);
}

static void go_on(struct control_session *s);

static void api_is_done(struct manage_call *call, void *session)
{
    struct control_session *s = session;

    (void)call;
    s->api_is_done = true;
    if (s->api_is_starting)
        return;
    answer_api(s);
    go_on(s);
}

static void start_api(struct control_session *s, struct manage_call *call)
{
    s->api = call;
    s->api_is_done = false;
    s->api_is_starting = true;
    manage_call_start(s->server->management.manage, call, api_is_done, s);
    s->api_is_starting = false;
    if (s->api_is_done)
        answer_api(s);
}

/* Answer what has come in, in order, until one has to wait. */
static void go_on(struct control_session *s)
{
    while (s->requests.first && !s->api) {
        struct control_call call = {.server = s->server};

        err_clear();
        enum err err = run_command((const struct line *)s->requests.first, &call);
        if (call.api) {
            start_api(s, call.api);
            continue;
        }
        if (err)
            answer_error(s, err);
        else
            answer(s, call.result);
        finish_request(s);
    }
}

static void *session_open(void *core, struct link *link)
{
    struct control_session *s = xzalloc(sizeof *s);

    (void)core;
    s->link = link;
    s->server = ((const struct control_listener *)link->protocol)->server;
    input_list_init(&s->requests);
    return s;
}

static void session_input(void *session, struct input *input)
{
    struct control_session *s = session;

    input->next = NULL;
    *s->requests.last = input;
    s->requests.last = &input->next;
    go_on(s);
}

static void session_broken(void *session, enum err code, const char *text)
{
    struct control_session *s = session;

    answer_error(s, err_set(code, "%s", text));
    link_close(s->link);
}

static void session_gone(void *session)
{
    struct control_session *s = session;

    if (s->api)
        manage_call_cancel(s->api);
    manage_call_free(s->api);
    while (s->requests.first)
        finish_request(s);
    free(s);
}

static const struct core_half control_core = {
    .open = session_open,
    .input = session_input,
    .broken = session_broken,
    .gone = session_gone,
};

void control_listener_init(struct control_listener *l, struct server *server)
{
    *l = (struct control_listener){.protocol = {.name = "control",
                                                .framing = &control_framing,
                                                .core = &control_core,
                                                .buffer_max_bytes = LINE_MAX_BYTES},
                                   .server = server};
}
