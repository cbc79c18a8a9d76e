/*
 * What the core half can execute: one table of methods, sorted by id. Methods of the connection run
 * on channel 0, all others on channels; a method without a row is refused with COMMAND_INVALID.
 */
#ifndef AMQP_METHOD_H
#define AMQP_METHOD_H

#include "amqp/channel.h"

struct method {
    uint32_t id;
    void (*on_connection)(struct connection *, const struct command *);
    /* `arguments` is the method's struct, also in channel->current. */
    void (*on_channel)(struct channel *, const void *arguments);
};

/* NULL: not executed here. */
const struct method *method_find(uint32_t id);

/* handshake.c */
void method_connection_start_ok(struct connection *, const struct command *);
void method_connection_tune_ok(struct connection *, const struct command *);
void method_connection_open(struct connection *, const struct command *);
/* connection.c */
void method_connection_close(struct connection *, const struct command *);
void method_connection_close_ok(struct connection *, const struct command *);
void method_connection_update_secret(struct connection *, const struct command *);
/* channel_methods.c */
void method_channel_open(struct channel *, const void *);
void method_channel_flow(struct channel *, const void *);
void method_channel_close(struct channel *, const void *);
void method_access_request(struct channel *, const void *);
void method_confirm_select(struct channel *, const void *);
/* tx.c */
void method_tx_select(struct channel *, const void *);
void method_tx_commit(struct channel *, const void *);
void method_tx_rollback(struct channel *, const void *);
/* exchange_methods.c */
void method_exchange_declare(struct channel *, const void *);
void method_exchange_delete(struct channel *, const void *);
void method_exchange_bind(struct channel *, const void *);
void method_exchange_unbind(struct channel *, const void *);
/* queue_methods.c */
void method_queue_declare(struct channel *, const void *);
void method_queue_bind(struct channel *, const void *);
void method_queue_unbind(struct channel *, const void *);
void method_queue_purge(struct channel *, const void *);
void method_queue_delete(struct channel *, const void *);
/* consume.c */
void method_basic_qos(struct channel *, const void *);
void method_basic_consume(struct channel *, const void *);
void method_basic_cancel(struct channel *, const void *);
/* get.c, settle.c */
void method_basic_get(struct channel *, const void *);
void method_basic_recover(struct channel *, const void *);
void method_basic_recover_async(struct channel *, const void *);

/* The two that run without the table. */
void channel_publish(struct channel *, struct command_publish *);
void channel_settle(struct channel *, const struct command_settle *);
/* settle.c: also in a transaction, as its commit does. */
void settle_now(struct channel *, const struct command_settle *);

#endif
