/*
 * Where to begin in a topic, as people say it:
 *
 *   beginning, earliest     the first record that is kept
 *   end, latest             what comes from now on
 *   4711                    this offset
 *   -10                     so many before the end
 *   10m, 2h, 7d             what was written in the last ten minutes, ...
 *   2026-11-21T07:00:00Z    what was written since; parts from the end may be missing, UTC unless it
 *                           says an offset such as +09:00
 */
#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/kafka_client.h"

enum place_kind { PLACE_BEGINNING, PLACE_END, PLACE_OFFSET, PLACE_BEFORE_END, PLACE_TIME };

struct place {
    enum place_kind kind;
    int64_t value; /* offset, count, or ms since 1970 */
};

/* E_INVALID says what `option` may be. */
must_use enum err place_parse(const char *option, const char *text, int64_t now_ms,
                              struct place *out);

/* Find it in each of the partitions that `places` name; their offsets are the answer. */
must_use enum err place_find(struct kafka_client *c, const struct place *place,
                             struct kafka_place *places, size_t count);

#endif
