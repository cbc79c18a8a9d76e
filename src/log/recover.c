/*
 * Recovery: from files to logs. recover_journal.c finds the journal's files and follows the chain of
 * records; here is what each record means. The rows of the log table say how things were when each was
 * written; the journal says what happened since. Replay touches no segment and creates no file: it
 * rebuilds offsets and the places of batches, and hands batches with state to the owner. Only logs
 * that were in direct mode have bytes that neither names; their segments are walked from the row's
 * position on.
 *
 * What was read is synced before anything is shown, because a killed process leaves bytes in the
 * page cache that a power cut can still take back.
 */
#include "log/recover_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    EPOCH_END = INT32_MAX, /* no run has it */
    ENTRIES_AHEAD = 16,    /* whose logs are fetched together */
};
static const int64_t OFFSET_MAX = INT64_MAX - INT32_MAX;

/* ---- entries ---- */

static enum err rot(const struct log_state *l, const char *what, int64_t offset)
{
    return err_set(E_CORRUPT, "journal: %s, log %llu offset %lld, known end %lld", what,
                   (unsigned long long)l->log.id, (long long)offset, (long long)l->log.end);
}

/* Bytes of the log are missing in front of `offset`: rot, unless the log's deletion follows. */
static void note_missing(struct log_state *l, int64_t offset)
{
    if (l->store->config.accept_loss)
        say_warn("log", "batches are lost log=%llu from=%lld to=%lld",
                 (unsigned long long)l->log.id, (long long)l->log.end, (long long)offset);
    else if (l->parts->missing_at < 0)
        log_parts(l)->missing_at = offset;
}

/* A batch that was carried forward: its tail entry now lies here. */
static void replay_carried(struct log_state *l, struct tail_entry e)
{
    uint32_t i = tail_find(&l->tail, e.base_offset);
    if (i < l->tail.count && tail_at(&l->tail, i)->base_offset == e.base_offset) {
        l->tail.bytes += e.size;
        l->tail.bytes -= tail_at(&l->tail, i)->size;
        *tail_at(&l->tail, i) = e;
    } else {
        tail_insert(&l->tail, i, e);
    }
}

/* Tell the owner of a batch that derived state comes from. */
static void hand_over(struct log_state *l, const struct batch *b, int64_t base)
{
    const struct store_owner *owner = &l->store->owner;
    if (!batch_is_control(b) && b->producer_id < 0)
        return;
    struct batch patched = *b;
    patched.base_offset = base;
    owner->replay(owner->ctx, l->log.id, &patched);
}

static enum err replay_batch(struct log_state *l, int64_t base, const struct batch *b,
                             uint64_t address, bool carried)
{
    if (base < 0 || base > OFFSET_MAX || b->last_offset_delta == INT32_MAX)
        return rot(l, "impossible offsets", base);
    if (b->leader_epoch < 0 || b->leader_epoch >= EPOCH_END)
        return rot(l, "a batch of an impossible epoch", base);
    struct tail_entry e = tail_entry_of(b, base, address, b->leader_epoch);
    int64_t end = tail_entry_end(&e);
    if (address < l->parts->cut_address && end > l->parts->cut_offset)
        return OK;
    if (!carried && base > l->log.end)
        note_missing(l, base);
    if (!carried && base < l->log.end && end > l->log.end)
        return rot(l, "a batch overlaps the end", base);
    if (end > l->stored_to && end > l->log.start) {
        if (carried)
            replay_carried(l, e);
        else if (l->tail.count == 0 || base >= tail_entry_end(tail_at(&l->tail, l->tail.count - 1)))
            tail_push(&l->tail, e);
        else
            replay_carried(l, e); /* its carried copy was met before */
        log_tail_changed(l);
    }
    if (end > l->log.end) {
        log_note_epoch(l, b->leader_epoch, base);
        l->log.end = end;
    }
    hand_over(l, b, base);
    return OK;
}

