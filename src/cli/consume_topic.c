/* The records of a topic, by Kafka's protocol: alone, or as a member of a group. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/consume_internal.h"
#include "cli/kafka_group.h"
#include "cli/kafka_member.h"
#include "io/clock.h"
#include "io/process.h"
#include "io/stream.h"

enum {
    PARTITION_BYTES = 1024 * 1024,
    INFLATE_LIMIT_BYTES = 64 * 1024 * 1024,
    COMMIT_EVERY_MS = 1000,
};

struct reading {
    struct consume *consume;
    struct kafka_client *client;
    struct kafka_fetch_request_partition *positions;
    int64_t *ends; /* high watermarks as last told; -1: not yet */
    size_t count;
    /* in a group */
    struct kafka_member member;
    uint64_t committed_count; /* of messages */
    int64_t next_commit_ns;
};

/* ---- what was fetched ---- */

static void print_record(struct consume *c, int32_t partition, const struct record *record)
{
    const struct format_record r = {c->options->topic, partition, record};

    if (common_wants_json(&c->options->common)) {
        consume_print_json(c, format_json(&r));
    } else if (c->options->format) {
        c->line.size = 0;
        format_put(c->options->format, &r, &c->line);
        fwrite(c->line.data, 1, c->line.size, stdout);
        c->count++;
        c->last_ns = clock_now_ns();
    } else {
        consume_print(c, record->value);
    }
}

/* The position is behind the last record that was printed. */
static enum err take_batch(struct consume *c, struct kafka_fetch_request_partition *position,
                           const struct batch *batch, struct text *scratch)
{
    struct record_reader reader;
    struct record record;
    struct bytes records;

    enum err err = batch_inflate(batch, INFLATE_LIMIT_BYTES, scratch, &records);
    if (err)
        return err;
    record_reader_init(&reader, batch, batch->base_offset, records);
    while (!consume_is_done(c) && record_reader_next(&reader, &record)) {
        if (record.offset < position->fetch_offset)
            continue;
        print_record(c, position->partition, &record);
        position->fetch_offset = record.offset + 1;
    }
    return OK;
}

static enum err take_partition(struct consume *c, struct kafka_fetch_request_partition *position,
                               const struct kafka_fetch_response_partition *part)
{
    struct text scratch = {0};
    struct bytes rest = part->records;
    struct batch batch;
    enum err err = kafka_client_error(part->error_code, BYTES_NULL, c->options->topic);

    while (!err && rest.size && !consume_is_done(c)) {
        err = batch_parse(rest, &batch);
        if (err)
            break;
        if (!batch_is_control(&batch))
            err = take_batch(c, position, &batch, &scratch);
        if (!consume_is_done(c) && position->fetch_offset <= batch_last_offset(&batch))
            position->fetch_offset = batch_last_offset(&batch) + 1;
        rest = bytes_of(rest.data + batch.raw.size, rest.size - batch.raw.size);
    }
    text_reset(&scratch);
    return err == E_OUT_OF_RANGE && part->error_code == 0 ? OK : err; /* the last one is cut off */
}

static enum err take_answer(struct reading *r, const struct kafka_fetch_response *answer)
{
    for (int32_t t = 0; t < answer->responses.count; t++) {
        const struct kafka_fetch_response_topic *topic = &answer->responses.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            const struct kafka_fetch_response_partition *part = &topic->partitions.items[p];
            size_t i = 0;
            while (i < r->count && r->positions[i].partition != part->partition_index)
                i++;
            enum err err = i < r->count ? take_partition(r->consume, &r->positions[i], part) : OK;
            if (err)
                return err;
            if (i < r->count)
                r->ends[i] = part->high_watermark;
        }
    }
    return OK;
}

static bool is_at_end(const struct reading *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->ends[i] < 0 || r->positions[i].fetch_offset < r->ends[i])
            return false;
    return true;
}

/* ---- where to begin ---- */

static void forget_positions(struct reading *r)
{
    free(r->positions);
    free(r->ends);
    r->positions = NULL;
    r->ends = NULL;
    r->count = 0;
}

/* Takes the places, which are of one topic. */
static void take_places(struct reading *r, struct kafka_place *places, size_t count)
{
    forget_positions(r);
    r->positions = kafka_client_positions(count, PARTITION_BYTES);
    r->ends = xmalloc((count + 1) * sizeof *r->ends);
    r->count = count;
    for (size_t i = 0; i < count; i++) {
        r->positions[i].partition = places[i].partition;
        r->positions[i].fetch_offset = places[i].offset;
        r->ends[i] = -1;
    }
}

/* In every partition, or in the one that was asked for. */
static enum err begin_alone(struct reading *r)
{
    const struct consume_options *o = r->consume->options;
    struct kafka_metadata_response metadata;

