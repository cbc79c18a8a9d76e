/*
 * The journal: one write-ahead log for the disk, in preallocated files that are used again.
 *
 * Addresses. The journal is one endless address space; file of generation g covers
 * [base, base + size), and base of g + 1 is base + size of g. Files are journal/<slot>.journal; the
 * header says which generation a slot holds now.
 *
 * File header, the first 4096 bytes, big-endian like everything here:
 *    0  8 bytes "PABALJNL"       8  u32 format version = 2      12  u32 crc32c of bytes 16..47
 *   16  u64 generation          24  u64 base address            32  u64 file size
 *   40  u64 records lie below this position of the file (version 1: not said)
 *
 * The header that says more is written in front of the record that reaches beyond, a 32nd of the file ahead. So a
 * start need not read what lies behind: nobody was told that a record there is durable. All that changes lies in
 * the first 512 bytes, which a device writes as a whole.
 *
 * Commit record, at a multiple of 64, padded with a PAD entry: small ones of level os to the next
 * multiple, others to the end of a block.
 *    0  u32 magic 0x5042524a    4  u32 crc32c of bytes 8 to the end of the record
 *    8  u32 crc of the record before                 12  u32 run epoch
 *   16  u64 size, a multiple of 64                   24  u64 sequence: 1, 2, ...
 *   32  u64 highest sequence known to be synced when this record was sealed
 *   40  u64 generation of the file                   48  u32 entries
 *   52  u8 flags: 1, the commit goes on in the next record              53  11 zero bytes
 *
 * A commit is all or nothing: records that say it goes on count only when the one that ends it is
 * there, of the same run.
 *
 * Entry, at a multiple of 8:
 *    0  u8 type   1  u8 flags   2  u16 count of logs (DATA)   4  u32 size with this header
 *   DATA: for each log {u64 id, i64 base offset}, then a record batch, then zeros to 8. The batch's
 * own base offset and epoch are the first log's. Without CARRIED, base offset is the log's end
 * before. others: u64 log id, i64 a, u64 b (see enum entry_type).
 *
 * Recovery. Files are put in order of generation. Records are followed from the oldest file on:
 * each must have its file's generation, the next sequence, and the checksum of the one before.
 * A journal's very first record says that a run begins, and is durable before any other is written: else what a
 * power cut leaves of a later file could seem to be the beginning.
 * Where the chain breaks, one of two things happened: the machine stopped in the middle of a write
 * that nobody was told of (a torn tail: the journal ends there), or bytes that were synced are
 * damaged (rot). It is rot if a later intact record of the same run says that the broken one was
 * synced.
 *
 * Blocks that hold a record that somebody waited to see synced are never written again before the
 * file is renewed. Those of level os may be, with the same bytes in front: a device that writes
 * sectors as a whole changes nothing there. A new run starts at a block: behind the last intact record
 * if it ends with one, else in the next file. A later file that begins with a record, which the
 * chain then does not have, gets a new generation first.
 *
 * Changing the format: raise the version in the file header; a reader refuses a version it does not
 * know, and a writer begins a new file.
 */
#include "log/store_internal.h"

#include "base/crc32c.h"
#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RECORD_GOES_ON = 1,
    RECORD_MAGIC = 0x5042524a,
    FORMAT_VERSION = 2, /* 1: bytes 40..47 say nothing */
    FILE_STEP_BYTES = 64 * KIB,
    REACH_PART = 32, /* of a file: so much ahead its header says that there are records */
    FILES_AHEAD = 2,
    FILES_MIN = 4, /* a file is at most that part of journal_max_bytes */
    SPARE_MAX = 2, /* times what the journal may have: beyond, files go beside who writes too */
    GROWTH_MAX = 6,
    AHEAD_MAX = 2,  /* times journal_max_bytes: so far may who writes outrun the helpers */
    TIDY_PART = 16, /* of journal_max_bytes: less is not tidied */
    TIDY_GAIN = 4,  /* what tidying writes is at most this part of what it makes free */
    ROW_ABOUT_BYTES = 200,
};

