/*
 * The consumers of `pabal bench kafka`. Each fetches its partitions again and again; with a group it
 * commits now and then how far it came, as one who is no member: the partitions are its own already.
 */
#include <string.h>

#include "base/check.h"
#include "cli/bench_kafka.h"
#include "log/batch.h"

enum { INFLATE_LIMIT_BYTES = 64 << 20 };

static enum err put_fetch(struct kafka_conn *c)
{
    const struct kafka_bench_options *o = c->options;
    struct kafka_fetch_request request;
    struct kafka_fetch_request_topic topic;

    wire_init(&kafka_fetch_request_schema, &request);
    wire_init(&kafka_fetch_request_topic_schema, &topic);
    request.max_wait_ms = (int32_t)(o->fetch_wait_ns / 1000000);
    request.min_bytes = (int32_t)o->fetch_min_bytes;
    request.max_bytes = (int32_t)o->fetch_bytes;
    request.topics.items = &topic;
    request.topics.count = 1;
    topic.topic = bytes_from_string(o->topic);
    topic.partitions.items = c->positions;
    topic.partitions.count = c->position_count;
    c->is_fetching = true;
    return kafka_client_put(&c->base.out, KAFKA_FETCH, KAFKA_CLIENT_FETCH_VERSION,
                            ++c->correlation_id, &request, true);
}

static enum err put_commit(struct kafka_conn *c)
{
    const struct kafka_bench_options *o = c->options;
    struct kafka_offset_commit_request request;
    struct kafka_offset_commit_request_topic topic;

    wire_init(&kafka_offset_commit_request_schema, &request);
    wire_init(&kafka_offset_commit_request_topic_schema, &topic);
    arena_reset(&c->arena);
    topic.partitions.items = wire_new(&kafka_offset_commit_request_partition_schema, &c->arena,
                                      (size_t)c->position_count);
    check(topic.partitions.items);
    topic.partitions.count = c->position_count;
    for (int32_t i = 0; i < c->position_count; i++) {
        topic.partitions.items[i].partition_index = c->positions[i].partition;
        topic.partitions.items[i].committed_offset = c->positions[i].fetch_offset;
    }
    topic.name = bytes_from_string(o->topic);
    request.group_id = bytes_from_string(c->group);
    request.topics.items = &topic;
    request.topics.count = 1;
    c->commit_id = ++c->correlation_id;
    c->next_commit_ns = c->base.bench->now_ns + o->commit_every_ns;
    return kafka_client_put(&c->base.out, KAFKA_OFFSET_COMMIT, KAFKA_CLIENT_OFFSET_COMMIT_VERSION,
                            c->commit_id, &request, true);
}

static enum err take_commit(struct kafka_conn *c, struct bytes body)
{
    struct kafka_offset_commit_response response;
    struct reader r = reader_of(body);

    c->commit_id = 0;
    arena_reset(&c->arena);
    enum err err = wire_decode(&kafka_offset_commit_response_schema,
                               KAFKA_CLIENT_OFFSET_COMMIT_VERSION, &r, &c->arena, &response);
    for (int32_t t = 0; !err && t < response.topics.count; t++)
        for (int32_t p = 0; !err && p < response.topics.items[t].partitions.count; p++)
            err = kafka_client_error(response.topics.items[t].partitions.items[p].error_code,
                                     BYTES_NULL, c->group);
    return err;
}

void kafka_consumer_fill(struct bench_conn *base)
{
    struct kafka_conn *c = kafka_conn_of(base);
    enum err err = OK;

    if (c->is_fetching)
        return;
    if (c->group[0] && !c->commit_id && base->bench->now_ns >= c->next_commit_ns)
        err = put_commit(c);
    if (!err)
        err = put_fetch(c);
    check(err == OK);
}

static enum err take_records(struct kafka_conn *c, const struct batch *batch, int64_t from)
{
    struct record_reader reader;
    struct record record;
    struct bytes records;

