/* What the framing half refuses, and how. */
#include "amqp/framing.h"

#include <stdio.h>
#include <string.h>

#include "amqp/test_peer.h"

static struct test_broker b;

static void put_raw(struct text *out, uint8_t type, uint16_t channel, struct bytes payload,
                    uint8_t end)
{
    text_put_u8(out, type);
    text_put_u16(out, channel);
    text_put_u32(out, (uint32_t)payload.size);
    text_append(out, payload);
    text_put_u8(out, end);
}

/* Send the bytes on a fresh connection: it must be closed with this. */
static void expect_broken(struct bytes in, const char *close)
{
    char wanted[512];

    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say_bytes(p, in);
    snprintf(wanted, sizeof wanted, "0 connection.close %s\n", close);
    expect_heard(p, wanted);
    say_bytes(p, BYTES_LITERAL("whatever follows is swallowed"));
    expect_heard(p, "");
    broker_close(&b);
}

static void expect_broken_frame(uint8_t type, uint16_t channel, struct bytes payload, uint8_t end,
                                const char *close)
{
    struct text out = {0};

    put_raw(&out, type, channel, payload, end);
    expect_broken(text_bytes(&out), close);
    text_reset(&out);
}

/* Lines, then a raw frame. */
static void expect_broken_after(const char *line, uint8_t type, struct bytes payload,
                                const char *close)
{
    struct text out = {0};

    put_line(&out, line, AMQP_FRAME_MAX_BYTES);
    size_t method_size = 8 + get_u32(out.data + 3);
    out.size = method_size; /* without its content */
    put_raw(&out, type, 1, payload, FRAME_END);
    expect_broken(text_bytes(&out), close);
    text_reset(&out);
}

TEST(frames_that_are_none_are_refused)
{
    expect_broken_frame(FRAME_METHOD, 1, BYTES_LITERAL("\0\x14\0\x0a\0"), 0xCD,
                        "reply_code=501 reply_text=FRAME_ERROR - type 1, all octets = "
                        "<<0,20,0,10,0>>: {invalid_frame_end_marker,205} failing_class_id=0 "
                        "failing_method_id=0");
    expect_broken_frame(5, 1, BYTES_LITERAL("abc"), FRAME_END,
                        "reply_code=501 reply_text=FRAME_ERROR - type 5, all octets = "
                        "<<\"abc\">>: unknown_frame failing_class_id=0 failing_method_id=0");
    expect_broken_frame(FRAME_METHOD, 1, BYTES_LITERAL("abc"), FRAME_END,
                        "reply_code=501 reply_text=FRAME_ERROR - type 1, all octets = "
                        "<<\"abc\">>: unknown_frame failing_class_id=0 failing_method_id=0");
    expect_broken(BYTES_LITERAL("\x01\0\x01\0\x02\0\x01"),
                  "reply_code=501 reply_text=FRAME_ERROR - type 1, all octets = <<>>: "
                  "{frame_too_large,131073,131064} failing_class_id=0 failing_method_id=0");
}

TEST(heartbeats_have_a_place_and_a_form)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say_bytes(p, BYTES_LITERAL("\x08\0\0\0\0\0\0\xce"));
    expect_heard(p, "");
    expect_int(sim_link_unfreed_count(p->link), 0);
    broker_close(&b);
    expect_broken_frame(FRAME_HEARTBEAT, 1, BYTES_LITERAL(""), FRAME_END,
                        "reply_code=505 reply_text=UNEXPECTED_FRAME - type 8, all octets = <<>> "
                        "failing_class_id=0 failing_method_id=0");
    expect_broken_frame(FRAME_HEARTBEAT, 0, BYTES_LITERAL("x"), FRAME_END,
                        "reply_code=501 reply_text=FRAME_ERROR - type 8, all octets = "
                        "<<\"x\">>: unknown_frame failing_class_id=0 failing_method_id=0");
}