void journal_path(uint32_t slot, char out[32])
{
    snprintf(out, 32, "journal/%06u.journal", slot);
}

static enum err write_header(const struct journal_file *f)
{
    uint8_t *p = xzalloc(JOURNAL_HEADER_BYTES);
    memcpy(p, "PABALJNL", 8);
    put_u32(p + 8, FORMAT_VERSION);
    put_u64(p + 16, f->generation);
    put_u64(p + 24, f->base);
    put_u64(p + 32, f->size);
    put_u64(p + 40, f->records_below);
    put_u32(p + 12, crc32c(p + 16, 32));
    enum err err = file_write_bytes(f->file, 0, bytes_of(p, JOURNAL_HEADER_BYTES));
    free(p);
    return err;
}

enum err journal_reach(struct journal_file *f, uint64_t end)
{
    if (end <= f->records_below)
        return OK;
    uint64_t below = round_up(end + f->size / REACH_PART, 4 * KIB);
    f->records_below = below < f->size ? below : f->size;
    return write_header(f);
}

enum err journal_file_header_get(const uint8_t *p, struct journal_file_header *out)
{
    if (memcmp(p, "PABALJNL", 8) != 0 || get_u32(p + 12) != crc32c(p + 16, 32))
        return err_set(E_CORRUPT, "no valid header");
    uint32_t version = get_u32(p + 8);
    if (version == 0 || version > FORMAT_VERSION)
        return err_set(E_UNSUPPORTED, "format version %u, this release knows %d", version,
                       FORMAT_VERSION);
    out->generation = get_u64(p + 16);
    out->base = get_u64(p + 24);
    out->size = get_u64(p + 32);
    out->records_below = version == 1 ? 0 : get_u64(p + 40);
    return OK;
}

bool record_header_get(const uint8_t *p, struct record_header *out)
{
    *out = (struct record_header){
        .crc = get_u32(p + 4),
        .prev_crc = get_u32(p + 8),
        .epoch = get_u32(p + 12),
        .size = get_u64(p + 16),
        .sequence = get_u64(p + 24),
        .synced = get_u64(p + 32),
        .generation = get_u64(p + 40),
        .entries = get_u32(p + 48),
        .goes_on = p[52] & RECORD_GOES_ON,
    };
    return get_u32(p) == RECORD_MAGIC && out->size >= RECORD_HEADER_BYTES && out->epoch < INT32_MAX;
}

void journal_seal_record(struct store *s, struct staged *r, bool goes_on)
{
    struct journal *j = &s->journal;
    uint8_t *p = r->parts.items[0].iov_base;
    memset(p, 0, RECORD_HEADER_BYTES);
    put_u32(p, RECORD_MAGIC);
    put_u32(p + 8, j->crc);
    put_u32(p + 12, (uint32_t)s->epoch);
    put_u64(p + 16, r->size);
    put_u64(p + 24, ++j->sequence);
    put_u64(p + 32, j->synced_sequence);
    put_u64(p + 40, r->file->generation);
    put_u32(p + 48, r->entries);
    p[52] = goes_on ? RECORD_GOES_ON : 0;
    uint32_t crc = crc32c(p + 8, r->parts.items[0].iov_len - 8);
    for (size_t i = 1; i < r->parts.count; i++)
        crc = crc32c_extend(crc, r->parts.items[i].iov_base, r->parts.items[i].iov_len);
    put_u32(p + 4, crc);
    j->crc = crc;
}

/* Make the file behind `f`, or give an old one its new generation. Durable when it returns. (job)
 */
static enum err create_file(struct disk *d, struct journal_file *f, bool fresh)
{
    char path[32];
    journal_path(f->slot, path);
    enum err err = OK;
    if (fresh)
        err = disk_open(d, path, DISK_CREATE | DISK_AS_ASKED, &f->file);
    if (!err && fresh)
        err = file_allocate(f->file, 0, f->size, true);
    f->records_below = JOURNAL_HEADER_BYTES;
    if (!err)
        err = write_header(f);
    if (!err)
        err = file_sync(f->file);
    if (!err && fresh)
        err = disk_open(d, path, DISK_DIRECT, &f->writer);
    if (!err && fresh)
        err = disk_sync_dir(d, "journal");
    return err_wrap(err, "prepare %s", path);
}

