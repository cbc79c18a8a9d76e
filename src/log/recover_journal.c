/*
 * Recovery, first half: which journal files there are, and which of their records count. A record
 * counts when it follows the one before: next in sequence, with its checksum. Where the chain ends,
 * the rest of the files is searched for a record that knows of more: then what is missing had been
 * synced, which is rot, else the tail was torn. A file without a valid header is one that was never
 * finished, unless records lie in it.
 */
#include "log/recover_internal.h"

#include "base/crc32c.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- files ---- */

enum { FILE_LEAST_BYTES = JOURNAL_HEADER_BYTES + RECORD_HEADER_BYTES };

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

static bool is_intact(struct bytes rest, const struct record_header *h)
{
    return h->size <= rest.size && crc32c(rest.data + 8, h->size - 8) == h->crc;
}

/* Does any record lie in the file, of whatever generation? */
static enum err has_records(struct file *f, uint64_t size, bool *out)
{
    struct text content = {0};
    struct record_header h;
    uint8_t *p = text_reserve(&content, size + 1);
    enum err err = file_read(f, 0, p, size);
    *out = false;
    for (uint64_t at = 0; !err && !*out && at + RECORD_HEADER_BYTES <= size;
         at += RECORD_ALIGN_BYTES)
        *out = record_header_get(p + at, &h) && is_intact(bytes_of(p + at, size - at), &h);
    text_reset(&content);
    return err;
}

/* The header does not count. Fine if nothing was ever written behind it: the file is made anew. */
static enum err check_unfinished(struct store *s, struct file *f, uint64_t size)
{
    bool found;
    enum err err = has_records(f, size, &found);
    if (!err && found && !s->config.accept_loss)
        err = err_set(E_CORRUPT, "its header is damaged and records lie behind it; start with "
                                 "--accept-loss to go on without them");
    return err;
}

static enum err read_file_header(struct store *s, struct journal_file *f)
{
    uint8_t header[48] = {0};
    uint64_t size;
    struct journal_file_header h = {0};
    enum err err = file_size(f->file, &size);
    if (!err && size >= sizeof header)
        err = file_read(f->file, 0, header, sizeof header);
    if (!err)
        err = journal_file_header_get(header, &h);
    bool fits = h.size >= FILE_LEAST_BYTES && h.size <= size && h.records_below <= h.size;
    if (err == E_CORRUPT || (!err && (!fits || h.generation == 0)))
        return check_unfinished(s, f->file, size);
    if (err)
        return err;
    f->generation = h.generation;
    f->base = h.base;
    f->size = h.size;
    f->records_below = h.records_below;
    return OK;
}

static enum err open_journal_file(struct store *s, uint32_t slot, struct journal_file **out)
{
    char path[32];
    struct journal_file *f = xzalloc(sizeof *f);
    f->slot = slot;
    journal_path(slot, path);
    enum err err = disk_open(s->disk, path, DISK_AS_ASKED, &f->file);
    if (!err)
        err = disk_open(s->disk, path, DISK_DIRECT, &f->writer);
    if (!err)
        err = read_file_header(s, f);
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
        !number_parse_i64(bytes_of(name, text.size - 8), &slot) || slot < 1 || slot > INT32_MAX)
        return;
    if (found->err)
        return;
    found->err = open_journal_file(found->s, (uint32_t)slot, &f);
    vec_push(&found->items, f);
    if ((uint32_t)slot > found->s->journal.slot_count)
        found->s->journal.slot_count = (uint32_t)slot;
}

/* Addresses go up with the generations, each of which was given to one file. */
static enum err check_order(const struct journal *j)
{
    uint64_t generation = 0, end = JOURNAL_FIRST_ADDRESS;
    list_each (n, &j->files) {
        const struct journal_file *f = container_of(n, struct journal_file, node);
        if (f->generation == generation || f->base < end || f->base > INT64_MAX - f->size)
            return err_set(E_CORRUPT, "journal file %06u has generation %llu and address %llu",
                           f->slot, (unsigned long long)f->generation, (unsigned long long)f->base);
        generation = f->generation;
        end = f->base + f->size;
    }
    return OK;
}

/* A generation may be missing between two others: the disk had no room for its file. */
enum err recover_find_files(struct store *s)
{
    struct found_files found = {.s = s};
    struct journal *j = &s->journal;
    enum err err = disk_list(s->disk, "journal", note_journal_file, &found);
    if (!err)
        err = found.err;
    if (found.items.count > 1)
        qsort(found.items.items, found.items.count, sizeof *found.items.items, compare_files);
    for (size_t i = 0; i < found.items.count; i++) {
        struct journal_file *f = found.items.items[i];
        list_push_back(&j->files, &f->node);
        if (f->generation == 0) {
            char path[32];
            journal_path(f->slot, path);
            journal_file_free(f);
            if (!err)
                err = disk_remove(s->disk, path);
            continue;
        }
        j->file_count++;
        j->total_bytes += f->size;
        j->generation = f->generation;
    }
    vec_reset(&found.items);
    return err ? err : check_order(j);
}

