#include "kafka/connection.h"

#include "kafka/api.h"
#include "kafka/test_broker.h"

TEST(a_broken_stream_closes_the_connection)
{
    static const struct bytes streams[] = {
        BYTES_LITERAL("GET / HTTP/1.1\r\n\r\n"),
        BYTES_LITERAL("\x16\x03\x01\x02\x00\x01\x00"),
        BYTES_LITERAL("AMQP\x00\x00\x09\x01"),
        BYTES_LITERAL("\xff\xff\xff\xff"),
        BYTES_LITERAL("\0\0\0\x0a\0\x0b\0\0\0\0\0\1\xff\xff"), /* a key that is not served */
    };
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        struct test_broker b;
        broker_open(&b);
        struct test_client *c = broker_client(&b);
        sim_link_feed(c->link, streams[i]);
        expect_true(client_is_closed(c));
        expect_int(sim_link_output(c->link).size, 0);
        broker_close(&b);
    }
}

TEST(what_was_answered_before_a_broken_frame_still_leaves)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_api_versions_request versions = {BYTES_LITERAL("a"), BYTES_LITERAL("1")};
    int32_t id = client_send(c, KAFKA_API_VERSIONS, 3, &versions);
    sim_link_feed(c->link, BYTES_LITERAL("\0\0\0\0"));
    expect_true(client_is_closed(c));
    expect_not_null(client_receive(c, KAFKA_API_VERSIONS, 3, id));
    broker_close(&b);
}

static void close_session(void *ctx, struct session *session)
{
    (void)ctx;
    session->close(session, "asked by the operator");
}

TEST(management_can_close_a_connection)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    session_each(b.core, close_session, NULL);
    expect_true(client_is_closed(c));
    broker_close(&b);
}

TEST(an_answer_beyond_the_limit_closes_the_connection)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    for (int i = 0; i < 60; i++)
        broker_topic(&b, arena_printf(&b.arena, "topic-%d", i), 20000);
    sim_link_feed(c->link, BYTES_LITERAL("\0\0\0\x0e\0\3\0\1\0\0\0\1\xff\xff\xff\xff\xff\xff"));
    expect_true(client_is_closed(c));
    broker_close(&b);
}

/* Valid requests with random content, in pieces and pipelined, must neither break the broker nor
 * leave anything behind. */
static void converse(struct random *random)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "a", 2);
    struct test_client *c = broker_client(&b);
    struct text in = {0};
    for (int round = 0; round < 60; round++) {
        int key;
        const struct wire_api *wire;
        do
            key = (int)random_below(random, 21);
        while (!api_find((int16_t)key, &wire));
        int version = wire->min + (int)random_below(random, (uint64_t)(wire->max - wire->min + 1));
        void *body = wire_new(wire->request, &b.arena, 1);
        if (!wire_random(wire->request, version, random, &b.arena, body))
            continue;
        in.size = 0;
        put_request(&in, key, version, round, body);
        if (sim_link_is_gone(c->link))
            break;
        sim_link_feed_split(c->link, text_bytes(&in), random);
        if (random_below(random, 4) == 0)
            broker_commit(&b);
    }
    text_reset(&in);
    sim_link_end(c->link);
    broker_turn(&b);
    expect_int(sim_link_unfreed_count(c->link), 0);
    broker_commit(&b);
    broker_close(&b);
}

TEST(random_conversations_leave_nothing_behind)
{
    struct random random;
    random_init(&random, test_seed());
    for (int i = 0; i < 60; i++)
        converse(&random);
}
