/* The disk's common entrance: checks the arguments, calls the back end, and puts the path or the
 * operation in front of an error. */
#include "io/disk.h"

#include "base/check.h"
#include "io/clock.h"
#include "io/io_internal.h"

#include <unistd.h>

void disk_free(struct disk *disk)
{
    if (disk)
        disk->ops->free(disk);
}

/* Paths come from our own code: relative, without "..", "" for the root. */
static bool path_is_valid(const char *path)
{
    return path[0] != '/' && !strstr(path, "..");
}

enum err disk_open(struct disk *disk, const char *path, unsigned flags, struct file **out)
{
    check(path_is_valid(path));
    check(!(flags & DISK_EXCLUSIVE) || (flags & DISK_CREATE));
    check(!(flags & DISK_READ_ONLY) || !(flags & DISK_CREATE));
    return err_wrap(disk->ops->open(disk, path, flags, out), "open %s", path);
}

void file_close(struct file *file)
{
    if (file)
        file->disk->ops->close(file);
}

enum err file_size(struct file *file, uint64_t *out)
{
    return file->disk->ops->size(file, out);
}

enum err file_read(struct file *file, uint64_t position, void *out, size_t size)
{
    return file->disk->ops->read(file, position, out, size);
}

bool file_is_cached(struct file *file, uint64_t position, uint64_t size)
{
    const struct disk_ops *ops = file->disk->ops;
    return ops->is_cached && ops->is_cached(file, position, size);
}

int file_descriptor(struct file *file)
{
    const struct disk_ops *ops = file->disk->ops;
    return ops->descriptor ? ops->descriptor(file) : -1;
}

enum err file_write(struct file *file, uint64_t position, const struct iovec *parts, int count)
{
    check(count >= 0);
    return file->disk->ops->write(file, position, parts, count);
}

enum err file_write_bytes(struct file *file, uint64_t position, struct bytes b)
{
    struct iovec part = {(void *)(uintptr_t)b.data, b.size};
    return file_write(file, position, &part, 1);
}

enum err file_sync(struct file *file)
{
    return file->disk->ops->sync(file);
}

void file_start_sync(struct file *file, uint64_t from, uint64_t to)
{
    check(from < to);
    if (file->disk->ops->start_sync)
        file->disk->ops->start_sync(file, from, to);
}

enum err file_write_out(struct file *file, uint64_t from, uint64_t to)
{
    check(from <= to);
    return from < to ? file->disk->ops->write_out(file, from, to) : OK;
}

void file_start_read(struct file *file, uint64_t from, uint64_t to)
{
    check(from < to);
    if (file->disk->ops->start_read)
        file->disk->ops->start_read(file, from, to);
}

enum err file_read_in(struct file *file, uint64_t size)
{
    enum err err = OK;
    for (uint64_t end = 0, next; end < size && !err; end = next) {
        next = size - end < READ_AHEAD_BYTES ? size : end + READ_AHEAD_BYTES;
        file_start_read(file, end, next);
        uint8_t last;
        if (end > 0)
            err = file_read(file, end - 1, &last, 1);
    }
    return err;
}

enum err file_allocate(struct file *file, uint64_t from, uint64_t to, bool written)
{
    check(from <= to);
    return file->disk->ops->allocate(file, from, to, written);
}

enum err file_truncate(struct file *file, uint64_t size)
{
    return file->disk->ops->truncate(file, size);
}

enum err disk_remove(struct disk *disk, const char *path)
{
    check(path_is_valid(path));
    return err_wrap(disk->ops->remove(disk, path), "remove %s", path);
}

/* No step ends inside a folio of the page cache: the system would clear the folio's other part, which a socket
 * may still be sending. The largest has 2 MiB where pages have 4 KiB, elsewhere up to 2,048 pages. */
static uint64_t step_bytes(void)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return page > 4096 ? 2048 * page : 2 << 20;
}

uint64_t file_step_below(uint64_t size)
{
    uint64_t step = step_bytes();
    return size == 0 ? 0 : (size - 1) / step * step;
}

enum err disk_unname(struct disk *disk, const char *path, struct unnamed_file *out)
{
    *out = (struct unnamed_file){0};
    enum err err = disk_open(disk, path, 0, &out->file);
    if (err == E_NOT_FOUND)
        return OK;
    if (!err)
        err = file_size(out->file, &out->size);
    if (!err)
        err = disk_remove(disk, path);
    if (err) {
        file_close(out->file);
        out->file = NULL;
    }
    return err;
}

/* Should a step fail, the rest goes when the file is closed. */
void file_give_back(struct disk *disk, struct unnamed_file *f)
{
    uint64_t size = f->size;
    enum err err = OK;
    while (f->file && !err && !atomic_load(&disk->in_haste) && (size = file_step_below(size)) > 0) {
        err = file_truncate(f->file, size);
        clock_pause_ms(1);
    }
    file_close(f->file);
    *f = (struct unnamed_file){0};
}

void disk_make_haste(struct disk *disk, bool on)
{
    atomic_store(&disk->in_haste, on);
}

enum err disk_rename(struct disk *disk, const char *from, const char *to)
{
    check(path_is_valid(from));
    check(path_is_valid(to));
    return err_wrap(disk->ops->rename(disk, from, to), "rename %s to %s", from, to);
}

enum err disk_make_dir(struct disk *disk, const char *path)
{
    check(path_is_valid(path));
    return err_wrap(disk->ops->make_dir(disk, path), "make directory %s", path);
}

enum err disk_remove_dir(struct disk *disk, const char *path)
{
    check(path_is_valid(path));
    return err_wrap(disk->ops->remove_dir(disk, path), "remove directory %s", path);
}

enum err disk_sync_dir(struct disk *disk, const char *path)
{
    check(path_is_valid(path));
    return err_wrap(disk->ops->sync_dir(disk, path), "sync directory %s", path);
}

enum err disk_list(struct disk *disk, const char *path, void (*each)(void *ctx, const char *name),
                   void *ctx)
{
    check(path_is_valid(path));
    return err_wrap(disk->ops->list(disk, path, each, ctx), "list %s", path);
}

enum err disk_free_bytes(struct disk *disk, uint64_t *out)
{
    return disk->ops->free_bytes(disk, out);
}

enum err disk_total_bytes(struct disk *disk, uint64_t *out)
{
    return disk->ops->total_bytes(disk, out);
}

static bool is_multiple(uint64_t n, uint32_t unit)
{
    return (n & (unit - 1)) == 0;
}

void disk_check_direct(const struct disk *disk, uint64_t position, const struct iovec *parts,
                       int count)
{
    check(is_multiple(position, disk->block_bytes));
    for (int i = 0; i < count; i++) {
        check(is_multiple((uintptr_t)parts[i].iov_base, disk->block_bytes));
        check(is_multiple(parts[i].iov_len, disk->block_bytes));
    }
}
