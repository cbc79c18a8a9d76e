/*
 * A small blocking Kafka client: one connection, one request at a time, in versions that Kafka 2.4
 * (of groups 2.6) to 4.x and Pabal speak. The commands use it whole; the load generator prepares its topic with it
 * and then takes the stream over. One server is assumed to lead every partition.
 *
 * Errors: Kafka's code becomes one of ours (E_NOT_FOUND for an unknown topic, E_EXISTS, ...) with
 * what was asked, the code and the server's message as text.
 */
#ifndef CLI_KAFKA_CLIENT_H
#define CLI_KAFKA_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "io/stream.h"
#include "kafka/kafka_messages.h"

enum kafka_client_version {
    KAFKA_CLIENT_PRODUCE_VERSION = 8, /* the last in which the records end the request */
    KAFKA_CLIENT_FETCH_VERSION = 11,
    KAFKA_CLIENT_METADATA_VERSION = 8,
    KAFKA_CLIENT_CREATE_TOPICS_VERSION = 4, /* the first with the server's own partition count */
    KAFKA_CLIENT_DELETE_TOPICS_VERSION = 3,
    KAFKA_CLIENT_LIST_OFFSETS_VERSION = 5,
    KAFKA_CLIENT_CREATE_PARTITIONS_VERSION = 1,
    KAFKA_CLIENT_DESCRIBE_CONFIGS_VERSION = 2,
    KAFKA_CLIENT_ALTER_CONFIGS_VERSION = 0,
    KAFKA_CLIENT_DESCRIBE_LOG_DIRS_VERSION = 1,
    KAFKA_CLIENT_FIND_COORDINATOR_VERSION = 2,
    KAFKA_CLIENT_LIST_GROUPS_VERSION = 4, /* the first with states */
    KAFKA_CLIENT_DESCRIBE_GROUPS_VERSION = 4,
    KAFKA_CLIENT_DELETE_GROUPS_VERSION = 1,
    KAFKA_CLIENT_OFFSET_FETCH_VERSION = 5,
    KAFKA_CLIENT_OFFSET_COMMIT_VERSION = 7,
    KAFKA_CLIENT_OFFSET_DELETE_VERSION = 0,
    KAFKA_CLIENT_JOIN_GROUP_VERSION = 5,
    KAFKA_CLIENT_SYNC_GROUP_VERSION = 3,
    KAFKA_CLIENT_HEARTBEAT_VERSION = 3,
    KAFKA_CLIENT_LEAVE_GROUP_VERSION = 3,
};

enum { KAFKA_TIMESTAMP_LATEST = -1, KAFKA_TIMESTAMP_EARLIEST = -2 };
enum { KAFKA_RESOURCE_TOPIC = 2 }; /* of DescribeConfigs and its like */

struct kafka_client;

must_use enum err kafka_client_open(const char *server, int64_t timeout_ns,
                                    struct kafka_client **out);
void kafka_client_close(struct kafka_client *c); /* accepts NULL */
/* Give up the client and keep its stream. */
struct stream *kafka_client_detach(struct kafka_client *c);

/* After an E_AGAIN: wait a moment. False when the client's patience since `start_ns` is over. */
bool kafka_client_tries_again(const struct kafka_client *c, int64_t start_ns);
/* Ask and decode the answer, which is valid until the next call. */
must_use enum err kafka_client_ask(struct kafka_client *c, enum kafka_api_key key, int version,
                                   const void *request, void *response);
/* As above, of an answer that takes its time. */
must_use enum err kafka_client_ask_slow(struct kafka_client *c, enum kafka_api_key key, int version,
                                        const void *request, void *response, int64_t timeout_ns);
/* All topics (name NULL) or one; never creates one. An unknown name is E_NOT_FOUND, with the nearest
 * one that there is. */
must_use enum err kafka_client_metadata(struct kafka_client *c, const char *topic,
                                        struct kafka_metadata_response *out);
struct kafka_topic_spec {
    const char *name;
    int32_t partitions; /* -1: the server's default */
    int16_t replicas;   /* -1: the server's default */
    struct kafka_create_topics_request_config *configs;
    size_t config_count;
    bool validate_only;
};
must_use enum err kafka_client_create_topic(struct kafka_client *c,
                                            const struct kafka_topic_spec *spec);
must_use enum err kafka_client_delete_topic(struct kafka_client *c, const char *name);
/* `timestamp`: ms, or one of KAFKA_TIMESTAMP_... -1: there is no record of that time or later. */
must_use enum err kafka_client_list_offset(struct kafka_client *c, const char *topic,
                                           int32_t partition, int64_t timestamp, int64_t *out);

struct kafka_place {
    const char *topic;
    int32_t partition;
    int64_t timestamp; /* asked: as above */
    int64_t offset;    /* answered */
};
/* As above, for many at once. */
must_use enum err kafka_client_list_offsets(struct kafka_client *c, struct kafka_place *places,
                                            size_t count);
/* Append one batch. With acks 0 nothing is waited for and *out_base_offset is -1. */
must_use enum err kafka_client_produce(struct kafka_client *c, const char *topic, int32_t partition,
                                       int16_t acks, struct bytes batch, int64_t *out_base_offset);
/* Whole batches from the positions on, as they lie in the logs: the first of a partition may begin
 * before its position, the last may be cut off. Waits up to `wait_ms` for something. The answer is
 * valid until the next call; its partitions have codes of their own. */
must_use enum err kafka_client_fetch(struct kafka_client *c, const char *topic,
                                     struct kafka_fetch_request_partition *positions, size_t count,
                                     int32_t wait_ms, struct kafka_fetch_response *out);
/* `count` positions of partitions 0 to count - 1, with the defaults of the request and offset 0. */
struct kafka_fetch_request_partition *kafka_client_positions(size_t count, int32_t max_bytes);

/* Where clients put a key: murmur2, as Kafka's own producers. */
int32_t kafka_client_partition_of(struct bytes key, int32_t partition_count);

/* OK for code 0. */
must_use enum err kafka_client_error(int16_t code, struct bytes message, const char *what);

/* A whole request of an API, size field included: for those who drive the stream themselves. Of a
 * Produce request the records may be left out (`with_records` false): they are appended behind. */
must_use enum err kafka_client_put(struct text *out, enum kafka_api_key key, int version,
                                   int32_t correlation_id, const void *request, bool with_records);
/* The whole answer at the front of `in`: returns its size and what is behind the correlation id, 0
 * when more bytes are needed, -1 when it is none. */
int64_t kafka_client_take(struct bytes in, int32_t *out_correlation_id, struct bytes *out_body);

#endif
