/* The disk of the operating system: pread, pwritev, fdatasync below one root directory. */
#include "io/disk.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "io/io_internal.h"
#include "io/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
    DEFAULT_BLOCK_BYTES = 4096,
    MIN_BLOCK_BYTES = 512,
    ZEROS_BYTES = 256 * 1024, /* written and synced at once */
    PARTS_MAX = 1024,         /* IOV_MAX of Linux */
    PAGES_ASKED = 1024,       /* about at once */
};

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80 /* Linux 6.14; older headers do not have it */
#endif

struct real_disk {
    struct disk disk;
    int root;
    int lock;
};

struct real_file {
    struct file file;
    int fd;
    bool asked_direct; /* the caller promised aligned access */
    bool direct;       /* and the file system bypasses its cache */
    bool uncached;     /* pages of what is written are not kept */
    bool sync_failed;
    uint8_t *map; /* of the whole file, never touched: for what is asked about its pages; or NULL */
    size_t map_bytes;
};

static struct real_disk *real_of(struct disk *disk)
{
    return container_of(disk, struct real_disk, disk);
}

static struct real_file *file_of(struct file *file)
{
    return container_of(file, struct real_file, file);
}

static const char *path_or_root(const char *path)
{
    return path[0] ? path : ".";
}

/* ---- files ---- */

static int open_flags(unsigned flags)
{
    int result = O_CLOEXEC | (flags & DISK_READ_ONLY ? O_RDONLY : O_RDWR);
    if (flags & DISK_CREATE)
        result |= O_CREAT;
    if (flags & DISK_EXCLUSIVE)
        result |= O_EXCL;
    return result;
}

static enum err real_open(struct disk *disk, const char *path, unsigned flags, struct file **out)
{
    int fd = openat(real_of(disk)->root, path, open_flags(flags), 0600);
    if (fd < 0)
        return io_error("openat");

    struct real_file *f = xzalloc(sizeof *f);
    f->file.disk = disk;
    f->fd = fd;
    f->uncached = flags & DISK_UNCACHED;
    f->asked_direct = flags & DISK_DIRECT;
    /* Set behind open(), because a file system that cannot do it has by then created the file. */
    if (f->asked_direct)
        f->direct = fcntl(fd, F_SETFL, O_DIRECT) == 0;
    if (flags & DISK_AS_ASKED)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    *out = &f->file;
    return OK;
}

static void real_close(struct file *file)
{
    struct real_file *f = file_of(file);
    if (f->map)
        munmap(f->map, f->map_bytes);
    close(f->fd);
    free(f);
}

static enum err real_size(struct file *file, uint64_t *out)
{
    struct stat s;
    if (fstat(file_of(file)->fd, &s))
        return io_error("fstat");
    *out = (uint64_t)s.st_size;
    return OK;
}

/* Some file systems take O_DIRECT and then refuse each access, or want larger blocks than the
 * device says: go on through the page cache. True when the access is worth another try. */
static bool leave_direct(struct real_file *f)
{
    if (errno != EINVAL || !f->direct)
        return false;
    f->direct = false;
    return fcntl(f->fd, F_SETFL, 0) == 0;
}

/* The same for a system that keeps all pages. */
static bool leave_uncached(struct real_file *f)
{
    bool was = f->uncached && errno == EOPNOTSUPP;
    if (was)
        f->uncached = false;
    return was;
}

static bool should_retry(struct real_file *f)
{
    return errno == EINTR || leave_direct(f) || leave_uncached(f);
}

static enum err real_read(struct file *file, uint64_t position, void *out, size_t size)
{
    struct real_file *f = file_of(file);
    if (f->asked_direct)
        disk_check_direct(file->disk, position, &(struct iovec){out, size}, 1);

    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(f->fd, (char *)out + done, size - done, (off_t)(position + done));
        if (n == 0)
            return err_set(E_OUT_OF_RANGE, "read of %zu bytes at %llu: the file ends before", size,
                           (unsigned long long)position);
        if (n < 0 && !should_retry(f))
            return io_error("pread");
        if (n > 0)
            done += (size_t)n;
    }
    return OK;
}

