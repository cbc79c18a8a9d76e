/* Counters and gauges: one table (name, kind, unit, help), one row of cells for each thread, summed
 * when read. Adding to a counter is a plain add to the thread's own cell. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#define METRICS_TABLE(X)                                                                           \
    X(commits, counter, "", "journal commits")                                                     \
    X(commit_bytes, counter, "bytes", "bytes written to the journal, padding included")            \
    X(direct_bytes, counter, "bytes", "bytes written straight to segments")                        \
    X(materialised_bytes, counter, "bytes", "bytes copied from the journal to segments")           \
    X(carried_bytes, counter, "bytes", "bytes carried forward in the journal")                     \
    X(syncs, counter, "", "fdatasync calls")                                                       \
    X(append_bytes, counter, "bytes", "bytes of batches accepted")                                 \
    X(append_records, counter, "", "records accepted")                                             \
    X(retention_records, counter, "", "offsets dropped by retention")                              \
    X(compaction_read_bytes, counter, "bytes", "bytes of segments that compaction read")           \
    X(compaction_write_bytes, counter, "bytes", "bytes that it wrote instead")                     \
    X(read_jobs, counter, "", "reads from files")                                                  \
    X(kafka_requests, counter, "", "Kafka requests answered")                                      \
    X(kafka_errors, counter, "", "Kafka connections closed for an error")                          \
    X(messages_received, counter, "", "messages that publishers have sent")                        \
    X(message_bytes, counter, "bytes", "bodies of messages that publishers have sent")             \
    X(messages_to_100, counter, "", "those whose body has up to 100 bytes")                        \
    X(messages_to_1000, counter, "",                                                               \
      "those whose body has up to 1,000, and more than the row before")                            \
    X(messages_to_10000, counter, "",                                                              \
      "those whose body has up to 10,000, and more than the row before")                           \
    X(messages_to_100000, counter, "",                                                             \
      "those whose body has up to 100,000, and more than the row before")                          \
    X(messages_to_1000000, counter, "",                                                            \
      "those whose body has up to 1,000,000, and more than the row before")                        \
    X(messages_to_10000000, counter, "",                                                           \
      "those whose body has up to 10,000,000, and more than the row before")                       \
    X(messages_to_50000000, counter, "",                                                           \
      "those whose body has up to 50,000,000, and more than the row before")                       \
    X(messages_to_100000000, counter, "",                                                          \
      "those whose body has up to 100,000,000, and more than the row before")                      \
    X(messages_larger, counter, "", "those whose body is larger")                                  \
    X(messages_received_confirm, counter, "", "of those, on channels with confirms")               \
    X(messages_confirmed, counter, "", "messages confirmed to publishers")                         \
    X(messages_routed, counter, "", "messages given to queues, once for each queue")               \
    X(messages_returned, counter, "", "mandatory messages returned as unroutable")                 \
    X(messages_dropped, counter, "", "messages dropped as unroutable")                             \
    X(messages_delivered, counter, "", "messages delivered to consumers that ack")                 \
    X(messages_delivered_no_ack, counter, "", "messages delivered to consumers that do not")       \
    X(messages_got, counter, "", "messages that basic.get was given, to be acked")                 \
    X(messages_got_no_ack, counter, "", "messages that basic.get was given, not to be acked")      \
    X(messages_get_empty, counter, "", "basic.get that found nothing")                             \
    X(messages_redelivered, counter, "", "of the delivered messages, those delivered before")      \
    X(messages_acknowledged, counter, "", "messages that consumers have acked")                    \
    X(dead_lettered_expired, counter, "", "dead letters: their time was over")                     \
    X(dead_lettered_rejected, counter, "", "dead letters: a consumer has rejected them")           \
    X(dead_lettered_maxlen, counter, "", "dead letters: the queue was full")                       \
    X(dead_lettered_delivery_limit, counter, "", "dead letters: they have come back too often")    \
    X(channels_opened, counter, "", "AMQP channels opened")                                        \
    X(channels_closed, counter, "", "AMQP channels closed")                                        \
    X(queues_declared, counter, "", "queues declared, also those that were there")                 \
    X(queues_created, counter, "", "queues made")                                                  \
    X(queues_deleted, counter, "", "queues deleted")                                               \
    X(amqp_errors, counter, "", "AMQP channels and connections closed for an error")               \
    X(connections_opened, counter, "", "connections accepted")                                     \
    X(connections_closed, counter, "", "connections gone")                                         \
    X(records_undecodable, counter, "", "records skipped because their batch cannot be decoded")   \
    X(produce_duplicates, counter, "", "batches of idempotent producers that were there already")  \
    X(producers_forgotten, counter, "", "idempotent producers forgotten for want of memory")

enum metric {
#define METRIC_ENUM(name, kind, unit, help) METRIC_##name,
    METRICS_TABLE(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT
};

struct metrics_row {
    uint64_t cells[METRIC_COUNT];
};

extern _Thread_local struct metrics_row *metrics_own; /* set by metrics_join() */

/* Give the calling thread a row, at its start; a thread without one counts nothing. */
void metrics_join(void);

static inline void metrics_add(enum metric m, uint64_t n)
{
    if (metrics_own)
        __atomic_store_n(&metrics_own->cells[m], metrics_own->cells[m] + n, __ATOMIC_RELAXED);
}

uint64_t metrics_sum(enum metric m);
const char *metrics_name(enum metric m);
const char *metrics_kind(enum metric m); /* "counter" or "gauge" */
const char *metrics_unit(enum metric m); /* "" for a plain count */
const char *metrics_help(enum metric m);

#endif
