/*
 * A library to be preloaded under a broker: it makes the disk fail, lie or forget below one directory.
 *
 *   SHIM_ROOT   only files below this directory are touched
 *   SHIM_LOG    one line for each sync of such a file: "ok PATH", "EIO PATH" or "lie PATH"
 *   SHIM_FAIL   while this file exists, the next sync fails with EIO, once, and takes the file away
 *   SHIM_LIE    a sync says yes and does nothing
 *   SHIM_CLOCK  a file with a number of eight bytes: so many seconds is the clock of the day ahead
 *   SHIM_UNDO   a file in which each write leaves what it overwrote, and each sync leaves its name:
 *               shim.py takes back what no sync covered, as if the power had failed
 *
 * An undo record is a header, the path, and for a write the bytes that were there before. A sync covers
 * the writes whose records were complete when it began. Writes by io_uring are seen too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum record_kind { RECORD_WRITE = 1, RECORD_SYNC = 2 };

struct record {
    uint32_t kind;
    uint32_t path_size;
    uint64_t position;  /* of a write; of a sync: the undo file's size when it began */
    uint64_t size;      /* bytes that follow: what was there before, as far as the file went */
    uint64_t file_size; /* before the write */
};

static pthread_mutex_t undo_lock = PTHREAD_MUTEX_INITIALIZER;

/* The path of a file below SHIM_ROOT, or false. */
static int is_ours(int fd, char path[PATH_MAX])
{
    char link[64];
    const char *root = getenv("SHIM_ROOT");

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (!root || size < 0)
        return 0;
    path[size] = 0;
    return strncmp(path, root, strlen(root)) == 0;
}

static void append(const char *variable, const void *data, size_t size)
{
    const char *path = getenv(variable);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort(); /* a test that does not record what it does proves nothing */
    close(fd);
}

static void note_sync(const char *what, const char *path)
{
    char line[PATH_MAX + 16];

    if (!getenv("SHIM_LOG"))
        return;
    int size = snprintf(line, sizeof line, "%s %s\n", what, path);
    append("SHIM_LOG", line, (size_t)size);
}

static int should_fail(void)
{
    const char *path = getenv("SHIM_FAIL");
    return path && unlink(path) == 0;
}

static uint64_t undo_size(void)
{
    struct stat s;
    return stat(getenv("SHIM_UNDO"), &s) ? 0 : (uint64_t)s.st_size;
}

static void undo_append(struct record record, const char *path, const void *before)
{
    record.path_size = (uint32_t)strlen(path);
    size_t size = sizeof record + record.path_size + (before ? record.size : 0);
    char *all = malloc(size);

    if (!all)
        abort();
    memcpy(all, &record, sizeof record);
    memcpy(all + sizeof record, path, record.path_size);
    if (before)
        memcpy(all + sizeof record + record.path_size, before, record.size);
    append("SHIM_UNDO", all, size);
    free(all);
}

static int do_sync(int fd, const char *name)
{
    char path[PATH_MAX];
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

    if (!is_ours(fd, path))
        return real(fd);
    if (should_fail()) {
        note_sync("EIO", path);
        errno = EIO;
        return -1;
    }
    if (getenv("SHIM_LIE")) {
        note_sync("lie", path);
        return 0;
    }
    uint64_t covered = getenv("SHIM_UNDO") ? undo_size() : 0;
    int result = real(fd);
    note_sync(result ? "failed" : "ok", path);
    if (result == 0 && getenv("SHIM_UNDO")) {
        pthread_mutex_lock(&undo_lock);
        undo_append((struct record){.kind = RECORD_SYNC, .position = covered}, path, NULL);
        pthread_mutex_unlock(&undo_lock);
    }
    return result;
}

int fdatasync(int fd)
{
    return do_sync(fd, "fdatasync");
}

int fsync(int fd)
{
    return do_sync(fd, "fsync");
}

/* Keep what the write is about to overwrite. Read through a descriptor of its own, since the broker's
 * may be write-only or want aligned memory. */
static void keep_before(const char *path, off_t position, size_t size)
{
    struct stat s;
    struct record record = {.kind = RECORD_WRITE, .position = (uint64_t)position};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *before = malloc(size ? size : 1);

    if (fd < 0 || !before || fstat(fd, &s))
        abort();
    ssize_t got = pread(fd, before, size, position);
    if (got < 0)
        abort();
    record.size = (uint64_t)got;
    record.file_size = (uint64_t)s.st_size;
    pthread_mutex_lock(&undo_lock);
    undo_append(record, path, before);
    pthread_mutex_unlock(&undo_lock);
    free(before);
    close(fd);
}

static void note_write(int fd, const struct iovec *parts, int count, off64_t position)
{
    char path[PATH_MAX];
    size_t size = 0;

    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    if (getenv("SHIM_UNDO") && is_ours(fd, path))
        keep_before(path, position, size);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t position)
{
    ssize_t (*real)(int, const struct iovec *, int, off64_t) =
        (ssize_t(*)(int, const struct iovec *, int, off64_t))dlsym(RTLD_NEXT, "pwritev64");

    note_write(fd, parts, count, position);
    return real(fd, parts, count, position);
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t position, int flags)
{
    ssize_t (*real)(int, const struct iovec *, int, off64_t, int) =
        (ssize_t(*)(int, const struct iovec *, int, off64_t, int))dlsym(RTLD_NEXT, "pwritev64v2");

    note_write(fd, parts, count, position);
    return real(fd, parts, count, position, flags);
}

static size_t size_of(const struct iovec *parts, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

/* A durable write that io_uring is asked for is done here and now, by the calls above. What is handed to the system
 * in its place does nothing and ends with the same result. */
static void do_entry(struct io_uring_sqe *entry)
{
    char path[PATH_MAX];
    const struct iovec *parts = (const struct iovec *)(uintptr_t)entry->addr;
    if (entry->opcode != IORING_OP_WRITEV || !is_ours(entry->fd, path))
        return;
    if (entry->rw_flags != RWF_DSYNC)
        abort(); /* a write of a kind that is not known here */
    ssize_t result = pwritev64v2(entry->fd, parts, (int)entry->len, (off64_t)entry->off, 0);
    if (result != (ssize_t)size_of(parts, entry->len))
        result = result < 0 ? -errno : result;
    else if (fdatasync(entry->fd))
        result = -errno;
    uint64_t user_data = entry->user_data;
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_NOP;
    entry->fd = -1;
    entry->user_data = user_data;
    entry->rw_flags =
        1; /* IORING_NOP_INJECT_RESULT, Linux 6.10; older ones end with 0: a thread writes again */
    entry->len = (uint32_t)(int32_t)result;
}

int io_uring_submit(struct io_uring *ring)
{
    int (*real)(struct io_uring *) =
        (int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_submit");
    for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++)
        do_entry(&ring->sq.sqes[i & ring->sq.ring_mask]);
    return real(ring);
}

static const volatile int64_t *clock_ahead_s; /* shared with the test; aligned, written at once */
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void map_clock(void)
{
    const char *path = getenv("SHIM_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *clock_ahead_s, PROT_READ, MAP_SHARED, fd, 0);

    if (path && map == MAP_FAILED)
        abort();
    clock_ahead_s = path ? map : NULL;
    if (fd >= 0)
        close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!real_clock_gettime)
        real_clock_gettime =
            (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real_clock_gettime(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME && clock_ahead_s)
        now->tv_sec += *clock_ahead_s;
    return result;
}
