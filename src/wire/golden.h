/*
 * Messages as other implementations write them, kept in tests/golden: comments (#), name and
 * version, the bytes in hex, an empty line, and what the message says, as our dump. For the tests
 * of all folders that have schemas.
 */
#ifndef WIRE_GOLDEN_H
#define WIRE_GOLDEN_H

#include "base/bytes.h"

struct golden {
    char name[64]; /* "metadata_request", "basic.publish" */
    int version;   /* 0 when the file names none */
    struct text bytes;
    struct text dump;
};

/* Run `check` on every *.golden file in a folder, and fail the test when there are fewer than
 * `files_min`: a folder that is not found tests nothing. */
void golden_each(const char *folder, int files_min, void (*check)(const struct golden *));

#endif
