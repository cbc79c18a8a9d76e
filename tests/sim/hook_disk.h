/* A disk that passes everything on to another one and calls a hook after each change. */
#ifndef TESTS_SIM_HOOK_DISK_H
#define TESTS_SIM_HOOK_DISK_H

#include "io/disk.h"

struct disk *hook_disk_new(struct disk *inner, void (*changed)(void *ctx), void *ctx);

#endif
