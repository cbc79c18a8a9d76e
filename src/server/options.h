/*
 * Options: the one table of everything that can be configured. The parser of files, environment and
 * command line, `pabal config show`, docs/options.md and the tests of bounds all come from it; a
 * new option is one row here and its use in the server.
 *
 * A row: id, name, type, least, most, default, when it may change, what words a value may be beside
 * its type (choices of an enum; "auto" or "none" of others), other names, help. Sizes are in bytes,
 * durations in nanoseconds. Other names are Kafka's and RabbitMQ's, where the meaning is equal.
 */
#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/nearest.h"

enum option_type {
    OPTION_TEXT,
    OPTION_SECRET, /* text that is not shown */
    OPTION_INT,
    OPTION_SIZE,
    OPTION_DURATION,
    OPTION_BOOL,
    OPTION_ENUM,
    OPTION_ADDRESS, /* HOST:PORT; "PLAINTEXT://" in front is dropped, an empty host means all */
    OPTION_TOPIC,   /* the default of a topic config, whose type and bounds it has */
};

enum option_change { AT_START, AT_RUNTIME };

#define OPTION_SECOND INT64_C(1000000000)
#define OPTION_KIB INT64_C(1024)
#define OPTION_MIB (1024 * OPTION_KIB)
#define OPTION_GIB (1024 * OPTION_MIB)

