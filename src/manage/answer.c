#include <stdlib.h>

#include "base/check.h"
#include "manage/call_internal.h"
#include "manage/json.h"

static struct manage_answer *begin(struct manage_call *call, int status)
{
    struct manage_call_internal *c = call->internal;

    check(!c->is_answered && !c->is_waiting);
    c->is_answered = true;
    call->answer.status = status;
    return &call->answer;
}

void manage_answer(struct manage_call *call, int status, json_t *json)
{
    begin(call, status)->json = json;
}

void manage_answer_text(struct manage_call *call, int status, const char *content_type,
                        struct text *text)
{
    struct manage_answer *answer = begin(call, status);

    answer->content_type = content_type;
    answer->text = *text;
    *text = (struct text){0};
}

void manage_answer_json_text(struct manage_call *call, int status, struct text *text)
{
    call->answer.text_is_json = true;
    manage_answer_text(call, status, "application/json", text);
}

void manage_answer_drop(struct manage_call *call)
{
    json_decref(call->answer.json);
    text_reset(&call->answer.text);
    call->answer = (struct manage_answer){0};
    call->internal->is_answered = false;
}

void manage_add_header(struct manage_call *call, const char *name, struct bytes value)
{
    struct manage_answer *answer = &call->answer;

    check(answer->header_count < MANAGE_HEADERS_MAX);
    value = arena_copy(&call->arena, value);
    if (value.data)
        answer->headers[answer->header_count++] = (struct manage_header){name, value};
}

void manage_answer_body(const struct manage_call *call, struct text *out)
{
    const struct manage_answer *answer = &call->answer;

    text_append(out, text_bytes(&answer->text));
    if (!answer->json)
        return;
    char *json = json_dumps(answer->json, JSON_COMPACT | JSON_ENCODE_ANY);
    check(json); /* all strings were checked when they were made */
    text_append_string(out, json);
    free(json);
}

/* ---- errors ---- */

void manage_fail_as(struct manage_call *call, int status, const char *error, const char *reason)
{
    json_t *body = json_object();

    json_object_set_new(body, "error", json_string(error));
    json_object_set_new(body, "reason", manage_json(bytes_from_string(reason)));
    manage_answer(call, status, body);
}

void manage_not_found(struct manage_call *call)
{
    manage_fail_as(call, 404, "Object Not Found", "Not Found");
}

static int status_of(enum err err)
{
    switch (err) {
    case E_NOT_FOUND: return 404;
    case E_REFUSED: return 401;
    case E_TOO_LARGE: return 413;
    case E_EXISTS:
    case E_INVALID:
    case E_MALFORMED:
    case E_UNSUPPORTED:
    case E_LOCKED:
    case E_IN_USE:
    case E_NOT_EMPTY:
    case E_PRECONDITION:
    case E_OUT_OF_RANGE:
    case E_STALE: return 400;
    case E_NO_SPACE:
    case E_NO_MEMORY:
    case E_FULL:
    case E_COLD:
    case E_AGAIN:
    case E_TIMEOUT:
    case E_CLOSED:
    case E_FROZEN: return 503;
    case OK:
    case E_IO:
    case E_CORRUPT:
    case E_SIMULATED_CRASH: return 500;
    }
    check(false);
    return 500;
}

static const char *error_of(int status)
{
    switch (status) {
    case 401: return "not_authorized";
    case 413: return "payload_too_large";
    case 400: return "bad_request";
    case 503: return "service_unavailable";
    default: return "internal_server_error";
    }
}

void manage_fail(struct manage_call *call, enum err err)
{
    int status = status_of(err);

    if (status == 404)
        manage_not_found(call);
    else
        manage_fail_as(call, status, error_of(status), err_message(err));
}
