#include "kafka/framing.h"

#include <stdlib.h>

#include "base/mem.h"
#include "kafka/api.h"
#include "kafka/kafka_messages.h"
#include "kafka/request.h"
#include "wire/wire.h"

enum { FRAME_MIN_BYTES = 8 }; /* key, version, correlation id */

static enum err refuse_size(struct bytes in);
static enum err decode_frame(struct rbuf *rbuf, struct bytes frame, struct request **out);
static enum err decode_request(struct request *r, struct reader *in);

static void *framing_open(const struct endpoint *local, const struct endpoint *peer)
{
    (void)local;
    (void)peer;
    return xzalloc(1); /* frames stand alone: nothing is remembered between them */
}

static enum err framing_parse(void *framing, struct rbuf *rbuf, struct bytes in,
                              struct input_list *out, size_t *consumed, size_t *need)
{
    (void)framing;
    *consumed = 0;
    *need = 0;
    while (in.size - *consumed >= 4) {
        struct bytes rest = bytes_of(in.data + *consumed, in.size - *consumed);
        uint32_t size = get_u32(rest.data);
        if (size < FRAME_MIN_BYTES || size > FRAME_MAX_BYTES)
            return refuse_size(rest);
        if (size > rest.size - 4) {
            *need = 4 + (size_t)size;
            return OK;
        }
        struct request *r = NULL;
        enum err err = decode_frame(rbuf, bytes_of(rest.data + 4, size), &r);
        if (err)
            return err;
        input_push(out, &r->input);
        *consumed += 4 + (size_t)size;
    }
    return OK;
}

const struct framing kafka_framing = {
    .open = framing_open,
    .close = free,
    .parse = framing_parse,
};

/* Other protocols' first bytes all make impossible sizes, so looking for them costs nothing. */
static const char *foreign_protocol(struct bytes in)
{
    static const char *const methods[] = {"GET ", "POST", "PUT ", "HEAD", "DELE",
                                          "OPTI", "PATC", "CONN", "PRI "};
    if (bytes_has_prefix(in, "\x16\x03"))
        return "TLS, but this listener is plaintext";
    if (bytes_has_prefix(in, "AMQP"))
        return "AMQP, but this listener speaks Kafka";
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (bytes_has_prefix(in, methods[i]))
            return "HTTP, but this listener speaks Kafka";
    return NULL;
}

static enum err refuse_size(struct bytes in)
{
    const char *foreign = foreign_protocol(in);
    if (foreign)
        return err_set(E_MALFORMED, "the peer speaks %s", foreign);
    int32_t size = (int32_t)get_u32(in.data);
    if (size > FRAME_MAX_BYTES)
        return err_set(E_TOO_LARGE, "request of %d bytes, the limit is %d", size, FRAME_MAX_BYTES);
    return err_set(E_MALFORMED, "request of %d bytes", size);
}

static size_t arena_limit(size_t frame_size)
{
    size_t limit = frame_size * FRAME_AMPLIFICATION;
    if (limit < FRAME_ARENA_MIN_BYTES)
        limit = FRAME_ARENA_MIN_BYTES;
    if (limit > FRAME_ARENA_MAX_BYTES)
        limit = FRAME_ARENA_MAX_BYTES;
    return limit + frame_size + sizeof(struct request);
}

static enum err decode_frame(struct rbuf *rbuf, struct bytes frame, struct request **out)
{
    struct request *r = input_new(sizeof *r, arena_limit(frame.size));
    if (!r)
        return err_set(E_TOO_LARGE, "request of %zu bytes", frame.size);
    if (get_u16(frame.data) == KAFKA_PRODUCE && frame.size > FRAME_COPY_MAX_BYTES) {
        rbuf_ref(rbuf);
        r->input.rbuf = rbuf;
        r->input.size_bytes = (uint32_t)frame.size;
    } else {
        frame = arena_copy(&r->input.arena, frame);
    }
    struct reader in = reader_of(frame);
    enum err err = decode_request(r, &in);
    if (err) {
        input_free(&r->input);
        return err;
    }
    *out = r;
    return OK;
}

static enum err decode_request(struct request *r, struct reader *in)
{
    int16_t key = (int16_t)get_u16(in->at);
    r->version = (int16_t)get_u16(in->at + 2);
    r->correlation_id = (int32_t)get_u32(in->at + 4);
    r->api = api_find(key, &r->wire);
    if (!r->api)
        return err_set(E_UNSUPPORTED, "request key %d is not served", key);
    if (r->version < r->wire->min || r->version > r->wire->stable_max) {
        if (key == KAFKA_API_VERSIONS)
            return OK; /* answered with what there is (KIP-511) */
        return err_set(E_UNSUPPORTED, "%s version %d is not served", r->wire->name, r->version);
    }
    struct arena *arena = &r->input.arena;
    const struct wire_schema *schema = r->wire->request;
    struct kafka_request_header header;
    r->body = arena_zalloc(arena, 1, schema->size);
    enum err err = r->body ? OK : err_set(E_TOO_LARGE, "over its memory limit");
    if (!err)
        err = wire_decode(&kafka_request_header_schema,
                          wire_request_header_version(r->wire, r->version), in, arena, &header);
    if (!err)
        err = wire_decode(schema, r->version, in, arena, r->body);
    if (err)
        return err_wrap(err, "%s version %d", r->wire->name, r->version);
    r->client_id = header.client_id;
    return r->api->prepare ? r->api->prepare(r) : OK;
}
