#include "cli/control_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "io/clock.h"
#include "io/stream.h"

enum { ANSWER_MAX_BYTES = 256 * 1024 * 1024, RECEIVE_BYTES = 64 * 1024 };

static enum err send_request(struct stream *stream, const json_t *request, int64_t deadline_ns)
{
    char *line = json_dumps(request, JSON_COMPACT);

    check(line);
    enum err err = stream_send(stream, bytes_from_string(line), deadline_ns);
    if (!err)
        err = stream_send(stream, BYTES_LITERAL("\n"), deadline_ns);
    free(line);
    return err;
}

static enum err receive_line(struct stream *stream, int64_t deadline_ns, struct text *out)
{
    while (out->size == 0 || out->data[out->size - 1] != '\n') {
        size_t size;
        uint8_t *room = text_reserve(out, RECEIVE_BYTES);
        enum err err = stream_receive(stream, room, RECEIVE_BYTES, deadline_ns, &size);
        if (err)
            return err;
        text_advance(out, size);
        if (out->size > ANSWER_MAX_BYTES)
            return err_set(E_TOO_LARGE, "the answer has more than %d bytes", ANSWER_MAX_BYTES);
    }
    return OK;
}

static enum err code_of(const char *name)
{
#define CODE_OF(code, text, retriable)                                                             \
    if (code != OK && strcmp(name, err_name(code)) == 0)                                           \
        return code;
    ERR_TABLE(CODE_OF)
#undef CODE_OF
    return E_INVALID; /* a newer server's */
}

static enum err read_answer(const struct text *line, json_t **out)
{
    json_error_t error;
    json_t *answer = json_loadb((const char *)line->data, line->size, 0, &error);

    if (!answer)
        return err_set(E_MALFORMED, "the answer is not JSON: %s", error.text);
    json_t *result = json_object_get(answer, "result");
    enum err err = OK;
    if (result) {
        *out = json_incref(result);
    } else {
        const char *name = json_string_value(json_object_get(answer, "error"));
        const char *text = json_string_value(json_object_get(answer, "text"));
        err = err_set(code_of(name ? name : ""), "%s", text ? text : "the server refused");
    }
    json_decref(answer);
    return err;
}

enum err control_ask(const struct common *common, json_t *request, json_t **out)
{
    const char *path = common->control ? common->control : cli_control_path;
    int64_t deadline_ns = clock_now_ns() + common->timeout_ns;
    struct stream *stream = NULL;
    struct text line = {0};

    check(request);
    enum err err = stream_dial(path, common->timeout_ns, &stream);
    if (err) {
        json_decref(request);
        return err_set(E_CLOSED, "no server answers at its control socket %s", path);
    }
    err = send_request(stream, request, deadline_ns);
    if (!err)
        err = receive_line(stream, deadline_ns, &line);
    if (!err)
        err = read_answer(&line, out);
    stream_close(stream);
    text_reset(&line);
    json_decref(request);
    return err;
}

/* Of "kafka=127.0.0.1:9092 amqp=...". */
static bool take_address(const char *listeners, const char *protocol, char *out, size_t size)
{
    size_t name_size = strlen(protocol);

    for (const char *at = listeners; *at; at += strcspn(at, " ")) {
        at += *at == ' ';
        if (strncmp(at, protocol, name_size) != 0 || at[name_size] != '=')
            continue;
        at += name_size + 1;
        snprintf(out, size, "%.*s", (int)strcspn(at, " "), at);
        return true;
    }
    return false;
}

const char *control_find_listener(const struct common *common, const char *protocol,
                                  const char *otherwise)
{
    static char address[280];
    json_t *health = NULL;
    const char *listeners;

    if (common->server)
        return common->server;
    if (control_ask(common, json_pack("{s:s}", "command", "health"), &health) != OK) {
        err_clear();
        return otherwise;
    }
    listeners = json_string_value(json_object_get(health, "listeners"));
    bool is_found = listeners && take_address(listeners, protocol, address, sizeof address);
    json_decref(health);
    return is_found ? address : otherwise;
}
