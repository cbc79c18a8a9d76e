/* Paths, faults, counts and space of the simulated disk; see sim_node.c for what a crash leaves. */
#include "io/sim_disk.h"

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/vec.h"
#include "io/io_internal.h"
#include "io/sim_node_internal.h"

#include <stdlib.h>

struct fault {
    uint64_t nth; /* of stats.calls; 0: none */
    enum err code;
};

struct sim_disk {
    struct disk disk;
    struct node *root;
    uint64_t capacity_pages;
    uint64_t used_pages; /* of files that have a name or are open */

    bool crashed;
    bool ignores_sync;
    uint64_t run; /* raised by each restart: files of an earlier run are dead */
    uint64_t crash_operation;
    size_t crash_byte;
    struct fault faults[SIM_CALL_COUNT];
    struct sim_disk_stats stats;
    bool cold;
    uint64_t ahead_bytes; /* of all open files */
};

struct ahead {
    uint64_t from, to;
};

struct sim_file {
    struct file file;
    struct node *node;
    uint64_t run;
    bool read_only;
    bool direct;
    uint32_t seen_failed_syncs; /* of the node's */
    VEC(struct ahead) ahead;    /* asked for by file_start_read(), in this order */
};

static struct sim_disk *sim_of(const struct disk *disk)
{
    return container_of(disk, struct sim_disk, disk);
}

static struct sim_file *file_of(struct file *file)
{
    return container_of(file, struct sim_file, file);
}

/* ---- faults ---- */

static enum err crashed(void)
{
    return err_set(E_SIMULATED_CRASH, "simulated crash");
}

/* Count a call, and fail it when its turn has come. */
static enum err begin_call(struct sim_disk *d, enum sim_call call)
{
    if (d->crashed)
        return crashed();
    d->stats.calls[call]++;
    struct fault *fault = &d->faults[call];
    if (fault->nth == 0 || fault->nth != d->stats.calls[call])
        return OK;
    fault->nth = 0;
    return err_set(fault->code, "simulated fault");
}

/* Count an operation that changes the disk, and crash in it when its turn has come. */
static enum err begin_operation(struct sim_disk *d)
{
    if (++d->stats.operations != d->crash_operation)
        return OK;
    d->crashed = true;
    return crashed();
}

static enum err begin(struct sim_disk *d, enum sim_call call)
{
    enum err err = begin_call(d, call);
    return err ? err : begin_operation(d);
}

static enum err check_alive(struct sim_file *f)
{
    struct sim_disk *d = sim_of(f->file.disk);
    return d->crashed || f->run != d->run ? crashed() : OK;
}

static enum err check_writable(struct sim_file *f)
{
    check(!f->read_only);
    return check_alive(f);
}

/* ---- paths ---- */

/* The directory that holds the last part of `path`, and that part in *name. */
static struct node *find_parent(struct sim_disk *d, const char *path, const char **name)
{
    struct node *dir = d->root;
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        char part[SIM_NAME_MAX_BYTES + 1];
        size_t size = (size_t)(slash - path);
        if (size > SIM_NAME_MAX_BYTES)
            return NULL;
        memcpy(part, path, size);
        part[size] = 0;
        dir = node_find(dir, part);
        if (!dir || !dir->is_dir)
            return NULL;
    }
    *name = path;
    return strlen(path) <= SIM_NAME_MAX_BYTES ? dir : NULL;
}

static struct node *find(struct sim_disk *d, const char *path)
{
    const char *name;
    if (!path[0])
        return d->root;
    struct node *dir = find_parent(d, path, &name);
    return dir ? node_find(dir, name) : NULL;
}

static enum err not_found(void)
{
    return err_set(E_NOT_FOUND, "no such file or directory");
}

/* ---- files ---- */

static enum err create(struct sim_disk *d, const char *path, struct node **out)
{
    const char *name;
    struct node *dir = find_parent(d, path, &name);
    if (!dir)
        return not_found();
    enum err err = begin_operation(d);
    if (err)
        return err;
    struct node *node = node_new(false);
    node->link_count = 1;
    node_change_entries(dir, NULL, name, node);
    node_unref(node); /* the directory holds it */
    *out = node;
    return OK;
}