/* Have the file mapped up to `end`. Nothing is ever read through the map, so it takes address space and
 * no memory, and does not mind that the file gets shorter. */
static bool map_up_to(struct real_file *f, uint64_t end)
{
    uint64_t size = 0;
    if (end <= f->map_bytes)
        return true;
    if (real_size(&f->file, &size) || end > size) {
        err_clear();
        return false;
    }
    if (f->map)
        munmap(f->map, f->map_bytes);
    f->map_bytes = 0;
    f->map = mmap(NULL, size, PROT_NONE, MAP_SHARED, f->fd, 0);
    if (f->map == MAP_FAILED)
        f->map = NULL;
    else
        f->map_bytes = size;
    return f->map != NULL;
}

/* mincore() and not cachestat(): that counts pages too that the system has only begun to read. */
static bool real_is_cached(struct file *file, uint64_t position, uint64_t size)
{
    struct real_file *f = file_of(file);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = position + size;
    uint8_t are_there[PAGES_ASKED];
    if (size == 0 || !map_up_to(f, end))
        return false;
    for (uint64_t at = position / page * page; at < end; at += PAGES_ASKED * page) {
        uint64_t step = end - at < PAGES_ASKED * page ? end - at : PAGES_ASKED * page;
        if (mincore(f->map + at, step, are_there))
            return false;
        for (uint64_t i = 0; i < (step + page - 1) / page; i++)
            if (!(are_there[i] & 1))
                return false;
    }
    return true;
}

static int real_descriptor(struct file *file)
{
    return file_of(file)->fd;
}

/* Write all of up to PARTS_MAX parts; changes the parts as it goes. */
static enum err write_parts(struct real_file *f, uint64_t position, struct iovec *parts, int count)
{
    while (count > 0) {
        if (parts->iov_len == 0) {
            parts++, count--;
            continue;
        }
        int how = f->uncached ? RWF_DONTCACHE : 0;
        ssize_t n = pwritev2(f->fd, parts, count, (off_t)position, how);
        if (n < 0 && !should_retry(f))
            return io_error("pwritev2");
        if (n == 0)
            return err_set(E_IO, "pwritev2: wrote nothing");
        position += n > 0 ? (uint64_t)n : 0;
        for (size_t left = n > 0 ? (size_t)n : 0; left > 0;) {
            size_t step = left < parts->iov_len ? left : parts->iov_len;
            parts->iov_base = (char *)parts->iov_base + step;
            parts->iov_len -= step;
            left -= step;
            if (parts->iov_len == 0)
                parts++, count--;
        }
    }
    return OK;
}

static enum err real_write(struct file *file, uint64_t position, const struct iovec *parts,
                           int count)
{
    struct real_file *f = file_of(file);
    if (f->asked_direct)
        disk_check_direct(file->disk, position, parts, count);

    while (count > 0) {
        struct iovec some[PARTS_MAX];
        int n = count < PARTS_MAX ? count : PARTS_MAX;
        uint64_t size = 0;
        for (int i = 0; i < n; i++) {
            some[i] = parts[i];
            size += parts[i].iov_len;
        }
        enum err err = write_parts(f, position, some, n);
        if (err)
            return err;
        position += size;
        parts += n;
        count -= n;
    }
    return OK;
}

static enum err real_sync(struct file *file)
{
    struct real_file *f = file_of(file);
    if (f->sync_failed)
        return err_set(E_IO, "fdatasync: failed before, what was written since is in doubt");
    metrics_add(METRIC_syncs, 1);
    if (fdatasync(f->fd)) {
        f->sync_failed = true;
        return io_error("fdatasync");
    }
    return OK;
}

static void real_start_sync(struct file *file, uint64_t from, uint64_t to)
{
    (void)sync_file_range(file_of(file)->fd, (off_t)from, (off_t)(to - from),
                          SYNC_FILE_RANGE_WRITE);
}

