/*
 * Any bytes as what arrives at the control socket, on a core with a simulated disk. Input: slices; an
 * even kind is sent as it is, an odd one with a line feed behind it. Every whole line gets one answer
 * that is a line of JSON with "ok", and when the connection is gone nothing of it is left.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/say.h"
#include "broker/queue.h"
#include "broker/topic.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "io/sim_link.h"
#include "server/control.h"
#include "server/server.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slices.h"

struct world {
    struct disk *disk;
    struct jobs *jobs;
    struct core *core;
    struct config config;
    struct server server;
    struct sim_link *link;
    int64_t now_ns;
};

static void turn(struct world *w)
{
    sim_jobs_drain(w->jobs);
    core_turn_end(w->core);
    sim_link_turn(w->link);
    w->now_ns += 100 * 1000000;
    core_turn_begin(w->core, w->now_ns, 1700000000000);
}

static void open_world(struct world *w)
{
    struct core_config config = {.default_partitions = 2,
                                 .topic_message_max_bytes = 1048588,
                                 .message_max_bytes = 1 << 20,
                                 .random_seed = 1,
                                 .node_id = 1};
    struct topic *topic;
    struct topic_spec spec = {.name = BYTES_LITERAL("t"), .partition_count = 2};
    store_config_default(&config.store);
    w->disk = sim_disk_new();
    w->jobs = sim_jobs_new();
    w->now_ns = 1;
    check(core_open(&config, w->disk, w->jobs, &w->core) == OK);
    core_turn_begin(w->core, w->now_ns, 1700000000000);
    check(topic_create(w->core, &spec, &topic) == OK);
    queue_create(vhost_find(w->core, BYTES_LITERAL("/")),
                 &(struct queue_spec){.name = BYTES_LITERAL("q"), .durable = true});
    config_init(&w->config);
    w->server = (struct server){.config = &w->config, .core = w->core};
    w->server.management.manage =
        manage_new(&(struct manage_config){.core = w->core,
                                           .product = "",
                                           .version = "",
                                           .rabbitmq_version = "",
                                           .node = "",
                                           .data_dir = "",
                                           .listener_count = &w->server.management.listener_count});
    control_listener_init(&w->server.control, &w->server);
    w->link = sim_link_new(&w->server.control.protocol, w->core, NULL);
    turn(w);
}

static void close_world(struct world *w)
{
    sim_link_end(w->link);
    turn(w);
    check(sim_link_unfreed_count(w->link) == 0);
    sim_link_free(w->link);
    for (int i = 0; i < 4; i++) {
        core_turn_end(w->core);
        sim_jobs_drain(w->jobs);
        core_turn_begin(w->core, w->now_ns, 1700000000000);
    }
    manage_free(w->server.management.manage);
    core_turn_end(w->core);
    sim_jobs_drain(w->jobs);
    core_abandon(w->core);
    sim_jobs_free(w->jobs);
    disk_free(w->disk);
    config_reset(&w->config);
}

static size_t count_lines(struct bytes b)
{
    size_t count = 0;
    for (size_t i = 0; i < b.size; i++)
        count += b.data[i] == '\n';
    return count;
}

static void check_answers(struct bytes output, size_t asked, bool was_cut)
{
    size_t count = 0;
    while (output.size > 0) {
        const uint8_t *end = memchr(output.data, '\n', output.size);
        check(end);
        size_t size = (size_t)(end - output.data);
        json_t *answer = json_loadb((const char *)output.data, size, 0, NULL);
        json_t *ok = json_object_get(answer, "ok");
        check(json_is_boolean(ok));
        check(json_object_get(answer, json_is_true(ok) ? "result" : "error"));
        json_decref(answer);
        output = bytes_of(output.data + size + 1, output.size - size - 1);
        count++;
    }
    check(count == asked + was_cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(bytes_of(data, size));
    struct world w;
    struct slice p;
    size_t asked = 0;

    say_set_level(SAY_ERROR);
    open_world(&w);
    while (!sim_link_is_gone(w.link) && slice_next(&in, &p)) {
        struct text text = {0};
        text_append(&text, slice_rest(&p));
        if (p.kind % 2)
            text_put_u8(&text, '\n');
        if (text.size > 0 && sim_link_feed(w.link, text_bytes(&text)))
            asked += count_lines(text_bytes(&text));
        text_reset(&text);
        turn(&w);
    }
    for (int i = 0; i < 8; i++)
        turn(&w);
    if (!sim_link_is_gone(w.link))
        check_answers(sim_link_output(w.link), asked, false);
    close_world(&w);
    return 0;
}