static enum err sim_open(struct disk *disk, const char *path, unsigned flags, struct file **out)
{
    struct sim_disk *d = sim_of(disk);
    enum err err = begin_call(d, SIM_OPEN);
    if (err)
        return err;
    struct node *node = find(d, path);
    if (node && node->is_dir)
        return err_set(E_INVALID, "is a directory");
    if (node && flags & DISK_EXCLUSIVE)
        return err_set(E_EXISTS, "file exists");
    if (!node)
        err = flags & DISK_CREATE ? create(d, path, &node) : not_found();
    if (err)
        return err;

    struct sim_file *f = xzalloc(sizeof *f);
    f->file.disk = disk;
    f->node = node_ref(node);
    f->run = d->run;
    f->read_only = flags & DISK_READ_ONLY;
    f->direct = flags & DISK_DIRECT;
    f->seen_failed_syncs = node->failed_syncs;
    node->open_count++;
    *out = &f->file;
    return OK;
}

/* A file without a name and without a user gives its space back. */
static void free_space_if_unused(struct sim_disk *d, struct node *node)
{
    if (!node->is_dir && node->link_count == 0 && node->open_count == 0)
        d->used_pages -= content_allocated_pages(node->visible);
}

static void sim_start_read(struct file *file, uint64_t from, uint64_t to)
{
    struct sim_file *f = file_of(file);
    struct sim_disk *d = sim_of(file->disk);
    struct ahead a = {from - from % SIM_PAGE_BYTES, round_up(to, SIM_PAGE_BYTES)};
    vec_push(&f->ahead, a);
    d->ahead_bytes += a.to - a.from;
    if (d->ahead_bytes > d->stats.ahead_most)
        d->stats.ahead_most = d->ahead_bytes;
}

/* The first `count` of what was asked for are there. */
static void bring(struct sim_file *f, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sim_of(f->file.disk)->ahead_bytes -= f->ahead.items[i].to - f->ahead.items[i].from;
    f->ahead.count -= count;
    for (size_t i = 0; i < f->ahead.count; i++)
        f->ahead.items[i] = f->ahead.items[i + count];
}

static void bring_up_to(struct sim_file *f, uint64_t from, uint64_t to)
{
    for (size_t i = f->ahead.count; i-- > 0;)
        if (f->ahead.items[i].from < to && from < f->ahead.items[i].to) {
            bring(f, i + 1);
            return;
        }
}

static void sim_close(struct file *file)
{
    struct sim_file *f = file_of(file);
    struct sim_disk *d = sim_of(file->disk);
    bring(f, f->ahead.count);
    vec_reset(&f->ahead);
    if (f->run == d->run) {
        f->node->open_count--;
        free_space_if_unused(d, f->node);
    }
    node_unref(f->node);
    free(f);
}

static enum err sim_size(struct file *file, uint64_t *out)
{
    struct sim_file *f = file_of(file);
    enum err err = check_alive(f);
    if (!err)
        *out = content_size(f->node->visible);
    return err;
}

static enum err sim_read(struct file *file, uint64_t position, void *out, size_t size)
{
    struct sim_file *f = file_of(file);
    struct sim_disk *d = sim_of(file->disk);
    if (f->direct)
        disk_check_direct(file->disk, position, &(struct iovec){out, size}, 1);
    enum err err = check_alive(f);
    if (!err)
        err = begin_call(d, SIM_READ);
    if (err)
        return err;
    uint64_t end = content_size(f->node->visible);
    if (position > end || size > end - position)
        return err_set(E_OUT_OF_RANGE, "read of %zu bytes at %llu: the file ends before", size,
                       (unsigned long long)position);
    content_read(f->node->visible, position, out, size);
    bring_up_to(f, position, position + size);
    d->stats.read_bytes += size;
    return OK;
}

