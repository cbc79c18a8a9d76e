#include "log/store_internal.h"

#include <stdlib.h>

void store_config_default(struct store_config *c)
{
    *c = (struct store_config){
        .journal_max_bytes = 128ull * MIB,
        .journal_first_bytes = 1ull * MIB,
        .journal_file_bytes = 32ull * MIB,
        .carry_bytes = 64ull * KIB,
        .materialise_bytes = 4ull * MIB,
        .part_bytes = 16ull * MIB,
        .piece_bytes = 512ull * KIB,
        .direct_append_bytes = 512ull * KIB,
        .direct_commit_bytes = 256ull * KIB,
        .direct_os_bytes = 8ull * KIB,
        .allocate_bytes = 16ull * MIB,
        .unmarked_max_bytes = 64ull * MIB,
        .segment_bytes = 256ull * MIB,
        .cache_bytes = 32ull * MIB,
        .memory_level_bytes = 256ull * MIB,
        .backlog_bytes = 16ull * MIB,
        .reserve_bytes = 64ull * MIB,
        .compact_map_bytes = 16ull * MIB,
        .compact_bytes_per_s = 64ull * MIB,
    };
}

static struct store *store_new(const struct store_config *config, struct disk *disk,
                               struct jobs *jobs, const struct store_owner *owner)
{
    struct store *s = xzalloc(sizeof *s);
    s->config = *config;
    s->disk = disk;
    s->jobs = jobs;
    s->owner = *owner;
    window_init(&s->journal_window);
    window_init(&s->direct_window);
    list_init(&s->pool);
    list_init(&s->journal.files);
    list_init(&s->dirty);
    list_init(&s->tailed);
    list_init(&s->direct_logs);
    list_init(&s->recents);
    list_init(&s->unmarked_logs);
    list_init(&s->compact_queue);
    list_init(&s->runs);
    s->journal_lane.staging = s->direct_lane.staging = 1;
    s->staging = commit_new(s);
    s->journal.max_bytes = config->journal_max_bytes;
    s->carry_bytes = config->carry_bytes;
    s->space_checked_ns = s->trimmed_ns = INT64_MIN;
    s->trimmed_bytes = UINT64_MAX;
    s->free_bytes = UINT64_MAX;
    s->look_now = config->reserve_bytes > 0;
    s->due_ns = s->look_now ? 0 : INT64_MAX; /* nobody publishes before that look */
    return s;
}

enum err store_open(const struct store_config *config, struct disk *disk, struct jobs *jobs,
                    const struct store_owner *owner, struct store **out)
{
    check(config->segment_bytes <= UINT32_MAX);
    disk_make_haste(disk, false);
    struct store *s = store_new(config, disk, jobs, owner);
    enum err err = store_recover(s);
    if (err) {
        store_abandon(s);
        return err_wrap(err, "open the store");
    }
    *out = s;
    return OK;
}

int32_t store_epoch(const struct store *s)
{
    return s->epoch;
}

/* ---- logs ---- */

static const struct log_parts no_parts = {
    .direct_from = INT64_MAX,
    .direct_to = INT64_MAX,
    .segment = -1,
    .first_segment = -1,
    .recovered_segment = -1,
    .missing_at = -1,
};

bool log_has_parts(const struct log_state *l)
{
    return l->parts != &no_parts;
}

struct log_parts *log_parts(struct log_state *l)
{
    struct log_parts *parts = (struct log_parts *)(uintptr_t)l->parts;
    if (!log_has_parts(l)) {
        l->parts = parts = xmemdup(&no_parts, sizeof no_parts);
        parts->log = l;
    }
    return parts;
}

static void parts_free(struct log_state *l)
{
    if (!log_has_parts(l))
        return;
    struct log_parts *parts = log_parts(l);
    list_remove(&parts->marking);
    l->store->unmarked_bytes -= parts->unmarked;
    free(parts);
}

static struct log_state *log_new(struct store *s, uint64_t id, enum log_level level)
{
    struct log_state *l = xzalloc(sizeof *l);
    l->log.id = id;
    l->log.level = level;
    l->store = s;
    l->parts = &no_parts;
    return l;
}

