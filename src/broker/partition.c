/* Appending producers' batches to partitions, and telling who watches them. */
#include "base/check.h"
#include "base/crc32c.h"
#include "broker/core_internal.h"
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

enum err partition_append(struct core *core, struct partition *p, const struct batch *b,
                          int64_t *out_base_offset, int64_t *out_append_time,
                          struct ticket *out_ticket)
{
    const struct topic *topic = p->topic;
    check(p->log);
    if ((int64_t)b->raw.size > topic->message_max_bytes)
        return err_set(E_TOO_LARGE,
                       "The record batch size %zu is larger than max.message.bytes %lld",
                       b->raw.size, (long long)topic->message_max_bytes);
    if (batch_is_control(b))
        return err_set(E_MALFORMED, "Clients are not allowed to write control records");
    enum err err = check_timestamps(core, topic, b);
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
    core->internal->committing = true;
    *out_base_offset = base_offset;
    *out_append_time = topic->log_append_time ? core->wall_ms : NO_TIMESTAMP;
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
