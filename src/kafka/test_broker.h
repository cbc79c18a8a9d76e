/*
 * A broker on the simulated disk with Kafka clients on simulated links, for the tests of this
 * folder. It is always inside a turn, so what a client sends is executed at once; broker_turn()
 * ends the turn and begins the next. The disk does nothing until broker_commit() or broker_step().
 */
#ifndef KAFKA_TEST_BROKER_H
#define KAFKA_TEST_BROKER_H

#include "broker/core.h"
#include "broker/topic.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "io/sim_link.h"
#include "kafka/kafka.h"
#include "kafka/test_messages.h"

enum { TEST_CLIENTS_MAX = 4 };

struct test_client {
    struct test_broker *broker;
    struct sim_link *link;
    size_t read_bytes; /* of the link's output */
    int32_t correlation_id;
};

struct test_broker {
    struct disk *disk;
    struct jobs *jobs;
    struct core *core;
    int64_t now_ns, wall_ms;
    struct arena arena; /* for whatever a test makes */
    struct test_client clients[TEST_CLIENTS_MAX];
    size_t client_count;
};

void broker_config(struct core_config *config); /* what broker_open() takes */
void broker_open(struct test_broker *b);
void broker_open_with(struct test_broker *b, const struct core_config *config);
void broker_close(struct test_broker *b);

void broker_turn(struct test_broker *b);
/* Turns and disk work until both have nothing to do. */
void broker_commit(struct test_broker *b);
/* One step of the disk and a turn; false when the disk has nothing to do. */
bool broker_step(struct test_broker *b);
void broker_advance(struct test_broker *b, int64_t ms); /* the clock, and a turn */

/* With committed catalog. */
struct topic *broker_topic(struct test_broker *b, const char *name, int32_t partitions);
/* Append and commit one batch of one record. */
void broker_append(struct test_broker *b, struct partition *p, const char *value);
void broker_append_batch(struct test_broker *b, struct partition *p, const struct batch *batch);

struct test_client *broker_client(struct test_broker *b);
struct test_client *broker_client_of(struct test_broker *b, const struct protocol *protocol);

/* Send a request; returns its correlation id. */
int32_t client_send(struct test_client *c, int key, int version, const void *body);
/* The next answer, which must be to `correlation_id`; NULL when there is none yet. */
void *client_receive(struct test_client *c, int key, int version, int32_t correlation_id);
/* Send, commit, receive. */
void *client_call(struct test_client *c, int key, int version, const void *body);
bool client_is_closed(struct test_client *c);

#endif
