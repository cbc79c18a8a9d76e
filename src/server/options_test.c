#include "tests/test.h"

#include <stdlib.h>

#include "server/options.h"

static struct bytes text_of(const char *s)
{
    return bytes_from_string(s);
}

static int64_t parsed(enum option_id id, const char *text)
{
    struct option_value value;

    expect_ok(option_parse(id, text_of(text), &value));
    expect_not_null(value.text);
    free(value.text);
    return value.number;
}

static void refused(enum option_id id, const char *text, const char *reason)
{
    struct option_value value;

    expect_err(option_parse(id, text_of(text), &value), E_INVALID);
    expect_err_text(reason);
}

TEST(every_option_is_found_by_its_name_and_by_no_other_options_alias)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        enum option_id found;
        expect_true(option_find(text_of(option_get((enum option_id)id)->name), &found));
        expect_int(found, id);
        expect_true(strlen(option_get((enum option_id)id)->help) > 20);
    }
}

TEST(kafkas_and_rabbitmqs_names_are_accepted_where_they_mean_the_same)
{
    enum option_id id;

    expect_true(option_find(text_of("log.dirs"), &id));
    expect_int(id, OPT_DATA_DIR);
    expect_true(option_find(text_of("max_message_size"), &id));
    expect_int(id, OPT_AMQP_MESSAGE_MAX_BYTES);
    expect_false(option_find(text_of("log.dir "), &id));
    expect_false(option_find(text_of(""), &id));
}

TEST(the_nearest_name_is_suggested_when_it_is_near)
{
    expect_string(option_nearest(text_of("data.dri")).name, "data.dir");
    expect_string(option_nearest(text_of("listener.kafak")).name, "listener.kafka");
    expect_string(option_nearest(text_of("broker.idd")).name, "broker.id");
    expect_string(option_nearest(text_of("zookeeper.connect")).name, "");
    expect_string(option_nearest(text_of("x")).name, "");
}

TEST(numbers_are_taken_at_their_bounds_and_refused_beyond)
{
    expect_int(parsed(OPT_IO_THREADS, "0"), 0);
    expect_int(parsed(OPT_IO_THREADS, "16"), 16);
    expect_int(parsed(OPT_IO_THREADS, "auto"), OPTION_WORD);
    refused(OPT_IO_THREADS, "17", "0 to 16 or auto");
    refused(OPT_IO_THREADS, "-1", "0 to 16");
    refused(OPT_IO_THREADS, "", "io.threads");
    refused(OPT_IO_THREADS, "2 threads", "io.threads = 2 threads");
}

TEST(sizes_and_durations_take_units)
{
    expect_int(parsed(OPT_SEGMENT_BYTES, "1MiB"), 1 << 20);
    expect_int(parsed(OPT_SEGMENT_BYTES, "64m"), 64 << 20);
    refused(OPT_SEGMENT_BYTES, "1k", "at least 1.0 MiB");
    refused(OPT_SEGMENT_BYTES, "2GiB", "at most");
    expect_int(parsed(OPT_SHUTDOWN_TIMEOUT, "250ms"), 250 * 1000000);
    expect_int(parsed(OPT_SHUTDOWN_TIMEOUT, "5"), 5 * OPTION_SECOND);
    refused(OPT_SHUTDOWN_TIMEOUT, "1h", "600 s");
}

TEST(words_and_booleans_are_exact)
{
    expect_int(parsed(OPT_DURABILITY, "fsync"), 0);
    expect_int(parsed(OPT_DURABILITY, "os"), 1);
    refused(OPT_DURABILITY, "fsyn", "must be fsync or os");
    expect_int(parsed(OPT_ALLOW_ANONYMOUS, "true"), 1);
    expect_int(parsed(OPT_ALLOW_ANONYMOUS, "false"), 0);
    refused(OPT_ALLOW_ANONYMOUS, "yes", "true or false");
}

static void expect_address(const char *text, const char *wanted)
{
    struct option_value value;

    expect_ok(option_parse(OPT_LISTENER_KAFKA, text_of(text), &value));
    expect_string(value.text, wanted);
    free(value.text);
}

TEST(addresses_are_host_and_port_also_as_kafka_writes_them)
{
    expect_address("127.0.0.1:9092", "127.0.0.1:9092");
    expect_address("[::1]:0", "[::1]:0");
    expect_address("PLAINTEXT://broker:9092", "broker:9092");
    expect_address("PLAINTEXT://:9092", "0.0.0.0:9092");
    expect_address("none", "none");
    refused(OPT_LISTENER_KAFKA, "9092", "HOST:PORT");
    refused(OPT_LISTENER_KAFKA, "a:65536", "HOST:PORT");
    refused(OPT_LISTENER_KAFKA, "SSL://a:1", "HOST:PORT");
    refused(OPT_LISTENER_KAFKA, "a:1,b:2", "HOST:PORT");
    refused(OPT_LISTENER_KAFKA, "/run/socket:1", "HOST:PORT");
}

TEST(a_text_has_a_length)
{
    char text[1100];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    refused(OPT_DATA_DIR, text, "1 to 1024 characters");
    refused(OPT_DATA_DIR, "", "1 to 1024 characters");
}

TEST(a_value_is_text_that_can_be_shown_again)
{
    struct option_value value;
    const struct bytes bad[] = {BYTES_LITERAL("a\xff"), BYTES_LITERAL("a\nb"),
                                BYTES_LITERAL("a\x7f"), BYTES_LITERAL("a\0b")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_err(option_parse(OPT_DATA_DIR, bad[i], &value), E_INVALID);
        expect_err_text("plain UTF-8");
    }
    expect_ok(option_parse(OPT_DATA_DIR, bytes_from_string("/srv/\xc3\xa4"), &value));
    free(value.text);
}
