#include "cli/kafka_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "io/clock.h"
#include "kafka/errors.h"

enum {
    ARENA_LIMIT_BYTES = 256 * 1024 * 1024,
    ANSWER_LIMIT_BYTES = 1024 * 1024 * 1024,
    FETCH_BYTES = 4 * 1024 * 1024,
    RECEIVE_BYTES = 64 * 1024,
    SIZE_BYTES = 4,
    PREFIX_BYTES = 8, /* size and correlation id */
    RETRY_MS = 100,
};

struct kafka_client {
    struct stream *stream;
    struct text out;
    struct text in;
    struct arena arena; /* of the answer */
    struct arena asked; /* of a request that is being made */
    int64_t timeout_ns;
    int32_t correlation_id;
};

static const struct bytes client_id = {(const uint8_t *)"pabal", 5};

/* ---- requests and answers as bytes ---- */

static const struct wire_api *api_of(enum kafka_api_key key)
{
    const struct wire_api *api = wire_api_find(kafka_apis, KAFKA_API_COUNT, (int)key);

    check(api);
    return api;
}

static enum err put_body(struct text *out, const struct wire_api *api, int version,
                         const void *request, bool with_records, size_t *left_out)
{
    struct arena arena;
    struct wire_cuts cuts = {0};

    *left_out = 0;
    if (with_records)
        return wire_encode(api->request, version, request, out);
    arena_init(&arena, ARENA_LIMIT_BYTES);
    enum err err = wire_encode_cut(api->request, version, request, out, &arena, &cuts);
    for (size_t i = 0; i < cuts.count && !err; i++)
        *left_out += cuts.items[i].records->size;
    arena_reset(&arena);
    return err;
}

enum err kafka_client_put(struct text *out, enum kafka_api_key key, int version,
                          int32_t correlation_id, const void *request, bool with_records)
{
    const struct wire_api *api = api_of(key);
    struct kafka_request_header header = {.request_api_key = (int16_t)key,
                                          .request_api_version = (int16_t)version,
                                          .correlation_id = correlation_id,
                                          .client_id = client_id};
    size_t start = out->size, left_out;

    text_put_u32(out, 0);
    enum err err = wire_encode(&kafka_request_header_schema,
                               wire_request_header_version(api, version), &header, out);
    if (!err)
        err = put_body(out, api, version, request, with_records, &left_out);
    if (err)
        out->size = start;
    else
        put_u32(out->data + start, (uint32_t)(out->size - start - SIZE_BYTES + left_out));
    return err;
}

int64_t kafka_client_take(struct bytes in, int32_t *out_correlation_id, struct bytes *out_body)
{
    if (in.size < PREFIX_BYTES)
        return 0;
    uint32_t size = get_u32(in.data);
    if (size < SIZE_BYTES || size > ANSWER_LIMIT_BYTES)
        return -1;
    if (in.size < SIZE_BYTES + (size_t)size)
        return 0;
    *out_correlation_id = (int32_t)get_u32(in.data + SIZE_BYTES);
    *out_body = bytes_of(in.data + PREFIX_BYTES, size - SIZE_BYTES);
    return SIZE_BYTES + (int64_t)size;
}