/* ---- the chain ---- */

/* Is there an intact record of this file's generation here? */
static bool record_at(const struct replay *r, uint64_t position, struct record_header *h)
{
    struct bytes rest = bytes_of(r->bytes.data + position, r->bytes.size - position);
    return rest.size >= RECORD_HEADER_BYTES && record_header_get(rest.data, h) &&
           h->generation == r->file->generation && is_intact(rest, h);
}

static bool record_follows(const struct replay *r, const struct record_header *h)
{
    if (r->sequence == 0)
        return !r->is_broken;
    return h->sequence == r->sequence + 1 && h->prev_crc == r->crc;
}

/* The chain has ended at r->position. Does a later record say that more had been synced? */
static enum err look_for_rot(struct replay *r)
{
    struct record_header h;
    for (uint64_t at = r->position; at < r->bytes.size; at += RECORD_ALIGN_BYTES) {
        if (!record_at(r, at, &h))
            continue;
        if (h.epoch > r->epoch_max)
            r->epoch_max = h.epoch;
        if (h.epoch >= r->epoch && h.sequence > r->sequence && h.synced > r->sequence &&
            !r->s->config.accept_loss)
            return err_set(E_CORRUPT,
                           "journal file %06u is damaged at byte %llu, below what was synced "
                           "(record %llu says up to %llu); start with --accept-loss to go on "
                           "without what follows",
                           r->file->slot, (unsigned long long)r->position,
                           (unsigned long long)h.sequence, (unsigned long long)h.synced);
    }
    return OK;
}

/* The chain ends at something that would have been its next record: a write in the middle of which the
 * machine stopped, or damage to a record that no later one calls synced. */
static void tell_of_torn(const struct replay *r)
{
    const uint8_t *p = r->bytes.data + r->position;
    if (r->sequence == 0 || r->position + RECORD_HEADER_BYTES > r->bytes.size)
        return;
    struct record_header h;
    (void)record_header_get(p, &h); /* the fields that are left are looked at */
    int matches = (h.prev_crc == r->crc) + (h.sequence == r->sequence + 1) +
                  (h.generation == r->file->generation);
    if (matches >= 2)
        say_warn("log", "the journal ends in a record that is not whole file=%06u byte=%llu",
                 r->file->slot, (unsigned long long)r->position);
}

/* Does the file begin with a record of its generation, intact or not? */
static bool begins_with_record(const struct replay *r)
{
    struct record_header h;
    const uint8_t *p = r->bytes.data + JOURNAL_HEADER_BYTES;
    return r->bytes.size >= JOURNAL_HEADER_BYTES + RECORD_HEADER_BYTES &&
           record_header_get(p, &h) && h.generation == r->file->generation;
}

static void drop_held(struct replay *r)
{
    for (size_t i = 0; i < r->held.count; i++)
        free(r->held.items[i].bytes);
    vec_reset(&r->held);
}

/* The commit has its end: the records held back count. */
static enum err replay_held(struct replay *r)
{
    struct journal_file *file = r->file;
    uint64_t position = r->position;
    enum err err = OK;
    for (size_t i = 0; i < r->held.count && !err; i++) {
        const struct held_record *held = &r->held.items[i];
        r->file = held->file;
        r->position = held->position;
        err = replay_record(r, held->bytes, &held->header);
    }
    r->file = file;
    r->position = position;
    drop_held(r);
    return err;
}

/* The record at r->position, which belongs to the chain. */
static enum err take_record(struct replay *r, const struct record_header *h)
{
    const uint8_t *p = r->bytes.data + r->position;
    if (r->held.count > 0 && r->held.items[0].header.epoch != h->epoch)
        drop_held(r); /* its run was killed in the middle of the commit */
    if (h->goes_on && LOG_MUTANT != MUTANT_HALF_COMMIT) {
        vec_push(&r->held, ((struct held_record){r->file, r->position, *h, xmemdup(p, h->size)}));
        return OK;
    }
    enum err err = replay_held(r);
    return err ? err : replay_record(r, p, h);
}

/* As much of the file as there may be records in, and where the first one's header would be. */
static uint64_t readable_bytes(const struct journal_file *f)
{
    uint64_t size = f->records_below == 0 ? f->size : f->records_below;
    return size >= FILE_LEAST_BYTES ? size : FILE_LEAST_BYTES;
}

