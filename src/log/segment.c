/*
 * Segments: files of record batches one behind the other, named by the base offset of the first, as
 * Kafka's own: logs/<log id>/<20 digits>.log. Nothing but batches lies in them; zeros behind the
 * last one where space is preallocated.
 *
 * Index: <20 digits>.index beside it, entries of 32 bytes {i64 base offset of a batch, u32 its
 * position, u32 its checksum, i64 largest timestamp of the segment up to and with it, u32 crc32c of
 * the 24 bytes before, u32 0}, one for every 16 KiB. It is a help and not a truth: synced only when
 * its segment is sealed, and a reader believes an entry when its checksum is right and a batch with
 * that offset and checksum begins there, else it walks the segment from the start.
 *
 * While a segment is compacted its successor grows in <20 digits>.cleaned: see compact.c.
 */
#include "log/store_internal.h"

#include "base/crc32c.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

void log_dir(uint64_t id, char out[40])
{
    snprintf(out, 40, "logs/%llu", (unsigned long long)id);
}

void segment_path(uint64_t id, int64_t base, const char *suffix, char out[64])
{
    snprintf(out, 64, "logs/%llu/%020lld.%s", (unsigned long long)id, (long long)base, suffix);
}

int64_t log_sealed_to(const struct log_state *l)
{
    if (l->parts->segment >= 0)
        return l->parts->segment;
    bool is_joined = l->direct && l->stored_to == l->parts->direct_from;
    return is_joined ? l->direct->synced_segment : l->stored_to;
}

uint64_t log_segment_bytes(const struct log_state *l)
{
    uint64_t limit = l->store->config.segment_bytes;
    const struct log_policy *p = l->policy;
    return p && p->segment_bytes > 0 && (uint64_t)p->segment_bytes < limit
               ? (uint64_t)p->segment_bytes
               : limit;
}

void log_roll(struct log_state *l)
{
    check(!l->parts->materialising);
    log_parts(l)->segment = -1;
    log_parts(l)->position = 0;
}

bool log_segment_is_old(const struct log_state *l, int64_t since_ms)
{
    return l->policy && l->store->wall_ms > since_ms &&
           l->store->wall_ms - since_ms > l->policy->segment_ms;
}

/* ---- the index ---- */

void index_note(index_entries *index, uint64_t *indexed, struct index_entry entry)
{
    if (index->count > 0 && entry.position - *indexed < INDEX_EVERY_BYTES)
        return;
    vec_push(index, entry);
    *indexed = entry.position;
}

static void encode_index(const index_entries *index, struct text *out)
{
    for (size_t i = 0; i < index->count; i++) {
        const struct index_entry *e = &index->items[i];
        size_t start = out->size;
        text_put_u64(out, (uint64_t)e->offset);
        text_put_u32(out, e->position);
        text_put_u32(out, e->crc);
        text_put_u64(out, (uint64_t)e->max_timestamp);
        text_put_u32(out, crc32c(out->data + start, 24));
        text_put_u32(out, 0);
    }
}

bool index_entry_get(const uint8_t *p, struct index_entry *out)
{
    if (get_u32(p + 24) != crc32c(p, 24))
        return false;
    *out = (struct index_entry){
        .offset = (int64_t)get_u64(p),
        .position = get_u32(p + 8),
        .crc = get_u32(p + 12),
        .max_timestamp = (int64_t)get_u64(p + 16),
    };
    return true;
}

/* The size of what an index may keep when entries from `position` on are going to follow: an earlier
 * run may have left others, or damaged ones, there. */
static enum err index_kept_bytes(struct file *f, uint64_t position, uint64_t *out)
{
    uint64_t size;
    enum err err = file_size(f, &size);
    size = err ? 0 : size - size % INDEX_ENTRY_BYTES;
    while (!err && size > 0) {
        uint8_t p[INDEX_ENTRY_BYTES];
        struct index_entry e;
        err = file_read(f, size - INDEX_ENTRY_BYTES, p, sizeof p);
        if (!err && index_entry_get(p, &e) && e.position < position)
            break;
        size -= INDEX_ENTRY_BYTES;
    }
    *out = size;
    return err;
}

