#include "amqp/handshake.h"

#include <stdio.h>
#include <string.h>

#include "amqp/door.h"
#include "amqp/test_peer.h"

#define HEADER bytes_of("AMQP\0\0\x09\x01", 8)

static struct test_broker b;

/* A connection that has been told start. */
static struct peer *started(void)
{
    broker_open(&b);
    struct peer *p = peer_new(&b);
    say_bytes(p, HEADER);
    heard(p);
    return p;
}

static struct peer *tuning(void)
{
    struct peer *p = started();
    say(p, "0 connection.start_ok mechanism=PLAIN response=^guest^guest");
    expect_heard(p, "0 connection.tune channel_max=2047 frame_max=131072 heartbeat=60\n");
    return p;
}

static void expect_gone(struct peer *p)
{
    turn(&b);
    expect_true(sim_link_is_gone(p->link));
    broker_close(&b);
}

TEST(start_says_who_we_are_and_what_works)
{
    broker_open(&b);
    struct peer *p = peer_new(&b);
    say_bytes(p, HEADER);
    const char *text = heard(p);
    expect_not_null(strstr(text, "0 connection.start version_major=0 version_minor=9"));
    expect_not_null(strstr(text, "version: S \"4.2.0\""));
    expect_not_null(strstr(text, "publisher_confirms: t true"));
    expect_not_null(strstr(text, "connection.blocked: t true"));
    expect_not_null(strstr(text, "mechanisms=PLAIN AMQPLAIN locales=en_US"));
    broker_close(&b);
}

TEST(plain_and_amqplain_log_in)
{
    struct peer *p = tuning();
    say(p, "0 connection.tune_ok channel_max=10 frame_max=4096 heartbeat=0");
    say(p, "0 connection.open virtual_host=/");
    expect_heard(p, "0 connection.open_ok\n");
    broker_close(&b);

    p = started();
    struct text response = {0}, out = {0};
    amqp_table_put_string(&response, "LOGIN", BYTES_LITERAL("guest"));
    amqp_table_put_string(&response, "PASSWORD", BYTES_LITERAL("guest"));
    put_method(&out, 0, AMQP_CONNECTION_START_OK,
               &(struct amqp_connection_start_ok){.mechanism = BYTES_LITERAL("AMQPLAIN"),
                                                  .response = text_bytes(&response)});
    say_bytes(p, text_bytes(&out));
    expect_heard(p, "0 connection.tune channel_max=2047 frame_max=131072 heartbeat=60\n");
    text_reset(&response);
    text_reset(&out);
    broker_close(&b);
}

/* The client says nothing that counts. */
TEST(who_is_anonymous_is_the_user_of_the_configuration_or_nobody)
{
    struct amqp_config config;
    struct peer *p = started();
    say(p, "0 connection.start_ok mechanism=ANONYMOUS response=me");
    expect_heard(p, "0 connection.close reply_code=503 reply_text=COMMAND_INVALID - unknown "
                    "authentication mechanism 'ANONYMOUS' failing_class_id=10 "
                    "failing_method_id=11\n");
    broker_close(&b);

    amqp_config_default(&config);
    config.anonymous_user = "guest";
    config.anonymous_password = "guest";
    amqp_configure(&config);
    broker_open(&b);
    p = peer_new(&b);
    say_bytes(p, HEADER);
    expect_not_null(strstr(heard(p), "mechanisms=PLAIN AMQPLAIN ANONYMOUS locales=en_US"));
    say(p, "0 connection.start_ok mechanism=ANONYMOUS response=me");
    expect_heard(p, "0 connection.tune channel_max=2047 frame_max=131072 heartbeat=60\n");
    broker_close(&b);

    config.anonymous_password = "changed"; /* the user's has to be right too */
    amqp_configure(&config);
    p = started();
    say(p, "0 connection.start_ok mechanism=ANONYMOUS");
    expect_heard(p, "");
    amqp_config_default(&config);
    amqp_configure(&config);
    expect_gone(p);
}

TEST(a_wrong_password_is_told_only_to_clients_that_can_take_it)
{
    struct peer *p = started();
    say(p, "0 connection.start_ok mechanism=PLAIN response=^guest^wrong "
           "client_properties=capabilities:F:authentication_failure_close");
    expect_heard(p,
                 "0 connection.close reply_code=403 reply_text=ACCESS_REFUSED - Login was refused "
                 "using authentication mechanism PLAIN. For details see the broker logfile. "
                 "failing_class_id=0 failing_method_id=0\n");
    say(p, "0 connection.close_ok");
    expect_gone(p);

    p = started();
    say(p, "0 connection.start_ok mechanism=PLAIN response=^guest^wrong");
    expect_heard(p, "");
    expect_gone(p);
}

