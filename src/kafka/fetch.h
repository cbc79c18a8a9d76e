/*
 * Fetch: batches of partitions from given offsets on, waiting until there is enough of them.
 * KIP-74 (sizes), KIP-227 (sessions: fetch_session.h), KIP-320 and KIP-595 (epochs), KIP-516 (topic
 * ids), KIP-951 (who leads instead).
 *
 *   look     every lively partition is looked up, and what it has below its high watermark is
 *            counted as far as it matters
 *   wait     until min_bytes are counted, max_wait has passed, or something is wrong. Each
 *            partition has a watch, so a commit costs a look at the partitions that moved and at no
 *            others
 *   gather   in order, references to batches are taken until the limits are reached; what is not in
 *            memory is read, one partition after the other. A partition of a session that had
 *            records goes behind the others, so that the next answer begins with them
 *   write    the answer's own bytes are copied, batches go out from where they lie, be it a file
 *
 * While it waits a fetch holds counts and no batches. Nothing above the high watermark is shown.
 * What is not known at all (a topic, a partition) does not end the wait for the others, as in Kafka:
 * clients ask for it again and again until their metadata say that it is gone.
 */
#ifndef KAFKA_FETCH_H
#define KAFKA_FETCH_H

#include "base/timers.h"
#include "base/vec.h"
#include "kafka/fetch_session.h"
#include "kafka/request.h"

enum { FETCH_MAX_BYTES = 55 << 20 }; /* of records in one answer, whatever is asked */

/* Batches that follow one another in one chunk or in a file, or a single one whose first bytes have
 * another log's numbers. */
struct fetch_piece {
    struct bytes raw;
    struct chunk *chunk;        /* one reference; NULL: */
    struct log_stretch stretch; /* instead of raw */
    int64_t base_offset;
    int32_t epoch;
    bool is_stamped; /* raw has the right numbers */
};

void fetch_piece_release(struct fetch_piece *p);

struct fetch {
    struct request *request;
    struct fetch_set *set; /* `own`, or a session */
    struct fetch_set own;
    struct fetch_part *own_parts;
    bool is_incremental; /* only what changed is told */
    bool is_waiting, is_gathering;
    bool ends_wait; /* something happened that the client must know at once */
    struct deferred finish;
    struct timer timer;
    int64_t wanted_bytes, counted_bytes;

    struct list todo, kept, served, unknown; /* partitions not gathered yet, and those that were */
    struct fetch_part *current;              /* being gathered */
    int64_t next_offset;
    int64_t part_room, room;
    bool has_records;
    struct cold_read *read; /* under way */
    struct kafka_fetch_response_partition *answers;
    struct fetch_topic **answer_topics;
    uint32_t *piece_counts; /* of each answer's records */
    size_t answer_count;
    VEC(struct fetch_piece) pieces; /* of all answers, in order */
};

#endif
