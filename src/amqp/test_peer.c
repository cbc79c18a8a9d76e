#include "amqp/test_peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "amqp/amqp_messages.h"
#include "amqp/frame.h"
#include "base/mem.h"
#include "wire/amqp_table.h"

/* ---- the broker ---- */

static void submit(struct jobs *jobs, enum lane lane, struct job *job)
{
    jobs_submit(container_of(jobs, struct test_broker, jobs)->sim, lane, job);
}

static bool run_all(struct jobs *jobs)
{
    sim_jobs_drain(container_of(jobs, struct test_broker, jobs)->sim);
    return true;
}

static void open_core(struct test_broker *b)
{
    b->sim = sim_jobs_new();
    b->jobs = (struct jobs){.submit = submit, .poll = run_all};
    expect_ok(core_open(&b->config, b->disk, &b->jobs, &b->core));
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
    commit(b);
}

void broker_open(struct test_broker *b)
{
    broker_open_with_reserve(b, 0);
}

void broker_open_with_reserve(struct test_broker *b, uint64_t reserve_bytes)
{
    memset(b, 0, sizeof *b);
    store_config_default(&b->config.store);
    b->config.store.reserve_bytes = reserve_bytes;
    b->config.durability = LEVEL_FSYNC;
    b->config.default_partitions = 1;
    b->config.topic_message_max_bytes = 1048588;
    b->config.message_max_bytes = 16 << 20;
    b->config.random_seed = test_seed();
    memcpy(b->config.cluster_id, "AAAAAAAAAAAAAAAAAAAAAA", 23);
    b->disk = sim_disk_new();
    b->now_ns = 1000000000;
    b->wall_ms = 1700000000000;
    open_core(b);
}

static void drop_peers(struct test_broker *b)
{
    for (size_t i = 0; i < b->peer_count; i++) {
        sim_link_free(b->peers[i].link);
        hearing_reset(&b->peers[i].hearing);
    }
    b->peer_count = 0;
}

void broker_close(struct test_broker *b)
{
    drop_peers(b);
    core_turn_end(b->core);
    core_close(b->core);
    sim_jobs_free(b->sim);
    disk_free(b->disk);
}

void broker_crash(struct test_broker *b)
{
    sim_disk_crash(b->disk);
    drop_peers(b);
    sim_jobs_drain(b->sim); /* all fail */
    core_turn_end(b->core);
    sim_jobs_drain(b->sim);
    core_abandon(b->core);
    sim_jobs_free(b->sim);
    sim_disk_restart(b->disk, SIM_LOSE, test_seed());
    open_core(b);
}

void turn(struct test_broker *b)
{
    core_turn_end(b->core);
    for (size_t i = 0; i < b->peer_count; i++)
        sim_link_turn(b->peers[i].link);
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
}

void commit(struct test_broker *b)
{
    turn(b);
    b->now_ns += 5000000; /* so long may a settle wait for company */
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
    for (int i = 0; i < 8; i++) {
        sim_jobs_drain(b->sim);
        turn(b);
    }
}

void advance(struct test_broker *b, int64_t ms)
{
    turn(b);
    b->now_ns += ms * 1000000;
    b->wall_ms += ms;
    for (size_t i = 0; i < b->peer_count; i++)
        sim_link_set_now(b->peers[i].link, b->now_ns);
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
    turn(b);
}

/* ---- peers ---- */

struct peer *peer_new(struct test_broker *b)
{
    expect_true(b->peer_count < PEERS_MAX);
    struct peer *p = &b->peers[b->peer_count++];
    *p = (struct peer){.broker = b, .hearing.frame_max = AMQP_FRAME_MAX_BYTES};
    p->link = sim_link_new(&amqp_protocol, b->core, NULL);
    sim_link_set_now(p->link, b->now_ns);
    return p;
}

static struct peer *log_in(struct test_broker *b, uint32_t frame_max, uint16_t heartbeat_s,
                           const char *capabilities)
{
    struct peer *p = peer_new(b);

    say_bytes(p, bytes_of("AMQP\0\0\x09\x01", 8));
    say(p,
        "0 connection.start_ok mechanism=PLAIN response=^guest^guest locale=en_US "
        "client_properties=capabilities:F:%s",
        capabilities);
    say(p, "0 connection.tune_ok channel_max=2047 frame_max=%u heartbeat=%u", frame_max,
        heartbeat_s);
    say(p, "0 connection.open virtual_host=/");
    say(p, "1 channel.open");
    p->hearing.frame_max = frame_max;
    const char *said = heard(p);
    expect_not_null(strstr(said, "1 channel.open_ok"));
    return p;
}

struct peer *peer_connect_with(struct test_broker *b, uint32_t frame_max, uint16_t heartbeat_s)
{
    return log_in(b, frame_max, heartbeat_s,
                  "authentication_failure_close/consumer_cancel_notify/connection.blocked");
}

struct peer *peer_connect_bare(struct test_broker *b)
{
    return log_in(b, AMQP_FRAME_MAX_BYTES, 0, "");
}

struct peer *peer_connect(struct test_broker *b)
{
    return peer_connect_with(b, AMQP_FRAME_MAX_BYTES, 0);
}

void peer_close(struct peer *p)
{
    sim_link_end(p->link);
    turn(p->broker);
}

void say_bytes(struct peer *p, struct bytes b)
{
    sim_link_feed(p->link, b);
}

void say(struct peer *p, const char *format, ...)
{
    struct text out = {0};
    char *line;
    va_list args;

    va_start(args, format);
    expect_true(vasprintf(&line, format, args) >= 0);
    va_end(args);
    put_line(&out, line, p->hearing.frame_max);
    say_bytes(p, text_bytes(&out));
    text_reset(&out);
    free(line);
}

/* ---- hearing ---- */

const char *heard(struct peer *p)
{
    turn(p->broker);
    struct bytes all = sim_link_output(p->link);
    struct bytes rest = bytes_of(all.data + p->read_bytes, all.size - p->read_bytes);

    p->hearing.lines.size = 0;
    expect_int(hear_frames(&p->hearing, rest), rest.size);
    p->read_bytes = all.size;
    text_put_u8(&p->hearing.lines, 0);
    return text_string(&p->hearing.lines);
}
