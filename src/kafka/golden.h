/*
 * A long conversation with a broker, written down as text: every API at its versions, and every way we
 * could think of to ask wrongly. golden_record asks a real Kafka and writes golden/kafka_4.1.txt;
 * golden_test asks us and compares. What may differ by nature (ids, epochs, addresses, the wording of
 * messages) is shown as '*'; where we differ on purpose the step says why, and the test checks that we
 * still do.
 */
#ifndef KAFKA_GOLDEN_H
#define KAFKA_GOLDEN_H

#include "base/arena.h"
#include "base/bytes.h"

struct golden {
    /* Send a request frame and return the content of the answer's frame; data NULL: closed instead. */
    struct bytes (*ask)(struct golden *g, struct bytes request);
    struct arena arena;
    struct text text;
    int32_t correlation_id;
    uint8_t topic_id[16];              /* of "orders" */
    int32_t session_id, session_epoch; /* of the newest fetch session */
};

/* Appends to g->text: "=== name" and the answer for each step. */
void golden_run(struct golden *g);
void golden_run_groups(struct golden *g); /* a conversation of its own, with a record of its own */
void golden_run_producers(struct golden *g); /* likewise */

/* Why we answer the step with this name otherwise than Kafka; NULL: we do not. */
const char *golden_difference(struct bytes step);

#endif
