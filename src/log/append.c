/*
 * Staging: what is appended in a turn becomes entries of the record that the next commit writes.
 * The bytes are copied once, into the chunk that readers will find them in.
 */
#include "log/store_internal.h"

#include "base/metrics.h"

#include <stdlib.h>

/* ---- room in the record ---- */

struct commit *commit_new(struct store *s)
{
    struct commit *c = xzalloc(sizeof *c);
    c->store = s;
    c->number = s->journal_lane.staging;
    return c;
}

static struct staged *open_record(const struct store *s)
{
    const struct commit *c = s->staging;
    struct staged *r = c->records.count ? &vec_last(&c->records) : NULL;
    return r && r->size > 0 && r->address + r->size > r->file->base + r->file->used ? r : NULL;
}

uint64_t stage_bytes(const struct store *s)
{
    const struct staged *r = open_record(s);
    return s->journal_lane.staged_bytes + s->direct_lane.staged_bytes + (r ? r->size : 0);
}

static uint64_t room_in_file(const struct journal_file *f, uint64_t at)
{
    return f->base + f->size - at;
}

/* The file that takes a record with an entry of `size` bytes: the newest one, or the one behind it. */
static struct journal_file *file_for_record(struct store *s, uint64_t size)
{
    struct journal_file *f = journal_newest_file(s);
    uint64_t want = RECORD_HEADER_BYTES + size + 2ull * s->disk->block_bytes;
    if (f && !f->passed && room_in_file(f, f->base + f->used) >= want)
        return f;
    if (f)
        journal_pass(s, f);
    f = journal_next_file(s, size);
    if (f->state == JOURNAL_READY)
        f->state = JOURNAL_ACTIVE;
    return f;
}

/* A chunk whose next byte mirrors `address`, with room for `size`. */
static struct chunk *chunk_at(struct store *s, uint64_t address, size_t size)
{
    struct window *w = &s->journal_window;
    if (!list_is_empty(&w->chunks)) {
        struct chunk *c = container_of(w->chunks.prev, struct chunk, node);
        if (c->address + c->used == address && c->capacity - c->used >= size)
            return c;
    }
    /* In memory as on the disk: what begins at a block there does so here. */
    uint32_t lead = (uint32_t)(address % s->disk->block_bytes);
    struct chunk *c = chunk_new(s, size + lead > CHUNK_BYTES ? size + lead : CHUNK_BYTES);
    c->first = c->used = lead;
    window_push(w, c, address - lead);
    return c;
}

static void add_part(struct staged *r, struct chunk *c, size_t size)
{
    uint8_t *at = c->data + c->used;
    c->used += (uint32_t)size;
    r->size += size;
    if (r->chunks.count && vec_last(&r->chunks) == c) {
        vec_last(&r->parts).iov_len += size;
        return;
    }
    vec_push(&r->chunks, c);
    chunk_ref(c);
    vec_push(&r->parts, ((struct iovec){at, size}));
}

static struct staged *begin_record(struct store *s, size_t size)
{
    struct journal_file *f = file_for_record(s, size);
    struct staged r = {.file = f, .address = f->base + f->used};
    vec_push(&s->staging->records, r);
    struct staged *record = &vec_last(&s->staging->records);
    add_part(record, chunk_at(s, r.address, RECORD_HEADER_BYTES + size + s->disk->block_bytes),
             RECORD_HEADER_BYTES);
    return record;
}

/* Fill the record with zeros and a PAD entry's header up to the next multiple of `to`. */
static void pad_record(struct staged *r, uint64_t to)
{
    uint64_t end = r->address + r->size;
    size_t pad = round_up(end, to) - end;
    if (pad == 0)
        return;
    struct chunk *c = vec_last(&r->chunks);
    uint8_t *p = c->data + c->used;
    memset(p, 0, pad);
    p[0] = ENTRY_PAD;
    put_u32(p + 4, (uint32_t)pad);
    add_part(r, c, pad);
    r->entries++;
}