TEST(methods_must_be_known_and_whole)
{
    expect_broken_frame(FRAME_METHOD, 1, BYTES_LITERAL("\0\x3c\x03\xe7"), FRAME_END,
                        "reply_code=503 reply_text=COMMAND_INVALID - unknown method 60.999 "
                        "failing_class_id=60 failing_method_id=999");
    expect_broken_frame(FRAME_METHOD, 1, BYTES_LITERAL("\0\x3c\0\x50\0\0"), FRAME_END,
                        "reply_code=501 reply_text=FRAME_ERROR - cannot decode <<0,0>> "
                        "failing_class_id=60 failing_method_id=80");
    expect_broken_frame(FRAME_METHOD, 1, BYTES_LITERAL("\0\x3c\0\x28\0\0\x05"), FRAME_END,
                        "reply_code=501 reply_text=FRAME_ERROR - cannot decode <<0,0,5>> "
                        "failing_class_id=60 failing_method_id=40");
    expect_broken_frame(FRAME_METHOD, 1, BYTES_LITERAL("\0\x14\0\x0a\0extra"), FRAME_END,
                        "reply_code=501 reply_text=FRAME_ERROR - cannot decode "
                        "<<0,101,120,116,114,97>> failing_class_id=20 "
                        "failing_method_id=10");
    /* queue.bind with a table that holds an unknown tag */
    expect_broken_frame(FRAME_METHOD, 1,
                        BYTES_LITERAL("\0\x32\0\x14\0\0\x01q\x01x\0\0\0\0\0\x03\x01k?"), FRAME_END,
                        "reply_code=501 reply_text=FRAME_ERROR - cannot decode "
                        "<<0,0,1,113,1,120,0,0,0,0,0,3,1,107,63>> failing_class_id=50 "
                        "failing_method_id=20");
    expect_broken_frame(FRAME_METHOD, 1, BYTES_LITERAL("\0\x3c\0\x15\x01q"), FRAME_END,
                        "reply_code=503 reply_text=COMMAND_INVALID - unimplemented method "
                        "failing_class_id=60 failing_method_id=21");
}

TEST(channel_zero_is_for_the_connection)
{
    expect_broken_frame(FRAME_HEADER, 0, BYTES_LITERAL("x"), FRAME_END,
                        "reply_code=505 reply_text=UNEXPECTED_FRAME - type 2, all octets = "
                        "<<\"x\">> failing_class_id=0 failing_method_id=0");
    expect_broken_frame(
        FRAME_METHOD, 0, BYTES_LITERAL("\0\x14\0\x0a\0"), FRAME_END,
        "reply_code=504 reply_text=CHANNEL_ERROR - unexpected method in connection state running "
        "failing_class_id=20 failing_method_id=10");
    expect_broken_frame(
        FRAME_METHOD, 0, BYTES_LITERAL("\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0"), FRAME_END,
        "reply_code=504 reply_text=CHANNEL_ERROR - unexpected method in connection state running "
        "failing_class_id=60 failing_method_id=80");
    expect_broken_frame(FRAME_METHOD, 1, BYTES_LITERAL("\0\x0a\0\x33"), FRAME_END,
                        "reply_code=503 reply_text=COMMAND_INVALID - unimplemented method "
                        "failing_class_id=10 failing_method_id=51");
}