struct log *store_log(struct store *s, uint64_t id, enum log_level level)
{
    struct log_state *l = idmap_get(&s->logs, id);
    if (!l) {
        l = log_new(s, id, level);
        idmap_put(&s->logs, id, l);
    }
    check((l->log.level == LEVEL_MEMORY) == (level == LEVEL_MEMORY));
    l->log.level = level;
    return &l->log;
}

struct log *store_find(struct store *s, uint64_t id)
{
    struct log_state *l = idmap_get(&s->logs, id);
    return l ? &l->log : NULL;
}

void store_each(struct store *s, void (*each)(void *ctx, struct log *log), void *ctx)
{
    size_t position = 0;
    struct log_state *l;
    while ((l = idmap_next(&s->logs, &position)) != NULL)
        each(ctx, &l->log);
}

/* Logs of level memory hold a chunk for each batch. */
static void memory_drop_below(struct log_state *l, int64_t offset)
{
    while (l->tail.count > 0 && tail_entry_end(tail_at(&l->tail, 0)) <= offset) {
        struct tail_entry *e = tail_at(&l->tail, 0);
        l->store->memory_bytes -= e->size;
        space_note_memory(l->store);
        chunk_unref((struct chunk *)(uintptr_t)e->address);
        tail_pop_front(&l->tail);
    }
}

static void forget_blocks(struct log_state *l)
{
    if (!l->parts->blocks)
        return;
    fifo_reset(l->parts->blocks);
    free(l->parts->blocks);
    log_parts(l)->blocks = NULL;
}

static void drop_tail(struct log_state *l)
{
    stretch_forget(l, INT64_MAX);
    if (l->log.level == LEVEL_MEMORY)
        memory_drop_below(l, INT64_MAX);
    tail_reset(&l->tail);
    forget_blocks(l);
    recent_free(l->parts->recent);
    log_tail_changed(l);
}

void log_free(struct log_state *l)
{
    drop_tail(l);
    list_remove(&l->dirty);
    parts_free(l);
    direct_free(l->direct);
    upkeep_free(l);
    vec_reset(&l->epochs);
    vec_reset(&l->pieces);
    free(l);
}

/* Is the segment that materialise appends to below the start? Then it goes like those before it. */
static void log_leave_segment(struct log_state *l)
{
    bool worth_it = l->parts->position >= MIB || l->policy;
    if (l->log.start >= l->stored_to && l->parts->segment >= 0 && !l->parts->materialising &&
        worth_it)
        log_roll(l);
}

void log_drop_epochs(struct log_state *l)
{
    uint32_t n = 0;
    while (n + 1 < l->epochs.count && l->epochs.items[n + 1].offset <= l->log.start)
        n++;
    if (n == 0)
        return;
    l->epochs.count -= n;
    memmove(l->epochs.items, l->epochs.items + n, l->epochs.count * sizeof *l->epochs.items);
}

static void move_start(struct log_state *l, int64_t offset)
{
    l->log.start = offset;
    if (l->log.level == LEVEL_MEMORY) {
        memory_drop_below(l, offset);
        return;
    }
    tail_drop_below(&l->tail, offset);
    if (l->direct)
        tail_drop_below(&l->direct->recent, offset);
    log_tail_changed(l);
    log_join_direct_part(l);
    log_leave_segment(l);
    log_drop_epochs(l);
    log_needs_row(l);
}

void log_trim(struct log *log, int64_t offset, struct ticket *out)
{
    struct log_state *l = log_state(log);
    struct store *s = l->store;
    check(offset <= log->end);
    if (offset > log->start)
        move_start(l, offset);
    if (!out)
        return;
    *out = (struct ticket){.level = (uint8_t)log->level};
    if (log->level == LEVEL_MEMORY)
        return;
    if (!s->frozen) /* else the ticket is never done */
        stage_control(s, ENTRY_START, l, log->start, 0);
    *out = (struct ticket){.journal = s->journal_lane.staging, .level = LEVEL_FSYNC};
}