enum err index_append(struct disk *d, uint64_t id, int64_t base, const index_entries *index,
                      bool sealed)
{
    char path[64];
    struct file *f = NULL;
    uint64_t size = 0;
    struct text bytes = {0};
    if (index->count == 0 && !sealed)
        return OK;
    segment_path(id, base, "index", path);
    encode_index(index, &bytes);
    enum err err = disk_open(d, path, DISK_CREATE, &f);
    if (!err)
        err = index_kept_bytes(f, index->count ? index->items[0].position : UINT64_MAX, &size);
    if (!err)
        err = file_truncate(f, size);
    if (!err && bytes.size > 0)
        err = file_write_bytes(f, size, text_bytes(&bytes));
    if (!err && sealed)
        err = file_sync(f);
    file_close(f);
    text_reset(&bytes);
    return err;
}

enum err index_write(struct disk *d, uint64_t id, int64_t base, const index_entries *index)
{
    char path[64];
    segment_path(id, base, "index", path);
    enum err err = disk_remove(d, path);
    return err ? err : index_append(d, id, base, index, true);
}

/* ---- listing ---- */

static void note_segment(void *ctx, const char *name)
{
    segment_bases *out = ctx;
    struct bytes text = bytes_from_string(name);
    int64_t base;
    if (text.size > 4 && strcmp(name + text.size - 4, ".log") == 0 &&
        number_parse_i64(bytes_of(name, text.size - 4), &base))
        vec_push(out, base);
}

static int compare_bases(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

enum err segment_list(struct disk *d, uint64_t id, segment_bases *out)
{
    char dir[40];
    log_dir(id, dir);
    out->count = 0;
    enum err err = disk_list(d, dir, note_segment, out);
    if (err == E_NOT_FOUND)
        return OK;
    if (!err && out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, compare_bases);
    return err;
}

enum err segment_remove(struct disk *d, uint64_t id, int64_t base)
{
    char path[64];
    segment_path(id, base, "index", path);
    enum err err = disk_remove(d, path);
    segment_path(id, base, "log", path);
    return err ? err : disk_remove(d, path);
}

/* ---- walking ---- */

/* One batch at `position`, whole, into `buffer`; null at the end of what is valid. */
static enum err read_batch(struct file *f, uint64_t position, uint64_t size, struct text *buffer,
                           struct bytes *out)
{
    uint8_t prefix[BATCH_PREFIX_BYTES];
    *out = BYTES_NULL;
    if (size - position < BATCH_HEADER_BYTES)
        return OK;
    enum err err = file_read(f, position, prefix, sizeof prefix);
    if (err)
        return err;
    uint64_t length = (uint64_t)get_u32(prefix + 8) + BATCH_PREFIX_BYTES;
    if (length < BATCH_HEADER_BYTES || length > size - position)
        return OK;
    buffer->size = 0;
    text_reserve(buffer, length);
    err = file_read(f, position, buffer->data, length);
    if (!err)
        *out = bytes_of(buffer->data, length);
    return err;
}

enum err segment_scan(struct file *f, uint64_t *position, struct segment_scan *scan)
{
    uint64_t size;
    struct text buffer = {0};
    enum err err = file_size(f, &size);
    int32_t epoch = scan->min_epoch;
    while (!err && *position < size) {
        struct bytes raw;
        struct batch b;
        err = read_batch(f, *position, size, &buffer, &raw);
        if (err || !raw.data || batch_parse(raw, &b) != OK)
            break;
        if (b.base_offset != scan->next_offset || b.leader_epoch < epoch ||
            b.leader_epoch > scan->max_epoch || !batch_is_intact(&b))
            break;
        scan->each(scan->ctx, &b, *position);
        epoch = b.leader_epoch;
        scan->next_offset = batch_last_offset(&b) + 1;
        *position += raw.size;
    }
    text_reset(&buffer);
    return err;
}