/* Memory never makes anybody wait. */
static bool sim_is_cached(struct file *file, uint64_t position, uint64_t size)
{
    struct sim_file *f = file_of(file);
    uint64_t end = content_size(f->node->visible);
    return !sim_of(file->disk)->cold && position <= end && size <= end - position;
}

/* Write the first `size` bytes, as far as there is space for them. */
static enum err write_some(struct sim_file *f, uint64_t position, const struct iovec *parts,
                           int count, size_t size)
{
    struct sim_disk *d = sim_of(f->file.disk);
    uint64_t before = content_allocated_pages(f->node->visible);
    uint64_t free_pages = d->capacity_pages > d->used_pages ? d->capacity_pages - d->used_pages : 0;
    size_t room = content_room(f->node->visible, position, size, free_pages);
    if (room > 0)
        node_write(f->node, position, parts, count, room);
    d->stats.write_bytes += room;
    d->used_pages += content_allocated_pages(f->node->visible) - before;
    return room < size ? err_set(E_NO_SPACE, "simulated disk full") : OK;
}

static enum err sim_write(struct file *file, uint64_t position, const struct iovec *parts,
                          int count)
{
    struct sim_file *f = file_of(file);
    struct sim_disk *d = sim_of(file->disk);
    if (f->direct)
        disk_check_direct(file->disk, position, parts, count);
    enum err err = check_writable(f);
    if (err)
        return err;

    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    enum err fault = begin_call(d, SIM_WRITE);
    if (fault)
        size /= 2;
    else if ((fault = begin_operation(d)))
        size = size < d->crash_byte ? size : d->crash_byte;
    err = write_some(f, position, parts, count, size);
    return fault ? err_set(fault, "simulated fault") : err;
}

/* What was not synced is lost when the disk fails to take it. */
static enum err begin_sync(struct sim_file *f, enum sim_call call)
{
    struct sim_disk *d = sim_of(f->file.disk);
    enum err err = check_alive(f);
    if (err)
        return err;
    err = begin(d, call);
    if (err && !d->crashed) {
        node_lose_unsynced(f->node);
        f->node->failed_syncs++;
    }
    return err;
}

static enum err sim_write_out(struct file *file, uint64_t from, uint64_t to)
{
    (void)from, (void)to;
    return begin_sync(file_of(file), SIM_WRITE_OUT);
}

static enum err sim_sync(struct file *file)
{
    struct sim_file *f = file_of(file);
    struct sim_disk *d = sim_of(file->disk);
    enum err err = begin_sync(f, SIM_SYNC);
    if (!err && !d->ignores_sync)
        node_sync(f->node);
    if (!err && f->seen_failed_syncs != f->node->failed_syncs)
        err = err_set(E_IO, "a sync by another handle has failed");
    f->seen_failed_syncs = f->node->failed_syncs;
    return err;
}

static enum err sim_allocate(struct file *file, uint64_t from, uint64_t to, bool written)
{
    (void)written; /* it differs in time and in nothing else */
    struct sim_file *f = file_of(file);
    struct sim_disk *d = sim_of(file->disk);
    enum err err = check_writable(f);
    if (!err)
        err = begin(d, SIM_ALLOCATE);
    if (err)
        return err;
    uint64_t before = content_allocated_pages(f->node->visible);
    uint64_t free_pages = d->capacity_pages > d->used_pages ? d->capacity_pages - d->used_pages : 0;
    if (content_room(f->node->visible, from, to - from, free_pages) < to - from)
        return err_set(E_NO_SPACE, "simulated disk full");
    node_zero(f->node, from, to);
    d->used_pages += content_allocated_pages(f->node->visible) - before;
    return OK;
}

static enum err sim_truncate(struct file *file, uint64_t size)
{
    struct sim_file *f = file_of(file);
    struct sim_disk *d = sim_of(file->disk);
    enum err err = check_writable(f);
    if (!err)
        err = begin(d, SIM_TRUNCATE);
    if (err)
        return err;
    uint64_t before = content_allocated_pages(f->node->visible);
    node_set_size(f->node, size);
    d->used_pages -= before - content_allocated_pages(f->node->visible);
    return OK;
}

