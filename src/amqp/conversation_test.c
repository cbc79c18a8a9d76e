/* Whole conversations: the everyday use of each class. */
#include "amqp/test_peer.h"

TEST(a_message_goes_through_a_durable_queue)
{
    struct test_broker b;
    broker_open(&b);
    struct peer *p = peer_connect(&b);

    say(p, "1 queue.declare queue=q durable");
    expect_heard(p, "");
    commit(&b);
    expect_heard(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n");
    say(p, "1 basic.publish routing_key=q | content_type=text/plain delivery_mode=2 | hello");
    say(p, "1 basic.get queue=q");
    expect_heard(p, "");
    commit(&b);
    expect_heard(p, "1 basic.get_ok delivery_tag=1 redelivered=false exchange= routing_key=q "
                    "message_count=0 | content_type=text/plain delivery_mode=2 | hello\n");
    say(p, "1 basic.ack delivery_tag=1");
    say(p, "1 basic.get queue=q");
    commit(&b);
    expect_heard(p, "1 basic.get_empty\n");
    broker_close(&b);
}

TEST(a_consumer_gets_what_is_published_and_acks_it)
{
    struct test_broker b;
    broker_open(&b);
    struct peer *p = peer_connect(&b);

    say(p, "1 queue.declare queue=q durable");
    say(p, "1 basic.consume queue=q consumer_tag=c");
    commit(&b);
    expect_heard(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n"
                    "1 basic.consume_ok consumer_tag=c\n");
    say(p, "1 basic.publish routing_key=q | | one");
    say(p, "1 basic.publish routing_key=q | | two");
    expect_heard(p, "");
    commit(&b);
    expect_heard(p, "1 basic.deliver consumer_tag=c delivery_tag=1 redelivered=false exchange= "
                    "routing_key=q | | one\n"
                    "1 basic.deliver consumer_tag=c delivery_tag=2 redelivered=false exchange= "
                    "routing_key=q | | two\n");
    say(p, "1 basic.ack delivery_tag=2 multiple");
    say(p, "1 channel.close");
    expect_heard(p, "1 channel.close_ok\n");
    say(p, "0 connection.close");
    expect_heard(p, "0 connection.close_ok\n");
    expect_false(sim_link_is_gone(p->link)); /* the client closes first */
    advance(&b, 3000);
    expect_true(sim_link_is_gone(p->link));
    broker_close(&b);
}
