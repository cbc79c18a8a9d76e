/*
 * DescribeProducers: which idempotent producers a partition knows, to find out who writes. KIP-664.
 * There are no transactions: nothing is ever open.
 */
#include "broker/core.h"
#include "broker/producer.h"
#include "broker/topic.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

static bool put_producers(struct request *r, const struct producers *producers,
                          struct kafka_describe_producers_response_partition *out)
{
    size_t count = producers ? producers->by_id.count : 0, position = 0;
    out->active_producers.items =
        request_new(r, &kafka_describe_producers_response_producer_schema, count);
    if (!out->active_producers.items)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct producer *producer = idmap_next(&producers->by_id, &position);
        struct kafka_describe_producers_response_producer *p = &out->active_producers.items[i];
        p->producer_id = producer->id;
        p->producer_epoch = producer->epoch;
        p->last_sequence = producer_last(producer)->last_sequence;
        p->last_timestamp = producer_last(producer)->timestamp;
        p->coordinator_epoch = -1;
    }
    out->active_producers.count = (int32_t)count;
    return true;
}

static bool put_partition(struct request *r, struct bytes name, int32_t index,
                          struct kafka_describe_producers_response_partition *out)
{
    struct topic *topic = topic_find(request_core(r), name);
    const struct partition *p = topic ? topic_partition(topic, index) : NULL;
    out->partition_index = index;
    if (p)
        return put_producers(r, p->producers, out);
    out->error_code =
        topic_name_is_legal(name) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_INVALID_TOPIC;
    if (!topic)
        out->error_message = topic_name_is_legal(name)
                                 ? BYTES_LITERAL("This server does not host this topic-partition.")
                                 : BYTES_LITERAL("The topic name is invalid.");
    return true;
}

void describe_producers_start(struct request *r)
{
    const struct kafka_describe_producers_request *in = r->body;
    struct kafka_describe_producers_response *reply =
        request_new(r, &kafka_describe_producers_response_schema, 1);
    if (!reply)
        return;
    reply->topics.items =
        request_new(r, &kafka_describe_producers_response_topic_schema, (size_t)in->topics.count);
    if (!reply->topics.items)
        return;
    for (int32_t i = 0; i < in->topics.count; i++) {
        const struct kafka_describe_producers_request_topic *asked = &in->topics.items[i];
        struct kafka_describe_producers_response_topic *out = &reply->topics.items[i];
        size_t count = (size_t)asked->partition_indexes.count;
        out->name = asked->name;
        out->partitions.items =
            request_new(r, &kafka_describe_producers_response_partition_schema, count);
        if (!out->partitions.items)
            return;
        for (size_t j = 0; j < count; j++)
            if (!put_partition(r, asked->name, asked->partition_indexes.items[j],
                               &out->partitions.items[j]))
                return;
        out->partitions.count = (int32_t)count;
    }
    reply->topics.count = in->topics.count;
    request_answer(r, reply);
}
