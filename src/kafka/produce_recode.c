/*
 * One job for a request: it works on copies, because the connection may go away meanwhile, and with it
 * the buffer that the request's batches lie in. Requests behind it do not start before it is done, so
 * that a producer's batches are appended in their order.
 */
#include "kafka/produce_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/recode.h"
#include "kafka/connection.h"

struct recode_part {
    struct produced *produced;
    struct recode_rules rules;
    struct text copy;
    struct recoded recoded;
    enum err err;
    char error[256];
};

struct recoding {
    struct job job;
    struct deferred ended; /* in the turn after the job, where handlers may append */
    struct request *owner; /* NULL: nobody waits any more */
    void (*go_on)(struct request *);
    VEC(struct recode_part) parts;
    bool is_running;
};

/* ---- on the other thread ---- */

static void recode_part(struct recode_part *part, const struct batch *b)
{
    part->err = recode_batch(b, &part->rules, &part->recoded);
    if (part->err)
        snprintf(part->error, sizeof part->error, "%s", err_text());
}

static void run(struct job *job)
{
    struct recoding *recoding = container_of(job, struct recoding, job);
    for (size_t i = 0; i < recoding->parts.count; i++) {
        struct recode_part *part = &recoding->parts.items[i];
        struct batch b;
        part->err = batch_parse(text_bytes(&part->copy), &b);
        if (!part->err)
            recode_part(part, &b);
    }
}

/* ---- what came of it ---- */

static enum kafka_error error_of(enum err err)
{
    return err == E_OUT_OF_RANGE ? KAFKA_INVALID_TIMESTAMP : kafka_error_of(err);
}

static void list_errors(struct request *r, const struct recode_part *part)
{
    static const char no_key[] = "Compacted topic cannot accept message without key.";
    static const char bad_time[] = "Timestamp of message is out of range.";
    struct produced *out = part->produced;
    size_t count = part->recoded.errors.count;
    struct kafka_produce_response_record_error *errors =
        request_new(r, &kafka_produce_response_record_error_schema, count);
    if (!errors)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct record_error *error = &part->recoded.errors.items[i];
        errors[i].batch_index = error->index;
        errors[i].batch_index_error_message =
            error->is_time ? bytes_from_string(bad_time) : bytes_from_string(no_key);
    }
    out->record_errors = errors;
    out->record_error_count = (int32_t)count;
}

static void take_result(struct request *r, struct recode_part *part)
{
    struct produced *out = part->produced;
    if (!part->err && part->recoded.raw.size > 0)
        part->err = batch_parse(text_bytes(&part->recoded.raw), &out->batch);
    if (!part->err)
        return;
    out->error = error_of(part->err);
    out->error_message = arena_copy(&r->arena, bytes_from_string(part->error));
    out->tells_start = part->err == E_MALFORMED || part->err == E_OUT_OF_RANGE;
    list_errors(r, part);
}

static void ended(struct deferred *deferred)
{
    struct recoding *recoding = container_of(deferred, struct recoding, ended);
    struct request *r = recoding->owner;
    struct connection *c = r->connection;
    for (size_t i = 0; i < recoding->parts.count; i++)
        take_result(r, &recoding->parts.items[i]);
    recoding->go_on(r); /* which may end the request */
    connection_let_go(c, r);
}

static void done(struct job *job)
{
    struct recoding *recoding = container_of(job, struct recoding, job);
    recoding->is_running = false;
    if (recoding->owner)
        core_defer(request_core(recoding->owner), &recoding->ended);
    else
        recoding_free(recoding);
}

void recoding_free(struct recoding *recoding)
{
    if (!recoding)
        return;
    recoding->owner = NULL;
    if (recoding->is_running)
        return; /* done() comes back */
    core_defer_cancel(&recoding->ended);
    for (size_t i = 0; i < recoding->parts.count; i++) {
        text_reset(&recoding->parts.items[i].copy);
        recoded_reset(&recoding->parts.items[i].recoded);
    }
    vec_reset(&recoding->parts);
    free(recoding);
}

/* ---- the start ---- */

/* What fails for another reason needs no look. */
static void add_part(struct recoding *recoding, const struct topic *topic,
                     struct produced *produced)
{
    const struct core *core = request_core(recoding->owner);
    struct recode_part part = {.produced = produced};
    if (produced->error || (int64_t)produced->batch.raw.size > topic->message_max_bytes ||
        !recode_is_needed(core, topic, &produced->batch, &part.rules))
        return;
    if (recode_is_small(&produced->batch, &part.rules)) {
        recode_part(&part, &produced->batch);
        take_result(recoding->owner, &part);
        recoded_reset(&part.recoded);
        return;
    }
    text_append(&part.copy, produced->batch.raw);
    vec_push(&recoding->parts, part);
}

struct recoding *recoding_start(struct request *r, struct topic *const *topics,
                                void (*go_on)(struct request *))
{
    const struct kafka_produce_request *in = r->body;
    struct recoding *recoding = xzalloc(sizeof *recoding);
    struct produced *produced = r->produced;
    recoding->owner = r;
    recoding->go_on = go_on;
    for (int32_t i = 0; i < in->topic_data.count; i++)
        for (int32_t j = 0; j < in->topic_data.items[i].partition_data.count; j++, produced++)
            if (topics[i])
                add_part(recoding, topics[i], produced);
    if (recoding->parts.count == 0) {
        recoding_free(recoding);
        return NULL;
    }
    recoding->job.run = run;
    recoding->job.done = done;
    recoding->ended.run = ended;
    recoding->is_running = true;
    connection_hold(r->connection, r);
    jobs_submit(core_jobs(request_core(r)), LANE_COMPUTE, &recoding->job);
    return recoding;
}