/* Anything but an error of writing says that the system or the file system does not do this, and need not. */
static enum err real_write_out(struct file *file, uint64_t from, uint64_t to)
{
    struct real_file *f = file_of(file);
    unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    int failed = sync_file_range(f->fd, (off_t)from, (off_t)(to - from), all);
    if (!failed || (errno != EIO && errno != ENOSPC && errno != EDQUOT))
        return OK;
    f->sync_failed = true; /* fdatasync would not tell of it again */
    return io_error("sync_file_range");
}

static void real_start_read(struct file *file, uint64_t from, uint64_t to)
{
    (void)posix_fadvise(file_of(file)->fd, (off_t)from, (off_t)(to - from), POSIX_FADV_WILLNEED);
}

/* Synced as they come, or a commit would wait for the disk to take all of them. */
static enum err write_zeros(struct real_file *f, uint64_t from, uint64_t to)
{
    void *zeros;
    if (posix_memalign(&zeros, DEFAULT_BLOCK_BYTES, ZEROS_BYTES))
        return err_set(E_NO_MEMORY, "zeros for a new file");
    memset(zeros, 0, ZEROS_BYTES);

    enum err err = OK;
    while (!err && from < to) {
        struct iovec part = {zeros, to - from < ZEROS_BYTES ? to - from : ZEROS_BYTES};
        size_t size = part.iov_len;
        err = write_parts(f, from, &part, 1);
        if (!err)
            err = real_sync(&f->file);
        from += size;
    }
    free(zeros);
    return err;
}

static bool cannot_allocate(void)
{
    return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ENODEV;
}

static enum err real_allocate(struct file *file, uint64_t from, uint64_t to, bool written)
{
    struct real_file *f = file_of(file);
    uint64_t size;
    enum err err = real_size(file, &size);
    if (err || from == to)
        return err;

    /* Inside the file there may be old bytes, which only ZERO_RANGE clears. */
    int mode = from < size ? FALLOC_FL_ZERO_RANGE : 0;
    int failed;
    do
        failed = fallocate(f->fd, mode, (off_t)from, (off_t)(to - from));
    while (failed && errno == EINTR);
    if (failed && !cannot_allocate())
        return io_error("fallocate");
    return failed || written ? write_zeros(f, from, to) : OK;
}

static enum err real_truncate(struct file *file, uint64_t size)
{
    if (ftruncate(file_of(file)->fd, (off_t)size))
        return io_error("ftruncate");
    return OK;
}

/* ---- directories ---- */

static enum err real_remove(struct disk *disk, const char *path)
{
    if (unlinkat(real_of(disk)->root, path, 0) && errno != ENOENT)
        return io_error("unlinkat");
    return OK;
}

static enum err real_rename(struct disk *disk, const char *from, const char *to)
{
    int root = real_of(disk)->root;
    if (renameat(root, from, root, to))
        return io_error("renameat");
    return OK;
}

static enum err real_make_dir(struct disk *disk, const char *path)
{
    if (mkdirat(real_of(disk)->root, path, 0700) && errno != EEXIST)
        return io_error("mkdirat");
    return OK;
}

static enum err real_remove_dir(struct disk *disk, const char *path)
{
    if (unlinkat(real_of(disk)->root, path, AT_REMOVEDIR) && errno != ENOENT)
        return io_error("unlinkat");
    return OK;
}

