/*
 * The disk seam: files as the log uses them, behind one table of functions. disk_real_new() is the
 * operating system; sim_disk_new() (io/sim_disk.h) is memory that can crash, tear writes, fill up
 * and fail. All calls may block and therefore run in jobs on disk threads (io/jobs.h), or before
 * the loop starts. Paths are relative to the disk's root directory, with '/' between parts.
 *
 * A file is used by one job at a time, except that reads and syncs may run beside a writer: what was
 * written when the sync began is on the disk when it ends. A failed write-back is told to each handle
 * of the file that was open by then, at its next sync.
 */
#ifndef IO_DISK_H
#define IO_DISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "base/err.h"

struct disk;

struct file {
    struct disk *disk; /* back ends put their own fields behind this struct */
};

enum disk_open_flags {
    DISK_CREATE =
        1, /* create when missing; its directory entry is durable only after disk_sync_dir() */
    DISK_READ_ONLY = 2,
    /* Bypass the page cache where the file system can. The caller reads and writes whole blocks of
     * block_bytes, at multiples of it, from memory aligned to it; anything else is a bug. */
    DISK_DIRECT = 4,
    DISK_EXCLUSIVE = 8, /* with DISK_CREATE: E_EXISTS when it is there */
    /* What is written is hardly read soon: where the system can, its pages are given back as soon as
     * they are on the disk. Nothing else changes. */
    DISK_UNCACHED = 16,
    /* The system reads what it is asked for and nothing ahead of that: some have 8 MiB read at once, and a write of
     * others would have to wait until the disk has done so. */
    DISK_AS_ASKED = 32,
};

struct disk_ops {
    enum err (*open)(struct disk *, const char *path, unsigned flags, struct file **out);
    void (*close)(struct file *);
    enum err (*size)(struct file *, uint64_t *out);
    enum err (*read)(struct file *, uint64_t position, void *out, size_t size);
    enum err (*write)(struct file *, uint64_t position, const struct iovec *parts, int count);
    enum err (*sync)(struct file *);
    enum err (*write_out)(struct file *, uint64_t from, uint64_t to);
    enum err (*allocate)(struct file *, uint64_t from, uint64_t to, bool written);
    enum err (*truncate)(struct file *, uint64_t size);
    enum err (*remove)(struct disk *, const char *path);
    enum err (*rename)(struct disk *, const char *from, const char *to);
    enum err (*make_dir)(struct disk *, const char *path);
    enum err (*remove_dir)(struct disk *, const char *path);
    enum err (*sync_dir)(struct disk *, const char *path);
    enum err (*list)(struct disk *, const char *path, void (*each)(void *ctx, const char *name),
                     void *ctx);
    enum err (*free_bytes)(struct disk *, uint64_t *out);
    enum err (*total_bytes)(struct disk *, uint64_t *out);
    bool (*is_cached)(struct file *, uint64_t position, uint64_t size); /* NULL: nothing is */
    int (*descriptor)(struct file *);                                   /* NULL: there is none */
    void (*start_sync)(struct file *, uint64_t from, uint64_t to);      /* NULL: nothing */
    void (*start_read)(struct file *, uint64_t from, uint64_t to);      /* NULL: nothing */
    void (*free)(struct disk *);
};

struct disk {
    const struct disk_ops *ops;
    uint32_t block_bytes; /* what the device writes at once: 512 or 4096 */
    atomic_bool in_haste;
};

/* The directory `root` is created when missing (0700), and locked by a file "lock" in it: a second
 * process gets E_LOCKED. */
must_use enum err disk_real_new(const char *root, struct disk **out);
void disk_free(struct disk *);

must_use enum err disk_open(struct disk *, const char *path, unsigned flags, struct file **out);
void file_close(struct file *); /* accepts NULL */
must_use enum err file_size(struct file *, uint64_t *out);
/* Exactly `size` bytes or an error; E_OUT_OF_RANGE when the file ends before. */
must_use enum err file_read(struct file *, uint64_t position, void *out, size_t size);
/* All of it or an error. E_NO_SPACE only when the place was not allocated before. */
must_use enum err file_write(struct file *, uint64_t position, const struct iovec *parts,
                             int count);
