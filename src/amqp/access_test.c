/* What users may do, as an AMQP client is told it: RabbitMQ's codes and texts. */
#include "broker/access.h"

#include <stdio.h>
#include <string.h>

#include "amqp/test_peer.h"

static struct test_broker b;
static struct user *user;
static struct vhost *vhost;

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

static struct user *
make_user(const char *name, const char *tag)
{
    struct bytes tags[] = {B(tag)};
    struct user_spec spec = {
        .tags = tags, .tag_count = 1, .password = password_hash_of(&b.core->random, B("secret"))};
    struct user *made;
    bool created;
    expect_ok(user_put(b.core, B(name), &spec, &made, &created));
    return made;
}

static void permit(const char *configure, const char *write, const char *read)
{
    bool created;
    expect_ok(permission_put(user, vhost, B(configure), B(write), B(read), &created));
}

static struct peer *ask_for_vhost(const char *name, const char *vhost_name)
{
    struct peer *p = peer_new(&b);
    say_bytes(p, bytes_of("AMQP\0\0\x09\x01", 8));
    heard(p);
    say(p, "0 connection.start_ok mechanism=PLAIN response=^%s^secret", name);
    say(p, "0 connection.tune_ok channel_max=100 frame_max=131072 heartbeat=0");
    expect_heard(p, "0 connection.tune channel_max=2047 frame_max=131072 heartbeat=60\n");
    say(p, "0 connection.open virtual_host=%s", vhost_name);
    return p;
}

/* Logged in as `u`, on "/", with channel 1. */
static struct peer *connected(void)
{
    struct peer *p = ask_for_vhost("u", "/");
    say(p, "1 channel.open");
    expect_heard(p, "0 connection.open_ok\n1 channel.open_ok\n");
    return p;
}

static void begin(void)
{
    broker_open(&b);
    user = make_user("u", "management");
    vhost = vhost_find(b.core, B("/"));
}

/* The channel is closed with 403 and this text; go on with it, opened again. */
static void expect_refused(struct peer *p, const char *text, uint16_t class_id, uint16_t method_id)
{
    char wanted[400];
    commit(&b);
    snprintf(wanted, sizeof wanted,
             "1 channel.close reply_code=403 reply_text=ACCESS_REFUSED - %s refused for user 'u' "
             "failing_class_id=%u failing_method_id=%u\n",
             text, class_id, method_id);
    expect_heard(p, wanted);
    say(p, "1 channel.close_ok");
    say(p, "1 channel.open");
    expect_heard(p, "1 channel.open_ok\n");
}

static void expect_done(struct peer *p, const char *answer)
{
    commit(&b);
    expect_heard(p, answer);
}

static void expect_not_allowed(struct peer *p, const char *text, uint16_t class_id,
                               uint16_t method_id)
{
    char wanted[400];
    snprintf(wanted, sizeof wanted,
             "0 connection.close reply_code=530 reply_text=NOT_ALLOWED - %s failing_class_id=%u "
             "failing_method_id=%u\n",
             text, class_id, method_id);
    expect_heard(p, wanted);
    say(p, "0 connection.close_ok");
    turn(&b);
    peer_close(p);
}

/* ---- opening ---- */

TEST(a_vhost_opens_for_users_with_permissions_there)
{
    begin();
    expect_not_allowed(ask_for_vhost("u", "/"), "access to vhost '/' refused for user 'u'", 10, 40);
    expect_not_allowed(ask_for_vhost("u", "none"), "vhost none not found", 10, 40);
    permit("", "", "");
    connected();
    broker_close(&b);
}

