/*
 * What the two halves of `pabal bench kafka` share: the options and a connection, which produces
 * (bench_kafka_produce.c) or fetches (bench_kafka_fetch.c).
 */
#ifndef CLI_BENCH_KAFKA_H
#define CLI_BENCH_KAFKA_H

#include "base/random.h"
#include "cli/bench.h"
#include "cli/codec.h"
#include "cli/kafka_client.h"

enum {
    BENCH_IN_FLIGHT_MAX = 1024,
    BENCH_BATCH_RECORDS_MAX = 1000000,
    BENCH_KEY_BYTES = 8, /* digits */
    BENCH_GROUP_NAME_MAX = 256,
};

struct kafka_bench_options {
    struct common common;
    struct bench_plan plan;
    const char *topic, *acks_text, *from;
    struct flag_list configs; /* of a topic that is made */
    int64_t partitions, producers, consumers, groups;
    int64_t batch_records, batch_bytes, linger_ns, in_flight, keys;
    int64_t fetch_bytes, partition_bytes, fetch_wait_ns, fetch_min_bytes;
    int64_t commit_every_ns;
    const char *codec_name, *group;
    enum batch_codec codec;
    int16_t acks;
    bool idempotent, again, remove;
};

/* A whole batch of batch_records messages; a shorter one is its front. */
struct batch_template {
    struct text bytes;
    size_t *key_at, *value_at, *record_end; /* of each record, from the start of the batch */
    int64_t count;
};

void batch_template_make(struct batch_template *t, const struct kafka_bench_options *o);
void batch_template_reset(struct batch_template *t);

struct flight {
    int64_t stamp_ns;
    double step_ns;
    uint64_t count;
};

struct kafka_conn {
    struct bench_conn base;
    const struct kafka_bench_options *options;
    int64_t partition_first, partition_step; /* which of the partitions are this connection's */
    int32_t correlation_id;
    struct arena arena;
    struct text plain, packed; /* of a batch with a codec */
    /* a producer's */
    const struct batch_template *template;
    int64_t partition_next;
    struct random random; /* of keys */
    int64_t producer_id;  /* -1: not idempotent */
    int16_t producer_epoch;
    int32_t *sequences; /* of each partition, the next one; NULL: not idempotent */
    struct flight flights[BENCH_IN_FLIGHT_MAX];
    uint64_t flight_first, flight_end;
    /* a consumer's */
    struct kafka_fetch_request_partition *positions;
    int32_t position_count;
    bool is_fetching;
    int32_t commit_id; /* correlation id of a commit under way, 0: none */
    int64_t next_commit_ns;
    char group[BENCH_GROUP_NAME_MAX]; /* "": nothing is committed */
};

static inline struct kafka_conn *kafka_conn_of(const struct bench_conn *c)
{
    return (struct kafka_conn *)c;
}

/* Ask with `client` for what the connection needs, before its stream is taken over. */
must_use enum err kafka_producer_prepare(struct kafka_conn *c, struct kafka_client *client);
must_use enum err kafka_consumer_prepare(struct kafka_conn *c, struct kafka_client *client);

void kafka_producer_fill(struct bench_conn *base);
must_use enum err kafka_producer_take(struct kafka_conn *c, struct bytes body);
void kafka_consumer_fill(struct bench_conn *base);
must_use enum err kafka_consumer_take(struct kafka_conn *c, int32_t correlation_id,
                                      struct bytes body);

#endif
