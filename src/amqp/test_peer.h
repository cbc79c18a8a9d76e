/*
 * A broker on the simulated disk with AMQP clients on simulated links, for the tests of this
 * folder. A client talks and listens in lines, one for each method with its content:
 *
 *   say(peer, "1 queue.declare queue=q durable");
 *   expect_heard(peer, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n");
 *   say(peer, "1 basic.publish routing_key=q mandatory | delivery_mode=2 | hello");
 *
 * The lines are those of test_lines.h. The broker is always inside a turn; heard() ends it, and
 * the disk does nothing before commit() or step().
 */
#ifndef AMQP_TEST_PEER_H
#define AMQP_TEST_PEER_H

#include "amqp/amqp.h"
#include "amqp/amqp_messages.h"
#include "amqp/test_lines.h"
#include "broker/queue.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "io/sim_link.h"
#include "tests/test.h"
#include "wire/amqp_table.h"

enum { PEERS_MAX = 16 };

struct peer {
    struct test_broker *broker;
    struct sim_link *link;
    size_t read_bytes; /* of the link's output */
    struct hearing hearing;
};

struct test_broker {
    struct disk *disk;
    struct jobs *sim;
    struct jobs jobs; /* the same for the core, whose polls let them run while it opens */
    struct core_config config;
    struct core *core;
    int64_t now_ns, wall_ms;
    struct peer peers[PEERS_MAX];
    size_t peer_count;
};

void broker_open(struct test_broker *b);
/* Below so many free bytes the disk counts as low. */
void broker_open_with_reserve(struct test_broker *b, uint64_t reserve_bytes);
void broker_close(struct test_broker *b);
/* Kill, lose what was not synced, start again; peers are gone. */
void broker_crash(struct test_broker *b);

/* End the turn, begin the next. */
void turn(struct test_broker *b);
/* Turns and the disk's work until nothing is left to do. */
void commit(struct test_broker *b);
void advance(struct test_broker *b, int64_t ms);

/* A connection that has not said anything. */
struct peer *peer_new(struct test_broker *b);
/* Logged in as guest, with channel 1 open, nothing heard. */
struct peer *peer_connect(struct test_broker *b);
/* The same, of a client without capabilities. */
struct peer *peer_connect_bare(struct test_broker *b);
/* The same with other limits. */
struct peer *peer_connect_with(struct test_broker *b, uint32_t frame_max, uint16_t heartbeat_s);
void peer_close(struct peer *p); /* as when the TCP connection breaks */

void say(struct peer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void say_bytes(struct peer *p, struct bytes b);
/* End the turn; what was heard since the last call. */
const char *heard(struct peer *p);

#define expect_heard(peer, wanted) expect_string(heard(peer), wanted)

#endif
