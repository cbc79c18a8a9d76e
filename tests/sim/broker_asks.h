/*
 * What clients ask of a simulated broker, and what they hear. broker_asks.c has messages: publishes,
 * consumers, gets, settles, purges; broker_streams.c topics and groups; broker_declares.c what is in
 * the catalog.
 */
#ifndef TESTS_SIM_BROKER_ASKS_H
#define TESTS_SIM_BROKER_ASKS_H

#include "tests/sim/broker_world.h"

/* A request that waits for a ticket. */
struct ask {
    struct list node;
    struct wait wait;
    struct world *world;
    void (*answered)(struct ask *); /* frees it, or waits again */
    struct queue *queue;            /* a reference, or NULL */
    uint32_t id;                    /* of the model's queue or topic */
    int32_t partition;
    uint64_t number; /* of a message or batch; a version; a turn */
    int64_t mark;
    bool due; /* its barrier has passed: the next turn goes on */
    bool no_ack;
    uint32_t route[MODEL_ROUTE_MAX];
    size_t route_count;
    VEC(struct model_returned) returned;
    VEC(uint64_t) purged;
};

struct sim_consumer {
    struct consumer consumer;
    struct world *world;
    uint32_t id; /* of the model's queue */
    uint32_t credit;
    bool gone;
};

/* One random request. */
void asks_random(struct world *w);
/* At the begin of a turn: what was waited for. */
void asks_turn_begins(struct world *w);
/* Around core_turn_end(): wait for what this turn made. */
void asks_turn_ends(struct world *w);
void asks_turn_ended(struct world *w);
/* The consumers go, deliveries come back, exclusive queues are deleted. */
void asks_end_session(struct world *w);
/* Drop all that waits, and the consumers; nothing is told to the core. */
void asks_forget(struct world *w);

/* ---- between the files ---- */

uint64_t draw(struct world *w, uint64_t bound);
struct ask *ask_new(struct world *w, void (*answered)(struct ask *));
void ask_wait(struct ask *a, struct ticket ticket, enum stage stage);
void ask_free(struct ask *a);
/* A random living queue that is there, or -1. */
int asks_pick_queue(struct world *w);
void asks_delete_queue(struct world *w, uint32_t id);
uint32_t asks_draw_size(struct world *w);
/* One random request to topics and groups. */
void asks_stream(struct world *w);
/* One random request to the catalog. */
void asks_declare(struct world *w);
/* Is every name taken by what the model says? */
void asks_compare_names(struct world *w);

#endif