struct prepare {
    struct job job;
    struct store *store;
    struct journal_file *file;
    bool fresh;
    enum err err;
    char error[256];
};

static void close_file(struct journal_file *f)
{
    file_close(f->writer);
    file_close(f->file);
    f->file = f->writer = NULL;
}

/* What the file has taken on a full disk is left to others. */
static void give_up_file(struct disk *d, struct journal_file *f)
{
    char path[32];
    journal_path(f->slot, path);
    close_file(f);
    if (disk_remove(d, path) != OK)
        say_warn("log", "cannot remove %s: %s", path, err_text());
}

static void prepare_run(struct job *job)
{
    struct prepare *p = (struct prepare *)job;
    p->err = create_file(p->store->disk, p->file, p->fresh);
    if (p->err)
        snprintf(p->error, sizeof p->error, "%s", err_text());
    if (p->err == E_NO_SPACE && p->fresh)
        give_up_file(p->store->disk, p->file);
}

/* No room for another journal file. One that nothing was staged into is forgotten; one that a
 * commit waits for is tried again by the tick. */
static void prepare_failed(struct store *s, struct journal_file *f)
{
    f->state = JOURNAL_MISSING;
    if (f->used > 0 || f->node.next != &s->journal.files) {
        s->journal.missing++;
        return;
    }
    s->journal.generation--;
    s->journal.file_count--;
    s->journal.total_bytes -= f->size;
    journal_file_free(f);
}

static void prepare_done(struct job *job)
{
    struct prepare *p = (struct prepare *)job;
    struct store *s = p->store;
    s->helpers--;
    s->journal.preparing--;
    s->preparing_bytes -= p->fresh ? p->file->size : 0;
    if (!p->err) {
        s->no_space = false;
        if (p->fresh)
            space_note_file(s, p->file->size);
        p->file->state = p->file->passed     ? JOURNAL_FULL
                         : p->file->used > 0 ? JOURNAL_ACTIVE
                                             : JOURNAL_READY;
        /* A commit that waited for this file starts at the end of the turn, not here: what was
         * promised by log_next_ticket() in this turn may not be staged yet. */
    } else if (p->err == E_NO_SPACE && p->fresh) {
        if (!s->no_space)
            say_warn("log", "disk full, the journal cannot grow: %s", p->error);
        s->no_space = true;
        prepare_failed(s, p->file);
    } else {
        store_freeze(s, p->err, p->error);
    }
    if (!p->fresh)
        recycle_released(s);
    free(p);
}

static void prepare(struct store *s, struct journal_file *f, bool fresh)
{
    struct prepare *p = xzalloc(sizeof *p);
    p->job.run = prepare_run;
    p->job.done = prepare_done;
    p->store = s;
    p->file = f;
    p->fresh = fresh;
    f->state = JOURNAL_PREPARING;
    s->journal.preparing++;
    s->preparing_bytes += fresh ? f->size : 0;
    s->helpers++;
    jobs_submit(s->jobs, LANE_PREPARE, &p->job);
}

void journal_file_free(struct journal_file *f)
{
    list_remove(&f->node);
    close_file(f);
    free(f);
}

static struct journal_file *last_file(struct store *s)
{
    return list_is_empty(&s->journal.files)
               ? NULL
               : container_of(s->journal.files.prev, struct journal_file, node);
}

/* Where the file behind the last one begins. */
static uint64_t next_base(struct store *s)
{
    struct journal_file *last = last_file(s);
    uint64_t base = last ? last->base + last->size : JOURNAL_FIRST_ADDRESS;
    return base > s->journal.floor ? base : s->journal.floor;
}

/* The journal is larger than it should be, and helpers are at what makes files free: one more now would let
 * those who write outrun them, and the next start would have to read it all. But when many large tails leave at
 * once, that takes seconds. */
