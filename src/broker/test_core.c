#include "broker/test_core.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/core_internal.h"
#include "tests/test.h"

enum err test_core_open(struct test_core *t)
{
    t->sim = sim_jobs_new();
    sim_stepper_init(&t->stepper, t->sim, &t->random);
    enum err err = core_open(&t->config, t->disk, &t->stepper.jobs, &t->core);
    if (err) {
        sim_jobs_free(t->sim);
        t->sim = NULL;
        return err;
    }
    core_turn_begin(t->core, t->now_ns, t->wall_ms);
    return OK;
}

void test_core_init(struct test_core *t)
{
    *t = (struct test_core){.now_ns = 1000, .wall_ms = 1700000000000};
    store_config_default(&t->config.store);
    t->config.durability = LEVEL_FSYNC;
    t->config.default_partitions = 3;
    t->config.topic_message_max_bytes = 1048588;
    t->config.message_max_bytes = 16 << 20;
    t->config.random_seed = 7;
    t->config.node_id = 1;
    t->disk = sim_disk_new();
    random_init(&t->random, test_seed());
    expect_ok(test_core_open(t));
}

void test_core_close(struct test_core *t)
{
    core_turn_end(t->core);
    core_close(t->core);
    t->core = NULL;
    sim_jobs_free(t->sim);
    t->sim = NULL;
}

void test_core_end(struct test_core *t)
{
    if (t->core)
        test_core_close(t);
    disk_free(t->disk);
}

void test_core_reopen(struct test_core *t)
{
    test_core_close(t);
    expect_ok(test_core_open(t));
}

void test_core_crash(struct test_core *t)
{
    sim_disk_crash(t->disk);
    sim_jobs_drain(t->sim); /* all fail now */
    core_abandon(t->core);
    sim_jobs_free(t->sim);
    sim_disk_restart(t->disk, SIM_LOSE, 1);
    expect_ok(test_core_open(t));
}

void test_core_turn(struct test_core *t)
{
    core_turn_end(t->core);
    t->now_ns += 1000;
    core_turn_begin(t->core, t->now_ns, t->wall_ms);
}

void test_core_settle(struct test_core *t)
{
    for (int quiet = 0; quiet < 4;) {
        test_core_turn(t);
        bool any = core_next_due(t->core) <= t->now_ns;
        if (!any && timer_is_running(&t->core->internal->settle_timer)) {
            t->now_ns += (int64_t)SETTLE_DELAY_MS * 1000000;
            any = true;
        }
        while (sim_jobs_step(t->sim, &t->random))
            any = true;
        quiet = any ? 0 : quiet + 1;
    }
}

static void wait_ready(struct wait *w)
{
    container_of(w, struct test_wait, wait)->is_done = true;
}

void test_wait(struct test_core *t, struct test_wait *w, struct ticket ticket)
{
    *w = (struct test_wait){.wait = {.ready = wait_ready}};
    core_wait(t->core, &w->wait, ticket, STAGE_COMMITTED);
}

struct vhost *test_vhost(struct test_core *t)
{
    return vhost_find(t->core, BYTES_LITERAL("/"));
}

struct vhost *test_vhost_named(struct test_core *t, const char *name)
{
    struct vhost *vhost = NULL;
    expect_ok(vhost_create(t->core, bytes_from_string(name), &(struct vhost_spec){0}, &vhost));
    return vhost;
}

struct user *test_user(struct test_core *t, const char *name, const char *password,
                       const char *tags)
{
    struct tag_list list;
    struct user *user = NULL;
    bool created;
    expect_ok(tag_list_parse(&list, bytes_from_string(tags)));
    struct user_spec spec = {.tags = list.items,
                             .tag_count = list.count,
                             .password =
                                 password_hash_of(&t->core->random, bytes_from_string(password))};
    expect_ok(user_put(t->core, bytes_from_string(name), &spec, &user, &created));
    tag_list_reset(&list);
    return user;
}

void test_permit(struct user *user, struct vhost *vhost, const char *configure, const char *write,
                 const char *read)
{
    bool created;
    expect_ok(permission_put(user, vhost, bytes_from_string(configure), bytes_from_string(write),
                             bytes_from_string(read), &created));
}

enum err test_log_in(struct test_core *t, const char *name, const char *password,
                     bool peer_is_loopback)
{
    struct user *user;
    return user_authenticate(t->core, bytes_from_string(name), bytes_from_string(password),
                             peer_is_loopback, &user);
}

struct queue *test_queue(struct test_core *t, const char *name)
{
    return queue_find(test_vhost(t), bytes_from_string(name));
}

struct queue *test_durable_queue(struct test_core *t, const char *name)
{
    struct queue_spec spec = {.name = bytes_from_string(name), .durable = true};
    return queue_create(test_vhost(t), &spec);
}

struct queue *test_transient_queue(struct test_core *t, const char *name)
{
    struct queue_spec spec = {.name = bytes_from_string(name)};
    return queue_create(test_vhost(t), &spec);
}

enum err test_publish(struct test_core *t, const char *queue, const char *body, struct ticket *out)
{
    struct ticket ignored;
    struct message m = {
        .routing_key = bytes_from_string(queue),
        .properties = BYTES_LITERAL("\0\0"),
        .body = bytes_from_string(body),
    };
    struct exchange *x = exchange_find(test_vhost(t), BYTES_LITERAL(""));
    struct route route = exchange_route(x, &m);
    expect_int(route.count, 1);
    return queue_publish(t->core, route, &m, out ? out : &ignored);
}

/* ---- consumers ---- */

static uint32_t credit(struct consumer *consumer)
{
    return container_of(consumer, struct test_consumer, consumer)->credit;
}

static void deliver(struct consumer *consumer, const struct delivery *d)
{
    struct test_consumer *c = container_of(consumer, struct test_consumer, consumer);
    if (c->got.size > 0)
        text_append_string(&c->got, " ");
    text_append(&c->got, d->message.body);
    if (d->redelivered)
        text_append_string(&c->got, "!");
    c->credit--;
    c->count++;
    c->last = *d;
    if (c->then)
        c->then(c, d);
    if (consumer->no_ack)
        queue_finish(d->queue, d->offset, d->number);
}

static void cancelled(struct consumer *consumer)
{
    container_of(consumer, struct test_consumer, consumer)->was_cancelled = true;
}

void test_consume(struct queue *queue, struct test_consumer *c, uint32_t credits, bool no_ack)
{
    c->consumer.credit = credit;
    c->consumer.deliver = deliver;
    c->consumer.cancelled = cancelled;
    c->consumer.no_ack = no_ack;
    c->credit = credits;
    expect_ok(queue_consume(queue, &c->consumer));
}

void test_consumer_reset(struct test_consumer *c)
{
    text_reset(&c->got);
}

struct topic *test_topic(struct test_core *t, const char *name, int32_t partitions)
{
    struct topic *topic = NULL;
    struct topic_spec spec = {.name = bytes_from_string(name), .partition_count = partitions};
    expect_ok(topic_create(t->core, &spec, &topic));
    return topic;
}