static struct log_state *replay_log(struct replay *r, uint64_t id, uint64_t address)
{
    struct log_state *l = log_state(store_log(r->s, id, LEVEL_FSYNC));
    log_mark_dirty(l, address);
    return l->deleted || address < l->redo ? NULL : l;
}

/* Its newest batches are in segments, so far as is known. */
static bool is_direct(const struct log_state *l)
{
    return l->parts->direct_from != INT64_MAX && l->parts->direct_to == INT64_MAX;
}

static enum err replay_journaled(struct replay *r, struct log_state *l, int64_t to);

static enum err replay_data(struct replay *r, const uint8_t *p, uint32_t size, uint64_t address)
{
    uint32_t count = get_u16(p + 2);
    size_t head = ENTRY_HEADER_BYTES + (size_t)count * ENTRY_LOG_BYTES;
    struct batch b;
    if (count == 0 || head > size)
        return err_set(E_CORRUPT, "journal: data entry of %u bytes for %u logs", size, count);
    enum err err = batch_parse(bytes_of(p + head, size - head), &b);
    if (err)
        return err_wrap(E_CORRUPT, "journal: data entry at %llu", (unsigned long long)address);
    if (LOG_MUTANT == MUTANT_OMIT_LOG && count > 1)
        count--;
    for (uint32_t i = 0; i < count && !err; i++) {
        const uint8_t *at = p + ENTRY_HEADER_BYTES + (size_t)i * ENTRY_LOG_BYTES;
        int64_t base = (int64_t)get_u64(at + 8);
        bool carried = p[1] & ENTRY_CARRIED;
        struct log_state *l = replay_log(r, get_u64(at), address + head);
        if (l && l->parts->missing_at < 0 && !carried && is_direct(l) &&
            base >= l->parts->direct_from)
            err = replay_journaled(r, l, base); /* the entry that says so is lost */
        if (!err && l && l->parts->missing_at < 0)
            err = replay_batch(l, base, &b, address + head, carried);
    }
    return err;
}

/* ---- direct segments ---- */

struct direct_scan {
    struct log_state *log;
    uint32_t epoch_max; /* of the journal so far */
    bool is_rotten;     /* an intact batch is of a run that never was: no checksum has the epoch */
};

static void note_direct_batch(void *ctx, const struct batch *b, uint64_t position)
{
    struct direct_scan *scan = ctx;
    struct log_state *l = scan->log;
    (void)position;
    if ((uint32_t)b->leader_epoch > scan->epoch_max)
        scan->is_rotten = true;
    else
        log_note_epoch(l, b->leader_epoch, b->base_offset);
    l->log.end = batch_last_offset(b) + 1;
    hand_over(l, b, b->base_offset);
}

/* Cut the segment behind its last whole batch, so that no stale bytes are ever met there. */
static enum err cut_segment(struct file *f, uint64_t position)
{
    uint64_t size;
    enum err err = file_size(f, &size);
    if (!err && size > position)
        err = file_truncate(f, position);
    if (!err)
        err = file_sync(f);
    return err;
}

/* What is cut may be a write in the middle of which the machine stopped, or damage: nothing tells them
 * apart, since how far the bytes of a segment are synced is noted now and then only. */
static void tell_of_cut(const struct log_state *l, struct file *f, uint64_t position,
                        int64_t offset)
{
    static const uint8_t blank[BATCH_HEADER_BYTES];
    uint8_t head[sizeof blank];
    uint64_t size;
    if (file_size(f, &size) || size <= position)
        return;
    size_t looked = size - position < sizeof head ? (size_t)(size - position) : sizeof head;
    if (file_read(f, position, head, looked) || memcmp(head, blank, looked) != 0)
        say_warn("log", "cut behind the last whole batch log=%llu offset=%lld bytes=%llu",
                 (unsigned long long)l->log.id, (long long)offset,
                 (unsigned long long)(size - position));
}

