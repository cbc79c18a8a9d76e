/*
 * DescribeTopicPartitions (KIP-966): topics in the order of their names, with their partitions, in
 * pages: a page ends at the limit, and its cursor says where the next one begins. Answered when what
 * is told is durable.
 */
#include <stdlib.h>

#include "base/map.h"
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum {
    TIMEOUT_MS = 30000,
    PAGE_PARTITIONS_MAX = 2000,               /* Kafka's max.request.partition.size.limit */
    PAGE_NAMES_MAX = PAGE_PARTITIONS_MAX + 1, /* and one to go on with */
    /* Bits of Kafka's AclOperation: without access control a client may do everything. */
    TOPIC_OPERATIONS = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11,
};

struct page {
    struct request *request;
    struct kafka_describe_topic_partitions_response *reply;
    struct bytes *names; /* each once; sorted when all are there */
    size_t name_count;
    struct bytes from; /* the cursor's topic: names before it were told */
    int32_t from_partition;
    int32_t left; /* partitions that still fit */
    int32_t *nodes;
};

/* ---- the names of a page: the lowest ones from the cursor on, out of any number ---- */

/* Put the name into its place below `i` of a heap with the greatest name on top. */
static void sift_down(struct bytes *heap, size_t count, size_t i, struct bytes name)
{
    for (size_t child = 2 * i + 1; child < count; child = 2 * i + 1) {
        if (child + 1 < count && bytes_compare(heap[child], heap[child + 1]) < 0)
            child++;
        if (bytes_compare(heap[child], name) <= 0)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = name;
}

static void add_name(struct page *page, struct bytes name)
{
    if (bytes_compare(name, page->from) < 0)
        return;
    if (page->name_count < PAGE_NAMES_MAX) {
        page->names[page->name_count++] = name;
        if (page->name_count == PAGE_NAMES_MAX)
            for (size_t i = PAGE_NAMES_MAX / 2; i-- > 0;)
                sift_down(page->names, PAGE_NAMES_MAX, i, page->names[i]);
    } else if (bytes_compare(name, page->names[0]) < 0) {
        sift_down(page->names, PAGE_NAMES_MAX, 0, name);
    }
}

static void add_topic(void *ctx, struct topic *topic)
{
    add_name(ctx, topic->name);
}

static void add_asked(struct page *page, const struct kafka_describe_topic_partitions_request *in)
{
    struct map seen = {0};
    for (int32_t i = 0; i < in->topics.count; i++)
        if (!map_put(&seen, in->topics.items[i].name, page))
            add_name(page, in->topics.items[i].name);
    map_reset(&seen);
}

static int compare_names(const void *left, const void *right)
{
    return bytes_compare(*(const struct bytes *)left, *(const struct bytes *)right);
}

static bool collect_names(struct page *page,
                          const struct kafka_describe_topic_partitions_request *in)
{
    page->names = request_alloc(page->request, PAGE_NAMES_MAX, sizeof *page->names);
    if (!page->names)
        return false;
    if (in->topics.count == 0)
        topic_each(request_core(page->request), add_topic, page);
    else
        add_asked(page, in);
    if (page->name_count > 1)
        qsort(page->names, page->name_count, sizeof *page->names, compare_names);
    return true;
}

/* ---- a page ---- */

static bool put_cursor(struct page *page, struct bytes name, int32_t partition)
{
    struct kafka_describe_topic_partitions_response_cursor *cursor =
        request_new(page->request, &kafka_describe_topic_partitions_response_cursor_schema, 1);
    if (!cursor)
        return false;
    cursor->topic_name = arena_copy(&page->request->arena, name);
    cursor->partition_index = partition;
    page->reply->next_cursor = cursor;
    return true;
}

static bool put_partitions(struct page *page, const struct topic *topic, int32_t first,
                           struct kafka_describe_topic_partitions_response_topic *out)
{
    int32_t count = topic->partition_count - first;
    if (count > page->left)
        count = page->left;
    out->partitions.items = request_new(
        page->request, &kafka_describe_topic_partitions_response_partition_schema, (size_t)count);
    if (!out->partitions.items)
        return false;
    out->partitions.count = count;
    page->left -= count;
    int32_t epoch = store_epoch(request_core(page->request)->store);
    for (int32_t i = 0; i < count; i++) {
        struct kafka_describe_topic_partitions_response_partition *p = &out->partitions.items[i];
        p->partition_index = first + i;
        p->leader_id = page->nodes[0];
        p->leader_epoch = epoch;
        p->replica_nodes.items = p->isr_nodes.items = page->nodes;
        p->replica_nodes.count = p->isr_nodes.count = 1;
        /* Not null, but none: who leads is in sync. */
        p->eligible_leader_replicas.items = p->last_known_elr.items = page->nodes;
    }
    return first + count == topic->partition_count || put_cursor(page, topic->name, first + count);
}

static bool put_topic(struct page *page, struct bytes name)
{
    struct kafka_describe_topic_partitions_response_topic *out =
        &page->reply->topics.items[page->reply->topics.count++];
    const struct topic *topic = topic_find(request_core(page->request), name);
    out->name = arena_copy(&page->request->arena, name);
    out->topic_authorized_operations = TOPIC_OPERATIONS;
    if (!topic) {
        out->error_code =
            topic_name_is_legal(name) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_INVALID_TOPIC;
        return true;
    }
    memcpy(out->topic_id.data, topic->id, sizeof topic->id);
    out->is_internal = topic_name_is_internal(topic->name);
    bool is_first = bytes_equal(name, page->from);
    int32_t first = is_first ? page->from_partition : 0;
    if (first > topic->partition_count)
        first = topic->partition_count;
    return put_partitions(page, topic, first, out);
}

static bool put_topics(struct page *page)
{
    page->reply->topics.items = request_new(
        page->request, &kafka_describe_topic_partitions_response_topic_schema, page->name_count);
    if (!page->reply->topics.items)
        return false;
    for (size_t i = 0; i < page->name_count && !page->reply->next_cursor; i++) {
        if (page->left == 0 || i + 1 == PAGE_NAMES_MAX)
            return put_cursor(page, page->names[i], 0);
        if (!put_topic(page, page->names[i]))
            return false;
    }
    return true;
}

static void answer(struct request *r, bool in_time)
{
    if (in_time || store_is_frozen(request_core(r)->store))
        request_answer(r, r->reply);
    else
        request_fail(r, "the catalog was not durable within %d ms", TIMEOUT_MS);
}

/* A cursor names one of the topics that were asked for, if any were. */
static bool cursor_is_possible(const struct kafka_describe_topic_partitions_request *in)
{
    if (!in->cursor || in->topics.count == 0)
        return !in->cursor || in->cursor->partition_index >= 0;
    bool is_asked = false;
    for (int32_t i = 0; i < in->topics.count && !is_asked; i++)
        is_asked = bytes_equal(in->topics.items[i].name, in->cursor->topic_name);
    return is_asked && in->cursor->partition_index >= 0;
}

static void refuse(struct request *r, struct kafka_describe_topic_partitions_response *reply)
{
    const struct kafka_describe_topic_partitions_request *in = r->body;
    reply->topics.items = request_new(r, &kafka_describe_topic_partitions_response_topic_schema,
                                      (size_t)in->topics.count);
    if (!reply->topics.items)
        return;
    reply->topics.count = in->topics.count;
    for (int32_t i = 0; i < in->topics.count; i++) {
        reply->topics.items[i].name = in->topics.items[i].name;
        reply->topics.items[i].error_code = KAFKA_INVALID_REQUEST;
    }
    request_answer(r, reply);
}

static int32_t partition_limit(const struct kafka_describe_topic_partitions_request *in)
{
    if (in->response_partition_limit < 1)
        return 1;
    return in->response_partition_limit < PAGE_PARTITIONS_MAX ? in->response_partition_limit
                                                              : PAGE_PARTITIONS_MAX;
}

void describe_topic_partitions_start(struct request *r)
{
    const struct kafka_describe_topic_partitions_request *in = r->body;
    struct page page = {.request = r, .from = BYTES_LITERAL(""), .left = partition_limit(in)};
    page.reply = request_new(r, &kafka_describe_topic_partitions_response_schema, 1);
    page.nodes = request_alloc(r, 1, sizeof *page.nodes);
    if (!page.reply || !page.nodes)
        return;
    if (!cursor_is_possible(in)) {
        refuse(r, page.reply);
        return;
    }
    r->reply = page.reply;
    page.nodes[0] = request_core(r)->config.node_id;
    if (in->cursor) {
        page.from = in->cursor->topic_name;
        page.from_partition = in->cursor->partition_index;
    }
    if (collect_names(&page, in) && put_topics(&page))
        request_wait(r, core_catalog_ticket(request_core(r)), STAGE_COMMITTED, TIMEOUT_MS, answer);
}