/* Is all of this in the system's cache, so that reading it now does not wait for the disk? What the
 * system is still reading is not. What is there may go, and what the system cannot tell is not there.
 * Does not block. For one thread at a time. */
bool file_is_cached(struct file *, uint64_t position, uint64_t size);
/* What the operating system calls the file; -1 when it does not know it. */
int file_descriptor(struct file *);
must_use enum err file_write_bytes(struct file *, uint64_t position, struct bytes b);
/* fdatasync. After a failure the file's unsynced data is in doubt for ever: never call it again. */
must_use enum err file_sync(struct file *);
/* Let the system begin to write what it has of [from, to), so that file_sync() will have less to wait for.
 * Promises nothing; that call tells of what fails. */
void file_start_sync(struct file *, uint64_t from, uint64_t to);
/* Wait until the disk has taken what the system has of [from, to), which is not durable by that: a commit beside it
 * waits for no more than one such piece. Fails as file_sync(), and that fails after it. */
must_use enum err file_write_out(struct file *, uint64_t from, uint64_t to);
/* Let the system begin to read [from, to) into its cache, so that file_read() will have less to wait for. */
void file_start_read(struct file *, uint64_t from, uint64_t to);
/* What of a file is asked for before it is needed. A disk that has much to read lets writes of others wait. */
enum { READ_AHEAD_BYTES = 512 << 10 };
/* Have the system read [0, size) into its cache, in steps of READ_AHEAD_BYTES, of which it has two at most. Returns
 * when all but the last is there. Fails as file_read(). */
must_use enum err file_read_in(struct file *, uint64_t size);
/* Make [from, to) of the file exist as zeros that later writes need no new space for; sets the size
 * to `to` when it is larger. `written`: really write zeros (a journal file), so that no write has
 * to change the file's metadata. Not durable before file_sync(). */
must_use enum err file_allocate(struct file *, uint64_t from, uint64_t to, bool written);
must_use enum err file_truncate(struct file *, uint64_t size);
must_use enum err disk_remove(struct disk *, const char *path); /* a missing file is OK */
/* The size to which a file of `size` bytes that loses its space is to be shortened next: all at once would make
 * everybody who writes wait (with the mount option `discard` 0.2 ms a MiB). 0 behind the last step. */
uint64_t file_step_below(uint64_t size);
/* A file that has lost its name and still has its space. */
struct unnamed_file {
    struct file *file; /* NULL: there was none */
    uint64_t size;
};
/* For a file that may be large and that nobody reads: its name goes now, its space with file_give_back(). */
must_use enum err disk_unname(struct disk *, const char *path, struct unnamed_file *out);
/* In steps with pauses, about 1 ms a MiB; closes it. For a lane of its own: others must not wait that long. */
void file_give_back(struct disk *, struct unnamed_file *);
/* While on, what file_give_back() is at goes at once: nobody else is going to write. Any thread's. */
void disk_make_haste(struct disk *, bool on);
/* Replaces what is at `to`. Within one directory; durable, all or nothing, after its sync. */
must_use enum err disk_rename(struct disk *, const char *from, const char *to);
must_use enum err disk_make_dir(struct disk *, const char *path);   /* an existing one is OK */
must_use enum err disk_remove_dir(struct disk *, const char *path); /* a missing one is OK */
must_use enum err disk_sync_dir(struct disk *, const char *path);
/* Calls `each` for every name but . and .., in any order. */
must_use enum err disk_list(struct disk *, const char *path,
                            void (*each)(void *ctx, const char *name), void *ctx);
must_use enum err disk_free_bytes(struct disk *, uint64_t *out);
must_use enum err disk_total_bytes(struct disk *, uint64_t *out); /* of the whole volume */

#endif