/* Kafka's error codes: what a command makes of them, and says. */
static const struct {
    int16_t code;
    enum err err;
    const char *text;
} codes[] = {
    {1, E_OUT_OF_RANGE, "offset out of range"},
    {3, E_NOT_FOUND, "unknown topic or partition"},
    {5, E_AGAIN, "a partition has no leader yet"},
    {6, E_AGAIN, "a partition's leader is another server"},
    {7, E_TIMEOUT, "the server timed out"},
    {10, E_TOO_LARGE, "larger than the topic's max.message.bytes"},
    {14, E_AGAIN, "the group's coordinator is loading"},
    {15, E_AGAIN, "the group has no coordinator yet"},
    {16, E_AGAIN, "the group's coordinator is another server"},
    {17, E_INVALID, "invalid topic name"},
    {22, E_STALE, "the group has gone on without this member"},
    {24, E_INVALID, "invalid group name"},
    {25, E_STALE, "the group does not know this member"},
    {27, E_AGAIN, "the group is rebalancing"},
    {29, E_REFUSED, "not allowed for this topic"},
    {30, E_REFUSED, "not allowed for this group"},
    {31, E_REFUSED, "not allowed in this cluster"},
    {36, E_EXISTS, "topic already exists"},
    {37, E_INVALID, "invalid count of partitions"},
    {38, E_INVALID, "invalid count of replicas"},
    {40, E_INVALID, "invalid config"},
    {44, E_REFUSED, "the server's policy forbids it"},
    {56, E_FROZEN, "the server's disk has failed"},
    {68, E_NOT_EMPTY, "the group has members"},
    {69, E_NOT_FOUND, "unknown group"},
    {79, E_AGAIN, "a member id is required"},
    {86, E_IN_USE, "the group is subscribed to the topic"},
};

enum err kafka_client_error(int16_t code, struct bytes message, const char *what)
{
    enum err err = E_INVALID;
    const char *text = "the server refused";

    if (code == KAFKA_NONE)
        return OK;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].code != code)
            continue;
        err = codes[i].err;
        text = codes[i].text;
    }
    if (message.size)
        return err_set(err, "%s: %.*s (Kafka error %d)", what, BYTES_FORMAT(message), code);
    return err_set(err, "%s: %s (Kafka error %d)", what, text, code);
}

/* ---- a connection ---- */

enum err kafka_client_open(const char *server, int64_t timeout_ns, struct kafka_client **out)
{
    struct stream *stream;

    enum err err = stream_dial(server, timeout_ns, &stream);
    if (err)
        return err_wrap(err, "Kafka at %s", server);
    *out = xzalloc(sizeof **out);
    (*out)->stream = stream;
    (*out)->timeout_ns = timeout_ns;
    arena_init(&(*out)->arena, ARENA_LIMIT_BYTES);
    arena_init(&(*out)->asked, ARENA_LIMIT_BYTES);
    return OK;
}

static void client_free(struct kafka_client *c)
{
    text_reset(&c->out);
    text_reset(&c->in);
    arena_reset(&c->arena);
    arena_reset(&c->asked);
    free(c);
}

void kafka_client_close(struct kafka_client *c)
{
    if (!c)
        return;
    stream_close(c->stream);
    client_free(c);
}

struct stream *kafka_client_detach(struct kafka_client *c)
{
    struct stream *stream = c->stream;

    client_free(c);
    return stream;
}

static enum err receive_answer(struct kafka_client *c, struct bytes *body)
{
    int64_t deadline_ns = clock_now_ns() + c->timeout_ns;
    int32_t correlation_id;
    int64_t whole;

    c->in.size = 0;
    while ((whole = kafka_client_take(text_bytes(&c->in), &correlation_id, body)) == 0) {
        size_t size;
        uint8_t *room = text_reserve(&c->in, RECEIVE_BYTES);
        enum err err = stream_receive(c->stream, room, RECEIVE_BYTES, deadline_ns, &size);
        if (err)
            return err;
        text_advance(&c->in, size);
    }
    if (whole < 0 || correlation_id != c->correlation_id)
        return err_set(E_MALFORMED, "the server does not answer in Kafka's protocol");
    return OK;
}

bool kafka_client_tries_again(const struct kafka_client *c, int64_t start_ns)
{
    struct stream_set *sleeper = stream_set_new();
    struct stream_event event;
    int64_t now_ns = clock_now_ns();

    if (now_ns < start_ns + c->timeout_ns)
        stream_set_wait(sleeper, now_ns + RETRY_MS * INT64_C(1000000), &event, 1);
    stream_set_free(sleeper);
    return now_ns < start_ns + c->timeout_ns;
}

