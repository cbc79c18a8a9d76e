/*
 * The core's pool of idempotent producers: its budget, and a timer that forgets, a slice at a time,
 * those that have not been heard of for producer.id.expiration.ms.
 */
#ifndef BROKER_PRODUCER_EXPIRY_H
#define BROKER_PRODUCER_EXPIRY_H

#include "broker/core.h"

struct producer_expiry;
struct producer_pool;

struct producer_expiry *producer_expiry_new(struct core *);
void producer_expiry_free(struct producer_expiry *);

struct producer_pool *producer_expiry_pool(const struct core *);
/* Recovery is over: the budget holds, and time runs. */
void producer_expiry_start(struct core *);
/* There may be a producer now. */
void producer_expiry_wake(struct core *);

#endif
