/*
 * Looking into the records of a produced batch, where a topic asks for it: records without a key on a
 * compacted topic, timestamps that are out of bounds, another codec than the producer's. Pure, any
 * thread: a batch may be large and compressed, so whoever serves clients does it off the core.
 *
 * Everything else of the batch stays: offsets, producer, sequence, and the records' own bytes.
 */
#ifndef BROKER_RECODE_H
#define BROKER_RECODE_H

#include "base/vec.h"
#include "broker/topic.h"

enum { RECODE_ERRORS_MAX = 1000, RECODE_INLINE_MAX_BYTES = 64 << 10 };

struct recode_rules {
    bool needs_keys;
    bool bounds_times;
    int64_t earliest_ms, latest_ms; /* with bounds_times */
    int codec;                      /* enum batch_codec, or CODEC_OF_PRODUCER */
    int level;                      /* of the codec, or BATCH_LEVEL_STANDARD */
};

struct record_error {
    int32_t index; /* of the record in its batch */
    bool is_time;  /* its timestamp, else the missing key */
};

struct recoded {
    struct text raw;                 /* the batch anew; empty: as it came */
    VEC(struct record_error) errors; /* at most RECODE_ERRORS_MAX */
};

/* What has to be looked for in this batch; false: nothing. */
bool recode_is_needed(const struct core *, const struct topic *, const struct batch *,
                      struct recode_rules *out);
/* So little that it can be done in the core. */
bool recode_is_small(const struct batch *, const struct recode_rules *);

/* `out` zeroed. E_MALFORMED: records without a key, or damaged ones; E_OUT_OF_RANGE: timestamps;
 * out->errors names the records. E_CORRUPT, E_TOO_LARGE: it does not inflate. E_NO_MEMORY. */
must_use enum err recode_batch(const struct batch *, const struct recode_rules *,
                               struct recoded *out);
void recoded_reset(struct recoded *);

#endif
