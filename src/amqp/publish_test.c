#include "amqp/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/test_peer.h"
#include "base/mem.h"

static struct test_broker b;

/* A client whose channel 1 confirms, with a durable queue `q` and a transient one `t`. */
static struct peer *publisher(void)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 queue.declare queue=q durable");
    say(p, "1 queue.declare queue=t");
    say(p, "1 confirm.select");
    commit(&b);
    expect_heard(p, "1 queue.declare_ok queue=q message_count=0 consumer_count=0\n"
                    "1 queue.declare_ok queue=t message_count=0 consumer_count=0\n"
                    "1 confirm.select_ok\n");
    return p;
}

TEST(a_persistent_message_is_confirmed_when_it_is_committed_and_not_before)
{
    struct peer *p = publisher();
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 | a");
    expect_heard(p, "");
    struct random random;
    random_init(&random, 1);
    int64_t durable = 0;
    while (durable == 0) {
        expect_heard(p, "");
        expect_true(sim_jobs_step(b.sim, &random));
        durable = queue_find(vhost_find(b.core, BYTES_LITERAL("/")), BYTES_LITERAL("q"))->log->hw;
    }
    expect_heard(p, "1 basic.ack delivery_tag=1 multiple=false\n");
    broker_close(&b);
}

TEST(a_confirmed_message_survives_a_crash)
{
    struct peer *p = publisher();
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 priority=3 | kept");
    commit(&b);
    expect_heard(p, "1 basic.ack delivery_tag=1 multiple=false\n");
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 | lost");
    expect_heard(p, "");
    broker_crash(&b);
    p = peer_connect(&b);
    say(p, "1 basic.get queue=q");
    say(p, "1 basic.get queue=q");
    commit(&b);
    expect_heard(p, "1 basic.get_ok delivery_tag=1 redelivered=false exchange= routing_key=q "
                    "message_count=0 | delivery_mode=2 priority=3 | kept\n"
                    "1 basic.get_empty\n");
    broker_close(&b);
}

TEST(confirms_of_one_turn_are_one_ack)
{
    struct peer *p = publisher();
    for (int i = 0; i < 10; i++)
        say(p, "1 basic.publish routing_key=q | delivery_mode=2 | %d", i);
    commit(&b);
    expect_heard(p, "1 basic.ack delivery_tag=10 multiple=true\n");
    broker_close(&b);
}

TEST(a_message_for_memory_or_for_nobody_is_confirmed_at_once)
{
    struct peer *p = publisher();
    say(p, "1 basic.publish routing_key=t | | a");
    expect_heard(p, "1 basic.ack delivery_tag=1 multiple=false\n");
    say(p, "1 basic.publish routing_key=nowhere | delivery_mode=2 | b");
    expect_heard(p, "1 basic.ack delivery_tag=2 multiple=false\n");
    broker_close(&b);
}

TEST(a_return_comes_before_its_confirm)
{
    struct peer *p = publisher();
    say(p, "1 basic.publish routing_key=nowhere mandatory | type=x | body");
    expect_heard(p, "1 basic.return reply_code=312 reply_text=NO_ROUTE exchange= "
                    "routing_key=nowhere | type=x | body\n"
                    "1 basic.ack delivery_tag=1 multiple=false\n");
    say(p, "1 basic.publish routing_key=t mandatory | | routed");
    expect_heard(p, "1 basic.ack delivery_tag=2 multiple=false\n");
    broker_close(&b);
}

TEST(confirms_count_from_confirm_select_on_and_selecting_again_changes_nothing)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 basic.publish routing_key=nowhere | | a");
    say(p, "1 confirm.select");
    say(p, "1 basic.publish routing_key=nowhere | | b");
    say(p, "1 confirm.select nowait");
    say(p, "1 basic.publish routing_key=nowhere | | c");
    expect_heard(p, "1 confirm.select_ok\n1 basic.ack delivery_tag=2 multiple=true\n");
    broker_close(&b);
}

TEST(a_publish_to_a_missing_exchange_closes_the_channel)
{
    struct peer *p = publisher();
    say(p, "1 basic.publish exchange=x routing_key=q | | a");
    say(p, "1 basic.publish routing_key=t | | behind: ignored, not confirmed");
    expect_heard(p,
                 "1 channel.close reply_code=404 reply_text=NOT_FOUND - no exchange 'x' in vhost "
                 "'/' failing_class_id=60 failing_method_id=40\n");
    say(p, "1 basic.publish routing_key=t | | ignored");
    say(p, "1 basic.ack delivery_tag=99");
    expect_heard(p, "");
    say(p, "1 channel.close_ok");
    say(p, "1 channel.open");
    say(p, "1 basic.get queue=t");
    commit(&b);
    expect_heard(p, "1 channel.open_ok\n1 basic.get_empty\n");
    broker_close(&b);
}