    enum err err = batch_inflate(batch, INFLATE_LIMIT_BYTES, &c->plain, &records);
    if (err)
        return err;
    record_reader_init(&reader, batch, batch->base_offset, records);
    while (record_reader_next(&reader, &record)) {
        if (record.offset < from)
            continue;
        bool has_stamp = record.value.size >= BENCH_STAMP_BYTES;
        bench_count_received(c->base.bench, 1, has_stamp ? (int64_t)get_u64(record.value.data) : 0);
    }
    return OK;
}

/* The last batch may be cut off: Kafka sends bytes, not batches. */
static enum err take_batches(struct kafka_conn *c, struct kafka_fetch_request_partition *position,
                             struct bytes records)
{
    struct batch batch;

    while (records.size) {
        enum err err = batch_parse(records, &batch);
        if (err == E_OUT_OF_RANGE)
            return OK;
        if (err)
            return err_wrap(err, "partition %d at offset %lld", position->partition,
                            (long long)position->fetch_offset);
        if (!batch_is_intact(&batch))
            return err_set(E_CORRUPT, "partition %d at offset %lld: checksum", position->partition,
                           (long long)batch.base_offset);
        if (!batch_is_control(&batch))
            err = take_records(c, &batch, position->fetch_offset);
        if (err)
            return err;
        position->fetch_offset = batch_last_offset(&batch) + 1;
        records = bytes_of(records.data + batch.raw.size, records.size - batch.raw.size);
    }
    return OK;
}

static struct kafka_fetch_request_partition *find_position(struct kafka_conn *c, int32_t partition)
{
    int64_t i = (partition - c->partition_first) / c->partition_step;

    if (i < 0 || i >= c->position_count || c->positions[i].partition != partition)
        return NULL;
    return &c->positions[i];
}

static enum err take_partition(struct kafka_conn *c,
                               const struct kafka_fetch_response_partition *part)
{
    struct kafka_fetch_request_partition *position = find_position(c, part->partition_index);

    if (!position)
        return err_set(E_MALFORMED, "records of partition %d, which was not asked for",
                       part->partition_index);
    enum err err = kafka_client_error(part->error_code, BYTES_NULL, c->options->topic);
    if (err)
        return err;
    if (c->options->again && part->records.size == 0)
        position->fetch_offset = 0; /* the end: once more from the start */
    return take_batches(c, position, part->records);
}

static enum err take_fetched(struct kafka_conn *c, struct bytes body)
{
    struct kafka_fetch_response response;
    struct reader r = reader_of(body);

    c->is_fetching = false;
    arena_reset(&c->arena);
    enum err err = wire_decode(&kafka_fetch_response_schema, KAFKA_CLIENT_FETCH_VERSION, &r,
                               &c->arena, &response);
    if (!err)
        err = kafka_client_error(response.error_code, BYTES_NULL, c->options->topic);
    for (int32_t t = 0; !err && t < response.responses.count; t++)
        for (int32_t p = 0; !err && p < response.responses.items[t].partitions.count; p++)
            err = take_partition(c, &response.responses.items[t].partitions.items[p]);
    return err;
}

enum err kafka_consumer_take(struct kafka_conn *c, int32_t correlation_id, struct bytes body)
{
    return correlation_id == c->commit_id ? take_commit(c, body) : take_fetched(c, body);
}

enum err kafka_consumer_prepare(struct kafka_conn *c, struct kafka_client *client)
{
    const struct kafka_bench_options *o = c->options;
    bool from_start = strcmp(o->from, "start") == 0;
    enum err err = OK;

    c->positions = kafka_client_positions((size_t)o->partitions, (int32_t)o->partition_bytes);
    for (int64_t p = c->partition_first; p < o->partitions && !err; p += c->partition_step) {
        struct kafka_fetch_request_partition *position = &c->positions[c->position_count++];
        position->partition = (int32_t)p;
        err =
            kafka_client_list_offset(client, o->topic, (int32_t)p,
                                     from_start ? KAFKA_TIMESTAMP_EARLIEST : KAFKA_TIMESTAMP_LATEST,
                                     &position->fetch_offset);
    }
    return err;
}
