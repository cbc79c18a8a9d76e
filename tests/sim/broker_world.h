/*
 * A broker core over a simulated disk, with a model beside it: turns, what clients ask, and what they
 * are told. Everything that a client can see is compared with the model at once; the first difference
 * is kept in `wrong`.
 */
#ifndef TESTS_SIM_BROKER_WORLD_H
#define TESTS_SIM_BROKER_WORLD_H

#include "base/random.h"
#include "broker/core.h"
#include "broker/queue.h"
#include "broker/topic.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "tests/sim/broker_model.h"

/* A delivery that is neither settled nor given back. */
struct out {
    struct queue *queue; /* a reference */
    uint32_t id;         /* of the model's queue */
    uint64_t number;     /* of the message */
    int64_t offset;
    uint32_t delivery;
    bool redelivered;
};

struct world {
    struct random random;
    struct core_config config;
    struct disk *disk;
    struct jobs *sim;
    struct sim_stepper stepper; /* what the core has for its jobs */
    struct core *core;
    struct vhost *vhost;
    struct model *model;
    struct session session;     /* whose exclusive queues there are */
    VEC(struct queue *) queues; /* by the model's index, NULL: not there */
    VEC(struct topic *) topics; /* the same */
    VEC(struct sim_consumer *) consumers;
    VEC(struct out) outs;
    struct list asks; /* what has not been answered */
    bool may_fail;    /* the disk will, in the middle of things: reads, or all of it */
    bool is_tight;    /* the disk becomes full */
    bool stormy;      /* sometimes changes very much of the catalog at once */
    int64_t now_ns, wall_ms;
    char wrong[512];
};

/* Keep the first complaint. */
void world_complain(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Set up time, randomness and a small store that meets all its cases early. The disk is the caller's;
 * the world owns its model. */
void world_init(struct world *w, uint64_t seed, struct disk *disk);
/* Open the core and begin a session. On failure the error's text says why and the world is closed. */
enum err world_open(struct world *w);
/* After a crash of the disk, so that nothing is done that was under way: drop everything in memory but the
 * model. */
void world_drop(struct world *w);
/* Leave as clients and a server do. All that was asked is durable then. */
void world_close(struct world *w);
void world_reset(struct world *w); /* frees what is left */

/* A read has failed that the store cannot do without: it takes nothing any more. */
bool world_is_frozen(const struct world *w);
/* One turn with some random requests and some steps of the disk. */
void world_turn(struct world *w, int requests_max);
/* Turns without requests, and with time passing, until all is durable and answered. */
void world_rest(struct world *w);

#endif