static bool must_wait(const struct store *s)
{
    uint64_t max = s->journal.max_bytes, ahead = AHEAD_MAX * s->config.journal_max_bytes;
    uint64_t limit = max + (ahead < max ? ahead : max);
    return s->journal.total_bytes > limit && s->recycle.materialising > 0;
}

static struct journal_file *new_file(struct store *s, uint64_t size)
{
    struct journal *j = &s->journal;
    struct journal_file *f = xzalloc(sizeof *f);
    f->slot = ++j->slot_count;
    f->generation = ++j->generation;
    f->base = next_base(s);
    f->size = size;
    list_push_back(&j->files, &f->node);
    j->file_count++;
    j->total_bytes += size;
    return f;
}

static struct journal_file *add_file(struct store *s, uint64_t size)
{
    struct journal_file *f = new_file(s, size);
    if (must_wait(s))
        f->state = JOURNAL_WAITING;
    else
        prepare(s, f, true);
    return f;
}

static uint64_t next_size(struct store *s, uint64_t need)
{
    struct journal_file *last = last_file(s);
    uint64_t size = last ? last->size * 2 : s->config.journal_first_bytes;
    uint64_t limit = s->config.journal_max_bytes / FILES_MIN;
    if (limit > s->config.journal_file_bytes)
        limit = s->config.journal_file_bytes;
    if (size > limit)
        size = limit;
    return round_up(size > need ? size : need, FILE_STEP_BYTES);
}

uint64_t journal_next_bytes(struct store *s)
{
    return next_size(s, 0);
}

/* Files behind `f` that nothing was staged into. */
static uint32_t files_ahead(struct store *s)
{
    uint32_t count = 0;
    for (struct list *n = s->journal.files.prev; n != &s->journal.files; n = n->prev) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (f->used > 0)
            break;
        count++;
    }
    return count;
}

uint64_t journal_free_bytes(const struct store *s)
{
    uint64_t sum = 0;
    for (struct list *n = s->journal.files.prev; n != &s->journal.files; n = n->prev) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (f->used > 0)
            return sum + (f->base + f->size - journal_end_address(s));
        sum += f->size;
    }
    return sum;
}

struct journal_file *journal_file_at(struct store *s, uint64_t address)
{
    list_each (n, &s->journal.files) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (address >= f->base && address < f->base + f->size)
            return f;
    }
    return NULL;
}

struct journal_file *journal_newest_file(const struct store *s)
{
    for (struct list *n = s->journal.files.prev; n != &s->journal.files; n = n->prev) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (f->used > 0)
            return f;
    }
    return NULL;
}

uint64_t journal_end_address(const struct store *s)
{
    const struct commit *c = s->staging;
    if (c && c->records.count) {
        const struct staged *r = &vec_last(&c->records);
        return r->address + r->size;
    }
    struct journal_file *f = journal_newest_file(s);
    return f ? f->base + f->used : 1;
}

/* So few empty files are left that an old one must be made free. */
static bool is_short(struct store *s)
{
    return files_ahead(s) < FILES_AHEAD &&
           (s->no_space || s->journal.total_bytes + next_size(s, 0) > s->journal.max_bytes ||
            !space_has_room(s, next_size(s, 0)));
}

/* Whoever writes much at times makes the journal grow at times; to make a file each time costs more
 * than its room. */
static bool is_too_large(const struct store *s)
{
    uint64_t limit =
        s->recycle.free_below > 0 ? s->journal.max_bytes : SPARE_MAX * s->journal.max_bytes;
    return s->journal.total_bytes > limit;
}

bool journal_wants_free_file(struct store *s)
{
    return s->recycle.free_below > 0 || is_too_large(s) || is_short(s);
}

/* What making `f` and all files before it free writes, at most: tails, a row for each changed log, and one
 * more in each file's turn for those with a tail in it. */