void stage_close_record(struct store *s)
{
    struct staged *r = open_record(s);
    if (!r)
        return;
    pad_record(r, s->staging->sync ? s->disk->block_bytes : RECORD_ALIGN_BYTES);
    r->file->used += r->size;
    r->file->last_commit = s->staging->number;
    s->journal_lane.staged_bytes += r->size;
}

/* Room for `size` bytes of the record being staged, contiguous; *address is its journal address. */
static uint8_t *stage_reserve(struct store *s, size_t size, uint64_t *address)
{
    check(size % 8 == 0);
    struct staged *r = open_record(s);
    uint64_t block = s->disk->block_bytes;
    if (r && (r->size + size > RECORD_MAX_BYTES ||
              room_in_file(r->file, r->address + r->size) < size + 2 * block)) {
        stage_close_record(s);
        r = NULL;
    }
    if (!r)
        r = begin_record(s, size);
    struct chunk *c = vec_last(&r->chunks);
    if (c->capacity - c->used < size + block) { /* a block stays free for the padding */
        pad_record(r, block);
        c = chunk_new(s, size + block > CHUNK_BYTES ? size + block : CHUNK_BYTES);
        window_push(&s->journal_window, c, r->address + r->size);
    }
    *address = r->address + r->size;
    uint8_t *p = c->data + c->used;
    add_part(r, c, size);
    r->entries++;
    return p;
}

/* ---- what an append changes in a log ---- */

void log_mark_dirty(struct log_state *l, uint64_t address)
{
    if (l->log.level == LEVEL_MEMORY || l->dirty_from)
        return;
    l->dirty_from = address;
    list_push_back(&l->store->dirty, &l->dirty);
}

void log_needs_row(struct log_state *l)
{
    if (l->log.level == LEVEL_MEMORY)
        return;
    list_remove(&l->dirty);
    l->dirty_from = 1;
    list_push_front(&l->store->dirty, &l->dirty);
}

void log_tail_changed(struct log_state *l)
{
    bool wanted = l->tail.count > 0 && l->log.level != LEVEL_MEMORY;
    if (wanted && !list_is_linked(&l->tailed))
        list_push_back(&l->store->tailed, &l->tailed);
    else if (!wanted && list_is_linked(&l->tailed)) {
        if (l->store->recycle.cursor == &l->tailed)
            l->store->recycle.cursor = l->tailed.next;
        list_remove(&l->tailed);
    }
}

static void log_tail_push(struct log_state *l, struct tail_entry e)
{
    tail_push(&l->tail, e);
    log_tail_changed(l);
}

void log_note_epoch(struct log_state *l, int32_t epoch, int64_t offset)
{
    if (l->epochs.count && vec_last(&l->epochs).epoch >= epoch)
        return;
    vec_push(&l->epochs, ((struct epoch_start){epoch, offset}));
}

static void note_piece(struct log_state *l, int64_t end, bool direct, uint64_t number)
{
    if (l->pieces.count && vec_last(&l->pieces).direct == direct &&
        vec_last(&l->pieces).number == number)
        vec_last(&l->pieces).end = end;
    else
        vec_push(&l->pieces, ((struct piece){end, number, direct}));
}

static void commit_touch(struct store *s, struct log_state *l)
{
    if (l->touched == s->staging->number)
        return;
    l->touched = s->staging->number;
    vec_push(&s->staging->logs, l);
    log_pin(l);
}

/* ---- entries ---- */

static uint8_t *put_entry_header(uint8_t *p, uint8_t type, uint8_t flags, size_t logs, size_t size)
{
    p[0] = type;
    p[1] = flags;
    put_u16(p + 2, (uint16_t)logs);
    put_u32(p + 4, (uint32_t)size);
    return p + ENTRY_HEADER_BYTES;
}

uint64_t stage_control(struct store *s, uint8_t type, struct log_state *l, int64_t a, uint64_t b)
{
    uint64_t address;
    uint8_t *p = stage_reserve(s, ENTRY_CONTROL_BYTES, &address);
    p = put_entry_header(p, type, 0, 1, ENTRY_CONTROL_BYTES);
    put_u64(p, l ? l->log.id : 0);
    put_u64(p + 8, (uint64_t)a);
    put_u64(p + 16, b);
    s->staging->sync = true;
    if (l) {
        log_mark_dirty(l, address);
        commit_touch(s, l);
    }
    return address;
}