/* Segments behind the cut are of writes that nobody was told of, or were made ahead. */
static enum err remove_behind(struct store *s, struct log_state *l, int64_t end)
{
    segment_bases bases = {0};
    enum err err = segment_list(s->disk, l->log.id, &bases);
    for (size_t i = 0; i < bases.count && !err; i++)
        if (bases.items[i] >= end && bases.items[i] >= l->parts->direct_from)
            err = segment_remove(s->disk, l->log.id, bases.items[i]);
    vec_reset(&bases);
    return err;
}

/* The oldest segment behind `*segment` and below `to`, if everything before it was trimmed; else -1. */
static enum err next_segment(struct store *s, struct log_state *l, int64_t to, int64_t *segment)
{
    segment_bases bases = {0};
    int64_t after = *segment;
    enum err err = segment_list(s->disk, l->log.id, &bases);
    *segment = -1;
    for (size_t i = 0; i < bases.count && *segment < 0; i++)
        if (bases.items[i] > after && bases.items[i] <= l->log.start && bases.items[i] < to)
            *segment = bases.items[i];
    vec_reset(&bases);
    return err;
}

/* Walk one segment from `position` on and cut it behind what is valid. *next: the offset reached. */
static enum err recover_segment(struct replay *r, struct log_state *l, struct file *f,
                                uint64_t position, int64_t *next)
{
    uint64_t from = position;
    struct direct_scan direct = {.log = l, .epoch_max = r->epoch};
    struct segment_scan scan = {
        .next_offset = *next, .max_epoch = INT32_MAX, .each = note_direct_batch, .ctx = &direct};
    enum err err = segment_scan(f, &position, &scan);
    if (!err && direct.is_rotten && !r->s->config.accept_loss)
        err = err_set(E_CORRUPT, "a batch below offset %lld is of an epoch that never was",
                      (long long)scan.next_offset);
    if (err)
        return err;
    *next = scan.next_offset;
    log_parts(l)->stored_bytes += position - from;
    tell_of_cut(l, f, position, *next);
    return cut_segment(f, position);
}

/* From where the row ends up to `to`, or the end of what is there. Behind a part that is over lies what
 * was materialised from the journal, and no row knows of yet: it goes. */
static enum err recover_direct(struct replay *r, struct log_state *l, int64_t to)
{
    struct store *s = r->s;
    int64_t segment = l->parts->recovered_segment, next = l->parts->recovered_offset;
    uint64_t position = l->parts->recovered_position;
    enum err err = OK;
    for (bool more = next < to || position > 0; more && !err; position = 0) {
        char path[64];
        struct file *f = NULL;
        uint64_t size = 0;
        segment_path(l->log.id, segment, "log", path);
        err = disk_open(s->disk, path, 0, &f);
        bool is_missing = err == E_NOT_FOUND;
        if (!err)
            err = file_size(f, &size);
        if ((!err || is_missing) && size < position && l->log.start < next) /* they were synced */
            note_missing(l, next);
        if (is_missing) { /* never written into, or trimmed and removed */
            err = next_segment(s, l, to, &segment);
            if (err || segment < 0)
                break;
            next = segment;
            continue;
        }
        int64_t from = segment;
        if (!err)
            err = recover_segment(r, l, f, position < size ? position : size, &next);
        file_close(f);
        more = from != next && next < to; /* the same: it holds nothing, it is the last one */
        segment = next;
    }
    if (!err)
        err = remove_behind(s, l, next);
    if (next > l->log.end)
        l->log.end = next;
    log_parts(l)->recovered_offset = next;
    log_parts(l)->recovered_segment = segment;
    return err_wrap(err, "recover direct segments of log %llu", (unsigned long long)l->log.id);
}