TEST(closes_of_a_channel_that_cross_are_both_answered)
{
    struct peer *p = publisher();
    say(p, "1 basic.publish exchange=x | | a");
    heard(p);
    say(p, "1 channel.close");
    expect_heard(p, "1 channel.close_ok\n");
    say(p, "1 channel.close_ok");
    say(p, "1 channel.open");
    expect_heard(p, "1 channel.open_ok\n");
    broker_close(&b);
}

TEST(what_a_publish_may_not_ask_ends_the_connection_or_the_channel)
{
    static const struct {
        const char *say, *close;
    } cases[] = {
        {"1 basic.publish routing_key=q immediate | | a",
         "0 connection.close reply_code=540 reply_text=NOT_IMPLEMENTED - immediate=true "
         "failing_class_id=60 failing_method_id=40\n"},
        {"1 basic.publish routing_key=q | headers=CC:V: | a",
         "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - invalid message: "
         "{unacceptable_type_in_header,\"CC\",void} failing_class_id=60 "
         "failing_method_id=40\n"},
        {"1 basic.publish routing_key=q | headers=a:I:1,BCC:V: | a",
         "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - invalid message: "
         "{unacceptable_type_in_header,\"BCC\",void} failing_class_id=60 "
         "failing_method_id=40\n"},
        {"1 basic.publish routing_key=q | reply_to=amq.rabbitmq.reply-to | a",
         "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - fast reply consumer does "
         "not exist failing_class_id=60 failing_method_id=40\n"},
        {"1 basic.publish routing_key=\xff | | a",
         "0 connection.close reply_code=501 reply_text=FRAME_ERROR - Malformed UTF-8 in shortstr "
         "failing_class_id=0 failing_method_id=0\n"},
        {"1 queue.declare queue=\xff",
         "0 connection.close reply_code=501 reply_text=FRAME_ERROR - Malformed UTF-8 in shortstr "
         "failing_class_id=0 failing_method_id=0\n"},
        {"1 basic.publish routing_key=q | expiration=abc | a",
         "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - invalid expiration "
         "'abc': "
         "no_integer failing_class_id=60 failing_method_id=40\n"},
        {"1 basic.publish routing_key=q | expiration=-1 | a",
         "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - invalid expiration '-1': "
         "{value_negative,-1} failing_class_id=60 failing_method_id=40\n"},
        {"1 basic.publish routing_key=q | expiration=1.5 | a",
         "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - invalid expiration "
         "'1.5': "
         "{leftover_string,\".5\"} failing_class_id=60 failing_method_id=40\n"},
        {"1 basic.publish routing_key=q | expiration=315360000001 | a",
         "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - invalid expiration "
         "'315360000001': {value_too_large,315360000001} failing_class_id=60 "
         "failing_method_id=40\n"},
        {"1 basic.publish routing_key=q | user_id=root | a",
         "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - user_id property set to "
         "'root' but authenticated user was 'guest' failing_class_id=60 failing_method_id=40\n"},
        {"1 basic.publish exchange=internal | | a",
         "1 channel.close reply_code=403 reply_text=ACCESS_REFUSED - cannot publish to internal "
         "exchange 'internal' in vhost '/' failing_class_id=60 failing_method_id=40\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer *p = publisher();
        say(p, "1 exchange.declare exchange=internal type=direct internal nowait");
        say(p, cases[i].say, 0);
        expect_heard(p, cases[i].close);
        broker_close(&b);
    }
    struct peer *p = publisher();
    say(p, "1 basic.publish routing_key=nowhere | user_id=guest | a");
    expect_heard(p, "1 basic.ack delivery_tag=1 multiple=false\n");
    broker_close(&b);
}

/* ---- contents ---- */

static char *body_of(size_t size)
{
    char *body = xmalloc(size + 1);

    for (size_t i = 0; i < size; i++)
        body[i] = (char)('a' + i * 7 % 26);
    body[size] = '\0';
    return body;
}

/* Publish and get a body of each size; `split` cuts the bytes on their way anywhere. */
static void expect_round_trips(uint32_t frame_max, struct random *split)
{
    static const size_t sizes[] = {0, 1, 4087, 4088, 4089, 8176, 8177, 131064, 131065, 600000};

    broker_open(&b);
    struct peer *p = peer_connect_with(&b, frame_max, 0);
    say(p, "1 queue.declare queue=t");
    heard(p);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct text out = {0}, line = {0}, wanted = {0};
        char *body = body_of(sizes[i]);
        text_printf(&line, "1 basic.publish routing_key=t | content_type=x | %s", body);
        put_line(&out, text_string(&line), frame_max);
        put_line(&out, "1 basic.get queue=t no_ack", frame_max);
        text_printf(&wanted,
                    "1 basic.get_ok delivery_tag=%zu redelivered=false exchange= routing_key=t "
                    "message_count=0 | content_type=x | %s\n",
                    i + 1, body);
        expect_true(split ? sim_link_feed_split(p->link, text_bytes(&out), split)
                          : sim_link_feed(p->link, text_bytes(&out)));
        commit(&b);
        expect_heard(p, text_string(&wanted));
        free(body);
        text_reset(&out);
        text_reset(&line);
        text_reset(&wanted);
    }
    expect_int(sim_link_unfreed_count(p->link), 0);
    broker_close(&b);
}

