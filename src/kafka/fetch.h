/*
 * Fetch: batches of partitions from given offsets on, waiting until there is enough of them.
 * KIP-74 (sizes), KIP-227 (sessions: always answered "none"), KIP-320 and KIP-595 (epochs), KIP-516
 * (topic ids).
 *
 *   check    every partition is looked up and what it has below its high watermark is counted
 *   wait     until min_bytes are counted, max_wait has passed, or something is wrong. Each
 * partition has a watch, so a commit costs a look at the partitions that moved and at no others
 *   gather   in the order of the request, references to batches are taken until the limits are
 *            reached; what is not in memory is read, one partition after the other
 *   write    the answer's own bytes are copied, batches go out from where they lie
 *
 * While it waits a fetch holds counts and no batches. Nothing above the high watermark is shown.
 */
#ifndef KAFKA_FETCH_H
#define KAFKA_FETCH_H

#include "base/timers.h"
#include "base/vec.h"
#include "broker/core.h"
#include "broker/topic.h"
#include "kafka/kafka_messages.h"
#include "kafka/request.h"

enum { FETCH_MAX_BYTES = 55 << 20 }; /* of records in one answer, whatever is asked */

struct fetch_part {
    struct partition_watch watch;
    struct list moved; /* in fetch->moved until it is counted again */
    struct fetch *fetch;
    struct partition *partition; /* NULL: an error is the answer */
    const struct kafka_fetch_request_partition *asked;
    struct kafka_fetch_response_partition *answer;
    int64_t counted_to; /* offset */
    int64_t counted_bytes;
    size_t span_count; /* of the answer's records */
};

struct fetch {
    struct request *request;
    struct fetch_part *parts;
    size_t part_count;
    struct list moved;
    struct deferred recount;
    struct timer timer;
    int64_t counted_bytes;
    bool is_ready; /* nothing to wait for any more */
    bool is_gathering;

    size_t gathered_count; /* parts that are complete */
    int64_t next_offset;   /* in the part that is being gathered */
    int64_t part_room, room;
    bool has_records;
    struct cold_read *read;        /* under way */
    VEC(struct log_batch) batches; /* of all parts, in order; each holds a reference to its chunk */
};

#endif
