/*
 * Recovery: from files to logs. The rows of the log table say how things were when each was
 * written; the journal says what happened since. Replay touches no segment and creates no file: it
 * rebuilds offsets and the places of batches, and hands control batches to the owner. Only logs
 * that were in direct mode have bytes that neither names; their segments are walked from the row's
 * position on.
 *
 * What was read is synced before anything is shown, because a killed process leaves bytes in the
 * page cache that a power cut can still take back.
 */
#include "log/store_internal.h"

#include "base/crc32c.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

struct replay {
    struct store *s;
    struct journal_file *file; /* being read */
    struct text bytes;         /* its content */
    uint64_t position;         /* of the next record in it */
    uint64_t sequence;         /* of the last record, 0: none yet */
    uint32_t crc, epoch;
    uint64_t records;
};

/* ---- files ---- */

static int compare_files(const void *a, const void *b)
{
    const struct journal_file *x = *(struct journal_file *const *)a;
    const struct journal_file *y = *(struct journal_file *const *)b;
    return (x->generation > y->generation) - (x->generation < y->generation);
}

struct found_files {
    struct store *s;
    VEC(struct journal_file *) items;
    enum err err;
};

static enum err open_journal_file(struct store *s, uint32_t slot, struct journal_file **out)
{
    char path[32];
    uint8_t header[48];
    uint64_t size;
    struct journal_file_header h;
    struct journal_file *f = xzalloc(sizeof *f);
    f->slot = slot;
    journal_path(slot, path);
    enum err err = disk_open(s->disk, path, 0, &f->file);
    if (!err)
        err = disk_open(s->disk, path, DISK_DIRECT, &f->writer);
    if (!err)
        err = file_size(f->file, &size);
    /* A file whose header never became durable was never written to: it is made anew. */
    if (!err && size >= JOURNAL_HEADER_BYTES)
        err = file_read(f->file, 0, header, sizeof header);
    if (!err && size >= JOURNAL_HEADER_BYTES && journal_file_header_get(header, &h) &&
        h.size <= size) {
        f->generation = h.generation;
        f->base = h.base;
        f->size = h.size;
    }
    *out = f;
    return err_wrap(err, "open %s", path);
}

static void note_journal_file(void *ctx, const char *name)
{
    struct found_files *found = ctx;
    struct bytes text = bytes_from_string(name);
    int64_t slot;
    struct journal_file *f;
    if (text.size < 9 || strcmp(name + text.size - 8, ".journal") != 0 ||
        !number_parse_i64(bytes_of(name, text.size - 8), &slot))
        return;
    if (found->err)
        return;
    found->err = open_journal_file(found->s, (uint32_t)slot, &f);
    vec_push(&found->items, f);
    if ((uint32_t)slot > found->s->journal.slot_count)
        found->s->journal.slot_count = (uint32_t)slot;
}

/* Put the files in order of generation; what does not join the newest without a gap is not used. */
static enum err find_files(struct store *s)
{
    struct found_files found = {.s = s};
    struct journal *j = &s->journal;
    enum err err = disk_list(s->disk, "journal", note_journal_file, &found);
    if (!err)
        err = found.err;
    if (found.items.count > 1)
        qsort(found.items.items, found.items.count, sizeof *found.items.items, compare_files);
    uint64_t expected = 0;
    for (size_t i = found.items.count; i-- > 0;) {
        struct journal_file *f = found.items.items[i];
        if (f->generation == 0 || (expected && f->generation != expected)) {
            char path[32];
            journal_path(f->slot, path);
            if (!err)
                err = disk_remove(s->disk, path);
            file_close(f->writer);
            file_close(f->file);
            free(f);
            continue;
        }
        expected = f->generation - 1;
        list_push_front(&j->files, &f->node);
        j->file_count++;
        j->total_bytes += f->size;
        if (f->generation > j->generation)
            j->generation = f->generation;
    }
    vec_reset(&found.items);
    return err;
}

/* ---- entries ---- */

