/* A disk that passes everything on to another one, calls a hook after each change, and may fail to read. */
#ifndef TESTS_SIM_HOOK_DISK_H
#define TESTS_SIM_HOOK_DISK_H

#include "io/disk.h"

struct disk *hook_disk_new(struct disk *inner, void (*changed)(void *ctx), void *ctx);
/* From now on one in so many reads fails, drawn by seed; 0: none does. */
void hook_disk_fail_reads(struct disk *, uint64_t one_in, uint64_t seed);

#endif