/* ---- directories ---- */

static void unlink_node(struct sim_disk *d, struct node *dir, const char *name, struct node *node)
{
    node_ref(node);
    node_change_entries(dir, name, NULL, NULL);
    node->link_count--;
    free_space_if_unused(d, node);
    node_unref(node);
}

static enum err remove_any(struct disk *disk, const char *path, bool is_dir)
{
    struct sim_disk *d = sim_of(disk);
    enum err err = begin(d, SIM_REMOVE);
    if (err)
        return err;
    const char *name;
    struct node *dir = find_parent(d, path, &name);
    struct node *node = dir ? node_find(dir, name) : NULL;
    if (!node)
        return OK;
    if (node->is_dir != is_dir)
        return err_set(E_INVALID, is_dir ? "not a directory" : "is a directory");
    if (node->entries.count > 0)
        return err_set(E_NOT_EMPTY, "directory not empty");
    unlink_node(d, dir, name, node);
    return OK;
}

static enum err sim_remove(struct disk *disk, const char *path)
{
    return remove_any(disk, path, false);
}

static enum err sim_remove_dir(struct disk *disk, const char *path)
{
    return remove_any(disk, path, true);
}

static enum err sim_rename(struct disk *disk, const char *from, const char *to)
{
    struct sim_disk *d = sim_of(disk);
    enum err err = begin(d, SIM_RENAME);
    if (err)
        return err;
    const char *from_name, *to_name;
    struct node *dir = find_parent(d, from, &from_name);
    struct node *node = dir ? node_find(dir, from_name) : NULL;
    if (!node)
        return not_found();
    if (find_parent(d, to, &to_name) != dir)
        return err_set(E_UNSUPPORTED, "from one directory to another");
    struct node *replaced = node_find(dir, to_name);
    if (replaced == node)
        return OK;
    if (replaced)
        node_ref(replaced);
    node_change_entries(dir, from_name, to_name, node);
    if (replaced) {
        replaced->link_count--;
        free_space_if_unused(d, replaced);
        node_unref(replaced);
    }
    return OK;
}

static enum err sim_make_dir(struct disk *disk, const char *path)
{
    struct sim_disk *d = sim_of(disk);
    enum err err = begin(d, SIM_MAKE_DIR);
    if (err)
        return err;
    const char *name;
    struct node *dir = find_parent(d, path, &name);
    if (!dir)
        return not_found();
    if (node_find(dir, name))
        return OK;
    struct node *made = node_new(true);
    made->link_count = 1;
    node_change_entries(dir, NULL, name, made);
    node_unref(made);
    return OK;
}

static enum err sim_sync_dir(struct disk *disk, const char *path)
{
    struct sim_disk *d = sim_of(disk);
    enum err err = begin(d, SIM_SYNC_DIR);
    if (err)
        return err;
    struct node *dir = find(d, path);
    if (!dir || !dir->is_dir)
        return not_found();
    if (!d->ignores_sync)
        node_sync_entries(dir);
    return OK;
}

static enum err sim_list(struct disk *disk, const char *path,
                         void (*each)(void *ctx, const char *name), void *ctx)
{
    struct sim_disk *d = sim_of(disk);
    if (d->crashed)
        return crashed();
    struct node *dir = find(d, path);
    if (!dir || !dir->is_dir)
        return not_found();
    /* A copy, since `each` may remove what it is given. */
    size_t count = dir->entries.count;
    struct entry *entries = xmemdup(dir->entries.items, count * sizeof *entries);
    for (size_t i = 0; i < count; i++)
        each(ctx, entries[i].name);
    free(entries);
    return OK;
}

static enum err sim_free_bytes(struct disk *disk, uint64_t *out)
{
    struct sim_disk *d = sim_of(disk);
    if (d->crashed)
        return crashed();
    uint64_t pages = d->capacity_pages > d->used_pages ? d->capacity_pages - d->used_pages : 0;
    *out = pages * SIM_PAGE_BYTES;
    return OK;
}