enum err log_truncate(struct log *log, int64_t offset, int32_t epoch, struct ticket *out)
{
    struct log_state *l = log_state(log);
    struct store *s = l->store;
    check(offset >= log->start && offset < log->end);
    if (s->frozen)
        return err_set(E_FROZEN, "the disk failed, data is read-only: %s", s->frozen_why);
    if (log->level == LEVEL_MEMORY || l->direct || l->parts->materialising ||
        offset < l->stored_to || l->parts->direct_from != INT64_MAX)
        return err_set(E_UNSUPPORTED, "log %llu: only its journalled tail can be cut",
                       (unsigned long long)log->id);
    tail_cut_above(&l->tail, offset);
    forget_blocks(l);
    log_tail_changed(l);
    log_needs_row(l);
    log->end = offset;
    while (l->pieces.count && vec_last(&l->pieces).end > offset)
        vec_last(&l->pieces).end = offset,
        l->pieces.count -=
            l->pieces.count > 1 && l->pieces.items[l->pieces.count - 2].end >= offset;
    while (l->epochs.count && vec_last(&l->epochs).offset >= offset)
        l->epochs.count--;
    log_note_epoch(l, epoch, offset);
    if (log->durable > offset)
        log->durable = offset;
    if (log->written > offset)
        log->written = offset;
    if (log->hw > offset)
        log->hw = offset;
    if (s->owner.cut)
        s->owner.cut(s->owner.ctx, log->id, offset);
    log_parts(l)->cut_offset = offset;
    log_parts(l)->cut_address = stage_control(s, ENTRY_TRUNCATE, l, offset, (uint64_t)epoch);
    *out = (struct ticket){.journal = s->journal_lane.staging, .level = LEVEL_FSYNC};
    return OK;
}

void store_forget(struct store *s, struct log_state *l)
{
    idmap_remove(&s->logs, l->log.id);
    l->deleted = true;
    drop_tail(l);
    log_pin(l);
    vec_push(&s->doomed, ((struct doomed){l, s->journal_lane.staging}));
    s->due_ns = s->now_ns;
}

void log_delete(struct log *log, struct ticket *out)
{
    struct log_state *l = log_state(log);
    struct store *s = l->store;
    log_set_policy(log, NULL);
    struct ticket ticket = {.level = LEVEL_FSYNC};
    if (log->level == LEVEL_MEMORY) {
        idmap_remove(&s->logs, log->id);
        l->deleted = true;
        if (l->pins == 0)
            log_free(l);
    } else {
        if (!s->frozen) /* else the ticket is never done */
            stage_control(s, ENTRY_DELETE, l, 0, 0);
        ticket.journal = s->journal_lane.staging;
        store_forget(s, l);
    }
    if (out)
        *out = ticket;
}

uint64_t log_size_bytes(const struct log *log)
{
    const struct log_state *l = (const struct log_state *)log;
    return l->parts->stored_bytes + l->tail.bytes;
}

int32_t log_last_epoch(const struct log *log)
{
    const struct log_state *l = (const struct log_state *)log;
    return l->epochs.count ? vec_last(&l->epochs).epoch : -1;
}

int32_t log_epoch_at(const struct log *log, int64_t offset)
{
    const struct log_state *l = (const struct log_state *)log;
    int32_t epoch = -1;
    for (size_t i = 0; i < l->epochs.count && l->epochs.items[i].offset <= offset; i++)
        epoch = l->epochs.items[i].epoch;
    return epoch;
}

int64_t log_epoch_end(const struct log *log, int32_t epoch, int32_t *out_epoch)
{
    const struct log_state *l = (const struct log_state *)log;
    *out_epoch = -1;
    if (l->epochs.count == 0 || epoch < 0)
        return -1;
    if (epoch < l->epochs.items[0].epoch) { /* what is left begins behind it */
        *out_epoch = epoch;
        return l->epochs.items[0].offset > log->start ? l->epochs.items[0].offset : log->start;
    }
    size_t i = 0;
    while (i + 1 < l->epochs.count && l->epochs.items[i + 1].epoch <= epoch)
        i++;
    *out_epoch = l->epochs.items[i].epoch;
    return i + 1 < l->epochs.count ? l->epochs.items[i + 1].offset : log->end;
}

