/* Between produce.c (a request from its start to its answer) and produce_recode.c (looking into its
 * batches before they are appended). */
#ifndef KAFKA_PRODUCE_INTERNAL_H
#define KAFKA_PRODUCE_INTERNAL_H

#include "kafka/kafka_messages.h"
#include "kafka/request.h"

struct recoding;
struct topic;

/* Where a topic asks for it (broker/recode.h), check the records of the request's batches and compress
 * them anew. `topics`: those that the request names, NULL where there is none. What is found lands in
 * r->produced. NULL: there is nothing to do, or it is done. Else it is under way on another thread: the
 * connection is held, and go_on() called in a later turn; recoding_free() ends it before or after. */
struct recoding *recoding_start(struct request *r, struct topic *const *topics,
                                void (*go_on)(struct request *));
void recoding_free(struct recoding *);

#endif