    enum err err = kafka_client_metadata(r->client, o->topic, &metadata);
    if (err)
        return err;
    int32_t partition_count = metadata.topics.items[0].partitions.count;
    if (o->partition >= partition_count)
        return err_set(E_NOT_FOUND, "%s has no partition %lld; it has %d", o->topic,
                       (long long)o->partition, partition_count);
    size_t count = o->partition >= 0 ? 1 : (size_t)partition_count;
    struct kafka_place *places = xzalloc((count + 1) * sizeof *places);
    for (size_t i = 0; i < count; i++) {
        places[i].topic = o->topic;
        places[i].partition = o->partition >= 0 ? (int32_t)o->partition : (int32_t)i;
    }
    err = place_find(r->client, &o->place, places, count);
    if (!err)
        take_places(r, places, count);
    free(places);
    return err;
}

/* Where the group has got to, or where it is to begin. */
static enum err begin_as_member(struct reading *r)
{
    const struct consume_options *o = r->consume->options;
    struct kafka_member *m = &r->member;
    struct kafka_group group = {0};
    size_t count = m->partitions.count;
    struct kafka_place *places = xzalloc((count + 1) * sizeof *places);

    for (size_t i = 0; i < count; i++)
        places[i] = (struct kafka_place){.topic = o->topic, .partition = m->partitions.items[i]};
    enum err err = place_find(r->client, &o->place, places, count);
    if (!err)
        err = kafka_group_read_offsets(r->client, o->group, &group);
    for (size_t i = 0; i < count && !err; i++) {
        int64_t committed =
            kafka_group_part(&group, bytes_from_string(o->topic), places[i].partition)->committed;
        if (committed >= 0)
            places[i].offset = committed;
    }
    if (!err)
        take_places(r, places, count);
    kafka_group_reset(&group);
    free(places);
    return err;
}

/* ---- as a member ---- */

static enum err commit(struct reading *r)
{
    const struct consume_options *o = r->consume->options;
    struct kafka_place *places = xzalloc((r->count + 1) * sizeof *places);
    const struct group_commit all = {o->group, r->member.id, r->member.generation, places,
                                     r->count};
    enum err err = OK;

    for (size_t i = 0; i < r->count; i++)
        places[i] = (struct kafka_place){.topic = o->topic,
                                         .partition = r->positions[i].partition,
                                         .offset = r->positions[i].fetch_offset};
    fflush(stdout); /* what is committed has been seen */
    if (r->count && r->committed_count != r->consume->count)
        err = kafka_group_commit(r->client, &all);
    free(places);
    r->committed_count = r->consume->count;
    r->next_commit_ns = clock_now_ns() + COMMIT_EVERY_MS * INT64_C(1000000);
    return err;
}

static enum err join(struct reading *r)
{
    enum err err = kafka_member_join(&r->member);
    return err ? err : begin_as_member(r);
}

/* A group that rebalances wants its members back; they bring what they have done. */
static enum err keep_membership(struct reading *r)
{
    enum err err = kafka_member_beat(&r->member);

    if (!err && clock_now_ns() >= r->next_commit_ns)
        err = commit(r);
    if (err != E_AGAIN && err != E_STALE)
        return err;
    err = commit(r);
    if (err && err != E_AGAIN && err != E_STALE)
        return err;
    return join(r);
}

static void no_wake(void *ctx)
{
    (void)ctx; /* a fetch waits half a second at most */
}

/* ---- the loop ---- */

/* A group may have no partition left for this member. */
static void wait_for_nothing(void)
{
    struct stream_set *sleeper = stream_set_new();
    struct stream_event event;

    stream_set_wait(sleeper, clock_now_ns() + CONSUME_WAIT_MS * INT64_C(1000000), &event, 1);
    stream_set_free(sleeper);
}

static enum err fetch_once(struct reading *r)
{
    struct kafka_fetch_response answer;

    if (r->count == 0) {
        wait_for_nothing();
        return OK;
    }
    enum err err = kafka_client_fetch(r->client, r->consume->options->topic, r->positions, r->count,
                                      CONSUME_WAIT_MS, &answer);

    if (!err)
        err = take_answer(r, &answer);
    fflush(stdout);
    return err;
}

static enum err read_on(struct reading *r)
{
    const struct consume_options *o = r->consume->options;
    enum err err = OK;

    while (!err && !consume_is_done(r->consume)) {
        err = fetch_once(r);
        if (!err && o->stops_at_end && is_at_end(r))
            break;
        if (!err && o->group)
            err = keep_membership(r);
    }
    return err;
}

static enum err read_as_member(struct reading *r)
{
    struct kafka_metadata_response metadata;

    process_catch_signals(no_wake, NULL);
    enum err err = kafka_client_metadata(r->client, r->consume->options->topic, &metadata);
    if (!err)
        err = join(r);
    if (!err)
        err = read_on(r);
    if (!err)
        err = commit(r);
    if (!err)
        kafka_member_leave(&r->member);
    return err;
}

enum err consume_topic(struct consume *c)
{
    const struct consume_options *o = c->options;
    struct reading r = {.consume = c};

    enum err err = kafka_admin_open(&o->common, &r.client);
    kafka_member_init(&r.member, r.client, o->group, o->topic);
    c->last_ns = clock_now_ns();
    if (!err && o->group) {
        err = read_as_member(&r);
    } else if (!err) {
        err = begin_alone(&r);
        if (!err)
            err = read_on(&r);
    }
    kafka_member_reset(&r.member);
    forget_positions(&r);
    kafka_client_close(r.client);
    return err;
}
