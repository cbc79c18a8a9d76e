/*
 * OffsetForLeaderEpoch: up to where a log has what a leader epoch wrote. A consumer that has read up to
 * some offset under an epoch asks whether the log was cut since. KIP-320, KIP-101.
 *
 * Every start of the broker is an epoch, also for a log that nothing was appended to. The end of the
 * newest one is the log's end, so the answer waits until that is committed.
 */
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { WAIT_MAX_MS = 30000 };

static struct partition *find(struct request *r, struct bytes name, int32_t index)
{
    struct topic *topic = topic_find(request_core(r), name);
    return topic ? topic_partition(topic, index) : NULL;
}

static struct ticket barrier(struct request *r)
{
    const struct kafka_offset_for_leader_epoch_request *in = r->body;
    struct ticket all = {0};
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_offset_for_leader_epoch_request_topic *asked = &in->topics.items[i];
        for (int32_t j = 0; j < asked->partitions.count; j++) {
            struct partition *p = find(r, asked->topic, asked->partitions.items[j].partition);
            if (p)
                ticket_join(&all, log_last_ticket(p->log));
        }
    }
    return all;
}

static void put_end(const struct core *core, const struct log *log, int32_t epoch,
                    struct kafka_offset_for_leader_epoch_response_partition *out)
{
    int32_t newest = store_epoch(core->store), found;
    if (epoch < 0 || epoch > newest)
        return;
    int64_t end = log_epoch_end(log, epoch, &found);
    bool is_gone = found < 0 || (end <= log->start && log->start > 0);
    out->leader_epoch = is_gone || epoch == newest ? epoch : found;
    out->end_offset = is_gone ? log->start : end;
    if (epoch == newest)
        out->end_offset = log->hw;
}

static void put_partition(struct request *r, struct bytes name,
                          const struct kafka_offset_for_leader_epoch_request_partition *asked,
                          bool in_time,
                          struct kafka_offset_for_leader_epoch_response_partition *out)
{
    const struct core *core = request_core(r);
    const struct partition *p = find(r, name, asked->partition);
    int32_t newest = store_epoch(core->store);
    out->partition = asked->partition;
    if (!p)
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (asked->current_leader_epoch >= 0 && asked->current_leader_epoch < newest)
        out->error_code = KAFKA_FENCED_LEADER_EPOCH;
    else if (asked->current_leader_epoch > newest)
        out->error_code = KAFKA_UNKNOWN_LEADER_EPOCH;
    else if (!in_time)
        out->error_code = KAFKA_REQUEST_TIMED_OUT;
    else
        put_end(core, p->log, asked->leader_epoch, out);
}

static void answer(struct request *r, bool in_time)
{
    const struct kafka_offset_for_leader_epoch_request *in = r->body;
    struct kafka_offset_for_leader_epoch_response *reply =
        request_new(r, &kafka_offset_for_leader_epoch_response_schema, 1);
    if (!reply)
        return;
    reply->topics.items = request_new(r, &kafka_offset_for_leader_epoch_response_topic_schema,
                                      (size_t)in->topics.count);
    if (!reply->topics.items)
        return;
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_offset_for_leader_epoch_request_topic *asked = &in->topics.items[i];
        struct kafka_offset_for_leader_epoch_response_topic *out = &reply->topics.items[i];
        out->topic = asked->topic;
        out->partitions.items =
            request_new(r, &kafka_offset_for_leader_epoch_response_partition_schema,
                        (size_t)asked->partitions.count);
        if (!out->partitions.items)
            return;
        for (int32_t j = 0; j < asked->partitions.count; j++)
            put_partition(r, asked->topic, &asked->partitions.items[j], in_time,
                          &out->partitions.items[j]);
        out->partitions.count = asked->partitions.count;
    }
    reply->topics.count = in->topics.count;
    request_answer(r, reply);
}

void offset_for_leader_epoch_start(struct request *r)
{
    request_wait(r, barrier(r), STAGE_COMMITTED, WAIT_MAX_MS, answer);
}