#define OPTIONS_TABLE(X)                                                                           \
    X(DATA_DIR, "data.dir", TEXT, 1, 1024, "data", AT_START, "", "log.dir log.dirs",               \
      "Directory of everything that is stored, and of the control socket. One process at a time.") \
    X(LISTENER_KAFKA, "listener.kafka", ADDRESS, 0, 0, "127.0.0.1:9092", AT_START, "none",         \
      "listeners",                                                                                 \
      "Where Kafka clients connect. Port 0 takes a free one. Off loopback it opens only with "     \
      "allow.anonymous = true.")                                                                   \
    X(LISTENER_AMQP, "listener.amqp", ADDRESS, 0, 0, "127.0.0.1:5672", AT_START, "none",           \
      "listeners.tcp.default",                                                                     \
      "Where AMQP 0-9-1 clients connect. The user guest is let in from loopback only.")            \
    X(LISTENER_HTTP, "listener.http", ADDRESS, 0, 0, "127.0.0.1:15672", AT_START, "none", "",      \
      "Where the management API and /metrics are served. The user guest is let in from loopback "  \
      "only; /metrics needs no log-in.")                                                           \
    X(LISTENER_METRICS, "listener.metrics", ADDRESS, 0, 0, "none", AT_START, "none", "",           \
      "A listener of its own for /metrics alone.")                                                 \
    X(HTTP_MAX_CONNECTIONS, "http.max.connections", INT, 1, 100000, "512", AT_START, "", "",       \
      "HTTP connections at a time, of each listener; half of them from one address.")              \
    X(HTTP_BODY_MAX_BYTES, "http.body.max.bytes", SIZE, OPTION_KIB, OPTION_GIB, "20MiB", AT_START, \
      "", "management.http.max_body_size", "Largest body of an HTTP request.")                     \
    X(HTTP_IDLE_TIMEOUT, "http.idle.timeout", DURATION, OPTION_SECOND, 3600 * OPTION_SECOND,       \
      "60s", AT_START, "", "",                                                                     \
      "How long an HTTP connection may say nothing, a request line and its headers may take, "     \
      "and a body or an answer may with a second more for each 16 KiB; then it is closed.")        \
    X(ADVERTISED_KAFKA, "advertised.kafka", ADDRESS, 0, 0, "auto", AT_START, "auto",               \
      "advertised.listeners",                                                                      \
      "The address that Kafka clients are told to connect to; auto is the one they came by.")      \
    X(ALLOW_ANONYMOUS, "allow.anonymous", BOOL, 0, 0, "false", AT_START, "", "",                   \
      "Let Kafka clients in from other machines although they do not log in.")                     \
    X(DURABILITY, "durability", ENUM, 0, 0, "fsync", AT_START, "fsync|os", "",                     \
      "When a message counts as stored, for topics and durable queues that do not say: fsync "     \
      "when "                                                                                      \
      "the disk has it, os when the operating system has it.")                                     \
    X(IO_THREADS, "io.threads", INT, 0, 16, "auto", AT_START, "auto", "",                          \
      "Threads for connections. 0 serves them on the core's own thread; auto is 0 up to two "      \
      "processors, else half of them.")                                                            \
    X(IO_URING, "io.uring", BOOL, 0, 0, "true", AT_START, "", "",                                  \
      "Let io_uring write commits to the disk where the system allows it, which costs less and "   \
      "is "                                                                                        \
      "faster; else, and with false, a thread does.")                                              \
    X(MEMORY_LIMIT, "memory.limit", SIZE, 16 * OPTION_MIB, INT64_MAX, "auto", AT_START, "auto",    \
      "",                                                                                          \
      "Memory for messages and buffers; beyond it clients are slowed down. auto is 40 % of "       \
      "the machine's or the container's.")                                                         \
    X(MEMORY_WATERMARK, "memory.watermark", SIZE, 1, INT64_MAX, "auto", AT_START, "auto",          \
      "vm_memory_high_watermark.absolute",                                                         \
      "While the process uses more memory than this, AMQP's publishers are blocked; consuming "    \
      "and deleting go on. auto is 80 % of the machine's or the container's.")                     \
    X(CACHE_BYTES, "cache.bytes", SIZE, OPTION_MIB, INT64_MAX, "auto", AT_START, "auto", "",       \
      "The part of memory.limit that keeps the newest records; auto is an eighth of it, at most "  \
      "56 MiB.")                                                                                   \
    X(MAX_CONNECTIONS, "max.connections", INT, 1, 10000000, "auto", AT_START, "auto", "",          \
      "Connections at a time, all listeners together; auto is what the limit of open files "       \
      "allows.")                                                                                   \
    X(JOURNAL_MAX_BYTES, "journal.max.bytes", SIZE, 8 * OPTION_MIB, INT64_MAX, "128MiB", AT_START, \
      "", "", "Journal files together. They start small and grow to this with the load.")          \
    X(SEGMENT_BYTES, "segment.bytes", SIZE, OPTION_MIB, 2 * OPTION_GIB - 1, "256MiB", AT_START,    \
      "", "log.segment.bytes", "A log begins a new segment file at this size.")                    \
    X(DISK_RESERVE_BYTES, "disk.reserve.bytes", SIZE, 0, INT64_MAX, "64MiB", AT_START, "",         \
      "disk_free_limit.absolute disk_free_limit",                                                  \
      "While the disk has less free than this, AMQP's publishers are blocked and Kafka's "         \
      "refused; "                                                                                  \
      "consuming and deleting go on.")                                                             \
    X(AUTO_CREATE_TOPICS, "auto.create.topics.enable", BOOL, 0, 0, "true", AT_START, "", "",       \
      "Create a topic when a Kafka client asks for one that is not there.")                        \
    X(NUM_PARTITIONS, "num.partitions", INT, 1, 10000, "1", AT_START, "", "",                      \
      "Partitions of a topic that does not say.")                                                  \
    X(FETCH_SESSIONS, "max.incremental.fetch.session.cache.slots", INT, 1, 1000000, "1000",        \
      AT_START, "", "",                                                                            \
      "Kafka consumers' fetch sessions that are kept; beyond it consumers name all of their "      \
      "partitions in each request.")                                                               \
    X(MESSAGE_MAX_BYTES, "message.max.bytes", SIZE, OPTION_KIB, OPTION_GIB, "1048588", AT_START,   \
      "", "", "Largest record batch of topics that do not say.")                                   \
    X(LOG_RETENTION_MS, "log.retention.ms", TOPIC, 0, 0, "604800000", AT_RUNTIME, "", "",          \
      "How long records are kept in topics that do not say, in ms; -1 is for ever.")               \
    X(LOG_RETENTION_BYTES, "log.retention.bytes", TOPIC, 0, 0, "-1", AT_RUNTIME, "", "",           \
      "Bytes that a partition keeps in topics that do not say; -1 is all.")                        \
    X(LOG_CLEANUP_POLICY, "log.cleanup.policy", TOPIC, 0, 0, "delete", AT_RUNTIME, "", "",         \
      "What happens to old records in topics that do not say: delete, compact, or both.")          \
    X(LOG_ROLL_MS, "log.roll.ms", TOPIC, 0, 0, "604800000", AT_RUNTIME, "", "",                    \
      "Time after which a segment ends in topics that do not say, in ms.")                         \
    X(LOG_CLEANER_DELETE_RETENTION, "log.cleaner.delete.retention.ms", TOPIC, 0, 0, "86400000",    \
      AT_RUNTIME, "", "", "How long a compacted topic keeps the mark of a deleted key, in ms.")    \
    X(LOG_CLEANER_MIN_LAG, "log.cleaner.min.compaction.lag.ms", TOPIC, 0, 0, "0", AT_RUNTIME, "",  \
      "", "The shortest that a record stays uncompacted, in ms.")                                  \
    X(LOG_CLEANER_MAX_LAG, "log.cleaner.max.compaction.lag.ms", TOPIC, 0, 0,                       \
      "9223372036854775807", AT_RUNTIME, "", "",                                                   \
      "The longest that a record stays uncompacted, in ms.")                                       \
    X(LOG_CLEANER_RATIO, "log.cleaner.min.cleanable.ratio", TOPIC, 0, 0, "0.5", AT_RUNTIME, "",    \
      "", "Share of uncompacted bytes at which compaction starts.")                                \
    X(LOG_TIMESTAMP_TYPE, "log.message.timestamp.type", TOPIC, 0, 0, "CreateTime", AT_RUNTIME, "", \
      "", "Whose clock the timestamp of a record is from: CreateTime or LogAppendTime.")           \
    X(LOG_TIMESTAMP_BEFORE, "log.message.timestamp.before.max.ms", TOPIC, 0, 0,                    \
      "9223372036854775807", AT_RUNTIME, "", "",                                                   \
      "How far a record's timestamp may lie behind the broker's clock, in ms.")                    \
    X(LOG_TIMESTAMP_AFTER, "log.message.timestamp.after.max.ms", TOPIC, 0, 0, "3600000",           \
      AT_RUNTIME, "", "",                                                                          \
      "How far a record's timestamp may lie ahead of the broker's clock, in ms.")                  \
    X(COMPRESSION_TYPE, "compression.type", TOPIC, 0, 0, "producer", AT_RUNTIME, "", "",           \
      "Codec of stored batches in topics that do not say; producer leaves them as they come.")     \
    X(MIN_INSYNC_REPLICAS, "min.insync.replicas", TOPIC, 0, 0, "1", AT_RUNTIME, "", "",            \
      "Replicas that must hold a record before acks=all is answered. There is one node: above 1, " \
      "nothing with acks=all is accepted.")                                                        \
    X(LOG_RETENTION_MINUTES, "log.retention.minutes", INT, -1, INT32_MAX, "auto", AT_START,        \
      "auto", "", "As log.retention.ms, which wins.")                                              \
    X(LOG_RETENTION_HOURS, "log.retention.hours", INT, -1, INT32_MAX, "auto", AT_START, "auto",    \
      "", "As log.retention.minutes, which wins.")                                                 \
    X(LOG_ROLL_HOURS, "log.roll.hours", INT, 1, INT32_MAX, "auto", AT_START, "auto", "",           \
      "As log.roll.ms, which wins.")                                                               \
    X(OFFSETS_TOPIC_PARTITIONS, "offsets.topic.num.partitions", INT, 1, 10000, "50", AT_START, "", \
      "", "Partitions of __consumer_offsets, when the first group makes it.")                      \
    X(OFFSETS_RETENTION, "offsets.retention.minutes", INT, 1, INT32_MAX, "10080", AT_START, "",    \
      "", "How long the offsets of a group are kept when it has no members any more.")             \
    X(PRODUCER_ID_EXPIRATION, "producer.id.expiration.ms", INT, 1, INT32_MAX, "86400000",          \
      AT_START, "", "",                                                                            \
      "An idempotent producer that a partition has not heard of for so long is forgotten, in ms.") \
    X(PRODUCERS_MAX, "producers.max", INT, 1, 100000000, "100000", AT_START, "", "",               \
      "Idempotent producers that all partitions together know, 200 bytes each; beyond it those "   \
      "that were silent for longest are forgotten.")                                               \
    X(OFFSETS_RETENTION_CHECK, "offsets.retention.check.interval.ms", INT, 1, INT32_MAX, "600000", \
      AT_START, "", "", "How often it is looked for offsets that have expired.")                   \
    X(OFFSET_METADATA_MAX_BYTES, "offset.metadata.max.bytes", INT, 0, 32767, "4096", AT_START, "", \
      "", "The longest note that a client may leave with an offset.")                              \
    X(GROUP_INITIAL_DELAY, "group.initial.rebalance.delay.ms", INT, 0, INT32_MAX, "100", AT_START, \
      "", "",                                                                                      \
      "How long a new group waits for more members before it shares out; each one that comes "     \
      "makes it wait as long again.")                                                              \
    X(GROUP_MIN_SESSION, "group.min.session.timeout.ms", INT, 1, INT32_MAX, "6000", AT_START, "",  \
      "", "The shortest time without a heartbeat after which a member may ask to be dropped.")     \
    X(GROUP_MAX_SESSION, "group.max.session.timeout.ms", INT, 1, INT32_MAX, "1800000", AT_START,   \
      "", "", "The longest such time.")                                                            \
    X(GROUP_MAX_SIZE, "group.max.size", INT, 1, INT32_MAX, "2147483647", AT_START, "", "",         \
      "Members that a group may have.")                                                            \
    X(GROUP_MEMORY, "group.memory.bytes", SIZE, OPTION_MIB, INT64_MAX, "256MiB", AT_START, "", "", \
      "Memory for all groups, their members and offsets; beyond it new ones are refused.")         \
    X(AMQP_MESSAGE_MAX_BYTES, "amqp.message.max.bytes", SIZE, OPTION_KIB, 512 * OPTION_MIB,        \
      "16MiB", AT_START, "", "max_message_size", "Largest body of an AMQP message.")               \
    X(CONSUMER_TIMEOUT, "consumer.timeout.ms", INT, 0, 315360000000, "0", AT_START, "",            \
      "consumer_timeout",                                                                          \
      "How long an AMQP client may keep a delivery without settling it, in ms, where the queue "   \
      "does not say; then its channel fails. 0 is for ever.")                                      \
    X(DEFAULT_USER, "default.user", TEXT, 1, 255, "guest", AT_START, "", "default_user",           \
      "The first user of a new data directory, an administrator who may do everything in "         \
      "default.vhost.")                                                                            \
    X(DEFAULT_PASSWORD, "default.password", SECRET, 1, 255, "guest", AT_START, "", "default_pass", \
      "The password of default.user.")                                                             \
    X(DEFAULT_VHOST, "default.vhost", TEXT, 1, 255, "/", AT_START, "", "default_vhost",            \
      "The first vhost of a new data directory.")                                                  \
    X(LOOPBACK_USERS, "loopback.users", TEXT, 1, 4096, "guest", AT_START, "", "loopback_users",    \
      "Users who are let in from loopback only, separated by commas; none: all from everywhere.")  \
    X(AMQP_ANONYMOUS_USER, "amqp.anonymous.user", TEXT, 1, 255, "none", AT_START, "",              \
      "anonymous_login_user",                                                                      \
      "The user that AMQP clients are who log in with the mechanism ANONYMOUS; none: nobody is "   \
      "let in like that.")                                                                         \
    X(AMQP_ANONYMOUS_PASSWORD, "amqp.anonymous.password", SECRET, 0, 255, "", AT_START, "",        \
      "anonymous_login_pass", "The password of amqp.anonymous.user.")                              \
    X(AMQP_PRODUCT, "amqp.product", TEXT, 1, 100, "Pabal", AT_START, "", "",                       \
      "The product that AMQP clients and the management API's are told. Some tools look for "      \
      "RabbitMQ here.")                                                                            \
    X(AMQP_VERSION, "amqp.version", TEXT, 1, 100, "4.2.0", AT_START, "", "",                       \
      "The version that AMQP clients and the management API's are told: that of RabbitMQ whose "   \
      "behaviour they may expect.")                                                                \
    X(NODE_ID, "node.id", INT, 0, INT32_MAX, "1", AT_START, "", "broker.id",                       \
      "This node's number, as Kafka clients see it.")                                              \
    X(NODE_NAME, "node.name", TEXT, 1, 255, "auto", AT_START, "", "nodename",                      \
      "This node's name in the management API; auto is pabal@ and the host's name.")               \
    X(DEFINITIONS_FILE, "definitions.file", TEXT, 1, 4096, "none", AT_START, "",                   \
      "load_definitions management.load_definitions definitions.local.path",                       \
      "Users, vhosts, policies, queues and all else that RabbitMQ's JSON file defines is "         \
      "imported "                                                                                  \
      "before the listeners open, at each start; nothing is deleted. none: there is no file.")     \
    X(SHUTDOWN_TIMEOUT, "shutdown.timeout", DURATION, 0, 600 * OPTION_SECOND, "3s", AT_START, "",  \
      "", "How long a stop waits for connections to take their last answers.")                     \
    X(LOG_LEVEL, "log.level", ENUM, 0, 0, "info", AT_START, "debug|info|warn|error", "",           \
      "The least important log lines to write.")