TEST(contents_must_come_in_order)
{
    const char *line = "1 basic.publish routing_key=q";
    static const struct {
        uint8_t type;
        const char *payload;
        size_t size;
        const char *close;
    } cases[] = {
        {FRAME_BODY, "x", 1,
         "reply_code=505 reply_text=UNEXPECTED_FRAME - expected content header for class 60, got "
         "non content header frame instead failing_class_id=60 failing_method_id=40"},
        {FRAME_METHOD, "\0\x14\0\x0a\0", 5,
         "reply_code=505 reply_text=UNEXPECTED_FRAME - expected content header for class 60, got "
         "non content header frame instead failing_class_id=60 failing_method_id=40"},
        {FRAME_HEADER, "\0\x32\0\0\0\0\0\0\0\0\0\0\0\0", 14,
         "reply_code=505 reply_text=UNEXPECTED_FRAME - expected content header for class 60, got "
         "one for class 50 instead failing_class_id=60 failing_method_id=40"},
        {FRAME_HEADER, "\0\x3c\0\x01\0\0\0\0\0\0\0\0\0\0", 14,
         "reply_code=505 reply_text=UNEXPECTED_FRAME - expected content header for class 60, got "
         "non content header frame instead failing_class_id=60 "
         "failing_method_id=40"},
        {FRAME_HEADER, "\0\x3c\0\0\0\0\0\0\x20\0\0\x01\0\0", 14,
         "reply_code=501 reply_text=FRAME_ERROR - content body size 536870913 exceeds maximum "
         "allowed size 536870912 failing_class_id=60 failing_method_id=40"},
        {FRAME_HEADER, "\0\x3c\0\0\0\0\0\0\0\0\0\0\0\x01", 14,
         "reply_code=502 reply_text=SYNTAX_ERROR - malformed properties of a message "
         "failing_class_id=60 failing_method_id=40"},
        {FRAME_HEADER, "\0\x3c\0\0\0\0\0\0\0\0\0\0\x20\0\0\0\0\x03\x01k?", 21,
         "reply_code=502 reply_text=SYNTAX_ERROR - malformed properties of a message "
         "failing_class_id=60 failing_method_id=40"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_broken_after(line, cases[i].type, bytes_of(cases[i].payload, cases[i].size),
                            cases[i].close);
    expect_broken_frame(FRAME_BODY, 1, BYTES_LITERAL("x"), FRAME_END,
                        "reply_code=505 reply_text=UNEXPECTED_FRAME - expected method frame, got "
                        "non method frame instead failing_class_id=0 failing_method_id=0");
}

TEST(bodies_may_not_be_longer_than_said_and_nothing_may_interrupt_them)
{
    struct text out = {0};

    put_line(&out, "1 basic.publish routing_key=q | | hello", AMQP_FRAME_MAX_BYTES);
    out.size -= 5 + 8; /* the body frame */
    size_t size = out.size;
    put_raw(&out, FRAME_BODY, 1, BYTES_LITERAL("hello!"), FRAME_END);
    expect_broken(text_bytes(&out),
                  "reply_code=501 reply_text=FRAME_ERROR - content body is longer than the 5 bytes "
                  "that its header says failing_class_id=60 failing_method_id=40");
    out.size = size;
    put_raw(&out, FRAME_BODY, 1, BYTES_LITERAL("he"), FRAME_END);
    put_line(&out, "1 channel.open", AMQP_FRAME_MAX_BYTES);
    expect_broken(text_bytes(&out),
                  "reply_code=505 reply_text=UNEXPECTED_FRAME - expected content body, got non "
                  "content body frame instead failing_class_id=60 failing_method_id=40");
    text_reset(&out);
}

TEST(empty_body_frames_within_a_body_are_taken)
{
    struct text out = {0};

    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 queue.declare queue=q nowait");
    put_line(&out, "1 basic.publish routing_key=q | | hello", AMQP_FRAME_MAX_BYTES);
    out.size -= 5 + 8;
    put_raw(&out, FRAME_BODY, 1, BYTES_LITERAL(""), FRAME_END);
    put_raw(&out, FRAME_BODY, 1, BYTES_LITERAL("hel"), FRAME_END);
    put_raw(&out, FRAME_BODY, 1, BYTES_LITERAL(""), FRAME_END);
    put_raw(&out, FRAME_BODY, 1, BYTES_LITERAL("lo"), FRAME_END);
    say_bytes(p, text_bytes(&out));
    say(p, "1 basic.get queue=q");
    expect_heard(p, "1 basic.get_ok delivery_tag=1 redelivered=false exchange= routing_key=q "
                    "message_count=0 | | hello\n");
    text_reset(&out);
    broker_close(&b);
}

TEST(frames_may_be_eight_bytes_larger_than_agreed)
{
    struct text out = {0}, payload = {0};

    broker_open(&b);
    struct peer *p = peer_connect_with(&b, 4096, 0);
    say(p, "1 queue.declare queue=q nowait");
    put_line(&out, "1 basic.publish routing_key=q | | ", 4096);
    put_u64(out.data + out.size - 8 - 2 - 1 + 0, 4096);
    memset(text_reserve(&payload, 4096), 'x', 4096);
    text_advance(&payload, 4096);
    put_raw(&out, FRAME_BODY, 1, text_bytes(&payload), FRAME_END);
    say_bytes(p, text_bytes(&out));
    say(p, "1 basic.get queue=q");
    expect_not_null(strstr(heard(p), "1 basic.get_ok"));
    text_put_u8(&payload, 'x');
    out.size = 0;
    put_raw(&out, FRAME_BODY, 1, text_bytes(&payload), FRAME_END);
    say_bytes(p, text_bytes(&out));
    expect_not_null(strstr(heard(p), "{frame_too_large,4097,4088}"));
    text_reset(&out);
    text_reset(&payload);
    broker_close(&b);
}

TEST(before_tune_ok_frames_are_limited_to_8192_bytes)
{
    broker_open(&b);
    struct peer *p = peer_new(&b);
    say_bytes(p, bytes_of("AMQP\0\0\x09\x01", 8));
    heard(p);
    say_bytes(p, BYTES_LITERAL("\x01\0\0\0\0\x20\x01"));
    expect_not_null(strstr(heard(p), "{frame_too_large,8193,8184}"));
    broker_close(&b);
}

TEST(a_content_that_never_becomes_whole_leaves_nothing_behind)
{
    struct text out = {0};

    broker_open(&b);
    struct peer *p = peer_connect(&b);
    put_line(&out, "1 basic.publish routing_key=q | | hello world", AMQP_FRAME_MAX_BYTES);
    for (size_t cut = 1; cut < out.size; cut++) {
        say_bytes(p, bytes_of(out.data, cut));
        peer_close(p);
        b.peer_count--;
        sim_link_free(p->link);
        hearing_reset(&p->hearing);
        p = peer_connect(&b);
    }
    text_reset(&out);
    broker_close(&b);
}

TEST(too_many_channels_are_refused)
{
    broker_open(&b);
    struct peer *p = peer_new(&b);
    say_bytes(p, bytes_of("AMQP\0\0\x09\x01", 8));
    say(p, "0 connection.start_ok mechanism=PLAIN response=^guest^guest");
    say(p, "0 connection.tune_ok channel_max=2 frame_max=131072");
    say(p, "0 connection.open virtual_host=/");
    say(p, "1 channel.open");
    say(p, "9 channel.open");
    heard(p);
    say(p, "9 channel.close");
    say(p, "2 channel.open");
    say(p, "3 channel.open");
    expect_heard(p, "9 channel.close_ok\n2 channel.open_ok\n"
                    "0 connection.close reply_code=530 reply_text=NOT_ALLOWED - number of channels "
                    "opened (2) has reached the negotiated channel_max (2) failing_class_id=0 "
                    "failing_method_id=0\n");
    broker_close(&b);
}

TEST(small_methods_answer)
{
    broker_open(&b);
    struct peer *p = peer_connect(&b);
    say(p, "1 access.request realm=/data");
    say(p, "1 channel.flow active");
    expect_heard(p, "1 access.request_ok ticket=1\n1 channel.flow_ok active=true\n");
    say(p, "1 channel.open");
    expect_heard(p, "0 connection.close reply_code=504 reply_text=CHANNEL_ERROR - second "
                    "'channel.open' seen failing_class_id=20 failing_method_id=10\n");
    broker_close(&b);
}

TEST(methods_that_are_not_built_say_so)
{
    static const char *const lines[][2] = {
        {"1 channel.flow", "active=false failing_class_id=20 failing_method_id=20"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char wanted[300];
        broker_open(&b);
        struct peer *p = peer_connect(&b);
        say(p, "%s", lines[i][0]);
        snprintf(wanted, sizeof wanted,
                 "0 connection.close reply_code=540 reply_text=NOT_IMPLEMENTED - %s\n",
                 lines[i][1]);
        expect_heard(p, wanted);
        broker_close(&b);
    }
}