/* Write the entry and return the journal address of its batch. */
static uint64_t stage_data(struct store *s, struct log *const *logs, const int64_t *bases,
                           size_t count, const struct batch_parts *batch, uint8_t flags,
                           int32_t epoch)
{
    uint64_t address;
    size_t batch_size = batch_parts_size(batch);
    size_t head = ENTRY_HEADER_BYTES + count * ENTRY_LOG_BYTES;
    size_t size = round_up(head + batch_size, 8);
    uint8_t *start = stage_reserve(s, size, &address);
    uint8_t *p = put_entry_header(start, ENTRY_DATA, flags, count, size);
    for (size_t i = 0; i < count; i++, p += ENTRY_LOG_BYTES) {
        put_u64(p, logs[i]->id);
        put_u64(p + 8, (uint64_t)bases[i]);
        log_mark_dirty(log_state(logs[i]), address);
        commit_touch(s, log_state(logs[i]));
        if (logs[i]->level == LEVEL_FSYNC)
            s->staging->sync = true;
    }
    batch_parts_put(p, batch);
    memset(p + batch_size, 0, size - head - batch_size);
    batch_stamp(p, bases[0], epoch);
    return address + head;
}

static void advance(struct log_state *l, const struct batch *b, bool direct, uint64_t number)
{
    log_note_epoch(l, l->store->epoch, l->log.end);
    l->log.end += (int64_t)b->last_offset_delta + 1;
    note_piece(l, l->log.end, direct, number);
}

static void memory_append(struct log_state *l, const struct batch *b,
                          const struct batch_parts *parts)
{
    struct store *s = l->store;
    struct chunk *c = xzalloc(sizeof *c); /* exactly the batch: freed when the log passes it */
    c->store = s;
    c->refs = 1;
    c->capacity = c->used = (uint32_t)b->raw.size;
    c->data = c->block = xmalloc(b->raw.size);
    batch_parts_put(c->data, parts);
    batch_stamp(c->data, l->log.end, s->epoch);
    s->memory_bytes += b->raw.size;
    space_note_memory(s);
    tail_push(&l->tail, tail_entry_of(b, l->log.end, (uint64_t)(uintptr_t)c, s->epoch));
    log_note_epoch(l, s->epoch, l->log.end);
    l->log.end += (int64_t)b->last_offset_delta + 1;
    l->log.written = l->log.durable = l->log.end;
    if (l->moved)
        return;
    l->moved = true; /* listed until store_flush() tells the owner */
    vec_push(&s->memory_moved, l);
    log_pin(l);
}

/* ---- the public calls ---- */

static enum err frozen(const struct store *s)
{
    return err_set(E_FROZEN, "the disk failed, data is read-only: %s", s->frozen_why);
}

enum err log_can_append(const struct log *log, size_t size_bytes)
{
    const struct store *s = ((const struct log_state *)log)->store;
    if (log->level == LEVEL_MEMORY)
        return s->memory_bytes + size_bytes > s->config.memory_level_bytes
                   ? err_set(E_NO_MEMORY, "transient messages use their whole budget of %llu bytes",
                             (unsigned long long)s->config.memory_level_bytes)
                   : OK;
    if (s->frozen)
        return frozen(s);
    uint64_t free_bytes = journal_free_bytes(s);
    if ((s->no_space || s->low_space) &&
        free_bytes < s->config.journal_first_bytes + 2 * size_bytes)
        return err_set(E_NO_SPACE, "the disk of the data directory is full");
    if (s->low_space)
        return err_set(E_NO_SPACE,
                       "less than %llu bytes are left on the disk of the data directory",
                       (unsigned long long)s->config.reserve_bytes);
    return OK;
}

static enum err parse_for_append(struct bytes raw, struct batch *b)
{
    enum err err = batch_parse(raw, b);
    if (!err && b->raw.size != raw.size)
        err = err_set(E_MALFORMED, "bytes behind the batch");
    return err;
}

