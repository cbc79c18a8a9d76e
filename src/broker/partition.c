/* Appending producers' batches to partitions, and telling who watches them. */
#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/core_internal.h"
#include "broker/mutant.h"
#include "broker/producer.h"
#include "broker/producer_expiry.h"
#include "broker/topic_internal.h"

enum { NO_TIMESTAMP = -1, ATTRIBUTES_AT = 21, MAX_TIMESTAMP_AT = 35, CRC_AT = 17 };

static bool timestamp_is_near(const struct core *core, const struct topic *topic, int64_t timestamp)
{
    if (timestamp == NO_TIMESTAMP)
        return true;
    int64_t ahead; /* what overflows is far away */
    if (__builtin_sub_overflow(timestamp, core->wall_ms, &ahead))
        return false;
    return ahead <= topic->timestamp_after_max_ms && ahead >= -topic->timestamp_before_max_ms;
}

/* Only what the header says is looked at: the first record's timestamp and the largest. */
static enum err check_timestamps(const struct core *core, const struct topic *topic,
                                 const struct batch *b)
{
    if (topic->log_append_time || (timestamp_is_near(core, topic, b->max_timestamp) &&
                                   timestamp_is_near(core, topic, b->base_timestamp)))
        return OK;
    return err_set(E_OUT_OF_RANGE,
                   "Timestamp %lld of message is out of range: it may lie %lld ms before and "
                   "%lld ms after %lld",
                   (long long)b->max_timestamp, (long long)topic->timestamp_before_max_ms,
                   (long long)topic->timestamp_after_max_ms, (long long)core->wall_ms);
}

/* The batch with the topic's timestamp type and, with LogAppendTime, the time; bytes 21 to the end
 * have a new checksum then. Lives in the core's scratch. */
static struct bytes stamp_time(struct core *core, const struct batch *b, bool append_time)
{
    struct text *scratch = &core->internal->scratch;
    scratch->size = 0;
    text_append(scratch, b->raw);
    uint8_t *raw = scratch->data;
    unsigned attributes = b->attributes & ~(unsigned)BATCH_LOG_APPEND_TIME;
    if (append_time) {
        attributes |= BATCH_LOG_APPEND_TIME;
        put_u64(raw + MAX_TIMESTAMP_AT, (uint64_t)core->wall_ms);
    }
    put_u16(raw + ATTRIBUTES_AT, (uint16_t)attributes);
    put_u32(raw + CRC_AT, crc32c(raw + BATCH_CRC_FROM, scratch->size - BATCH_CRC_FROM));
    return text_bytes(scratch);
}

/* A batch that is there already: answered as it was the first time, and no earlier than it is
 * committed. Its timestamp is told whatever the topic's type, as Kafka does. */
static struct ticket ticket_of_first(const struct partition *p, const struct producer_batch *first)
{
    metrics_add(METRIC_produce_duplicates, 1);
    return first->last_offset < p->log->hw ? (struct ticket){0} : log_last_ticket(p->log);
}

static void note_producer(struct core *core, struct partition *p, const struct batch *b,
                          int64_t base_offset)
{
    if (!p->producers)
        p->producers = producers_new(producer_expiry_pool(core));
    int64_t timestamp = p->topic->log_append_time ? core->wall_ms : b->max_timestamp;
    producers_note(p->producers, b, base_offset, timestamp, core->wall_ms);
    producer_expiry_wake(core);
}

static enum err check_rules(const struct core *core, const struct topic *topic,
                            const struct batch *b)
{
    if ((int64_t)b->raw.size > topic->message_max_bytes)
        return err_set(E_TOO_LARGE,
                       "The record batch size %zu is larger than max.message.bytes %lld",
                       b->raw.size, (long long)topic->message_max_bytes);
    if (batch_is_control(b))
        return err_set(E_MALFORMED, "Clients are not allowed to write control records");
    return check_timestamps(core, topic, b);
}

enum err partition_append(struct core *core, struct partition *p, const struct batch *b,
                          int64_t *out_base_offset, int64_t *out_append_time,
                          struct ticket *out_ticket)
{
    const struct topic *topic = p->topic;
    struct producer_batch first;
    if (BROKER_MUTANT == MUTANT_NEXT_PARTITION)
        p = topic_partition(p->topic, (p->index + 1) % topic->partition_count);
    check(p->log);
    enum err err = check_rules(core, topic, b);
    if (!err && b->producer_id >= 0)
        err = producers_check(p->producers, b, &first);
    if (err == E_EXISTS) {
        *out_base_offset = first.last_offset - first.offset_delta;
        *out_append_time = first.timestamp;
        *out_ticket = ticket_of_first(p, &first);
        return OK;
    }
    /* Behind what was refused a batch is out of sequence, which is no fault of the producer. Told so it
     * would begin a new epoch, and send again what a failed sync has left in doubt: a second copy. */
    enum err refused = err ? log_can_append(p->log, b->raw.size) : OK;
    if (refused)
        return refused;
    if (err)
        return err;

    bool says_append_time = b->attributes & BATCH_LOG_APPEND_TIME;
    struct bytes raw = topic->log_append_time || says_append_time
                           ? stamp_time(core, b, topic->log_append_time)
                           : b->raw;
    int64_t base_offset = p->log->end;
    err = log_append(p->log, raw, out_ticket);
    if (err)
        return err;
    if (BROKER_MUTANT == MUTANT_APPEND_TWICE && base_offset % 64 == 63)
        err = log_append(p->log, raw, out_ticket);
    if (BROKER_MUTANT == MUTANT_LEAK_MEMORY)
        (void)xmemdup(raw.data, raw.size);
    core->internal->committing = true;
    *out_base_offset = base_offset + (BROKER_MUTANT == MUTANT_TELL_BEHIND);
    *out_append_time = topic->log_append_time ? core->wall_ms : NO_TIMESTAMP;
    if (b->producer_id >= 0)
        note_producer(core, p, b, base_offset);
    return OK;
}

/* ---- watches ---- */

void partition_watch(struct partition *p, struct partition_watch *watch)
{
    check(!list_is_linked(&watch->node));
    list_push_back(&p->watchers, &watch->node);
}

void partition_unwatch(struct partition_watch *watch)
{
    list_remove(&watch->node);
}

/* A watch may remove itself, or any other one, or come back, while it is told: each is told once.
 */
void partition_moved(struct partition *p)
{
    struct list untold, *node;
    list_init(&untold);
    list_splice(&untold, &p->watchers);
    while ((node = list_pop_front(&untold))) {
        list_push_back(&p->watchers, node);
        struct partition_watch *watch = container_of(node, struct partition_watch, node);
        watch->moved(watch, p);
    }
}