enum err kafka_client_ask(struct kafka_client *c, enum kafka_api_key key, int version,
                          const void *request, void *response)
{
    const struct wire_api *api = api_of(key);
    struct kafka_response_header header;
    struct bytes body;

    arena_reset(&c->arena);
    c->out.size = 0;
    enum err err = kafka_client_put(&c->out, key, version, ++c->correlation_id, request, true);
    if (!err)
        err = stream_send(c->stream, text_bytes(&c->out), clock_now_ns() + c->timeout_ns);
    if (!err)
        err = receive_answer(c, &body);
    if (err)
        return err_wrap(err, "%s", api->name);
    body = bytes_of(body.data - SIZE_BYTES, body.size + SIZE_BYTES); /* the header's first field */
    struct reader r = reader_of(body);
    err = wire_decode(&kafka_response_header_schema, wire_response_header_version(api, version), &r,
                      &c->arena, &header);
    if (!err)
        err = wire_decode(api->response, version, &r, &c->arena, response);
    return err_wrap(err, "answer to %s", api->name);
}

enum err kafka_client_ask_slow(struct kafka_client *c, enum kafka_api_key key, int version,
                               const void *request, void *response, int64_t timeout_ns)
{
    int64_t usual_ns = c->timeout_ns;

    c->timeout_ns = timeout_ns;
    enum err err = kafka_client_ask(c, key, version, request, response);
    c->timeout_ns = usual_ns;
    return err;
}

/* ---- the APIs ---- */

/* With the name that is nearest, if any is near. */
static enum err unknown_topic(struct kafka_client *c, const char *topic,
                              struct kafka_metadata_response *scratch)
{
    struct nearest nearest = {0};

    if (kafka_client_metadata(c, NULL, scratch) != OK)
        scratch->topics.count = 0;
    for (int32_t i = 0; i < scratch->topics.count; i++)
        nearest_consider(&nearest, bytes_from_string(topic), scratch->topics.items[i].name);
    if (nearest.name[0])
        return err_set(E_NOT_FOUND, "there is no topic %s; did you mean %s?", topic, nearest.name);
    return err_set(E_NOT_FOUND, "there is no topic %s", topic);
}

enum err kafka_client_metadata(struct kafka_client *c, const char *topic,
                               struct kafka_metadata_response *out)
{
    struct kafka_metadata_request request;
    struct kafka_metadata_request_topic name;

    wire_init(&kafka_metadata_request_schema, &request);
    wire_init(&kafka_metadata_request_topic_schema, &name);
    request.allow_auto_topic_creation = false;
    name.name = bytes_from_string(topic);
    if (topic) {
        request.topics.items = &name;
        request.topics.count = 1;
    }
    enum err err =
        kafka_client_ask(c, KAFKA_METADATA, KAFKA_CLIENT_METADATA_VERSION, &request, out);
    if (err || !topic)
        return err;
    if (out->topics.count != 1)
        return err_set(E_MALFORMED, "metadata of %d topics instead of one", out->topics.count);
    err = kafka_client_error(out->topics.items[0].error_code, BYTES_NULL, topic);
    return err == E_NOT_FOUND ? unknown_topic(c, topic, out) : err;
}

enum err kafka_client_create_topic(struct kafka_client *c, const struct kafka_topic_spec *spec)
{
    struct kafka_create_topics_request request;
    struct kafka_create_topics_request_topic topic;
    struct kafka_create_topics_response response;

    wire_init(&kafka_create_topics_request_schema, &request);
    wire_init(&kafka_create_topics_request_topic_schema, &topic);
    topic.name = bytes_from_string(spec->name);
    topic.num_partitions = spec->partitions;
    topic.replication_factor = spec->replicas;
    topic.configs.items = spec->configs;
    topic.configs.count = (int32_t)spec->config_count;
    request.topics.items = &topic;
    request.topics.count = 1;
    request.validate_only = spec->validate_only;
    enum err err = kafka_client_ask(c, KAFKA_CREATE_TOPICS, KAFKA_CLIENT_CREATE_TOPICS_VERSION,
                                    &request, &response);
    if (!err && response.topics.count != 1)
        err = err_set(E_MALFORMED, "answer about %d topics instead of one", response.topics.count);
    if (err)
        return err;
    return kafka_client_error(response.topics.items[0].error_code,
                              response.topics.items[0].error_message, spec->name);
}