/* The log left direct mode at `to`. Its direct part is read for what the row does not cover. */
static enum err replay_journaled(struct replay *r, struct log_state *l, int64_t to)
{
    enum err err = recover_direct(r, l, to);
    if (!err && l->log.end < to) {
        if (to > l->log.start)
            note_missing(l, to);
        l->log.end = to;
    }
    log_close_direct_part(l, to);
    return err;
}

static void cut_back(struct log_state *l, int64_t offset, int32_t epoch)
{
    tail_cut_above(&l->tail, offset);
    log_tail_changed(l);
    l->log.end = offset;
    while (l->epochs.count && vec_last(&l->epochs).offset >= offset)
        l->epochs.count--;
    log_note_epoch(l, epoch, offset);
    if (l->store->owner.cut)
        l->store->owner.cut(l->store->owner.ctx, l->log.id, offset);
}

/* What was appended before this entry ends at `offset` at least. */
static void expect_end(struct log_state *l, int64_t offset)
{
    if (offset <= l->log.end)
        return;
    note_missing(l, offset);
    l->log.end = offset;
}

static void replay_start(struct log_state *l, int64_t offset)
{
    if (!is_direct(l)) /* else its end is not known yet */
        expect_end(l, offset);
    if (offset > l->log.start)
        l->log.start = offset;
    tail_drop_below(&l->tail, l->log.start);
    log_drop_epochs(l);
}

static void replay_direct(struct log_state *l, int64_t offset, uint64_t address)
{
    l->row_has_part = true;
    if (offset < l->log.end || address <= l->parts->direct_address)
        return; /* the row knows more */
    if (l->parts->direct_from != INT64_MAX) {
        log_parts(l)->missing_at = offset; /* the row between the two parts is gone with the log */
        return;
    }
    expect_end(l, offset);
    log_parts(l)->direct_from = log_parts(l)->recovered_segment = log_parts(l)->recovered_offset =
        offset;
    log_parts(l)->direct_to = INT64_MAX;
    log_parts(l)->direct_address = address;
    log_parts(l)->recovered_position = 0;
    if (l->parts->first_segment < 0)
        log_parts(l)->first_segment = offset;
}

static enum err replay_truncate(struct log_state *l, int64_t offset, uint64_t epoch,
                                uint64_t address)
{
    if (address <= l->parts->cut_address) { /* the row knows the end; what was met so far is void */
        tail_cut_above(&l->tail, offset);
        return OK;
    }
    if (offset < l->log.start || epoch >= EPOCH_END)
        return rot(l, "an impossible cut", offset);
    expect_end(l, offset);
    log_parts(l)->cut_offset = offset;
    log_parts(l)->cut_address = address;
    cut_back(l, offset, (int32_t)epoch);
    return OK;
}

static enum err replay_control(struct replay *r, const uint8_t *p, uint64_t address)
{
    uint64_t b = get_u64(p + ENTRY_HEADER_BYTES + 16);
    int64_t a = (int64_t)get_u64(p + ENTRY_HEADER_BYTES + 8);
    enum err err = OK;
    if (p[0] == ENTRY_RUN)
        return OK; /* the record's header says the same */
    struct log_state *l = replay_log(r, get_u64(p + ENTRY_HEADER_BYTES), address);
    if (!l || (l->parts->missing_at >= 0 && p[0] != ENTRY_DELETE))
        return OK;
    if (p[0] != ENTRY_DELETE && (a < 0 || a > OFFSET_MAX))
        return rot(l, "an entry with an impossible offset", a);
    switch (p[0]) {
    case ENTRY_START: replay_start(l, a); break;
    case ENTRY_DIRECT: replay_direct(l, a, address); break;
    case ENTRY_JOURNALED:
        if (address > l->parts->direct_address && is_direct(l))
            return replay_journaled(r, l, a);
        break;
    case ENTRY_TRUNCATE: err = replay_truncate(l, a, b, address); break;
    case ENTRY_DELETE:
        log_parts(l)->first_segment = 0; /* what it had may be in no row */
        store_forget(r->s, l);
        return OK;
    default: return err_set(E_CORRUPT, "journal: unknown entry type %d", p[0]);
    }
    log_tail_changed(l);
    return err;
}