enum option_id {
#define OPTION_ENUM_ID(id, ...) OPT_##id,
    OPTIONS_TABLE(OPTION_ENUM_ID)
#undef OPTION_ENUM_ID
        OPTION_COUNT
};

struct option {
    const char *name;
    enum option_type type;
    int64_t least, most; /* of INT, SIZE, DURATION; of TEXT and SECRET, its length */
    const char *default_text;
    enum option_change change;
    const char *words;   /* separated by '|' */
    const char *aliases; /* separated by ' ' */
    const char *help;
};

const struct option *option_get(enum option_id id);

/* By name or alias. False: unknown. */
bool option_find(struct bytes name, enum option_id *out);
/* The name or alias that was most likely meant. */
struct nearest option_nearest(struct bytes name);

/* A value in its own type: `number` of INT, SIZE, DURATION, BOOL; the word's place in `words` of
 * ENUM; OPTION_WORD when it is a word instead of a number or address. `text` is always set. */
struct option_value {
    char *text; /* owned */
    int64_t number;
};
enum { OPTION_WORD = -1 };

/* E_INVALID with what is wrong and what is allowed. */
must_use enum err option_parse(enum option_id id, struct bytes text, struct option_value *out);

const char *option_type_name(enum option_type type);
/* "64MiB", "3s", "0 to 16" and the like, for documents and messages. */
void option_describe_range(const struct option *o, struct text *out);

#endif
