#include "tests/sim/hook_disk.h"

#include "base/mem.h"
#include "base/random.h"

#include <stdlib.h>

struct hook_disk {
    struct disk disk;
    struct disk *inner;
    void (*changed)(void *ctx);
    void *ctx;
    struct random random; /* of failures */
    uint64_t fails_one_in;
};

struct hook_file {
    struct file file;
    struct file *inner;
};

static struct disk *inner_of(struct disk *d)
{
    return ((struct hook_disk *)d)->inner;
}

static struct file *inner_file(struct file *f)
{
    return ((struct hook_file *)f)->inner;
}

static enum err note(struct disk *d, enum err err)
{
    struct hook_disk *h = (struct hook_disk *)d;
    h->changed(h->ctx);
    return err;
}

static enum err hook_open(struct disk *d, const char *path, unsigned flags, struct file **out)
{
    struct file *inner;
    enum err err = disk_open(inner_of(d), path, flags, &inner);
    if (err)
        return err;
    struct hook_file *f = xzalloc(sizeof *f);
    f->file.disk = d;
    f->inner = inner;
    *out = &f->file;
    return flags & DISK_CREATE ? note(d, OK) : OK;
}

static void hook_close(struct file *f)
{
    file_close(inner_file(f));
    free(f);
}

static enum err hook_size(struct file *f, uint64_t *out)
{
    return file_size(inner_file(f), out);
}

static enum err hook_read(struct file *f, uint64_t position, void *out, size_t size)
{
    struct hook_disk *h = (struct hook_disk *)f->disk;
    if (h->fails_one_in && random_below(&h->random, h->fails_one_in) == 0)
        return err_set(E_IO, "a read fails");
    return file_read(inner_file(f), position, out, size);
}

static enum err hook_write(struct file *f, uint64_t position, const struct iovec *parts, int count)
{
    return note(f->disk, file_write(inner_file(f), position, parts, count));
}

static enum err hook_sync(struct file *f)
{
    return note(f->disk, file_sync(inner_file(f)));
}

static enum err hook_write_out(struct file *f, uint64_t from, uint64_t to)
{
    return file_write_out(inner_file(f), from, to);
}

static enum err hook_allocate(struct file *f, uint64_t from, uint64_t to, bool written)
{
    return note(f->disk, file_allocate(inner_file(f), from, to, written));
}

static enum err hook_truncate(struct file *f, uint64_t size)
{
    return note(f->disk, file_truncate(inner_file(f), size));
}

static enum err hook_remove(struct disk *d, const char *path)
{
    return note(d, disk_remove(inner_of(d), path));
}

static enum err hook_rename(struct disk *d, const char *from, const char *to)
{
    return note(d, disk_rename(inner_of(d), from, to));
}

static enum err hook_make_dir(struct disk *d, const char *path)
{
    return note(d, disk_make_dir(inner_of(d), path));
}

static enum err hook_remove_dir(struct disk *d, const char *path)
{
    return note(d, disk_remove_dir(inner_of(d), path));
}

static enum err hook_sync_dir(struct disk *d, const char *path)
{
    return note(d, disk_sync_dir(inner_of(d), path));
}

static enum err hook_list(struct disk *d, const char *path,
                          void (*each)(void *ctx, const char *name), void *ctx)
{
    return disk_list(inner_of(d), path, each, ctx);
}

static bool hook_is_cached(struct file *f, uint64_t position, uint64_t size)
{
    return file_is_cached(inner_file(f), position, size);
}

static enum err hook_free_bytes(struct disk *d, uint64_t *out)
{
    return disk_free_bytes(inner_of(d), out);
}

static enum err hook_total_bytes(struct disk *d, uint64_t *out)
{
    return disk_total_bytes(inner_of(d), out);
}

static void hook_free(struct disk *d)
{
    free(d);
}

struct disk *hook_disk_new(struct disk *inner, void (*changed)(void *ctx), void *ctx)
{
    static const struct disk_ops ops = {
        .open = hook_open,
        .close = hook_close,
        .size = hook_size,
        .read = hook_read,
        .write = hook_write,
        .sync = hook_sync,
        .write_out = hook_write_out,
        .allocate = hook_allocate,
        .truncate = hook_truncate,
        .remove = hook_remove,
        .rename = hook_rename,
        .make_dir = hook_make_dir,
        .remove_dir = hook_remove_dir,
        .sync_dir = hook_sync_dir,
        .list = hook_list,
        .free_bytes = hook_free_bytes,
        .total_bytes = hook_total_bytes,
        .is_cached = hook_is_cached,
        .free = hook_free,
    };
    struct hook_disk *h = xzalloc(sizeof *h);
    h->disk.ops = &ops;
    h->disk.block_bytes = inner->block_bytes;
    h->inner = inner;
    h->changed = changed;
    h->ctx = ctx;
    return &h->disk;
}

void hook_disk_fail_reads(struct disk *d, uint64_t one_in, uint64_t seed)
{
    struct hook_disk *h = (struct hook_disk *)d;
    random_init(&h->random, seed);
    h->fails_one_in = one_in;
}