TEST(connections_are_limited_for_a_vhost_and_for_a_user)
{
    begin();
    permit(".*", ".*", ".*");
    struct peer *p = connected();
    expect_ok(user_set_limits(user, 1, -1));
    expect_not_allowed(ask_for_vhost("u", "/"),
                       "connection refused for user 'u': user connection limit (1) is reached", 10,
                       40);
    expect_ok(user_set_limits(user, -1, -1));
    expect_ok(vhost_set_limits(vhost, 1, -1));
    expect_not_allowed(ask_for_vhost("u", "/"),
                       "access to vhost '/' refused for user 'u': connection limit (1) is reached",
                       10, 40);
    peer_close(p);
    connected();
    broker_close(&b);
}

TEST(channels_are_limited_for_a_user)
{
    begin();
    permit(".*", ".*", ".*");
    expect_ok(user_set_limits(user, -1, 2));
    struct peer *p = connected();
    say(p, "2 channel.open");
    say(p, "2 channel.close");
    say(p, "2 channel.open");
    expect_heard(p, "2 channel.open_ok\n2 channel.close_ok\n"
                    "2 channel.open_ok\n");
    say(p, "3 channel.open");
    expect_not_allowed(p,
                       "number of channels opened for user 'u' has reached the maximum allowed "
                       "user limit of (2)",
                       20, 10);
    expect_int(user->channel_count, 0);
    broker_close(&b);
}

/* ---- methods ---- */

TEST(declaring_and_deleting_take_the_right_to_configure)
{
    begin();
    permit("^mine", "", "");
    struct peer *p = connected();
    say(p, "1 queue.declare queue=mine-q");
    expect_done(p, "1 queue.declare_ok queue=mine-q message_count=0 consumer_count=0\n");
    say(p, "1 queue.declare queue=q");
    expect_refused(p, "configure access to queue 'q' in vhost '/'", 50, 10);
    say(p, "1 queue.delete queue=q");
    expect_refused(p, "configure access to queue 'q' in vhost '/'", 50, 40);
    say(p, "1 queue.delete queue=mine-q");
    expect_done(p, "1 queue.delete_ok message_count=0\n");
    say(p, "1 exchange.declare exchange=x type=direct");
    expect_refused(p, "configure access to exchange 'x' in vhost '/'", 40, 10);
    say(p, "1 exchange.delete exchange=x");
    expect_refused(p, "configure access to exchange 'x' in vhost '/'", 40, 20);
    say(p, "1 exchange.declare exchange=mine-x type=direct");
    expect_done(p, "1 exchange.declare_ok\n");
    say(p, "1 exchange.delete exchange=mine-x");
    expect_done(p, "1 exchange.delete_ok\n");
    broker_close(&b);
}

