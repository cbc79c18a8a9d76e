#include "amqp/method.h"

#include "amqp/amqp_messages.h"

/* Sorted by id. */
static const struct method methods[] = {
    {AMQP_CONNECTION_START_OK, method_connection_start_ok, NULL},
    {AMQP_CONNECTION_TUNE_OK, method_connection_tune_ok, NULL},
    {AMQP_CONNECTION_OPEN, method_connection_open, NULL},
    {AMQP_CONNECTION_CLOSE, method_connection_close, NULL},
    {AMQP_CONNECTION_CLOSE_OK, method_connection_close_ok, NULL},
    {AMQP_CONNECTION_UPDATE_SECRET, method_connection_update_secret, NULL},
    {AMQP_CHANNEL_OPEN, NULL, method_channel_open},
    {AMQP_CHANNEL_FLOW, NULL, method_channel_flow},
    {AMQP_CHANNEL_CLOSE, NULL, method_channel_close},
    {AMQP_ACCESS_REQUEST, NULL, method_access_request},
    {AMQP_EXCHANGE_DECLARE, NULL, method_exchange_declare},
    {AMQP_EXCHANGE_DELETE, NULL, method_exchange_delete},
    {AMQP_EXCHANGE_BIND, NULL, method_exchange_bind},
    {AMQP_EXCHANGE_UNBIND, NULL, method_exchange_unbind},
    {AMQP_QUEUE_DECLARE, NULL, method_queue_declare},
    {AMQP_QUEUE_BIND, NULL, method_queue_bind},
    {AMQP_QUEUE_PURGE, NULL, method_queue_purge},
    {AMQP_QUEUE_DELETE, NULL, method_queue_delete},
    {AMQP_QUEUE_UNBIND, NULL, method_queue_unbind},
    {AMQP_BASIC_QOS, NULL, method_basic_qos},
    {AMQP_BASIC_CONSUME, NULL, method_basic_consume},
    {AMQP_BASIC_CANCEL, NULL, method_basic_cancel},
    {AMQP_BASIC_GET, NULL, method_basic_get},
    {AMQP_BASIC_RECOVER_ASYNC, NULL, method_basic_recover_async},
    {AMQP_BASIC_RECOVER, NULL, method_basic_recover},
    {AMQP_CONFIRM_SELECT, NULL, method_confirm_select},
    {AMQP_TX_SELECT, NULL, method_tx_select},
    {AMQP_TX_COMMIT, NULL, method_tx_commit},
    {AMQP_TX_ROLLBACK, NULL, method_tx_rollback},
};

const struct method *method_find(uint32_t id)
{
    size_t low = 0, high = sizeof methods / sizeof *methods;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (methods[middle].id == id)
            return &methods[middle];
        if (methods[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
