/*
 * InitProducerId: a producer id that was never given out before, with epoch 0. The answer waits until
 * the block of ids that it is from is durable as used. KIP-98.
 *
 * A producer without a transactional id that gives its present id and epoch (v3, KIP-360) gets a new id
 * all the same, as from Kafka: such producers raise their epoch themselves. A transactional id is
 * refused with INVALID_REQUEST, which clients take for fatal: there are no transactions.
 */
#include "broker/catalog.h"
#include "broker/core.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { NO_PRODUCER = -1, WAIT_MAX_MS = 30000 };

static void fails(struct kafka_init_producer_id_response *reply, enum kafka_error error)
{
    reply->error_code = (int16_t)error;
    reply->producer_id = NO_PRODUCER;
    reply->producer_epoch = NO_PRODUCER;
}

/* Clients ask again after this error, and only after this one. */
static void answer(struct request *r, bool in_time)
{
    if (!in_time)
        fails(r->reply, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    request_answer(r, r->reply);
}

static enum kafka_error check_asked(const struct kafka_init_producer_id_request *in)
{
    bool has_id = in->producer_id != NO_PRODUCER, has_epoch = in->producer_epoch != NO_PRODUCER;
    if (in->transactional_id.data || has_id != has_epoch)
        return KAFKA_INVALID_REQUEST;
    return KAFKA_NONE;
}

void init_producer_id_start(struct request *r)
{
    struct core *core = request_core(r);
    struct kafka_init_producer_id_response *reply =
        request_new(r, &kafka_init_producer_id_response_schema, 1);
    if (!reply)
        return;
    r->reply = reply;
    enum kafka_error error = check_asked(r->body);
    if (!error && core_catalog_can_change(core) != OK)
        error = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    if (!error)
        reply->producer_id = catalog_new_producer_id(core);
    if (!error && reply->producer_id < 0)
        error = KAFKA_UNKNOWN_SERVER_ERROR; /* 2^63 are used up */
    if (error) {
        fails(reply, error);
        request_answer(r, reply);
        return;
    }
    request_wait(r, core_catalog_ticket(core), STAGE_COMMITTED, WAIT_MAX_MS, answer);
}
