#include "kafka/golden.h"

#include "broker/broker_config.h"
#include "io/process.h"
#include "kafka/test_broker.h"

struct against_us {
    struct golden golden;
    struct test_broker broker;
    struct test_client *client;
};

static struct bytes ask(struct golden *g, struct bytes request)
{
    struct against_us *us = container_of(g, struct against_us, golden);
    struct sim_link *link = us->client->link;
    sim_link_clear(link);
    expect_true(sim_link_feed(link, request));
    broker_commit(&us->broker);
    broker_advance(&us->broker, 1000); /* what waits may wait */
    broker_commit(&us->broker);
    struct bytes output = sim_link_output(link);
    expect_true(output.size >= 4);
    expect_int(get_u32(output.data), output.size - 4);
    return bytes_of(output.data + 4, output.size - 4);
}

/* The step at the front of `text`: its name, and all of its lines. */
static struct bytes next_step(struct bytes *text, struct bytes *out_name)
{
    const char mark[] = "\n=== ";
    expect_true(bytes_has_prefix(*text, mark + 1));
    const uint8_t *line_end = memchr(text->data, '\n', text->size);
    expect_not_null(line_end);
    *out_name = bytes_of(text->data + 4, (size_t)(line_end - text->data) - 4);
    const uint8_t *end = memmem(text->data + 1, text->size - 1, mark, sizeof mark - 1);
    size_t size = end ? (size_t)(end - text->data) + 1 : text->size;
    struct bytes step = bytes_of(text->data, size);
    *text = bytes_of(text->data + size, text->size - size);
    return step;
}

static void compare(struct bytes kafka, struct bytes ours)
{
    int wrong = 0;
    while (kafka.size > 0) {
        struct bytes name, our_name;
        struct bytes wanted = next_step(&kafka, &name);
        struct bytes got = next_step(&ours, &our_name);
        expect_bytes(our_name, name);
        bool is_equal = bytes_equal(wanted, got);
        if (is_equal == (golden_difference(name) == NULL))
            continue;
        print_error("%s\nKafka:\n%.*sPabal:\n%.*s",
                    is_equal ? "listed as different, but equal" : "different", BYTES_FORMAT(wanted),
                    BYTES_FORMAT(got));
        wrong++;
    }
    expect_int(wrong, 0);
    expect_int(ours.size, 0);
}

static const struct broker_setting settings[] = {
    {"node.id", "1", "the node's number", CONFIG_INT, true},
    {"num.partitions", "1", "partitions of topics that do not say", CONFIG_INT, false},
};

static void run(void (*conversation)(struct golden *g), const char *record)
{
    struct against_us us = {.golden = {.ask = ask}};
    struct core_config config;
    broker_config(&config);
    config.node_id = 1;
    config.settings = settings;
    config.setting_count = sizeof settings / sizeof settings[0];
    group_config_default(&config.groups);
    config.groups.initial_delay_ms = 0;
    broker_open_with(&us.broker, &config);
    us.client = broker_client(&us.broker);
    arena_init(&us.golden.arena, 1 << 30);
    conversation(&us.golden);

    struct text kafka = {0};
    expect_ok(process_read_file(record, 1 << 20, &kafka));
    compare(text_bytes(&kafka), text_bytes(&us.golden.text));
    text_reset(&kafka);
    text_reset(&us.golden.text);
    arena_reset(&us.golden.arena);
    broker_close(&us.broker);
}

TEST(we_answer_as_kafka_does)
{
    run(golden_run, KAFKA_GOLDEN ".txt");
}

TEST(we_answer_about_groups_as_kafka_does)
{
    run(golden_run_groups, KAFKA_GOLDEN "_groups.txt");
}

TEST(we_answer_producers_as_kafka_does)
{
    run(golden_run_producers, KAFKA_GOLDEN "_producers.txt");
}