static uint64_t tidying_bytes(const struct store *s, const struct journal_file *f)
{
    uint64_t tails = 0, rows = 0, tailed = 0, files = 0;
    list_each (n, &s->tailed) {
        tails += container_of(n, struct log_state, tailed)->tail.bytes;
        tailed++;
    }
    list_each (n, &s->dirty)
        rows++;
    for (const struct list *n = &f->node; n != &s->journal.files; n = n->prev)
        files++;
    return tails + (rows + tailed * files) * ROW_ABOUT_BYTES;
}

/* Can the journal go on behind `f` at once? */
static bool is_ready_behind(const struct store *s, const struct journal_file *f)
{
    const struct list *next = f->node.next;
    return next != &s->journal.files &&
           container_of(next, struct journal_file, node)->state == JOURNAL_READY;
}

bool journal_tidy(struct store *s)
{
    struct journal_file *newest = journal_newest_file(s);
    if (s->recycle.free_below > 0 || !newest || s->low_space || s->no_space)
        return s->recycle.free_below > 0;
    struct journal_file *oldest = container_of(s->journal.files.next, struct journal_file, node);
    bool passes = is_ready_behind(s, newest);
    uint64_t end = newest->base + (passes ? newest->used : 0);
    uint64_t used = end - oldest->base;
    if (used < s->config.journal_max_bytes / TIDY_PART ||
        used < TIDY_GAIN * tidying_bytes(s, newest))
        return false;
    if (passes) {
        stage_close_record(s);
        journal_pass(s, newest);
        /* a journal without a record would be a first start's */
        stage_control(s, ENTRY_RUN, NULL, s->epoch, 0);
        store_want_sync(s);
    }
    s->recycle.free_below = passes ? newest->base + newest->size : newest->base;
    s->due_ns = s->now_ns;
    return true;
}

void journal_note_carried(struct store *s, const struct journal_file *f, uint64_t bytes)
{
    uint64_t limit = GROWTH_MAX * s->config.journal_max_bytes;
    if (bytes < f->used / 8) {
        if (s->carry_bytes < s->config.carry_bytes)
            s->carry_bytes *= 2;
        else if (s->journal.max_bytes >= s->config.journal_max_bytes + f->size)
            s->journal.max_bytes -= f->size;
    }
    if (bytes <= f->used / 2 || s->recycle.free_below > 0)
        return; /* tidying takes files that are hardly used */
    if (s->journal.max_bytes + f->size <= limit)
        s->journal.max_bytes += f->size;
    else if (s->carry_bytes > 1)
        s->carry_bytes /= 2;
}

void journal_pass(struct store *s, struct journal_file *f)
{
    f->passed = true;
    f->last_commit = s->journal_lane.staging;
    if (f->state == JOURNAL_ACTIVE || f->state == JOURNAL_READY)
        f->state = JOURNAL_FULL;
}

void journal_skip_to(struct store *s, uint64_t address)
{
    stage_close_record(s);
    list_each (n, &s->journal.files) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        journal_pass(s, f);
        f->used = f->size;
    }
    s->journal.floor = round_up(address, 4 * KIB);
}

/* The size of a file that a record with so many bytes of entries surely fits into. */
static uint64_t least_size(const struct store *s, uint64_t entries)
{
    return entries + JOURNAL_HEADER_BYTES + 2 * RECORD_HEADER_BYTES + 2 * s->disk->block_bytes;
}

enum err journal_make_first(struct store *s)
{
    uint64_t need = least_size(s, ENTRY_CONTROL_BYTES);
    list_each (n, &s->journal.files)
        if (container_of(n, struct journal_file, node)->size >= need)
            return OK;
    struct journal_file *f = new_file(s, next_size(s, need));
    f->state = JOURNAL_READY;
    return create_file(s->disk, f, true);
}

struct journal_file *journal_next_file(struct store *s, uint64_t need)
{
    need = least_size(s, need);
    list_each (n, &s->journal.files) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (f->used > 0)
            continue;
        f->used = JOURNAL_HEADER_BYTES;
        if (f->size >= need)
            return f;
        journal_pass(s, f); /* too small for this record */
    }
    struct journal_file *f = add_file(s, next_size(s, need));
    f->used = JOURNAL_HEADER_BYTES;
    return f;
}