TEST(guest_logs_in_from_loopback_only)
{
    broker_open(&b);
    struct peer *p = peer_new(&b);
    sim_link_free(p->link);
    p->link =
        sim_link_new(&amqp_protocol, b.core, &(struct endpoint){.host = "192.0.2.1", .port = 1000});
    say_bytes(p, HEADER);
    heard(p);
    say(p, "0 connection.start_ok mechanism=PLAIN response=^guest^guest");
    expect_heard(p, "");
    expect_gone(p);
}

TEST(an_unknown_mechanism_or_a_malformed_response_ends_the_connection)
{
    struct peer *p = started();
    say(p, "0 connection.start_ok mechanism=EXTERNAL");
    expect_heard(p,
                 "0 connection.close reply_code=503 reply_text=COMMAND_INVALID - unknown "
                 "authentication mechanism 'EXTERNAL' failing_class_id=10 failing_method_id=11\n");
    broker_close(&b);

    p = started();
    say(p, "0 connection.start_ok mechanism=PLAIN response=guest");
    expect_heard(p, "0 connection.close reply_code=502 reply_text=SYNTAX_ERROR - malformed PLAIN "
                    "response failing_class_id=10 failing_method_id=11\n");
    broker_close(&b);

    p = started();
    say(p, "0 connection.start_ok mechanism=AMQPLAIN response=guest");
    expect_heard(p,
                 "0 connection.close reply_code=502 reply_text=SYNTAX_ERROR - malformed AMQPLAIN "
                 "response failing_class_id=10 failing_method_id=11\n");
    broker_close(&b);
}

TEST(tune_ok_is_checked)
{
    static const struct {
        const char *values, *text;
    } cases[] = {
        {"channel_max=2047 frame_max=4095 heartbeat=0",
         "negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"},
        {"channel_max=2047 frame_max=131073 heartbeat=0",
         "negotiated frame_max = 131073 is higher than the maximum allowed value (131072)"},
        {"channel_max=0 frame_max=131072 heartbeat=0",
         "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"},
        {"channel_max=2048 frame_max=131072 heartbeat=0",
         "negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char wanted[300];
        struct peer *p = tuning();
        say(p, "0 connection.tune_ok %s", cases[i].values);
        snprintf(wanted, sizeof wanted,
                 "0 connection.close reply_code=530 reply_text=NOT_ALLOWED - %s "
                 "failing_class_id=10 failing_method_id=31\n",
                 cases[i].text);
        expect_heard(p, wanted);
        broker_close(&b);
    }
}

TEST(an_unknown_vhost_is_refused)
{
    struct peer *p = tuning();
    say(p, "0 connection.tune_ok channel_max=10 frame_max=4096 heartbeat=0");
    say(p, "0 connection.open virtual_host=nowhere");
    expect_heard(p, "0 connection.close reply_code=530 reply_text=NOT_ALLOWED - vhost nowhere not "
                    "found failing_class_id=10 failing_method_id=40\n");
    broker_close(&b);
}

TEST(methods_out_of_turn_are_refused)
{
    struct peer *p = started();
    say(p, "0 connection.tune_ok channel_max=10 frame_max=4096 heartbeat=0");
    expect_heard(p,
                 "0 connection.close reply_code=504 reply_text=CHANNEL_ERROR - unexpected method "
                 "in connection state starting failing_class_id=10 failing_method_id=31\n");
    broker_close(&b);

    p = started();
    say(p, "1 channel.open");
    expect_heard(p, "0 connection.close reply_code=505 reply_text=UNEXPECTED_FRAME - a method on "
                    "channel 1 before connection.open failing_class_id=20 failing_method_id=10\n");
    broker_close(&b);
}

TEST(a_handshake_that_takes_too_long_is_ended)
{
    struct peer *p = started();
    advance(&b, HANDSHAKE_MAX_S * 1000 - 1);
    expect_false(sim_link_is_gone(p->link));
    advance(&b, 1);
    expect_gone(p);
}

TEST(foreign_bytes_get_our_header_and_the_door)
{
    static const char *const starts[] = {
        "GET / HTTP/1.1\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "AMQP\x03\x01\x00\x00",
        "AMQP\0\0\x09\x02",   "\0\0\0\x2a\0\x12\0\x03\0\0\0\0",       "nonsense",
    };
    static const size_t sizes[] = {16, 9, 8, 8, 12, 8};

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        broker_open(&b);
        struct peer *p = peer_new(&b);
        say_bytes(p, bytes_of(starts[i], sizes[i]));
        expect_heard(p, "header\n");
        expect_gone(p);
    }
}