enum err kafka_client_delete_topic(struct kafka_client *c, const char *name)
{
    struct kafka_delete_topics_request request;
    struct kafka_delete_topics_response response;
    struct bytes names[1] = {bytes_from_string(name)};

    wire_init(&kafka_delete_topics_request_schema, &request);
    request.topic_names.items = names;
    request.topic_names.count = 1;
    request.timeout_ms = (int32_t)(c->timeout_ns / 1000000);
    enum err err = kafka_client_ask(c, KAFKA_DELETE_TOPICS, KAFKA_CLIENT_DELETE_TOPICS_VERSION,
                                    &request, &response);
    if (!err && response.responses.count != 1)
        err = err_set(E_MALFORMED, "answer about %d topics", response.responses.count);
    return err ? err : kafka_client_error(response.responses.items[0].error_code, BYTES_NULL, name);
}

/* Places of one topic that follow one another become one topic of the request. */
static void put_places(struct kafka_client *c, const struct kafka_place *places, size_t count,
                       struct kafka_list_offsets_request *out)
{
    struct kafka_list_offsets_request_partition *parts =
        wire_new(&kafka_list_offsets_request_partition_schema, &c->asked, count);
    struct kafka_list_offsets_request_topic *topic = NULL;

    check(parts);
    out->topics.items = wire_new(&kafka_list_offsets_request_topic_schema, &c->asked, count);
    check(out->topics.items);
    for (size_t i = 0; i < count; i++) {
        parts[i].partition_index = places[i].partition;
        parts[i].timestamp = places[i].timestamp;
        if (i == 0 || strcmp(places[i].topic, places[i - 1].topic) != 0) {
            topic = &out->topics.items[out->topics.count++];
            topic->name = bytes_from_string(places[i].topic);
            topic->partitions.items = &parts[i];
        }
        topic->partitions.count++;
    }
}

/* Servers answer in any order; mostly in ours. */
static struct kafka_place *find_place(struct kafka_place *places, size_t count, size_t *next,
                                      struct bytes topic, int32_t partition)
{
    for (size_t i = 0; i < count; i++) {
        struct kafka_place *place = &places[(*next + i) % count];
        if (place->partition != partition || !bytes_equal_string(topic, place->topic))
            continue;
        *next = (size_t)(place - places) + 1;
        return place;
    }
    return NULL;
}

static enum err take_places(const struct kafka_list_offsets_response *in,
                            struct kafka_place *places, size_t count)
{
    size_t next = 0;

    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_list_offsets_response_topic *topic = &in->topics.items[i];
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            const struct kafka_list_offsets_response_partition *found = &topic->partitions.items[j];
            struct kafka_place *place =
                find_place(places, count, &next, topic->name, found->partition_index);
            if (!place)
                continue;
            enum err err = kafka_client_error(found->error_code, BYTES_NULL, place->topic);
            if (err)
                return err;
            place->offset = found->offset;
        }
    }
    return OK;
}

enum err kafka_client_list_offsets(struct kafka_client *c, struct kafka_place *places, size_t count)
{
    struct kafka_list_offsets_request request;
    struct kafka_list_offsets_response response;

    if (count == 0)
        return OK;
    wire_init(&kafka_list_offsets_request_schema, &request);
    request.replica_id = -1;
    put_places(c, places, count, &request);
    for (size_t i = 0; i < count; i++)
        places[i].offset = -1;
    enum err err = kafka_client_ask(c, KAFKA_LIST_OFFSETS, KAFKA_CLIENT_LIST_OFFSETS_VERSION,
                                    &request, &response);
    arena_reset(&c->asked);
    return err ? err : take_places(&response, places, count);
}

enum err kafka_client_list_offset(struct kafka_client *c, const char *topic, int32_t partition,
                                  int64_t timestamp, int64_t *out)
{
    struct kafka_place place = {topic, partition, timestamp, -1};

    enum err err = kafka_client_list_offsets(c, &place, 1);
    if (!err)
        *out = place.offset;
    return err;
}