/* ---- files that are used again, or go ---- */

struct removal {
    struct job job;
    struct store *store;
    struct journal_file *file;
    struct unnamed_file unnamed;
    enum err err;
    char error[256];
};

/* Durable before the next file is renewed or removed, which is a later job of the lane: else a crash could
 * bring this one back, and the next would be missing behind it. */
static void removal_run(struct job *job)
{
    struct removal *r = container_of(job, struct removal, job);
    char path[32];
    journal_path(r->file->slot, path);
    close_file(r->file);
    r->err = disk_unname(r->store->disk, path, &r->unnamed);
    if (!r->err)
        r->err = disk_sync_dir(r->store->disk, "journal");
    if (r->err)
        snprintf(r->error, sizeof r->error, "%s", err_text());
}

static void removal_done(struct job *job)
{
    struct removal *r = container_of(job, struct removal, job);
    unnamed_files files = {0};
    r->store->helpers--;
    if (r->err)
        store_freeze(r->store, r->err, r->error);
    if (r->unnamed.file)
        vec_push(&files, r->unnamed);
    space_give_back(r->store, &files);
    recycle_released(r->store);
    journal_file_free(r->file);
    free(r);
}

static void remove_file(struct store *s, struct journal_file *f)
{
    struct removal *r = xzalloc(sizeof *r);
    list_remove(&f->node);
    s->journal.file_count--;
    s->journal.total_bytes -= f->size;
    r->job.run = removal_run;
    r->job.done = removal_done;
    r->store = s;
    r->file = f;
    s->helpers++;
    jobs_submit(s->jobs, LANE_HELPER, &r->job);
}

void journal_release(struct store *s, struct journal_file *f)
{
    check(f->state == JOURNAL_FULL && f->readers == 0);
    check(f != last_file(s));
    bool is_spare = files_ahead(s) >= FILES_AHEAD && s->journal.newest_written != f;
    if (is_spare && is_too_large(s))
        remove_file(s, f);
    else
        journal_make_anew(s, f);
}

static void put_behind(struct store *s, struct journal_file *f)
{
    list_remove(&f->node);
    f->generation = ++s->journal.generation;
    f->base = next_base(s);
    f->used = 0;
    f->passed = false;
    list_push_back(&s->journal.files, &f->node);
}

void journal_make_anew(struct store *s, struct journal_file *f)
{
    put_behind(s, f);
    prepare(s, f, false);
}

enum err journal_make_anew_now(struct store *s, struct journal_file *f)
{
    put_behind(s, f);
    f->state = JOURNAL_READY;
    return create_file(s->disk, f, false);
}

static struct journal_file *file_in_state(struct store *s, enum journal_file_state state)
{
    list_each (n, &s->journal.files) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (f->state == state)
            return f;
    }
    return NULL;
}

void journal_prepare_waiting(struct store *s)
{
    struct journal_file *waiting = file_in_state(s, JOURNAL_WAITING);
    if (waiting && !must_wait(s))
        prepare(s, waiting, true);
}

/* The newest file is half full and none is behind it. A commit that needs one would have it made then, and wait. */
static bool is_nearly_out(struct store *s)
{
    const struct journal_file *newest = journal_newest_file(s);
    return newest && newest->used > newest->size / 2 && files_ahead(s) == 0 && !must_wait(s) &&
           !s->no_space && space_has_room(s, next_size(s, 0));
}

void journal_prepare_more(struct store *s)
{
    if (s->frozen || s->closing || s->journal.preparing > 0)
        return; /* one at a time */
    journal_prepare_waiting(s);
    if (s->journal.preparing > 0)
        return;
    if (s->journal.missing > 0) {
        s->journal.missing--;
        prepare(s, file_in_state(s, JOURNAL_MISSING), true);
    } else if (is_nearly_out(s)) {
        add_file(s, next_size(s, 0));
    } else if (journal_wants_free_file(s)) {
        recycle_step(s);
    } else if (files_ahead(s) < FILES_AHEAD) {
        add_file(s, next_size(s, 0));
    }
}
