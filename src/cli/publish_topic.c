/* Messages to a topic, by Kafka's protocol. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/codec.h"
#include "cli/kafka_admin.h"
#include "cli/publish_internal.h"
#include "io/clock.h"

struct kafka_sink {
    struct sink sink;
    struct kafka_client *client;
    struct batch_builder *builders; /* one for each partition */
    struct text headers;            /* of every message, encoded */
    struct text compressed;
    int32_t partition_count, next_partition;
    int16_t acks;
};

static enum err kafka_sink_flush_one(struct kafka_sink *s, int32_t partition)
{
    const struct publish_options *o = s->sink.options;
    struct batch_builder *builder = &s->builders[partition];
    struct bytes batch;
    int64_t offset;

    if (builder->count == 0)
        return OK;
    enum err err = codec_apply(o->codec, batch_builder_end(builder), &s->compressed, &batch);
    if (!err)
        err = kafka_client_produce(s->client, o->topic, partition, s->acks, batch, &offset);
    batch_builder_begin(builder, 0);
    return err;
}

static enum err kafka_sink_flush(struct sink *sink)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    enum err err = OK;

    for (int32_t p = 0; p < s->partition_count && !err; p++)
        err = kafka_sink_flush_one(s, p);
    s->next_partition = (s->next_partition + 1) % s->partition_count;
    return err;
}

static enum err kafka_sink_put(struct sink *sink, struct bytes key, struct bytes value)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;
    int32_t partition = s->next_partition;

    if (!key.data && *sink->options->key)
        key = bytes_from_string(sink->options->key);
    if (sink->options->partition >= 0)
        partition = (int32_t)sink->options->partition;
    else if (key.data)
        partition = kafka_client_partition_of(key, s->partition_count);
    struct batch_builder *builder = &s->builders[partition];
    batch_builder_add(builder, clock_wall_ms(), key, value, text_bytes(&s->headers),
                      (int32_t)sink->options->headers.count);
    return builder->text.size >= PUBLISH_FLUSH_BYTES ? kafka_sink_flush_one(s, partition) : OK;
}

static void kafka_sink_close(struct sink *sink)
{
    struct kafka_sink *s = (struct kafka_sink *)sink;

    kafka_client_close(s->client);
    for (int32_t p = 0; p < s->partition_count; p++)
        batch_builder_reset(&s->builders[p]);
    free(s->builders);
    text_reset(&s->headers);
    text_reset(&s->compressed);
    free(s);
}

static const struct sink_kind kafka_sink_kind = {kafka_sink_put, kafka_sink_flush,
                                                 kafka_sink_close};

static enum err parse_acks(const char *text, int16_t *out)
{
    bool is_all = strcmp(text, "all") == 0;

    if (!is_all && strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return err_set(E_INVALID, "--acks %s: must be 0, 1 or all", text);
    *out = is_all ? -1 : (int16_t)(text[0] - '0');
    return OK;
}

static void put_varbytes(struct text *out, struct bytes b)
{
    text_put_varint(out, zigzag_encode((int64_t)b.size));
    text_append(out, b);
}

/* "NAME=VALUE" flags as a record's headers. */
static enum err put_headers(const struct flag_list *list, struct text *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strchr(list->items[i], '=');
        if (!equals)
            return err_set(E_INVALID, "--header %s: must be NAME=VALUE", list->items[i]);
        put_varbytes(out, bytes_of(list->items[i], (size_t)(equals - list->items[i])));
        put_varbytes(out, bytes_from_string(equals + 1));
    }
    return OK;
}

enum err publish_topic_open(const struct publish_options *o, struct sink **out)
{
    struct kafka_metadata_response metadata;
    struct kafka_sink *s = xzalloc(sizeof *s);

    s->sink = (struct sink){&kafka_sink_kind, o, 0, 0};
    enum err err = parse_acks(o->acks, &s->acks);
    if (!err)
        err = put_headers(&o->headers, &s->headers);
    if (!err)
        err = kafka_admin_open(&o->common, &s->client);
    if (!err)
        err = kafka_client_metadata(s->client, o->topic, &metadata);
    if (!err && o->partition >= metadata.topics.items[0].partitions.count)
        err = err_set(E_NOT_FOUND, "%s has no partition %lld; it has %d", o->topic,
                      (long long)o->partition, metadata.topics.items[0].partitions.count);
    if (err) {
        kafka_sink_close(&s->sink);
        return err;
    }
    s->partition_count = metadata.topics.items[0].partitions.count;
    s->builders = xzalloc((size_t)s->partition_count * sizeof *s->builders);
    for (int32_t p = 0; p < s->partition_count; p++)
        batch_builder_begin(&s->builders[p], 0);
    *out = &s->sink;
    return OK;
}