TEST(contents_of_all_sizes_come_back_as_they_were)
{
    expect_round_trips(131072, NULL);
    expect_round_trips(4096, NULL);
}

TEST(contents_come_together_however_they_are_split)
{
    struct random random;

    random_init(&random, test_seed());
    for (int i = 0; i < 3; i++) {
        expect_round_trips(131072, &random);
        expect_round_trips(4096, &random);
    }
}

/* The size of the first `count` frames. */
static size_t frames_size(struct bytes frames, int count)
{
    size_t at = 0;

    while (count-- > 0)
        at += 8 + get_u32(frames.data + at + 3);
    return at;
}

TEST(contents_of_two_channels_may_interleave)
{
    broker_open(&b);
    struct peer *p = peer_connect_with(&b, 4096, 0);
    struct text one = {0}, line = {0};
    char *body = body_of(12000);

    say(p, "1 queue.declare queue=t");
    say(p, "2 channel.open");
    heard(p);
    text_printf(&line, "1 basic.publish routing_key=t | | %s", body);
    put_line(&one, text_string(&line), 4096);
    for (int frames = 1; frames < 5; frames++) { /* method, header, three bodies */
        size_t cut = frames_size(text_bytes(&one), frames);
        say_bytes(p, bytes_of(one.data, cut));
        say(p, "2 basic.publish routing_key=t | | short");
        say_bytes(p, bytes_of(one.data + cut, one.size - cut));
        say(p, "1 basic.get queue=t no_ack");
        const char *text = heard(p);
        expect_not_null(strstr(text, "| | short\n"));
        say(p, "1 basic.get queue=t no_ack");
        text = heard(p);
        expect_not_null(strstr(text, body));
    }
    text_reset(&one);
    text_reset(&line);
    free(body);
    broker_close(&b);
}

TEST(a_body_over_the_limit_is_skipped_and_closes_the_channel)
{
    struct amqp_config config;
    amqp_config_default(&config);
    config.message_max_bytes = 1000;
    amqp_configure(&config);
    struct peer *p = publisher();
    char *body = body_of(1001);
    say(p, "1 basic.publish routing_key=q | | %s", body);
    expect_heard(p, "1 channel.close reply_code=406 reply_text=PRECONDITION_FAILED - message size "
                    "1001 is larger than configured max size 1000 failing_class_id=60 "
                    "failing_method_id=40\n");
    free(body);
    body = body_of(1000);
    say(p, "1 channel.close_ok");
    say(p, "1 channel.open");
    say(p, "1 confirm.select");
    say(p, "1 basic.publish routing_key=t | | %s", body);
    expect_heard(p, "1 channel.open_ok\n1 confirm.select_ok\n1 basic.ack delivery_tag=1 "
                    "multiple=false\n");
    free(body);
    broker_close(&b);
    amqp_config_default(&config);
    amqp_configure(&config);
}

TEST(when_the_disk_has_failed_publishes_are_nacked)
{
    struct peer *p = publisher();
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 | a");
    turn(&b);
    sim_disk_fail(b.disk, SIM_SYNC, 1, E_IO);
    commit(&b);
    expect_heard(p, "1 basic.nack delivery_tag=1 multiple=false requeue=false\n");
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 | b");
    say(p, "1 basic.publish routing_key=q | delivery_mode=2 | c");
    say(p, "1 basic.publish routing_key=t | | memory needs no disk");
    commit(&b);
    expect_heard(p, "1 basic.nack delivery_tag=2 multiple=false requeue=false\n"
                    "1 basic.nack delivery_tag=3 multiple=false requeue=false\n"
                    "1 basic.ack delivery_tag=4 multiple=false\n");
    broker_close(&b);
}

TEST(more_keys_in_cc_and_bcc_reach_their_queues_once_and_bcc_is_not_shown)
{
    struct peer *p = publisher();
    say(p, "1 queue.declare queue=a nowait");
    say(p, "1 queue.declare queue=b nowait");
    say(p, "1 queue.declare queue=c nowait");
    say(p, "1 basic.publish routing_key=a | headers=x:I:1,BCC:A:c,y:I:2,CC:A:b/a/nowhere "
           "type=t | body");
    commit(&b);
    heard(p);
    const char *queues[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        say(p, "1 basic.get queue=%s no_ack", queues[i]);
        commit(&b);
        const char *text = heard(p);
        expect_not_null(strstr(text, "message_count=0"));
        expect_not_null(strstr(text, "x: I 1, y: I 2, CC: A [S \"b\", S \"a\", S \"nowhere\"]"));
        expect_not_null(strstr(text, "type=t"));
        expect_null(strstr(text, "BCC"));
    }
    broker_close(&b);
}