static enum err sim_total_bytes(struct disk *disk, uint64_t *out)
{
    struct sim_disk *d = sim_of(disk);
    if (d->crashed)
        return crashed();
    *out = d->capacity_pages * SIM_PAGE_BYTES;
    return OK;
}

/* ---- the disk ---- */

static void sim_free(struct disk *disk)
{
    node_unref(sim_of(disk)->root);
    free(sim_of(disk));
}

static const struct disk_ops sim_ops = {
    .open = sim_open,
    .close = sim_close,
    .size = sim_size,
    .read = sim_read,
    .write = sim_write,
    .sync = sim_sync,
    .write_out = sim_write_out,
    .allocate = sim_allocate,
    .truncate = sim_truncate,
    .remove = sim_remove,
    .rename = sim_rename,
    .make_dir = sim_make_dir,
    .remove_dir = sim_remove_dir,
    .sync_dir = sim_sync_dir,
    .list = sim_list,
    .free_bytes = sim_free_bytes,
    .total_bytes = sim_total_bytes,
    .is_cached = sim_is_cached,
    .start_read = sim_start_read,
    .free = sim_free,
};

struct disk *sim_disk_new(void)
{
    struct sim_disk *d = xzalloc(sizeof *d);
    d->disk.ops = &sim_ops;
    d->disk.block_bytes = SIM_PAGE_BYTES;
    d->root = node_new(true);
    d->capacity_pages = 1ull << 40;
    return &d->disk;
}

struct disk *sim_disk_clone(const struct disk *disk)
{
    struct sim_disk *from = sim_of(disk);
    struct sim_disk *d = xmemdup(from, sizeof *from);
    d->ahead_bytes = 0;
    d->root = node_clone(from->root);
    node_forget_copies(from->root);
    d->used_pages = node_count_pages(d->root);
    return &d->disk;
}

void sim_disk_crash_at(struct disk *disk, uint64_t operation, size_t byte)
{
    sim_of(disk)->crash_operation = operation;
    sim_of(disk)->crash_byte = byte;
}

void sim_disk_crash(struct disk *disk)
{
    sim_of(disk)->crashed = true;
}

bool sim_disk_has_crashed(const struct disk *disk)
{
    return sim_of(disk)->crashed;
}

void sim_disk_restart(struct disk *disk, enum sim_restart mode, uint64_t seed)
{
    struct sim_disk *d = sim_of(disk);
    struct random random;
    random_init(&random, seed);
    node_restart(d->root, mode, &random);
    d->used_pages = node_count_pages(d->root);
    d->crashed = false;
    d->crash_operation = 0;
    d->run++;
}

void sim_disk_fail(struct disk *disk, enum sim_call call, uint64_t nth, enum err code)
{
    struct sim_disk *d = sim_of(disk);
    d->faults[call] = (struct fault){.nth = nth ? d->stats.calls[call] + nth : 0, .code = code};
}

void sim_disk_set_capacity(struct disk *disk, uint64_t bytes)
{
    sim_of(disk)->capacity_pages = bytes / SIM_PAGE_BYTES;
}

enum err sim_disk_flip(struct disk *disk, const char *path, uint64_t position)
{
    struct node *node = find(sim_of(disk), path);
    if (!node || node->is_dir)
        return not_found();
    if (position >= content_size(node->visible))
        return err_set(E_OUT_OF_RANGE, "the file ends before");
    content_flip_bit(&node->visible, position);
    if (position < content_size(node->synced))
        content_flip_bit(&node->synced, position);
    return OK;
}

void sim_disk_set_cold(struct disk *disk, bool cold)
{
    sim_of(disk)->cold = cold;
}

void sim_disk_ignore_sync(struct disk *disk, bool ignore)
{
    sim_of(disk)->ignores_sync = ignore;
}

const struct sim_disk_stats *sim_disk_stats(const struct disk *disk)
{
    return &sim_of(disk)->stats;
}
