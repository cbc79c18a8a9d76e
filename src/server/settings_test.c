#include "tests/test.h"

#include <stdlib.h>

#include "server/settings.h"

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

static struct settings made(struct config *c, struct machine machine)
{
    struct settings settings;

    settings_make(c, &machine, &settings);
    return settings;
}

TEST(small_machines_serve_connections_on_the_core)
{
    struct config c;

    config_init(&c);
    expect_int(made(&c, (struct machine){1, GIB, 1024}).hub.threads, 0);
    expect_int(made(&c, (struct machine){2, GIB, 1024}).hub.threads, 0);
    expect_int(made(&c, (struct machine){4, GIB, 1024}).hub.threads, 2);
    expect_int(made(&c, (struct machine){64, GIB, 1024}).hub.threads, 16);
    expect_ok(config_set(&c, "io.threads=3"));
    expect_int(made(&c, (struct machine){1, GIB, 1024}).hub.threads, 3);
    config_reset(&c);
}

TEST(the_parts_of_memory_stay_below_the_limit)
{
    struct config c;

    config_init(&c);
    for (uint64_t memory = 16 * MIB; memory < 512 * GIB; memory *= 3) {
        struct settings s = made(&c, (struct machine){2, memory, 1024});
        uint64_t limit = memory / 10 * 4 > 16 * MIB ? memory / 10 * 4 : 16 * MIB;
        expect_true(s.core.store.cache_bytes + s.core.store.backlog_bytes +
                        s.core.store.memory_level_bytes + s.hub.memory_bytes <=
                    limit);
        expect_true(s.hub.inflight_bytes <= s.hub.memory_bytes);
    }
    expect_ok(config_set(&c, "cache.bytes=5MiB"));
    expect_int(made(&c, (struct machine){2, GIB, 1024}).core.store.cache_bytes, 5 * MIB);
    config_reset(&c);
}

TEST(connections_and_segments_fit_into_the_open_files)
{
    struct config c;

    config_init(&c);
    for (uint64_t files = 256; files < UINT64_C(1) << 40; files *= 4) {
        struct settings s = made(&c, (struct machine){2, GIB, files});
        expect_true(s.hub.max_connections < files);
        expect_true(s.hub.max_connections > 0);
    }
    expect_ok(config_set(&c, "max.connections=7"));
    expect_int(made(&c, (struct machine){2, GIB, 1024}).hub.max_connections, 7);
    config_reset(&c);
}

TEST(the_advertised_address_is_split)
{
    struct config c;

    config_init(&c);
    expect_null(made(&c, (struct machine){2, GIB, 1024}).kafka.advertised_host);
    expect_ok(config_set(&c, "advertised.listeners=PLAINTEXT://broker.example.org:19092"));
    struct settings s;
    struct machine machine = {2, GIB, 1024};
    settings_make(&c, &machine, &s);
    expect_string(s.kafka.advertised_host, "broker.example.org");
    expect_int(s.kafka.advertised_port, 19092);
    config_reset(&c);
}

TEST(what_the_options_say_reaches_the_core)
{
    struct config c;

    config_init(&c);
    expect_ok(config_set(&c, "durability=os"));
    expect_ok(config_set(&c, "num.partitions=9"));
    expect_ok(config_set(&c, "max.incremental.fetch.session.cache.slots=5"));
    expect_ok(config_set(&c, "auto.create.topics.enable=false"));
    expect_ok(config_set(&c, "disk.reserve.bytes=1MiB"));
    struct settings s = made(&c, (struct machine){2, GIB, 1024});
    expect_int(s.core.durability, LEVEL_OS);
    expect_int(s.core.default_partitions, 9);
    expect_int(s.kafka.fetch_session_slots, 5);
    expect_false(s.core.auto_create_topics);
    expect_int(s.core.store.reserve_bytes, MIB);
    expect_int(s.core.node_id, 1);
    config_reset(&c);
}