/* `b` is what the header in `parts` says. */
static void append_one(struct log_state *l, const struct batch *b, const struct batch_parts *parts,
                       struct ticket *out)
{
    struct store *s = l->store;
    struct log *log = &l->log;
    check(!l->deleted);
    metrics_add(METRIC_append_bytes, b->raw.size);
    metrics_add(METRIC_append_records, (uint64_t)b->record_count);
    *out = log_next_ticket(log);
    upkeep_note_append(l, b->raw.size);
    if (log->level == LEVEL_MEMORY) {
        memory_append(l, b, parts);
        return;
    }
    if (l->direct) {
        advance(l, b, true, s->direct_lane.staging);
        direct_append(l, b, parts);
    } else {
        int64_t base = log->end;
        uint64_t address = stage_data(s, &log, &base, 1, parts, 0, s->epoch);
        log_tail_push(l, tail_entry_of(b, base, address, s->epoch));
        advance(l, b, false, s->staging->number);
    }
    direct_review(s, l, b->raw.size);
    space_note_append(s, b->raw.size);
}

enum err log_append(struct log *log, struct bytes raw, struct ticket *out)
{
    struct log_state *l = log_state(log);
    struct batch b;
    tail_prefetch(&l->tail);
    enum err err = parse_for_append(raw, &b);
    if (!err && l->store->frozen && log->level != LEVEL_MEMORY)
        err = frozen(l->store);
    else if (!err &&
             !batch_is_control(&b)) /* what frees space is written even if there is little */
        err = log_can_append(log, raw.size);
    if (err)
        return err;
    struct batch_parts parts = batch_whole(raw);
    append_one(l, &b, &parts, out);
    return OK;
}

enum err log_append_many(struct log *const *logs, size_t count, struct batch_parts batch,
                         struct ticket *out)
{
    enum { SHARE_MAX = 4096 };
    struct batch b;
    enum err err = batch_header_get(batch.front.data, &b);
    check(err || b.raw.size == batch_parts_size(&batch));
    for (size_t i = 0; i < count && !err; i++)
        if (logs[i]->level != LEVEL_MEMORY && log_state(logs[i])->store->frozen)
            err = frozen(log_state(logs[i])->store);
    if (err)
        return err;
    struct ticket ticket = {0};
    struct log *shared[SHARE_MAX];
    int64_t bases[SHARE_MAX];
    size_t shared_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct log_state *l = log_state(logs[i]);
        if (logs[i]->level != LEVEL_MEMORY && !l->direct && shared_count < SHARE_MAX) {
            bases[shared_count] = logs[i]->end;
            shared[shared_count++] = logs[i];
            ticket_join(&ticket, log_next_ticket(logs[i]));
            continue;
        }
        struct ticket own;
        append_one(l, &b, &batch, &own);
        ticket_join(&ticket, own);
    }
    if (shared_count > 0) {
        struct store *s = log_state(shared[0])->store;
        uint64_t address = stage_data(s, shared, bases, shared_count, &batch, 0, s->epoch);
        for (size_t i = 0; i < shared_count; i++) {
            struct log_state *l = log_state(shared[i]);
            log_tail_push(l, tail_entry_of(&b, bases[i], address, s->epoch));
            advance(l, &b, false, s->staging->number);
            upkeep_note_append(l, b.raw.size);
        }
        metrics_add(METRIC_append_bytes, b.raw.size);
        metrics_add(METRIC_append_records, (uint64_t)b.record_count * shared_count);
        space_note_append(s, b.raw.size);
    }
    *out = ticket;
    return OK;
}

void stage_data_carried(struct store *s, struct log_state *l, struct bytes batch,
                        struct tail_entry *e)
{
    struct log *log = &l->log;
    struct batch_parts parts = batch_whole(batch);
    e->address = stage_data(s, &log, &e->base_offset, 1, &parts, ENTRY_CARRIED, e->epoch);
    e->size = (uint32_t)batch.size;
    metrics_add(METRIC_carried_bytes, batch.size);
}
