/*
 * FindCoordinator: this node coordinates every group. The topic for their state is made on the way,
 * and the answer waits until that is durable. KIP-699 (v4: several keys).
 *
 * Transactions and share groups are not built: asking for their coordinator is answered with
 * INVALID_REQUEST and a message, so that a client stops instead of trying for ever.
 */
#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1, KEY_SHARE = 2, BATCHES_SINCE = 4 };

static void fails(struct kafka_find_coordinator_response_coordinator *out, enum kafka_error error,
                  struct bytes message)
{
    out->error_code = (int16_t)error;
    out->error_message = message;
    out->node_id = -1;
    out->host = BYTES_LITERAL("");
    out->port = -1;
}

static void put_coordinator(struct request *r, struct bytes key,
                            struct kafka_find_coordinator_response_coordinator *out)
{
    const struct kafka_find_coordinator_request *in = r->body;
    out->key = key;
    switch (in->key_type) {
    case KEY_GROUP: break;
    case KEY_TRANSACTION:
        fails(out, KAFKA_INVALID_REQUEST,
              BYTES_LITERAL("transactions are not available on this broker"));
        return;
    case KEY_SHARE:
        fails(out, KAFKA_INVALID_REQUEST,
              BYTES_LITERAL("share groups are not available on this broker"));
        return;
    default:
        fails(out, KAFKA_INVALID_REQUEST, BYTES_LITERAL("unknown type of coordinator"));
        return;
    }
    if (groups_make_topic(request_groups(r))) {
        fails(out, KAFKA_COORDINATOR_NOT_AVAILABLE,
              arena_copy(&r->arena, bytes_from_string(err_text())));
        return;
    }
    out->node_id = request_core(r)->config.node_id;
    connection_address(r->connection, &out->host, &out->port);
}

static void answer(struct request *r, bool in_time)
{
    struct kafka_find_coordinator_response *reply = r->reply;
    for (int32_t i = 0; i < reply->coordinators.count && !in_time; i++)
        fails(&reply->coordinators.items[i], KAFKA_COORDINATOR_NOT_AVAILABLE, BYTES_NULL);
    if (r->version < BATCHES_SINCE) {
        const struct kafka_find_coordinator_response_coordinator *only = reply->coordinators.items;
        reply->error_code = only->error_code;
        reply->error_message = only->error_message;
        reply->node_id = only->node_id;
        reply->host = only->host;
        reply->port = only->port;
    }
    request_answer(r, reply);
}

void find_coordinator_start(struct request *r)
{
    const struct kafka_find_coordinator_request *in = r->body;
    bool is_batch = r->version >= BATCHES_SINCE;
    size_t count = is_batch ? (size_t)in->coordinator_keys.count : 1;
    struct kafka_find_coordinator_response *reply =
        request_new(r, &kafka_find_coordinator_response_schema, 1);
    if (!reply)
        return;
    r->reply = reply;
    reply->coordinators.items =
        request_new(r, &kafka_find_coordinator_response_coordinator_schema, count);
    if (!reply->coordinators.items)
        return;
    reply->coordinators.count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        put_coordinator(r, is_batch ? in->coordinator_keys.items[i] : in->key,
                        &reply->coordinators.items[i]);
    request_wait(r, core_catalog_ticket(request_core(r)), STAGE_COMMITTED, GROUP_TIMEOUT_MS,
                 answer);
}
