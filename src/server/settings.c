#include "server/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/number.h"
#include "io/process.h"

enum {
    FILES_RESERVED = 64, /* standard streams, journal, listeners, epoll and the like */
    SEGMENT_FILES_MAX = 1024,
    CONNECTIONS_MAX = 1000000,
    IO_THREADS_MAX = 16,
};

#define MIB ((uint64_t)OPTION_MIB)

struct machine machine_look(void)
{
    return (struct machine){
        .cpu_count = process_cpu_count(),
        .memory_bytes = process_total_memory_bytes(),
        .file_limit = process_raise_file_limit(),
    };
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t size_or(const struct config *c, enum option_id id, uint64_t when_auto)
{
    return config_is_word(c, id) ? when_auto : (uint64_t)config_number(c, id);
}

static int thread_count(const struct config *c, const struct machine *m)
{
    if (!config_is_word(c, OPT_IO_THREADS))
        return (int)config_number(c, OPT_IO_THREADS);
    if (m->cpu_count <= 2)
        return 0;
    return (int)smaller((uint64_t)m->cpu_count / 2, IO_THREADS_MAX);
}

static uint64_t segment_files(const struct machine *m)
{
    return smaller(m->file_limit / 4, SEGMENT_FILES_MAX);
}

static uint64_t connection_limit(const struct config *c, const struct machine *m)
{
    uint64_t used = segment_files(m) + FILES_RESERVED;
    uint64_t fit = m->file_limit > used + 1 ? m->file_limit - used : 1;

    return size_or(c, OPT_MAX_CONNECTIONS, smaller(fit, CONNECTIONS_MAX));
}

/* An eighth of the memory is left for what no budget counts. */
static void split_memory(const struct config *c, const struct machine *m, struct settings *s)
{
    uint64_t limit = size_or(c, OPT_MEMORY_LIMIT, m->memory_bytes / 10 * 4);

    limit = larger(limit, 16 * MIB);
    s->memory_limit_bytes = limit;
    s->core.store.cache_bytes = size_or(c, OPT_CACHE_BYTES, smaller(limit / 8, 56 * MIB));
    s->core.store.backlog_bytes = smaller(limit / 8, 32 * MIB);
    s->core.store.memory_level_bytes = limit / 2;
    s->hub.memory_bytes = limit / 4;
    s->hub.inflight_bytes = smaller(limit / 8, 8 * MIB);
    s->core.held_max_bytes = (int64_t)(s->hub.memory_bytes / 4);
    s->core.store.watermark_bytes = size_or(c, OPT_MEMORY_WATERMARK, m->memory_bytes / 10 * 8);
}

static void make_kafka(const struct config *c, struct settings *s)
{
    const char *address = config_text(c, OPT_ADVERTISED_KAFKA);
    const char *colon = strrchr(address, ':');
    int64_t port;

    if (config_is_word(c, OPT_ADVERTISED_KAFKA))
        return;
    check(colon); /* as option_parse() leaves an address */
    snprintf(s->advertised_host, sizeof s->advertised_host, "%.*s", (int)(colon - address),
             address);
    bool is_number = number_parse_i64(bytes_from_string(colon + 1), &port);
    check(is_number);
    s->kafka.advertised_host = s->advertised_host;
    s->kafka.advertised_port = (uint16_t)port;
}

static void make_amqp(const struct config *c, struct settings *s)
{
    amqp_config_default(&s->amqp);
    s->amqp.product = config_text(c, OPT_AMQP_PRODUCT);
    s->amqp.version = config_text(c, OPT_AMQP_VERSION);
    s->amqp.own_version = PABAL_VERSION;
    const char *anonymous = config_text(c, OPT_AMQP_ANONYMOUS_USER);
    s->amqp.anonymous_user = strcmp(anonymous, "none") == 0 ? NULL : anonymous;
    s->amqp.anonymous_password = config_text(c, OPT_AMQP_ANONYMOUS_PASSWORD);
    s->amqp.message_max_bytes = (uint64_t)config_number(c, OPT_AMQP_MESSAGE_MAX_BYTES);
}

static void make_groups(const struct config *c, struct group_config *g)
{
    group_config_default(g);
    g->topic_partitions = (int32_t)config_number(c, OPT_OFFSETS_TOPIC_PARTITIONS);
    g->retention_ms = config_number(c, OPT_OFFSETS_RETENTION) * 60000;
    g->retention_check_ms = config_number(c, OPT_OFFSETS_RETENTION_CHECK);
    g->offset_metadata_max_bytes = (int32_t)config_number(c, OPT_OFFSET_METADATA_MAX_BYTES);
    g->initial_delay_ms = (int32_t)config_number(c, OPT_GROUP_INITIAL_DELAY);
    g->session_min_ms = (int32_t)config_number(c, OPT_GROUP_MIN_SESSION);
    g->session_max_ms = (int32_t)config_number(c, OPT_GROUP_MAX_SESSION);
    g->size_max = (int32_t)config_number(c, OPT_GROUP_MAX_SIZE);
    g->memory_max_bytes = (size_t)config_number(c, OPT_GROUP_MEMORY);
}

static void make_core(const struct config *c, struct settings *s)
{
    s->core.store.journal_max_bytes = (uint64_t)config_number(c, OPT_JOURNAL_MAX_BYTES);
    s->core.store.segment_bytes = (uint64_t)config_number(c, OPT_SEGMENT_BYTES);
    s->core.store.reserve_bytes = (uint64_t)config_number(c, OPT_DISK_RESERVE_BYTES);
    s->core.default_user = config_text(c, OPT_DEFAULT_USER);
    s->core.default_password = config_text(c, OPT_DEFAULT_PASSWORD);
    s->core.default_vhost = config_text(c, OPT_DEFAULT_VHOST);
    s->core.loopback_users = config_text(c, OPT_LOOPBACK_USERS);
    s->core.durability = strcmp(config_text(c, OPT_DURABILITY), "os") == 0 ? LEVEL_OS : LEVEL_FSYNC;
    s->core.auto_create_topics = config_number(c, OPT_AUTO_CREATE_TOPICS);
    s->core.default_partitions = (int32_t)config_number(c, OPT_NUM_PARTITIONS);
    s->kafka.fetch_session_slots = (uint32_t)config_number(c, OPT_FETCH_SESSIONS);
    s->core.topic_message_max_bytes = config_number(c, OPT_MESSAGE_MAX_BYTES);
    s->core.message_max_bytes = config_number(c, OPT_AMQP_MESSAGE_MAX_BYTES);
    s->core.consumer_timeout_ms = config_number(c, OPT_CONSUMER_TIMEOUT);
    make_groups(c, &s->core.groups);
    s->core.producer_expiration_ms = config_number(c, OPT_PRODUCER_ID_EXPIRATION);
    s->core.producers_max = config_number(c, OPT_PRODUCERS_MAX);
    s->core.node_id = (int32_t)config_number(c, OPT_NODE_ID);
    process_random(&s->core.random_seed, sizeof s->core.random_seed);
    process_random(s->core.secret, sizeof s->core.secret);
}

void settings_make(const struct config *config, const struct machine *machine, struct settings *out)
{
    *out = (struct settings){0};
    store_config_default(&out->core.store);
    make_core(config, out);
    split_memory(config, machine, out);
    out->file_limit = machine->file_limit;
    out->hub.threads = thread_count(config, machine);
    out->hub.max_connections = (uint32_t)connection_limit(config, machine);
    make_kafka(config, out);
    make_amqp(config, out);
}
