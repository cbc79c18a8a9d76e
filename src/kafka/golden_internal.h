/* What the parts of the conversation share. */
#ifndef KAFKA_GOLDEN_INTERNAL_H
#define KAFKA_GOLDEN_INTERNAL_H

#include "kafka/golden.h"
#include "kafka/test_messages.h"

#define GOLDEN_NOW_MS INT64_C(1700000000000) /* any time that is not in the future will do */

/* Ask, and write the answer down. It is returned decoded; NULL when the connection was closed. */
void *golden_step(struct golden *g, int key, int version, const char *what, const void *body);

/* A topic to be created with another of the same name behind it, for who asks twice. */
struct kafka_create_topics_request *golden_create(struct golden *g, const char *name,
                                                  int32_t partitions, int16_t replicas);
/* Produce to partition 0 of "orders", as a step. */
void golden_produce(struct golden *g, int version, const char *what, struct bytes records);
/* Of one partition of "orders", without a session. */
struct kafka_fetch_request *golden_fetch(struct golden *g, int32_t partition, int64_t offset);

/* The parts of the conversation that have files of their own. */
void golden_run_sessions(struct golden *g);
void golden_run_admin(struct golden *g);

/* Make equal what may differ in answers about administration. */
void golden_hide_admin(int key, void *reply);

#endif
