#include "base/say.h"

#include <stdio.h>

#include "tests/test.h"

static char said[SAY_LINE_MAX_BYTES + 1];
static int lines;
static int64_t now_ms;

static void keep(const char *line, uint32_t size)
{
    expect_true(size <= SAY_LINE_MAX_BYTES);
    memcpy(said, line, size);
    said[size] = '\0';
    lines++;
}

static int64_t wall_ms(void)
{
    return now_ms;
}

static void start(bool has_clock)
{
    said[0] = '\0';
    lines = 0;
    now_ms = INT64_C(1795231200123); /* 2026-11-21 03:20:00.123 UTC */
    say_set_sink(keep);
    say_set_clock(has_clock ? wall_ms : NULL);
    say_set_level(SAY_INFO);
}

static void stop(void)
{
    say_set_sink(NULL);
    say_set_clock(NULL);
    say_set_level(SAY_INFO);
}

TEST(lines_have_time_level_topic_and_text)
{
    start(true);
    say_info("kafka", "closed: %s peer=%s", "bad frame", "127.0.0.1:5");
    expect_string(said, "2026-11-21T03:20:00.123Z INFO kafka closed: bad frame peer=127.0.0.1:5\n");
    say_error("log", "journal failed");
    expect_string(said, "2026-11-21T03:20:00.123Z ERROR log journal failed\n");
    stop();
}

TEST(lines_without_a_clock_have_no_time_and_no_limit)
{
    start(false);
    for (int i = 0; i < 100; i++)
        say_warn("cli", "line %d", i);
    expect_int(lines, 100);
    expect_string(said, "WARN cli line 99\n");
    stop();
}

TEST(lines_below_the_level_are_dropped)
{
    start(true);
    say_debug("core", "hidden");
    expect_int(lines, 0);
    say_set_level(SAY_DEBUG);
    say_debug("core", "seen");
    expect_int(lines, 1);
    say_set_level(SAY_ERROR);
    say_warn("core", "hidden");
    expect_int(lines, 1);
    expect_false(say_is_on(SAY_WARN));
    expect_true(say_is_on(SAY_ERROR));
    stop();
}

static void say_often(void)
{
    say_info("kafka", "again");
}

TEST(call_sites_are_limited_by_the_second_and_count_what_they_leave_out)
{
    start(true);
    for (int i = 0; i < 25; i++)
        say_often();
    expect_int(lines, 10);
    say_info("kafka", "another site");
    expect_int(lines, 11);
    now_ms += 1000;
    say_often();
    expect_string(said, "2026-11-21T03:20:01.123Z INFO kafka again left_out=15\n");
    say_often();
    expect_string(said, "2026-11-21T03:20:01.123Z INFO kafka again\n");
    stop();
}

TEST(long_lines_are_cut_and_keep_their_end)
{
    static struct say_site site;
    char many[3000];

    start(true);
    memset(many, 'x', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    site.left_out = 4000000000;
    say_at(&site, SAY_INFO, "kafka", "%s", many);
    expect_true(strlen(said) > SAY_LINE_MAX_BYTES - 32);
    expect_not_null(strstr(said, "x left_out=4000000000\n"));
    say_at(&site, SAY_INFO, many, "text");
    expect_true(strlen(said) > SAY_LINE_MAX_BYTES - 40);
    expect_not_null(strstr(said, "x\n"));
    stop();
}

TEST(control_characters_from_peers_do_not_reach_the_log)
{
    start(false);
    say_info("amqp", "user=%s", "a\nERROR log forged\x1b[2J\x7f");
    expect_string(said, "INFO amqp user=a?ERROR log forged?[2J?\n");
    stop();
}
