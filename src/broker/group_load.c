/*
 * Loading: after a start the partitions of the topic are read from the front to the end, one after
 * the other, some records a turn. Nothing is written to a partition before it is loaded, except
 * that a topic may be deleted meanwhile: its offsets are dropped when the partition is whole.
 */
#include "base/metrics.h"
#include "base/say.h"
#include "broker/feed.h"
#include "broker/group_internal.h"

/* Of one turn, so that it stays short. */
enum { SLICE_RECORDS = 500, SLICE_BYTES = 64 << 10 };

static void arrived(void *ctx)
{
    struct groups *groups = ctx;
    core_defer(groups->core, &groups->load);
}

static struct log *log_of(struct groups *groups)
{
    return groups->shards[groups->load_shard].partition->log;
}

bool group_load_has_deleted(const struct groups *groups, struct bytes topic)
{
    for (size_t i = 0; i < groups->load_deleted.count; i++)
        if (bytes_equal(groups->load_deleted.items[i], topic))
            return true;
    return false;
}

/* Its groups go on. */
static void shard_is_loaded(struct groups *groups)
{
    struct list *node;
    groups->shards[groups->load_shard].is_loaded = true;
    groups->loaded_count++;
    while ((node = list_pop_front(&groups->recovering))) {
        struct group *group = container_of(node, struct group, node);
        list_push_back(&groups->all, node);
        group_resume(group);
        offsets_drop_orphans(group);
        group_remove_if_blank(group);
    }
}

/* The next shard that has something to read. */
static bool next_shard(struct groups *groups)
{
    while (groups->load_shard < groups->shard_count) {
        struct log *log = log_of(groups);
        if (log->start < log->hw) {
            groups->load_offset = log->start;
            groups->load_limit = log->hw;
            groups->feed = feed_new(groups->core->internal->feeds, log, arrived, groups);
            return true;
        }
        shard_is_loaded(groups);
        groups->load_shard++;
    }
    return false;
}

static void all_loaded(struct groups *groups)
{
    for (size_t i = 0; i < groups->load_deleted.count; i++)
        group_drop(&groups->load_deleted.items[i]);
    vec_reset(&groups->load_deleted);
    if (groups->by_id.count > 0 || groups->load_skipped > 0)
        say_info("group", "groups are loaded groups=%zu skipped.records=%llu", groups->by_id.count,
                 (unsigned long long)groups->load_skipped);
}

static void forget_recovering(struct groups *groups)
{
    while (!list_is_empty(&groups->recovering))
        group_remove(container_of(groups->recovering.next, struct group, node));
}

static void end_shard(struct groups *groups, bool is_good)
{
    feed_rest(groups->feed);
    feed_free(groups->feed);
    groups->feed = NULL;
    if (is_good)
        shard_is_loaded(groups);
    else
        forget_recovering(groups);
    groups->load_shard++;
    if (next_shard(groups))
        core_defer(groups->core, &groups->load);
    else
        all_loaded(groups);
}

static void apply_one(struct groups *groups, const struct record *record)
{
    if (group_log_apply(groups, record) == OK)
        return;
    groups->load_skipped++;
    metrics_add(METRIC_records_undecodable, 1);
    say_warn("group", "a record is skipped: %s partition=%d offset=%lld", err_text(),
             groups->load_shard, (long long)record->offset);
}

/* What is damaged is skipped and counted. A shard that cannot be read stays closed: to begin its
 * groups anew would take offsets back. */
static bool read_failed(struct groups *groups, enum err err, int64_t next)
{
    metrics_add(METRIC_records_undecodable, 1);
    if (err == E_CORRUPT) {
        say_warn("group", "records are skipped: %s partition=%d offset=%lld", err_name(err),
                 groups->load_shard, (long long)groups->load_offset);
        groups->load_skipped++;
        groups->load_offset = next;
        return true;
    }
    say_error("group", "groups cannot be read and are not served: %s partition=%d offset=%lld",
              err_name(err), groups->load_shard, (long long)groups->load_offset);
    return false;
}

void group_load_run(struct deferred *work)
{
    struct groups *groups = container_of(work, struct groups, load);
    struct record record;
    size_t bytes = 0;
    for (int i = 0; i < SLICE_RECORDS && bytes < SLICE_BYTES; i++) {
        if (groups->load_offset >= groups->load_limit)
            break;
        enum err err = feed_at(groups->feed, groups->load_offset, groups->load_limit, &record);
        if (err == E_COLD) {
            groups->load_offset = record.offset;
            feed_rest(groups->feed);
            return; /* arrived() */
        }
        if (err == OK) {
            apply_one(groups, &record);
            bytes += record.key.size + record.value.size;
            groups->load_offset = record.offset + 1;
        } else if (err == E_NOT_FOUND) {
            groups->load_offset = groups->load_limit;
        } else if (!read_failed(groups, err, record.offset)) {
            end_shard(groups, false);
            return;
        }
    }
    if (groups->load_offset >= groups->load_limit) {
        end_shard(groups, true);
        return;
    }
    feed_rest(groups->feed);
    core_defer(groups->core, &groups->load);
}

void group_load_start(struct groups *groups)
{
    groups->load_shard = 0;
    if (next_shard(groups))
        core_defer(groups->core, &groups->load);
}