static enum err open_dir(struct disk *disk, const char *path, int *out)
{
    int fd = openat(real_of(disk)->root, path_or_root(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_error("openat");
    *out = fd;
    return OK;
}

static enum err real_sync_dir(struct disk *disk, const char *path)
{
    int fd = -1;
    enum err err = open_dir(disk, path, &fd);
    if (err)
        return err;
    metrics_add(METRIC_syncs, 1);
    if (fsync(fd) && errno != EINVAL) /* EINVAL: this file system has no such thing */
        err = io_error("fsync");
    close(fd);
    return err;
}

static enum err real_list(struct disk *disk, const char *path,
                          void (*each)(void *ctx, const char *name), void *ctx)
{
    int fd = -1;
    enum err err = open_dir(disk, path, &fd);
    if (err)
        return err;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        err = io_error("fdopendir");
        close(fd);
        return err;
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(dir)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(ctx, entry->d_name);
    if (errno)
        err = io_error("readdir");
    closedir(dir);
    return err;
}

static enum err real_free_bytes(struct disk *disk, uint64_t *out)
{
    struct statvfs s;
    if (fstatvfs(real_of(disk)->root, &s))
        return io_error("fstatvfs");
    *out = (uint64_t)s.f_bavail * s.f_frsize;
    return OK;
}

static enum err real_total_bytes(struct disk *disk, uint64_t *out)
{
    struct statvfs s;
    if (fstatvfs(real_of(disk)->root, &s))
        return io_error("fstatvfs");
    *out = (uint64_t)s.f_blocks * s.f_frsize;
    return OK;
}

/* ---- the disk ---- */

static void real_free(struct disk *disk)
{
    struct real_disk *d = real_of(disk);
    if (d->lock >= 0)
        close(d->lock);
    if (d->root >= 0)
        close(d->root);
    free(d);
}

static const struct disk_ops real_ops = {
    .open = real_open,
    .close = real_close,
    .size = real_size,
    .read = real_read,
    .write = real_write,
    .sync = real_sync,
    .allocate = real_allocate,
    .truncate = real_truncate,
    .remove = real_remove,
    .rename = real_rename,
    .make_dir = real_make_dir,
    .remove_dir = real_remove_dir,
    .sync_dir = real_sync_dir,
    .list = real_list,
    .free_bytes = real_free_bytes,
    .total_bytes = real_total_bytes,
    .is_cached = real_is_cached,
    .descriptor = real_descriptor,
    .start_sync = real_start_sync,
    .write_out = real_write_out,
    .start_read = real_start_read,
    .free = real_free,
};

/* A partition has no queue directory of its own; its device, one directory up, has. */
static uint32_t device_block_bytes(int root)
{
    struct stat s;
    if (fstat(root, &s))
        return DEFAULT_BLOCK_BYTES;
    static const char *const places[] = {"queue", "../queue"};
    for (int i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s/physical_block_size", major(s.st_dev),
                 minor(s.st_dev), places[i]);
        struct text text = {0};
        uint32_t size = 0;
        if (process_read_file(path, 64, &text) == OK)
            size = (uint32_t)strtoul((const char *)text.data, NULL, 10);
        text_reset(&text);
        if (size >= MIN_BLOCK_BYTES && size <= DEFAULT_BLOCK_BYTES && (size & (size - 1)) == 0)
            return size;
    }
    return DEFAULT_BLOCK_BYTES;
}

/* A new directory's own entry must survive a crash as its content does. */
static enum err make_root(const char *root)
{
    if (mkdir(root, 0700))
        return errno == EEXIST ? OK : io_error("mkdir");
    char *parent = xasprintf("%s/..", root);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err err = fd < 0 || (fsync(fd) && errno != EINVAL) ? io_error("sync the parent") : OK;
    if (fd >= 0)
        close(fd);
    free(parent);
    return err;
}

static enum err take_lock(struct real_disk *d)
{
    d->lock = openat(d->root, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock < 0)
        return io_error("open the lock file");
    if (flock(d->lock, LOCK_EX | LOCK_NB) == 0)
        return OK;
    if (errno == EWOULDBLOCK)
        return err_set(E_LOCKED, "another process uses this directory");
    return io_error("flock");
}

enum err disk_real_new(const char *root, struct disk **out)
{
    struct real_disk *d = xzalloc(sizeof *d);
    d->disk.ops = &real_ops;
    d->root = d->lock = -1;

    enum err err = make_root(root);
    if (!err) {
        d->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        err = d->root < 0 ? io_error("open") : take_lock(d);
    }
    if (err) {
        real_free(&d->disk);
        return err_wrap(err, "data directory %s", root);
    }
    d->disk.block_bytes = device_block_bytes(d->root);
    *out = &d->disk;
    return OK;
}

int disk_real_direct_descriptor(struct file *file)
{
    bool is_direct = file->disk->ops == &real_ops && file_of(file)->direct;
    return is_direct && !file_of(file)->sync_failed ? file_of(file)->fd : -1;
}

void disk_real_sync_failed(struct file *file)
{
    file_of(file)->sync_failed = true;
}