TEST(what_is_there_may_be_looked_at_by_everybody)
{
    begin();
    permit("^q$", "", "");
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q");
    commit(&b);
    heard(p);
    permit("", "", "");
    say(p, "1 queue.declare queue=q passive");
    expect_done(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n");
    say(p, "1 exchange.declare exchange=amq.direct passive");
    expect_done(p, "1 exchange.declare_ok\n");
    broker_close(&b);
}

TEST(a_dead_letter_or_alternate_exchange_takes_more_rights)
{
    begin();
    permit(".*", "^x$", "^(q1|x1)$");
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q0 arguments=x-dead-letter-exchange:S:x");
    expect_refused(p, "read access to queue 'q0' in vhost '/'", 50, 10);
    say(p, "1 queue.declare queue=q1 arguments=x-dead-letter-exchange:S:y");
    expect_refused(p, "write access to exchange 'y' in vhost '/'", 50, 10);
    say(p, "1 queue.declare queue=q1 arguments=x-dead-letter-exchange:S:");
    expect_refused(p, "write access to exchange 'amq.default' in vhost '/'", 50, 10);
    say(p, "1 queue.declare queue=q1 arguments=x-dead-letter-exchange:S:x");
    expect_done(p, "1 queue.declare_ok queue=q1 message_count=0 consumer_count=0\n");
    say(p, "1 exchange.declare exchange=x0 type=direct arguments=alternate-exchange:S:x");
    expect_refused(p, "read access to exchange 'x0' in vhost '/'", 40, 10);
    say(p, "1 exchange.declare exchange=x1 type=direct arguments=alternate-exchange:S:y");
    expect_refused(p, "write access to exchange 'y' in vhost '/'", 40, 10);
    say(p, "1 exchange.declare exchange=x1 type=direct arguments=alternate-exchange:S:x");
    expect_done(p, "1 exchange.declare_ok\n");
    broker_close(&b);
}

TEST(binding_takes_the_right_to_write_what_is_bound_and_to_read_where_it_comes_from)
{
    begin();
    permit(".*", "^(q|t)$", "^x$");
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q");
    say(p, "1 exchange.declare exchange=x type=direct");
    say(p, "1 exchange.declare exchange=t type=direct");
    commit(&b);
    heard(p);
    say(p, "1 queue.bind queue=q exchange=x routing_key=k");
    expect_done(p, "1 queue.bind_ok\n");
    say(p, "1 queue.bind queue=other exchange=x");
    expect_refused(p, "write access to queue 'other' in vhost '/'", 50, 20);
    say(p, "1 queue.bind queue=q exchange=t");
    expect_refused(p, "read access to exchange 't' in vhost '/'", 50, 20);
    say(p, "1 queue.unbind queue=q exchange=t");
    expect_refused(p, "read access to exchange 't' in vhost '/'", 50, 50);
    say(p, "1 exchange.bind destination=t source=x");
    expect_done(p, "1 exchange.bind_ok\n");
    say(p, "1 exchange.bind destination=x source=t");
    expect_refused(p, "write access to exchange 'x' in vhost '/'", 40, 30);
    say(p, "1 exchange.unbind destination=t source=amq.direct");
    expect_refused(p, "read access to exchange 'amq.direct' in vhost '/'", 40, 40);
    broker_close(&b);
}

TEST(taking_messages_takes_the_right_to_read)
{
    begin();
    permit(".*", "", "^mine$");
    struct peer *p = connected();
    say(p, "1 queue.declare queue=mine");
    say(p, "1 queue.declare queue=q");
    commit(&b);
    heard(p);
    say(p, "1 basic.get queue=q");
    expect_refused(p, "read access to queue 'q' in vhost '/'", 60, 70);
    say(p, "1 basic.consume queue=q");
    expect_refused(p, "read access to queue 'q' in vhost '/'", 60, 20);
    say(p, "1 queue.purge queue=q");
    expect_refused(p, "read access to queue 'q' in vhost '/'", 50, 30);
    say(p, "1 basic.get queue=none"); /* that there is none is not told */
    expect_refused(p, "read access to queue 'none' in vhost '/'", 60, 70);
    say(p, "1 basic.get queue=mine");
    say(p, "1 basic.consume queue=mine consumer_tag=c");
    say(p, "1 queue.purge queue=mine");
    expect_done(p, "1 basic.get_empty\n1 basic.consume_ok consumer_tag=c\n"
                   "1 queue.purge_ok message_count=0\n");
    broker_close(&b);
}

TEST(publishing_takes_the_right_to_write_the_exchange)
{
    begin();
    permit("", "^x", "");
    struct peer *p = connected();
    say(p, "1 basic.publish routing_key=q | | a");
    expect_refused(p, "write access to exchange 'amq.default' in vhost '/'", 60, 40);
    say(p, "1 basic.publish exchange=amq.direct routing_key=q | | a");
    expect_refused(p, "write access to exchange 'amq.direct' in vhost '/'", 60, 40);
    say(p, "1 basic.publish exchange=none routing_key=q | | a");
    expect_refused(p, "write access to exchange 'none' in vhost '/'", 60, 40);
    say(p, "1 basic.publish exchange=x-none routing_key=q | | a");
    expect_done(p, "1 channel.close reply_code=404 reply_text=NOT_FOUND - no exchange 'x-none' in "
                   "vhost '/' failing_class_id=60 failing_method_id=40\n");
    broker_close(&b);
}

TEST(a_change_of_permissions_counts_for_channels_that_are_open)
{
    begin();
    permit(".*", "^amq\\.", "");
    struct peer *p = connected();
    say(p, "1 confirm.select");
    say(p, "1 basic.publish exchange=amq.fanout | | a");
    say(p, "1 basic.publish exchange=amq.fanout | | b");
    expect_done(p, "1 confirm.select_ok\n1 basic.ack delivery_tag=2 multiple=true\n");
    permit(".*", "", "");
    say(p, "1 basic.publish exchange=amq.fanout | | c");
    expect_refused(p, "write access to exchange 'amq.fanout' in vhost '/'", 60, 40);
    permit(".*", ".*", "");
    say(p, "1 confirm.select");
    say(p, "1 basic.publish exchange=amq.fanout | | d");
    expect_done(p, "1 confirm.select_ok\n1 basic.ack delivery_tag=1 multiple=false\n");
    broker_close(&b);
}

TEST(topic_permissions_say_which_keys_may_be_published_and_bound)
{
    bool created;
    begin();
    permit(".*", ".*", ".*");
    expect_ok(topic_permission_put(user, vhost, B("amq.topic"), B("^{username}\\."), B("^open\\."),
                                   &created));
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q");
    say(p, "1 confirm.select");
    commit(&b);
    heard(p);
    say(p, "1 basic.publish exchange=amq.topic routing_key=u.a | | a");
    expect_done(p, "1 basic.ack delivery_tag=1 multiple=false\n");
    say(p, "1 basic.publish exchange=amq.topic routing_key=v.a | | a");
    expect_refused(p, "write access to topic 'v.a' in exchange 'amq.topic' in vhost '/'", 60, 40);
    say(p, "1 queue.bind queue=q exchange=amq.topic routing_key=open.#");
    expect_done(p, "1 queue.bind_ok\n");
    say(p, "1 queue.bind queue=q exchange=amq.topic routing_key=u.#");
    expect_refused(p, "read access to topic 'u.#' in exchange 'amq.topic' in vhost '/'", 50, 20);
    say(p, "1 queue.bind queue=q exchange=amq.direct routing_key=u.a"); /* topics only */
    say(p, "1 basic.publish exchange=amq.direct routing_key=v.a | | a");
    expect_done(p, "1 queue.bind_ok\n");
    broker_close(&b);
}

TEST(a_user_id_is_the_users_own_unless_he_may_impersonate)
{
    begin();
    permit(".*", ".*", ".*");
    struct peer *p = connected();
    say(p, "1 confirm.select");
    say(p, "1 basic.publish exchange=amq.fanout | user_id=u | a");
    expect_done(p, "1 confirm.select_ok\n1 basic.ack delivery_tag=1 multiple=false\n");
    say(p, "1 basic.publish exchange=amq.fanout | user_id=guest | a");
    expect_done(p, "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - user_id "
                   "property set to 'guest' but authenticated user was 'u' failing_class_id=60 "
                   "failing_method_id=40\n");
    say(p, "1 channel.close_ok");
    say(p, "1 channel.open");
    heard(p);
    make_user("u", "impersonator"); /* counts for open connections */
    say(p, "1 confirm.select");
    say(p, "1 basic.publish exchange=amq.fanout | user_id=guest | a");
    expect_done(p, "1 confirm.select_ok\n1 basic.ack delivery_tag=1 multiple=false\n");
    broker_close(&b);
}

TEST(queues_are_limited_for_a_vhost)
{
    begin();
    permit(".*", ".*", ".*");
    expect_ok(vhost_set_limits(vhost, -1, 1));
    struct peer *p = connected();
    say(p, "1 queue.declare queue=q");
    say(p, "1 queue.declare queue=q");
    expect_done(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n"
                   "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n");
    say(p, "1 queue.declare queue=r");
    expect_done(p, "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - cannot declare "
                   "queue 'r': queue limit in vhost '/' (1) is reached failing_class_id=50 "
                   "failing_method_id=10\n");
    broker_close(&b);
}

/* ---- deleted under a connection ---- */

TEST(the_connections_of_a_deleted_user_are_closed)
{
    begin();
    permit(".*", ".*", ".*");
    struct peer *p = connected(), *guest = peer_connect(&b);
    say(p, "1 queue.declare queue=own exclusive");
    say(p, "1 basic.consume queue=own");
    commit(&b);
    heard(p);
    expect_ok(user_delete(user));
    commit(&b);
    expect_heard(p, "0 connection.close reply_code=320 reply_text=CONNECTION_FORCED - user 'u' is "
                    "deleted failing_class_id=0 failing_method_id=0\n");
    expect_null(queue_find(vhost, B("own")));
    say(p, "1 basic.publish routing_key=q | | ignored");
    say(p, "0 connection.close_ok");
    turn(&b);
    expect_true(sim_link_is_gone(p->link));
    say(guest, "1 queue.declare queue=q");
    expect_done(guest, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n");
    broker_close(&b);
}

TEST(the_connections_on_a_deleted_vhost_are_closed)
{
    struct vhost *other;
    bool created;
    begin();
    expect_ok(vhost_create(b.core, B("other"), &(struct vhost_spec){0}, &other));
    expect_ok(permission_put(user, other, B(".*"), B(".*"), B(".*"), &created));
    struct peer *p = ask_for_vhost("u", "other");
    say(p, "1 channel.open");
    say(p, "1 queue.declare queue=q durable");
    say(p, "1 basic.publish routing_key=q | | a");
    say(p, "1 basic.consume queue=q");
    commit(&b);
    heard(p);
    expect_ok(vhost_delete(other));
    commit(&b);
    expect_heard(p, "0 connection.close reply_code=320 reply_text=CONNECTION_FORCED - vhost "
                    "'other' is deleted failing_class_id=0 failing_method_id=0\n");
    expect_null(vhost_find(b.core, B("other")));
    say(p, "1 basic.publish routing_key=q | | ignored");
    turn(&b);
    peer_close(p); /* without an answer: what it has left is let go */
    expect_not_allowed(ask_for_vhost("u", "other"), "vhost other not found", 10, 40);
    broker_close(&b);
}

TEST(an_answer_does_not_leave_its_vhost)
{
    struct vhost *other;
    bool created;
    begin();
    permit(".*", ".*", ".*");
    expect_ok(vhost_create(b.core, B("other"), &(struct vhost_spec){0}, &other));
    expect_ok(permission_put(user, other, B(".*"), B(".*"), B(".*"), &created));
    commit(&b);
    struct peer *asks = connected(), *stranger = ask_for_vhost("u", "other");
    say(stranger, "1 channel.open");
    expect_heard(stranger, "0 connection.open_ok\n1 channel.open_ok\n");
    say(asks, "1 queue.declare queue=q nowait");
    say(asks, "1 basic.consume queue=amq.rabbitmq.reply-to no_ack consumer_tag=c nowait");
    say(asks, "1 basic.publish routing_key=q | reply_to=amq.rabbitmq.reply-to | question");
    say(asks, "1 basic.get queue=q no_ack");
    commit(&b);
    const char *at = strstr(heard(asks), "reply_to=");
    expect_not_null(at);
    char address[64];
    snprintf(address, sizeof address, "%.*s", (int)strcspn(at + 9, " "), at + 9);
    say(stranger, "1 basic.publish routing_key=%s | | answer", address);
    expect_heard(stranger, "");
    expect_heard(asks, "");
    say(stranger, "1 queue.declare queue=%s passive", address);
    expect_not_null(strstr(heard(stranger), "reply_code=404"));
    broker_close(&b);
}
