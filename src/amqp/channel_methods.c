/* Class channel, and the small methods that only switch something on. */
#include "amqp/amqp_messages.h"
#include "amqp/method.h"
#include "amqp/publish.h"
#include "amqp/send.h"

void method_channel_open(struct channel *ch, const void *arguments)
{
    (void)arguments;
    if (ch->opened) {
        channel_fail(ch, REPLY_CHANNEL_ERROR, "second 'channel.open' seen");
        return;
    }
    ch->opened = true;
    send_simple(ch->conn, ch->id, AMQP_CHANNEL_OPEN_OK);
}

void method_channel_flow(struct channel *ch, const void *arguments)
{
    const struct amqp_channel_flow *in = arguments;

    if (!in->active)
        channel_fail(ch, REPLY_NOT_IMPLEMENTED, "active=false");
    else
        send_method(ch->conn, ch->id, AMQP_CHANNEL_FLOW_OK,
                    &(struct amqp_channel_flow_ok){.active = true});
}

/* Close-ok leaves after requeue and detach (rule 24). */
void method_channel_close(struct channel *ch, const void *arguments)
{
    (void)arguments;
    channel_tear_down(ch);
    ch->state = CHANNEL_CLOSED;
    send_simple(ch->conn, ch->id, AMQP_CHANNEL_CLOSE_OK);
}

void method_access_request(struct channel *ch, const void *arguments)
{
    (void)arguments;
    send_method(ch->conn, ch->id, AMQP_ACCESS_REQUEST_OK,
                &(struct amqp_access_request_ok){.ticket = 1});
}

void method_confirm_select(struct channel *ch, const void *arguments)
{
    const struct amqp_confirm_select *in = arguments;

    if (ch->tx) {
        channel_fail(ch, REPLY_PRECONDITION_FAILED, "cannot switch from tx to confirm mode");
        return;
    }
    publish_start_confirms(ch);
    if (!in->nowait)
        send_simple(ch->conn, ch->id, AMQP_CONFIRM_SELECT_OK);
}