static void prefetch(const void *p, size_t size)
{
    enum { LINE_BYTES = 64 };
    for (size_t i = 0; p && i < size; i += LINE_BYTES)
        __builtin_prefetch((const uint8_t *)p + i);
}

/* With very many logs, neither an entry's log nor its slot in the map is in the processor's cache. Those of
 * the next entries are brought there together, first the slots, then the logs: for an entry of several, the
 * first. What does not fit together is reported when its turn comes. */
static void prefetch_logs(const struct replay *r, const uint8_t *p, uint64_t left)
{
    uint64_t ids[ENTRIES_AHEAD];
    int count = 0;
    while (count < ENTRIES_AHEAD && left >= ENTRY_HEADER_BYTES + ENTRY_LOG_BYTES) {
        uint32_t size = get_u32(p + 4);
        if (size < ENTRY_HEADER_BYTES || size > left)
            break;
        ids[count] = get_u64(p + ENTRY_HEADER_BYTES);
        idmap_prefetch(&r->s->logs, ids[count++]);
        p += size;
        left -= size;
    }
    for (int i = 0; i < count; i++)
        prefetch(idmap_get(&r->s->logs, ids[i]), sizeof(struct log_state));
}

enum err replay_record(struct replay *r, const uint8_t *p, const struct record_header *h)
{
    uint64_t at = RECORD_HEADER_BYTES, address = r->file->base + r->position;
    uint32_t entries = 0;
    enum err err = OK;
    while (at < h->size && !err) {
        if (h->size - at < ENTRY_HEADER_BYTES)
            return err_set(E_CORRUPT, "journal: record ends inside an entry");
        if (entries % ENTRIES_AHEAD == 0)
            prefetch_logs(r, p + at, h->size - at);
        uint32_t size = get_u32(p + at + 4);
        if (size < ENTRY_HEADER_BYTES || size % 8 != 0 || size > h->size - at)
            return err_set(E_CORRUPT, "journal: entry of %u bytes", size);
        if (p[at] == ENTRY_DATA)
            err = replay_data(r, p + at, size, address + at);
        else if (p[at] != ENTRY_PAD && size != ENTRY_CONTROL_BYTES)
            return err_set(E_CORRUPT, "journal: control entry of %u bytes", size);
        else if (p[at] != ENTRY_PAD)
            err = replay_control(r, p + at, address + at);
        at += size;
        entries++;
    }
    if (!err && entries != h->entries)
        err = err_set(E_CORRUPT, "journal: %u entries instead of %u", entries, h->entries);
    return err;
}

/* ---- all of it ---- */

static enum err make_dirs(struct store *s)
{
    static const char *const names[] = {"journal", "table", "logs"};
    enum err err = OK;
    for (size_t i = 0; i < 3 && !err; i++)
        err = disk_make_dir(s->disk, names[i]);
    return err;
}

/* Logs whose row says that their deletion had begun. */
static void forget_deleted(struct store *s)
{
    VEC(struct log_state *) found = {0};
    size_t position = 0;
    struct log_state *l;
    while ((l = idmap_next(&s->logs, &position)) != NULL)
        if (l->deleted)
            vec_push(&found, l);
    for (size_t i = 0; i < found.count; i++)
        store_forget(s, found.items[i]);
    vec_reset(&found);
}

static enum err settle_logs(struct replay *r)
{
    struct store *s = r->s;
    enum err err = OK;
    forget_deleted(s);
    size_t position = 0;
    struct log_state *l;
    while (!err && (l = idmap_next(&s->logs, &position)) != NULL) {
        if (is_direct(l) && l->parts->missing_at < 0)
            err = recover_direct(r, l, INT64_MAX);
        if (!err && l->parts->missing_at >= 0)
            return rot(l, "a batch is missing before", l->parts->missing_at);
        if (l->log.start > l->log.end)
            l->log.end = l->log.start;
        l->log.hw = l->log.durable = l->log.written = l->log.end;
    }
    return err;
}