/* ---- paced work ---- */

enum { TICK_NS = 100 * 1000 * 1000 };

void store_set_time(struct store *s, int64_t now_ns)
{
    s->now_ns = now_ns;
}

void store_tick(struct store *s, int64_t now_ns)
{
    s->now_ns = now_ns;
    s->due_ns = INT64_MAX;
    if (s->frozen)
        return;
    direct_tick(s);
    upkeep_tick(s);
    compact_tick(s);
    space_tick(s);
    journal_prepare_more(s);
    recycle_step(s);
    space_settle_when_idle(s);
    recents_tick(s);
    bool busy = s->direct_count > 0 || s->doomed.count > 0 || s->no_space || s->low_space ||
                s->recycle.free_below > 0 || s->journal_lane.synced < s->journal_lane.done;
    if (busy && s->due_ns > now_ns + TICK_NS)
        s->due_ns = now_ns + TICK_NS;
}

int64_t store_next_due(const struct store *s)
{
    return s->due_ns;
}

void store_stats(const struct store *s, struct store_stats *out)
{
    *out = (struct store_stats){
        .logs = s->logs.count,
        .journal_bytes = s->journal.total_bytes,
        .journal_files = s->journal.file_count,
        .cached_bytes = s->journal_window.bytes + s->direct_window.bytes,
        .memory_level_bytes = s->memory_bytes,
        .staged_bytes = stage_bytes(s),
        .direct_logs = s->direct_count,
        .unmarked_direct_bytes = s->unmarked_bytes,
    };
}

/* ---- the end ---- */

/* Write and sync what is staged, as far as there is space for it; answer reads. */
static void finish_commits(struct store *s)
{
    for (;;) {
        if (!s->frozen && !s->late_sync && s->journal_lane.synced < s->journal_lane.done)
            store_want_sync(s);
        store_flush(s);
        if (!s->in_flight && !s->direct_in_flight && s->helpers == 0 && s->reads == 0)
            return;
        jobs_poll(s->jobs);
    }
}

void store_close(struct store *s)
{
    s->stopping = true;
    disk_make_haste(s->disk, true);
    compact_stop(s);
    finish_commits(s);
    s->closing = true;
    bool all_written = s->staging->records.count == 0 && !s->direct_staging && !s->direct_stalled;
    if (!s->frozen && all_written) {
        enum err err = recycle_everything(s);
        if (err)
            say_error("log", "the log table was not written at the stop: %s", err_text());
    }
    store_abandon(s);
}

void store_abandon(struct store *s)
{
    s->closing = true;
    size_t position = 0;
    struct log_state *l;
    stretch_forget_all(s);
    commit_free(s->staging);
    if (s->in_flight)
        commit_free(s->in_flight);
    round_free(s->direct_staging);
    round_free(s->direct_in_flight);
    round_free(s->direct_stalled);
    recycle_free(s);
    compact_free(s);
    while ((l = idmap_next(&s->logs, &position)) != NULL)
        log_free(l);
    for (size_t i = 0; i < s->doomed.count; i++)
        log_free(s->doomed.items[i].log);
    while (!list_is_empty(&s->dirty)) /* deleted, and waiting for the row that says so */
        log_free(container_of(s->dirty.next, struct log_state, dirty));
    while (!list_is_empty(&s->journal.files))
        journal_file_free(container_of(s->journal.files.next, struct journal_file, node));
    window_clear(&s->journal_window);
    window_clear(&s->direct_window);
    pool_free(s);
    idmap_reset(&s->logs);
    timers_reset(&s->looks);
    vec_reset(&s->doomed);
    vec_reset(&s->memory_moved);
    vec_reset(&s->unsynced);
    vec_reset(&s->wants_direct);
    file_close(s->table);
    free(s);
}