enum err kafka_client_produce(struct kafka_client *c, const char *topic, int32_t partition,
                              int16_t acks, struct bytes batch, int64_t *out_base_offset)
{
    struct kafka_produce_request_partition part = {.index = partition, .records = batch};
    struct kafka_produce_request_topic in_topic = {.name = bytes_from_string(topic),
                                                   .partition_data = {&part, 1}};
    struct kafka_produce_request request = {.acks = acks,
                                            .timeout_ms = (int32_t)(c->timeout_ns / 1000000),
                                            .topic_data = {&in_topic, 1}};
    struct kafka_produce_response response;

    if (acks == 0) {
        c->out.size = 0;
        *out_base_offset = -1;
        enum err err = kafka_client_put(&c->out, KAFKA_PRODUCE, KAFKA_CLIENT_PRODUCE_VERSION,
                                        ++c->correlation_id, &request, true);
        if (err)
            return err;
        return stream_send(c->stream, text_bytes(&c->out), clock_now_ns() + c->timeout_ns);
    }
    enum err err =
        kafka_client_ask(c, KAFKA_PRODUCE, KAFKA_CLIENT_PRODUCE_VERSION, &request, &response);
    if (err)
        return err;
    if (response.responses.count != 1 || response.responses.items[0].partition_responses.count != 1)
        return err_set(E_MALFORMED, "Produce answers something else than was asked");
    const struct kafka_produce_response_partition *done =
        &response.responses.items[0].partition_responses.items[0];
    err = kafka_client_error(done->error_code, done->error_message, topic);
    if (!err)
        *out_base_offset = done->base_offset;
    return err;
}

enum err kafka_client_fetch(struct kafka_client *c, const char *topic,
                            struct kafka_fetch_request_partition *positions, size_t count,
                            int32_t wait_ms, struct kafka_fetch_response *out)
{
    struct kafka_fetch_request request;
    struct kafka_fetch_request_topic in_topic;

    wire_init(&kafka_fetch_request_schema, &request);
    wire_init(&kafka_fetch_request_topic_schema, &in_topic);
    request.max_wait_ms = wait_ms;
    request.min_bytes = 1;
    request.max_bytes = FETCH_BYTES;
    request.topics.items = &in_topic;
    request.topics.count = 1;
    in_topic.topic = bytes_from_string(topic);
    in_topic.partitions.items = positions;
    in_topic.partitions.count = (int32_t)count;
    enum err err = kafka_client_ask(c, KAFKA_FETCH, KAFKA_CLIENT_FETCH_VERSION, &request, out);
    return err ? err : kafka_client_error(out->error_code, BYTES_NULL, topic);
}

struct kafka_fetch_request_partition *kafka_client_positions(size_t count, int32_t max_bytes)
{
    struct kafka_fetch_request_partition *positions = xmalloc((count + 1) * sizeof *positions);

    for (size_t i = 0; i < count; i++) {
        wire_init(&kafka_fetch_request_partition_schema, &positions[i]);
        positions[i].partition = (int32_t)i;
        positions[i].partition_max_bytes = max_bytes;
    }
    return positions;
}

/* Murmur 2 of 32 bits, little-endian, as Kafka's Utils.murmur2 (seed 0x9747b28c). */
static uint32_t murmur2(struct bytes key)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)key.size;
    size_t at = 0;

    for (; at + 4 <= key.size; at += 4) {
        uint32_t k = __builtin_bswap32(get_u32(key.data + at)) * m;
        h = h * m ^ (k ^ k >> 24) * m;
    }
    for (size_t i = key.size; i > at; i--) {
        h ^= (uint32_t)key.data[i - 1] << (i - 1 - at) * 8;
        if (i - 1 == at)
            h *= m;
    }
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}

int32_t kafka_client_partition_of(struct bytes key, int32_t partition_count)
{
    return (int32_t)((murmur2(key) & 0x7fffffff) % (uint32_t)partition_count);
}
