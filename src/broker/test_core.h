/* A core over a simulated disk, for tests: turns, crashes, reopening. */
#ifndef BROKER_TEST_CORE_H
#define BROKER_TEST_CORE_H

#include "broker/access.h"
#include "broker/core.h"
#include "broker/exchange.h"
#include "broker/queue.h"
#include "broker/topic.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"

struct test_core {
    struct core_config config; /* change before opening again */
    struct disk *disk;
    struct jobs *sim;
    struct sim_stepper stepper; /* what the core has for its jobs */
    struct random random;
    struct core *core;
    int64_t now_ns, wall_ms;
};

/* An empty disk and an open core. */
void test_core_init(struct test_core *t);
void test_core_end(struct test_core *t); /* closes, frees */
enum err test_core_open(struct test_core *t);
void test_core_close(struct test_core *t);
/* As after kill -9 and power loss: what was not synced is gone; open again. */
void test_core_crash(struct test_core *t);
void test_core_reopen(struct test_core *t); /* orderly */

/* End this turn and begin the next one; jobs do not run. */
void test_core_turn(struct test_core *t);
/* Turns until the disk has nothing to do and nobody waits. */
void test_core_settle(struct test_core *t);

/* A wait that remembers. */
struct test_wait {
    struct wait wait;
    bool is_done;
};
void test_wait(struct test_core *t, struct test_wait *w, struct ticket ticket);

struct vhost *test_vhost(struct test_core *t);                         /* "/" */
struct vhost *test_vhost_named(struct test_core *t, const char *name); /* made */
/* Made; tags separated by commas. */
struct user *test_user(struct test_core *t, const char *name, const char *password,
                       const char *tags);
void test_permit(struct user *user, struct vhost *vhost, const char *configure, const char *write,
                 const char *read);
enum err test_log_in(struct test_core *t, const char *name, const char *password,
                     bool peer_is_loopback);
struct queue *test_queue(struct test_core *t, const char *name);         /* or NULL */
struct queue *test_durable_queue(struct test_core *t, const char *name); /* made */
struct queue *test_transient_queue(struct test_core *t, const char *name);
/* To the default exchange. */
enum err test_publish(struct test_core *t, const char *queue, const char *body, struct ticket *out);

/* A consumer that writes down what it gets: "body body! ..." where ! is redelivered. */
struct test_consumer {
    struct consumer consumer;
    struct text got;
    uint32_t credit;
    size_t count;
    bool was_cancelled;
    struct delivery last;                                          /* without its message */
    void (*then)(struct test_consumer *, const struct delivery *); /* more to do, or NULL */
};
void test_consume(struct queue *queue, struct test_consumer *c, uint32_t credit, bool no_ack);
void test_consumer_reset(struct test_consumer *c);

struct topic *test_topic(struct test_core *t, const char *name, int32_t partitions);

#endif