static enum err rot(const struct log_state *l, const char *what, int64_t offset)
{
    return err_set(E_CORRUPT, "journal: %s, log %llu offset %lld, known end %lld", what,
                   (unsigned long long)l->log.id, (long long)offset, (long long)l->log.end);
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

static enum err replay_batch(struct replay *r, struct log_state *l, int64_t base,
                             const struct batch *b, uint64_t address, bool carried)
{
    int64_t end = base + b->last_offset_delta + 1;
    struct tail_entry e = {base,
                           address,
                           (uint32_t)b->raw.size,
                           ((uint32_t)b->last_offset_delta + 1) |
                               (batch_is_control(b) ? TAIL_CONTROL : 0),
                           b->max_timestamp,
                           b->leader_epoch};
    if (address < l->cut_address && end > l->cut_offset)
        return OK;
    if (!carried && base > l->log.end && l->missing_at < 0)
        l->missing_at = base; /* rot, unless the log's deletion follows */
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
    if (batch_is_control(b)) {
        struct batch patched = *b;
        patched.base_offset = base;
        r->s->owner.replay(r->s->owner.ctx, l->log.id, &patched);
    }
    return OK;
}

static struct log_state *replay_log(struct replay *r, uint64_t id, uint64_t address)
{
    struct log_state *l = log_state(store_log(r->s, id, LEVEL_FSYNC));
    log_mark_dirty(l, address);
    return l->deleted || address < l->redo ? NULL : l;
}

static enum err replay_data(struct replay *r, const uint8_t *p, uint32_t size, uint64_t address)
{
    uint32_t count = get_u16(p + 2);
    size_t head = ENTRY_HEADER_BYTES + (size_t)count * ENTRY_LOG_BYTES;
    struct batch b;
    if (count == 0 || head > size)
        return err_set(E_CORRUPT, "journal: data entry of %u bytes for %u logs", size, count);
    enum err err = batch_parse(bytes_of(p + head, size - head), &b);
    for (uint32_t i = 0; i < count && !err; i++) {
        const uint8_t *at = p + ENTRY_HEADER_BYTES + (size_t)i * ENTRY_LOG_BYTES;
        struct log_state *l = replay_log(r, get_u64(at), address + head);
        if (l && l->missing_at < 0)
            err = replay_batch(r, l, (int64_t)get_u64(at + 8), &b, address + head,
                               p[1] & ENTRY_CARRIED);
    }
    return err;
}

/* ---- direct segments ---- */

static void note_direct_batch(void *ctx, const struct batch *b, uint64_t position)
{
    struct log_state *l = ctx;
    struct store *s = l->store;
    (void)position;
    log_note_epoch(l, b->leader_epoch, b->base_offset);
    l->log.end = batch_last_offset(b) + 1;
    if (batch_is_control(b))
        s->owner.replay(s->owner.ctx, l->log.id, b);
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

/* Segments behind the cut are of writes that nobody was told of, or were made ahead. */
static enum err remove_behind(struct store *s, struct log_state *l, int64_t end)
{
    segment_bases bases = {0};
    enum err err = segment_list(s->disk, l->log.id, &bases);
    for (size_t i = 0; i < bases.count && !err; i++)
        if (bases.items[i] >= end && bases.items[i] >= l->direct_from)
            err = segment_remove(s->disk, l->log.id, bases.items[i]);
    vec_reset(&bases);
    return err;
}

/* The oldest segment behind `*segment`, if everything before it was trimmed; else -1. */
static enum err next_segment(struct store *s, struct log_state *l, int64_t *segment)
{
    segment_bases bases = {0};
    int64_t after = *segment;
    enum err err = segment_list(s->disk, l->log.id, &bases);
    *segment = -1;
    for (size_t i = 0; i < bases.count && *segment < 0; i++)
        if (bases.items[i] > after && bases.items[i] <= l->log.start)
            *segment = bases.items[i];
    vec_reset(&bases);
    return err;
}

static enum err recover_direct(struct store *s, struct log_state *l)
{
    int64_t segment = l->recovered_segment, next = l->recovered_offset;
    uint64_t position = l->recovered_position;
    enum err err = OK;
    for (bool more = true; more && !err;) {
        char path[64];
        struct file *f = NULL;
        segment_path(l->log.id, segment, "log", path);
        err = disk_open(s->disk, path, 0, &f);
        if (err == E_NOT_FOUND) { /* never written into, or all of it was trimmed and removed */
            err = next_segment(s, l, &segment);
            if (err || segment < 0)
                break;
            next = segment;
            position = 0;
            continue;
        }
        struct segment_scan scan = {
            .next_offset = next, .max_epoch = INT32_MAX, .each = note_direct_batch, .ctx = l};
        if (!err)
            err = segment_scan(f, &position, &scan);
        more = segment != scan.next_offset; /* else it holds nothing: the last one */
        next = scan.next_offset;
        if (!err)
            err = cut_segment(f, position);
        file_close(f);
        segment = next;
        position = 0;
    }
    if (!err)
        err = remove_behind(s, l, next);
    if (next > l->log.end)
        l->log.end = next;
    l->recovered_offset = next;
    l->recovered_segment = segment;
    l->stored_bytes += position;
    return err_wrap(err, "recover direct segments of log %llu", (unsigned long long)l->log.id);
}

/* The log left direct mode at `to`. Its direct part is read for what the row does not cover. */
static enum err replay_journaled(struct store *s, struct log_state *l, int64_t to)
{
    enum err err = recover_direct(s, l);
    if (!err && l->log.end < to) {
        if (l->missing_at < 0 && to > l->log.start)
            l->missing_at = l->log.end; /* rot, unless the log's deletion follows */
        l->log.end = to;
    }
    log_close_direct_part(l, to);
    return err;
}

static void replay_truncate(struct log_state *l, int64_t offset, int32_t epoch)
{
    tail_cut_above(&l->tail, offset);
    log_tail_changed(l);
    l->log.end = offset;
    while (l->epochs.count && vec_last(&l->epochs).offset >= offset)
        l->epochs.count--;
    log_note_epoch(l, epoch, offset);
}

static enum err replay_control(struct replay *r, const uint8_t *p, uint64_t address)
{
    uint64_t b = get_u64(p + ENTRY_HEADER_BYTES + 16);
    int64_t a = (int64_t)get_u64(p + ENTRY_HEADER_BYTES + 8);
    if (p[0] == ENTRY_RUN) {
        r->epoch = (uint32_t)a;
        return OK;
    }
    struct log_state *l = replay_log(r, get_u64(p + ENTRY_HEADER_BYTES), address);
    if (!l || (l->missing_at >= 0 && p[0] != ENTRY_DELETE))
        return OK;
    switch (p[0]) {
    case ENTRY_START:
        if (a > l->log.start)
            l->log.start = a;
        tail_drop_below(&l->tail, l->log.start);
        break;
    case ENTRY_DIRECT:
        l->row_has_part = true;
        if (a < l->log.end || address <= l->direct_address)
            break; /* the row knows more */
        if (l->direct_from != INT64_MAX) {
            l->missing_at = a; /* the row between the two parts is gone with the log */
            break;
        }
        l->direct_from = l->recovered_segment = l->recovered_offset = a;
        l->direct_to = INT64_MAX;
        l->direct_address = address;
        l->recovered_position = 0;
        if (l->first_segment < 0)
            l->first_segment = a;
        break;
    case ENTRY_JOURNALED:
        if (address > l->direct_address && l->direct_from != INT64_MAX && l->direct_to == INT64_MAX)
            return replay_journaled(r->s, l, a);
        break;
    case ENTRY_TRUNCATE:
        if (address <= l->cut_address) { /* the row knows the end; what was met so far is void */
            tail_cut_above(&l->tail, a);
            break;
        }
        l->cut_offset = a;
        l->cut_address = address;
        replay_truncate(l, a, (int32_t)b);
        break;
    case ENTRY_DELETE: store_forget(r->s, l); return OK;
    default: return err_set(E_CORRUPT, "journal: unknown entry type %d", p[0]);
    }
    log_tail_changed(l);
    return OK;
}

static enum err replay_record(struct replay *r, const uint8_t *p, const struct record_header *h)
{
    uint64_t at = RECORD_HEADER_BYTES, address = r->file->base + r->position;
    uint32_t entries = 0;
    enum err err = OK;
    while (at < h->size && !err) {
        if (h->size - at < ENTRY_HEADER_BYTES)
            return err_set(E_CORRUPT, "journal: record ends inside an entry");
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

/* ---- the chain ---- */

/* Is there an intact record of this file's generation here? */
static bool record_at(const struct replay *r, uint64_t position, struct record_header *h)
{
    const uint8_t *p = r->bytes.data + position;
    if (position + RECORD_HEADER_BYTES > r->bytes.size || !record_header_get(p, h))
        return false;
    return h->generation == r->file->generation && h->size <= r->bytes.size - position &&
           crc32c(p + 8, h->size - 8) == h->crc;
}

static bool record_follows(const struct replay *r, const struct record_header *h)
{
    return r->sequence == 0 || (h->sequence == r->sequence + 1 && h->prev_crc == r->crc);
}

/* The chain has ended at r->position. Does a later record say that more had been synced? */
static enum err look_for_rot(struct replay *r)
{
    struct record_header h;
    uint64_t block = r->s->disk->block_bytes;
    for (uint64_t at = r->position + block; at < r->bytes.size; at += block) {
        if (!record_at(r, at, &h) || h.epoch < r->epoch)
            continue;
        if (h.sequence > r->sequence && h.synced > r->sequence && !r->s->config.accept_loss)
            return err_set(E_CORRUPT,
                           "journal file %06u is damaged at byte %llu, below what was synced "
                           "(record %llu says up to %llu); start with --accept-loss to go on "
                           "without what follows",
                           r->file->slot, (unsigned long long)r->position,
                           (unsigned long long)h.sequence, (unsigned long long)h.synced);
    }
    return OK;
}

static enum err replay_file(struct replay *r, bool *out_ended)
{
    struct record_header h;
    r->position = JOURNAL_HEADER_BYTES;
    r->bytes.size = 0;
    text_reserve(&r->bytes, r->file->size);
    enum err err = file_read(r->file->file, 0, r->bytes.data, r->file->size);
    r->bytes.size = r->file->size;
    while (!err && record_at(r, r->position, &h) && record_follows(r, &h)) {
        err = replay_record(r, r->bytes.data + r->position, &h);
        r->sequence = h.sequence;
        r->crc = h.crc;
        r->epoch = h.epoch > r->epoch ? h.epoch : r->epoch;
        r->position += h.size;
        r->records++;
    }
    *out_ended = r->position == JOURNAL_HEADER_BYTES; /* nothing of the chain is in this file */
    return err;
}

/* After the chain's last record nothing of value is left in the files behind it. */
static enum err replay_journal(struct store *s, struct replay *r)
{
    struct journal_file *newest = NULL;
    enum err err = OK;
    list_each (n, &s->journal.files) {
        bool empty;
        r->file = container_of(n, struct journal_file, node);
        err = replay_file(r, &empty);
        if (!err)
            err = look_for_rot(r);
        if (err)
            return err_wrap(err, "replay journal file %06u", r->file->slot);
        if (empty)
            continue; /* prepared, or passed over */
        newest = r->file;
        newest->state = JOURNAL_ACTIVE;
        newest->used = r->position;
    }
    bool before = newest != NULL;
    list_each (n, &s->journal.files) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (f == newest) {
            before = false;
            f->used = round_up(f->used, s->disk->block_bytes);
        } else {
            f->state = before ? JOURNAL_FULL : JOURNAL_READY;
            f->passed = before;
            f->used = before ? f->size : 0;
        }
    }
    return OK;
}

/* ---- all of it ---- */

static enum err sync_files(struct store *s)
{
    enum err err = OK;
    list_each (n, &s->journal.files) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (!err && f->state == JOURNAL_ACTIVE)
            err = file_sync(f->file);
    }
    return err;
}

static enum err first_journal_file(struct store *s)
{
    struct journal_file *f = xzalloc(sizeof *f);
    f->slot = ++s->journal.slot_count;
    f->generation = ++s->journal.generation;
    f->base = JOURNAL_HEADER_BYTES * 16;
    f->size = s->config.journal_first_bytes;
    f->state = JOURNAL_READY;
    list_push_back(&s->journal.files, &f->node);
    s->journal.file_count++;
    s->journal.total_bytes += f->size;
    return journal_file_create(s->disk, f, true);
}

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

static enum err settle_logs(struct store *s)
{
    enum err err = OK;
    forget_deleted(s);
    size_t position = 0;
    struct log_state *l;
    while (!err && (l = idmap_next(&s->logs, &position)) != NULL) {
        if (l->missing_at >= 0)
            return rot(l, "a batch is missing before", l->missing_at);
        if (l->direct_from != INT64_MAX && l->direct_to == INT64_MAX)
            err = recover_direct(s, l);
        if (l->log.start > l->log.end)
            l->log.end = l->log.start;
        l->log.hw = l->log.durable = l->log.written = l->log.end;
    }
    return err;
}

enum err store_recover(struct store *s)
{
    struct replay r = {.s = s};
    enum err err = make_dirs(s);
    if (!err)
        err = table_load(s);
    if (!err)
        err = find_files(s);
    bool fresh = list_is_empty(&s->journal.files);
    if (!err && fresh)
        err = first_journal_file(s);
    if (!err && fresh)
        err = disk_sync_dir(s->disk, "");
    if (!err && !fresh)
        err = replay_journal(s, &r);
    if (!err && !fresh)
        err = sync_files(s);
    if (!err)
        err = settle_logs(s);
    text_reset(&r.bytes);
    if (err)
        return err;
    s->epoch = (int32_t)r.epoch + 1;
    s->journal.sequence = s->journal.synced_sequence = r.sequence;
    s->journal.crc = r.crc;
    stage_control(s, ENTRY_RUN, NULL, s->epoch, 0);
    size_t position = 0;
    struct log_state *l;
    while ((l = idmap_next(&s->logs, &position)) != NULL)
        if (l->direct_from != INT64_MAX && l->direct_to == INT64_MAX) {
            stage_control(s, ENTRY_JOURNALED, l, l->log.end, 0);
            log_close_direct_part(l, l->log.end);
        }
    return OK;
}