/* Above every run before, also of those whose records are lost. */
static int32_t next_epoch(struct store *s, uint32_t epoch)
{
    size_t position = 0;
    const struct log_state *l;
    while ((l = idmap_next(&s->logs, &position)) != NULL)
        if (l->epochs.count && vec_last(&l->epochs).epoch > (int32_t)epoch)
            epoch = (uint32_t)vec_last(&l->epochs).epoch;
    return (int32_t)epoch + 1;
}

/* The highest journal address that rows speak of. Above the journal's end only after a loss that was
 * accepted: then the journal goes on above it, because replay would ignore what lies below. */
static uint64_t rows_address(struct store *s)
{
    uint64_t highest = 0;
    size_t position = 0;
    const struct log_state *l;
    while ((l = idmap_next(&s->logs, &position)) != NULL) {
        highest = l->redo > highest ? l->redo : highest;
        highest = l->parts->direct_address > highest ? l->parts->direct_address : highest;
        highest = l->parts->cut_address > highest ? l->parts->cut_address : highest;
    }
    return highest;
}

static enum err read_all(struct store *s, struct replay *r)
{
    enum err err = make_dirs(s);
    if (!err)
        err = table_load(s);
    if (!err)
        err = recover_find_files(s);
    if (err)
        return err;
    bool fresh = list_is_empty(&s->journal.files);
    if (fresh && s->table_number > 0 && !s->config.accept_loss)
        return err_set(E_CORRUPT, "the journal's files are gone; start with --accept-loss to go on "
                                  "with what is in segments");
    if (fresh)
        err = disk_sync_dir(s->disk, ""); /* first: where a file is, its folder is durable */
    else
        err = recover_chain(r);
    return err ? err : settle_logs(r);
}

/* A record says that the run begins. It goes with the first commit, but the journal's first record is durable
 * before there is any other. */
static enum err begin_run(struct store *s, struct replay *r)
{
    bool is_first = r->sequence == 0;
    enum err err = recover_renew_leftovers(r);
    if (!err && is_first)
        err = journal_make_first(s);
    if (err)
        return err;
    uint64_t rows = rows_address(s), end = journal_end_address(s);
    if (s->journal.max_bytes < s->journal.total_bytes) /* it had grown */
        s->journal.max_bytes = s->journal.total_bytes;
    s->journal.sequence = s->journal.synced_sequence = r->sequence;
    s->journal.crc = r->crc;
    s->journal.written_to = end;
    stage_control(s, ENTRY_RUN, NULL, s->epoch, 0);
    if (is_first) {
        err = commit_at_once(s);
        s->due_ns = s->now_ns; /* files are made ahead */
    }
    if (!err && rows > end)
        journal_skip_to(s, rows);
    return err;
}

enum err store_recover(struct store *s)
{
    struct replay r = {.s = s};
    enum err err = read_all(s, &r);
    text_reset(&r.bytes);
    if (!err)
        s->epoch = next_epoch(s, r.epoch_max);
    if (!err && s->epoch >= EPOCH_END)
        err = err_set(E_CORRUPT, "the epochs are used up: one of the newest was never a run's");
    if (!err)
        err = begin_run(s, &r);
    vec_reset(&r.leftovers);
    if (err)
        return err;
    size_t position = 0;
    struct log_state *l;
    while ((l = idmap_next(&s->logs, &position)) != NULL)
        if (is_direct(l)) {
            stage_control(s, ENTRY_JOURNALED, l, l->log.end, 0);
            log_close_direct_part(l, l->log.end);
        }
    return OK;
}
