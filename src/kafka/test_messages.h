/* What a client sends and understands, for the tests of this folder. */
#ifndef KAFKA_TEST_MESSAGES_H
#define KAFKA_TEST_MESSAGES_H

#include "base/arena.h"
#include "base/bytes.h"
#include "kafka/kafka_messages.h"
#include "log/batch.h"
#include "tests/test.h"

/* Append one request: size, header, body. */
void put_request(struct text *out, int key, int version, int32_t correlation_id, const void *body);

/* Append a frame around anything. */
void put_frame(struct text *out, struct bytes content);

/* A batch with these values (ended by NULL) as records without keys, with this timestamp. Lives in
 * the arena, so it can be changed; batch_sign() makes the checksum right again. */
struct bytes make_batch(struct arena *, int64_t timestamp_ms, ...) __attribute__((sentinel));
void batch_sign(struct bytes batch);

/* Make a batch one of this producer. */
void batch_of_producer(struct bytes batch, int64_t id, int16_t epoch, int32_t sequence);

/* A Produce of one batch to one partition. */
struct kafka_produce_request *make_produce(struct arena *, const char *topic, int32_t partition,
                                           int16_t acks, struct bytes records);

#endif
