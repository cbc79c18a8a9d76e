/*
 * A disk in memory that behaves as badly as a disk may.
 *
 * For each file it keeps the content as last synced, the content as a reader sees it, and the list
 * of changes between the two; for each directory likewise the entries. A crash throws the visible
 * state away and builds the next one from the synced state and from none, all or some of the
 * changes:
 *
 *   SIM_KEEP    every unsynced change reached the disk
 *   SIM_LOSE    none did
 *   SIM_SUBSET  drawn by seed for each change, a write also torn at sectors of 512 bytes. A sector
 *               never shows a later write without the earlier ones to the same sector. Directory
 *               changes are drawn one by one, so a file that was synced can still be missing
 *
 * Everything is deterministic: the same calls with the same seeds give the same disk. Operations
 * are counted from 1 on, reads, size, list and opening an existing file not included, so a test
 * runs a workload once, learns how many operations it has, and crashes at each of them. After the
 * crash each call returns E_SIMULATED_CRASH until sim_disk_restart(); files opened before must be
 * closed, and do nothing else any more.
 *
 * It belongs to one thread (see io/sim_jobs.h). Close all files before disk_free().
 */
#ifndef IO_SIM_DISK_H
#define IO_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/disk.h"

enum { SIM_SECTOR_BYTES = 512 };

enum sim_restart { SIM_KEEP, SIM_LOSE, SIM_SUBSET };

enum sim_call {
    SIM_OPEN,
    SIM_READ,
    SIM_WRITE,
    SIM_SYNC,
    SIM_WRITE_OUT,
    SIM_ALLOCATE,
    SIM_TRUNCATE,
    SIM_REMOVE, /* of files and directories */
    SIM_RENAME,
    SIM_MAKE_DIR,
    SIM_SYNC_DIR,
    SIM_CALL_COUNT,
};

struct sim_disk_stats {
    uint64_t operations;
    uint64_t calls[SIM_CALL_COUNT];
    uint64_t read_bytes, write_bytes;
    /* Bytes that file_start_read() had asked for and the disk had not brought yet, at most: it brings a file's one
     * after the other, whole blocks, and has when one of them is read. */
    uint64_t ahead_most;
};

/* Empty, 4 KiB blocks (change ->block_bytes to have others), no limit to its capacity. */
struct disk *sim_disk_new(void);
/* The same state, synced, unsynced, faults and counts, in a disk of its own without open files. It
 * shares what neither of the two changes. */
struct disk *sim_disk_clone(const struct disk *);

/* ---- crashes ---- */

/* Crash in the operation with this number: of a write, the first `byte` bytes are left as an
 * unsynced change; any other operation does nothing. 0: never. */
void sim_disk_crash_at(struct disk *, uint64_t operation, size_t byte);
void sim_disk_crash(struct disk *); /* now */
bool sim_disk_has_crashed(const struct disk *);
/* Also without a crash before. Afterwards all is synced, and no crash is planned. */
void sim_disk_restart(struct disk *, enum sim_restart mode, uint64_t seed);

/* ---- faults ---- */

/* The nth call of this kind from now on (1: the next, 0: none) fails with `code`. A write leaves its first
 * half behind. A sync behaves as Linux does: the file's unsynced changes count as written from then
 * on and are still read, but a crash loses them, whatever is synced later; the next sync by each other
 * handle that is open fails too, once. */
void sim_disk_fail(struct disk *, enum sim_call call, uint64_t nth, enum err code);
/* Allocating or writing new pages beyond this gives E_NO_SPACE; what fitted is written. */
void sim_disk_set_capacity(struct disk *, uint64_t bytes);
/* From now on nothing is said to be cached, or everything again. */
void sim_disk_set_cold(struct disk *, bool cold);
/* Turn around one bit of a file, also of what is synced. */
must_use enum err sim_disk_flip(struct disk *, const char *path, uint64_t position);
/* A mutant: syncs succeed and do nothing. A test of durability that passes with it tests nothing.
 */
void sim_disk_ignore_sync(struct disk *, bool ignore);

const struct sim_disk_stats *sim_disk_stats(const struct disk *);

#endif