/* The next file is read while this one is replayed. */
static void start_next_read(struct replay *r)
{
    struct list *next = r->file->node.next;
    if (next == &r->s->journal.files)
        return;
    struct journal_file *f = container_of(next, struct journal_file, node);
    file_start_read(f->file, 0, readable_bytes(f));
}

static enum err read_records(struct replay *r)
{
    uint64_t size = readable_bytes(r->file);
    r->bytes.size = 0;
    text_reserve(&r->bytes, size);
    enum err err = file_read(r->file->file, 0, r->bytes.data, size);
    r->bytes.size = size;
    return err;
}

static enum err replay_file(struct replay *r)
{
    struct record_header h;
    r->position = JOURNAL_HEADER_BYTES;
    enum err err = read_records(r);
    start_next_read(r);
    while (!err && r->position < r->bytes.size && record_at(r, r->position, &h) &&
           record_follows(r, &h)) {
        r->epoch = h.epoch > r->epoch ? h.epoch : r->epoch;
        err = take_record(r, &h);
        r->sequence = h.sequence;
        r->synced = h.synced;
        r->crc = h.crc;
        r->position += h.size;
    }
    if (r->epoch > r->epoch_max)
        r->epoch_max = r->epoch;
    bool begins = r->file->records_below > JOURNAL_HEADER_BYTES || begins_with_record(r);
    if (!err && r->sequence == 0 && begins)
        r->is_broken = true; /* whatever follows a damaged record cannot be a beginning */
    if (!err && r->position == JOURNAL_HEADER_BYTES && begins)
        vec_push(&r->leftovers, r->file);
    if (!err)
        err = look_for_rot(r);
    if (!err)
        tell_of_torn(r);
    return err;
}

/* Behind the chain's last record nothing of value is left. It goes on in the same file, if the
 * record ends with one of the device's blocks. */
static void set_states(struct store *s, struct journal_file *newest)
{
    bool before = newest != NULL;
    list_each (n, &s->journal.files) {
        struct journal_file *f = container_of(n, struct journal_file, node);
        if (f == newest) {
            before = false;
            f->state = JOURNAL_ACTIVE;
            if (f->used % s->disk->block_bytes)
                journal_pass(s, f);
            continue;
        }
        f->state = before ? JOURNAL_FULL : JOURNAL_READY;
        f->passed = before;
        f->used = before ? f->size : 0;
    }
}

/* A file that begins, as its header or a record says, with what the chain does not have: it was behind a gap
 * that a power cut left. That would look like the journal's beginning once the files before it are used
 * again, so it gets a new generation; also when the chain goes on behind it, because the last start was cut
 * before it had come to this. The helper comes to it before it renews any file that is made free. Without a
 * chain it is done at once, the last one first: only the damaged one before it tells what it is. */
enum err recover_renew_leftovers(struct replay *r)
{
    size_t count = r->leftovers.count;
    struct journal_file **items = r->leftovers.items;
    enum err err = OK;
    if (r->sequence > 0) {
        for (size_t i = 0; i < count; i++)
            journal_make_anew(r->s, items[i]);
        return OK;
    }
    for (size_t i = count; i-- > 0 && !err;)
        err = journal_make_anew_now(r->s, items[i]);
    return err;
}

static enum err read_chain(struct replay *r)
{
    struct store *s = r->s;
    enum err err = disk_sync_dir(s->disk, "journal"); /* a killed process may not have come to it */
    list_each (n, &s->journal.files) {
        r->file = container_of(n, struct journal_file, node);
        if (!err)
            err = replay_file(r);
        if (err)
            return err_wrap(err, "replay journal file %06u", r->file->slot);
        if (r->position == JOURNAL_HEADER_BYTES)
            continue; /* prepared, or passed over */
        vec_push(&r->chain, ((struct replayed_file){r->file, r->sequence}));
        r->file->used = r->position;
    }
    return err;
}

/* What a killed process had written and not synced, which may be in several files. */
static enum err sync_chain(const struct replay *r)
{
    enum err err = OK;
    bool is_newest = true;
    for (size_t i = r->chain.count; i-- > 0 && !err; is_newest = false)
        if (is_newest || r->chain.items[i].sequence > r->synced)
            err = file_sync(r->chain.items[i].file->file);
    return err;
}

enum err recover_chain(struct replay *r)
{
    enum err err = read_chain(r);
    drop_held(r);
    if (!err) {
        set_states(r->s, r->chain.count ? vec_last(&r->chain).file : NULL);
        err = sync_chain(r);
    }
    vec_reset(&r->chain);
    return err;
}