TEST(the_header_of_0_9_is_taken_too)
{
    broker_open(&b);
    struct peer *p = peer_new(&b);
    say_bytes(p, bytes_of("AMQP\x01\x01\0\x09", 8));
    expect_not_null(strstr(heard(p), "0 connection.start"));
    broker_close(&b);
}

/* ---- heartbeats ---- */

TEST(heartbeats_are_sent_when_nothing_else_is)
{
    broker_open(&b);
    struct peer *p = peer_connect_with(&b, 131072, 4);
    for (int i = 0; i < 5; i++) {
        say_bytes(p, bytes_of("\x08\0\0\0\0\0\0\xce", 8));
        advance(&b, 1999);
        expect_heard(p, "");
        advance(&b, 1);
        expect_heard(p, "heartbeat\n");
    }
    broker_close(&b);
}

TEST(a_silent_client_is_dropped_between_two_and_three_heartbeats)
{
    broker_open(&b);
    struct peer *p = peer_connect_with(&b, 131072, 1);
    advance(&b, 2000);
    expect_false(sim_link_is_gone(p->link));
    advance(&b, 1000);
    expect_true(sim_link_is_gone(p->link));
    broker_close(&b);
}

TEST(any_traffic_counts_as_a_heartbeat)
{
    broker_open(&b);
    struct peer *p = peer_connect_with(&b, 131072, 1);
    for (int i = 0; i < 8; i++) {
        advance(&b, 900);
        say(p, "1 basic.qos prefetch_count=1");
    }
    advance(&b, 900);
    expect_false(sim_link_is_gone(p->link));
    broker_close(&b);
}

TEST(without_heartbeats_silence_is_golden)
{
    broker_open(&b);
    struct peer *p = peer_connect_with(&b, 131072, 0);
    advance(&b, 3600 * 1000);
    expect_heard(p, "");
    expect_false(sim_link_is_gone(p->link));
    broker_close(&b);
}

/* ---- ends ---- */

TEST(a_client_that_never_answers_our_close_is_dropped)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "7 basic.get queue=q");
    expect_heard(p, "0 connection.close reply_code=504 reply_text=CHANNEL_ERROR - expected "
                    "'channel.open' failing_class_id=60 failing_method_id=70\n");
    say(p, "1 basic.get queue=q"); /* ignored */
    expect_heard(p, "");
    advance(&b, 10000);
    expect_gone(p);
}

TEST(closes_that_cross_are_both_answered)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "7 basic.get queue=q");
    heard(p);
    say(p, "0 connection.close");
    expect_heard(p, "0 connection.close_ok\n");
    say(p, "0 connection.close_ok");
    say(p, "0 connection.close");
    expect_heard(p, "");
    advance(&b, 3000);
    expect_gone(p);
}

TEST(management_closes_a_connection_with_its_reason)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    struct session *session = sim_link_link(p->link)->session;
    expect_string(session->user, "guest");
    expect_string(session->vhost, "/");
    session->close(session, "Closed via management plugin");
    expect_heard(p, "0 connection.close reply_code=320 reply_text=CONNECTION_FORCED - Closed via "
                    "management plugin failing_class_id=0 failing_method_id=0\n");
    broker_close(&b);
}

TEST(a_new_secret_is_taken_note_of)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "0 connection.update_secret new_secret=x reason=y");
    expect_heard(p, "0 connection.update_secret_ok\n");
    broker_close(&b);
}

TEST(who_does_not_log_in_makes_room_for_who_comes_and_nobody_else)
{
    static struct sim_link *links[DOOR_CONNECTIONS_MAX + 1];
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    for (int i = 0; i <= DOOR_CONNECTIONS_MAX; i++)
        links[i] = sim_link_new(&amqp_protocol, b.core, NULL);
    sim_link_turn(links[0]);
    sim_link_turn(links[1]);
    expect_true(sim_link_is_gone(links[0])); /* the oldest stranger */
    expect_false(sim_link_is_gone(links[1]));
    say(p, "2 channel.open");
    expect_heard(p, "2 channel.open_ok\n"); /* who has logged in is no stranger */
    struct peer *other = peer_connect(&b);
    sim_link_turn(links[1]);
    expect_true(sim_link_is_gone(links[1]));
    say(other, "2 channel.open");
    expect_heard(other, "2 channel.open_ok\n");
    for (int i = 0; i <= DOOR_CONNECTIONS_MAX; i++)
        sim_link_free(links[i]);
    broker_close(&b);
}
