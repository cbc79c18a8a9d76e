/* Policies: what they may say, which one counts, how they are merged, and that they count for what is
 * there already, after restarts and crashes too. */
#include "broker/policy.h"

#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/policy_internal.h"
#include "broker/queue_internal.h"
#include "broker/queue_rules.h"
#include "broker/test_queues.h"

/* ---- the definition of the policy that is set next ---- */

static struct text definition;

static void say_number(const char *key, int64_t value)
{
    amqp_table_put(&definition, key, &(struct amqp_value){.tag = 'l', .number = value});
}

static void say_string(const char *key, const char *value)
{
    amqp_table_put_string(&definition, key, B(value));
}

static enum err try_set(struct test_core *t, enum policy_author author, const char *name,
                        const char *pattern, const char *apply_to, int64_t priority)
{
    bool created;
    struct policy_spec spec = {.name = B(name),
                               .pattern = B(pattern),
                               .apply_to = B(apply_to),
                               .definition = text_bytes(&definition),
                               .priority = priority};
    enum err err = policy_set(test_vhost(t), author, &spec, &created);
    text_reset(&definition);
    return err;
}

static void set(struct test_core *t, const char *name, const char *pattern)
{
    expect_ok(try_set(t, POLICY_USER, name, pattern, "all", 0));
    test_core_settle(t);
    expect_true(policies_are_applied(test_vhost(t)));
}

static void limit(struct test_core *t, const char *name, const char *pattern)
{
    expect_ok(try_set(t, POLICY_OPERATOR, name, pattern, "all", 0));
    test_core_settle(t);
}

static void unset(struct test_core *t, const char *name)
{
    expect_ok(policy_delete(test_vhost(t), POLICY_USER, B(name)));
    test_core_settle(t);
}

static const char *policy_of(struct test_core *t, const char *queue)
{
    static char name[256];
    const struct policy *policy = queue_policies(test_queue(t, queue))->of[POLICY_USER];
    snprintf(name, sizeof name, "%.*s", BYTES_FORMAT(policy ? policy->name : B("-")));
    return name;
}

static const struct queue_settings *settings_of(struct test_core *t, const char *queue)
{
    return &queue_rules_need(test_queue(t, queue))->settings;
}

/* ---- what they may say ---- */

TEST(a_definition_is_refused_in_rabbitmq_s_words)
{
    static const struct {
        const char *key, *string;
        int64_t number;
        const char *text;
    } cases[] = {
        {"message-ttl", NULL, -1, "-1 is not a valid message TTL"},
        {"message-ttl", "x", 0, "<<\"x\">> is not a valid message TTL"},
        {"expires", NULL, 0, "0 is not a valid queue expiry"},
        {"max-length", NULL, -5, "-5 is not a valid maximum length"},
        {"max-length-bytes", "1", 0, "<<\"1\">> is not a valid maximum length in bytes"},
        {"overflow", "b", 0, "<<\"b\">> is not a valid overflow value"},
        {"overflow", "drop", 0, "<<\"drop\">> is not a valid overflow value"},
        {"dead-letter-exchange", NULL, 1, "1 is not a valid dead letter exchange name"},
        {"alternate-exchange", NULL, 1, "1 is not a valid alternate exchange name"},
        {"queue-mode", "eager", 0, "<<\"eager\">> is not a valid queue-mode value"},
        {"nonsense", NULL, 1, "[{<<\"nonsense\">>,1}] are not recognised policy settings"},
        {"max-priority", NULL, 1, "[{<<\"max-priority\">>,1}] are not recognised"},
    };
    struct test_core t;
    test_core_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].string)
            say_string(cases[i].key, cases[i].string);
        else
            say_number(cases[i].key, cases[i].number);
        expect_err(try_set(&t, POLICY_USER, "p", "a", "all", 0), E_INVALID);
        expect_err_text("Validation failed\n\n");
        expect_err_text(cases[i].text);
    }
    expect_err(try_set(&t, POLICY_USER, "p", "a", "all", 0), E_INVALID);
    expect_err_text("no policy provided");
    expect_null(policy_find(test_vhost(&t), POLICY_USER, B("p")));
    test_core_end(&t);
}

TEST(a_policy_with_a_bad_pattern_or_target_or_name_is_refused)
{
    struct test_core t;
    char long_name[300];
    memset(long_name, 'n', sizeof long_name);
    long_name[256] = 0;
    test_core_init(&t);
    say_number("max-length", 1);
    expect_err(try_set(&t, POLICY_USER, "p", "(", "all", 0), E_INVALID);
    expect_err_text("pattern should be regular expression but is invalid: ");
    say_number("max-length", 1);
    expect_err(try_set(&t, POLICY_USER, "p", "a", "foo", 0), E_INVALID);
    expect_err_text("apply-to 'foo' unrecognised; should be one of: 'queues', 'classic_queues',  "
                    "'quorum_queues', 'streams', 'exchanges', or 'all'");
    say_number("max-length", 1);
    expect_err(try_set(&t, POLICY_USER, long_name, "a", "all", 0), E_INVALID);
    say_number("max-length", 1);
    expect_err(try_set(&t, POLICY_USER, "", "a", "all", 0), E_INVALID);
    expect_err(policy_delete(test_vhost(&t), POLICY_USER, B("p")), E_NOT_FOUND);
    test_core_end(&t);
}

TEST(operators_only_limit)
{
    struct test_core t;
    test_core_init(&t);
    say_string("dead-letter-exchange", "x");
    expect_err(try_set(&t, POLICY_OPERATOR, "o", "a", "queues", 0), E_INVALID);
    expect_err_text("[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised");
    say_number("max-length", 5);
    expect_ok(try_set(&t, POLICY_OPERATOR, "o", "a", "queues", 0));
    test_core_end(&t);
}

TEST(settings_of_older_versions_are_accepted)
{
    struct test_core t;
    test_core_init(&t);
    say_string("ha-mode", "exactly");
    say_number("ha-params", 2);
    say_string("ha-sync-mode", "automatic");
    say_string("queue-mode", "lazy");
    say_number("queue-version", 2);
    say_string("queue-leader-locator", "balanced");
    say_number("max-length", 3);
    expect_ok(try_set(&t, POLICY_USER, "old", "a", "all", 0));
    test_make_queue(&t, "a", true);
    expect_int(settings_of(&t, "a")->max_length, 3);
    test_core_end(&t);
}

/* ---- which one counts ---- */

TEST(the_matching_policy_with_the_highest_priority_counts_alone)
{
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "orders", true);
    test_make_queue(&t, "mails", true);
    say_number("max-length", 10);
    expect_ok(try_set(&t, POLICY_USER, "all", ".*", "all", -1));
    say_number("message-ttl", 1000);
    expect_ok(try_set(&t, POLICY_USER, "some", "^o", "all", 5));
    say_number("message-ttl", 2000);
    expect_ok(try_set(&t, POLICY_USER, "same", "^o", "all", 5));
    test_core_settle(&t);
    expect_string(policy_of(&t, "orders"), "same"); /* by name, where priorities are equal */
    expect_string(policy_of(&t, "mails"), "all");
    expect_int(settings_of(&t, "orders")->max_length, -1);
    expect_int(settings_of(&t, "orders")->message_ttl_ms, 2000);
    expect_int(settings_of(&t, "mails")->max_length, 10);
    unset(&t, "same");
    expect_string(policy_of(&t, "orders"), "some");
    unset(&t, "some");
    expect_string(policy_of(&t, "orders"), "all");
    unset(&t, "all");
    expect_string(policy_of(&t, "orders"), "-");
    expect_int(settings_of(&t, "orders")->max_length, -1);
    test_core_end(&t);
}

TEST(a_policy_is_for_the_kinds_that_it_names)
{
    static const struct {
        const char *apply_to;
        bool classic, quorum, exchange;
    } cases[] = {
        {"all", true, true, true},
        {"queues", true, true, false},
        {"classic_queues", true, false, false},
        {"quorum_queues", false, true, false},
        {"streams", false, false, false},
        {"exchanges", false, false, true},
    };
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "classic", true);
    test_with_string("x-queue-type", "quorum");
    test_make_queue(&t, "quorum", true);
    struct exchange *x = exchange_find(test_vhost(&t), B("amq.fanout"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        say_number("max-length-bytes", 10);
        expect_ok(try_set(&t, POLICY_USER, "p", "", cases[i].apply_to, 0));
        test_core_settle(&t);
        expect_string(policy_of(&t, "classic"), cases[i].classic ? "p" : "-");
        expect_string(policy_of(&t, "quorum"), cases[i].quorum ? "p" : "-");
        expect_int(exchange_policies(x)->of[POLICY_USER] != NULL, cases[i].exchange);
    }
    test_core_end(&t);
}

TEST(a_policy_with_a_key_that_a_queue_s_type_does_not_have_is_not_for_it)
{
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "classic", true);
    test_with_string("x-queue-type", "quorum");
    test_make_queue(&t, "quorum", true);
    say_number("delivery-limit", 3);
    say_number("max-length", 10);
    set(&t, "p", "");
    expect_string(policy_of(&t, "classic"), "-");
    expect_string(policy_of(&t, "quorum"), "p");
    expect_int(settings_of(&t, "quorum")->delivery_limit, 3);
    say_string("queue-mode", "lazy");
    set(&t, "p", "");
    expect_string(policy_of(&t, "classic"), "p");
    expect_string(policy_of(&t, "quorum"), "-");
    expect_int(settings_of(&t, "quorum")->delivery_limit, 20);
    test_core_end(&t);
}

TEST(what_is_declared_later_has_its_policy_at_once)
{
    struct test_core t;
    test_core_init(&t);
    say_number("max-length", 2);
    expect_ok(try_set(&t, POLICY_USER, "p", "^q", "queues", 0));
    test_make_queue(&t, "q1", true);
    test_make_queue(&t, "q2", false);
    test_publish_each(&t, "q1", "abc");
    test_publish_each(&t, "q2", "abc");
    expect_string(test_drain(&t, "q1"), "bc");
    expect_string(test_drain(&t, "q2"), "bc");
    test_core_end(&t);
}

/* ---- merging ---- */

enum { NONE = -1000 };

/* What a setting is with an argument, a policy and an operator policy. */
static int64_t merged(const char *key, bool quorum, int64_t argument, int64_t user, int64_t limited)
{
    struct test_core t;
    char name[64];
    test_core_init(&t);
    snprintf(name, sizeof name, "x-%s", key);
    if (quorum)
        test_with_string("x-queue-type", "quorum");
    if (argument != NONE)
        test_with_number(name, argument);
    test_make_queue(&t, "q", true);
    if (user != NONE) {
        say_number(key, user);
        set(&t, "p", "q");
    }
    if (limited != NONE) {
        say_number(key, limited);
        limit(&t, "o", "q");
    }
    const struct queue_settings *s = settings_of(&t, "q");
    int64_t value = strcmp(key, "message-ttl") == 0        ? s->message_ttl_ms
                    : strcmp(key, "expires") == 0          ? s->expires_ms
                    : strcmp(key, "max-length") == 0       ? s->max_length
                    : strcmp(key, "delivery-limit") == 0   ? s->delivery_limit
                    : strcmp(key, "consumer-timeout") == 0 ? s->consumer_timeout_ms
                                                           : s->max_length_bytes;
    test_core_end(&t);
    return value;
}

TEST(of_times_and_lengths_the_least_counts)
{
    static const char *const keys[] = {"message-ttl", "expires", "max-length", "max-length-bytes"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        expect_int(merged(keys[i], false, 50, NONE, NONE), 50);
        expect_int(merged(keys[i], false, NONE, 40, NONE), 40);
        expect_int(merged(keys[i], false, NONE, NONE, 30), 30);
        expect_int(merged(keys[i], false, 50, 40, NONE), 40);
        expect_int(merged(keys[i], false, 50, 60, NONE), 50);
        expect_int(merged(keys[i], false, 50, 60, 30), 30);
        expect_int(merged(keys[i], false, 50, 20, 30), 20);
        expect_int(merged(keys[i], true, 10, 20, 30), 10);
    }
    expect_int(merged("message-ttl", false, NONE, INT64_MAX, NONE), 315360000000);
}

TEST(a_consumer_timeout_is_the_least_of_argument_and_policy)
{
    expect_int(merged("consumer-timeout", false, 50, NONE, NONE), 50);
    expect_int(merged("consumer-timeout", false, NONE, 40, NONE), 40);
    expect_int(merged("consumer-timeout", false, 50, 40, NONE), 40);
    expect_int(merged("consumer-timeout", false, 50, 60, NONE), 50);
}

TEST(delivery_limits_are_merged_as_rabbitmq_does)
{
    expect_int(merged("delivery-limit", true, NONE, NONE, NONE), 20);
    expect_int(merged("delivery-limit", true, NONE, 50, NONE), 50);
    expect_int(merged("delivery-limit", true, NONE, -1, NONE), -1);
    expect_int(merged("delivery-limit", true, 10, 50, NONE), 10);
    expect_int(merged("delivery-limit", true, 50, 10, NONE), 10);
    expect_int(merged("delivery-limit", true, -1, 10, NONE), 10);
    expect_int(merged("delivery-limit", true, 10, -1, NONE), 10);
    expect_int(merged("delivery-limit", true, NONE, 7, 5), 5);
    expect_int(merged("delivery-limit", true, NONE, -1, 5), 5);
    expect_int(merged("delivery-limit", true, NONE, 5, -1), 5);
}

TEST(an_argument_wins_over_a_policy_s_dead_letters_and_overflow)
{
    struct test_core t;
    test_core_init(&t);
    test_with_string("x-dead-letter-exchange", "mine");
    test_with_string("x-overflow", "drop-head");
    test_make_queue(&t, "q1", true);
    test_make_queue(&t, "q2", true);
    test_with_string("x-queue-type", "quorum");
    test_with_string("x-overflow", "drop-head");
    test_make_queue(&t, "q3", true);
    say_string("dead-letter-exchange", "theirs");
    say_string("dead-letter-routing-key", "key");
    say_string("overflow", "reject-publish");
    set(&t, "p", "");
    expect_bytes(settings_of(&t, "q1")->dead_letter_exchange, B("mine"));
    expect_bytes(settings_of(&t, "q1")->dead_letter_key, B("key"));
    expect_int(settings_of(&t, "q1")->overflow, OVERFLOW_DROP_HEAD);
    expect_bytes(settings_of(&t, "q2")->dead_letter_exchange, B("theirs"));
    expect_int(settings_of(&t, "q2")->overflow, OVERFLOW_REJECT);
    expect_int(settings_of(&t, "q3")->overflow, OVERFLOW_REJECT);
    say_string("overflow", "reject-publish-dlx");
    limit(&t, "o", "q2");
    expect_int(settings_of(&t, "q2")->overflow, OVERFLOW_REJECT_DLX);
    expect_int(settings_of(&t, "q1")->overflow, OVERFLOW_DROP_HEAD);
    unset(&t, "p");
    expect_null(settings_of(&t, "q2")->dead_letter_exchange.data);
    test_core_end(&t);
}

TEST(of_two_least_delays_of_retries_the_longer_counts)
{
    struct test_core t;
    struct amqp_value v;
    test_core_init(&t);
    test_with_string("x-queue-type", "quorum");
    test_make_queue(&t, "q", true);
    say_number("delayed-retry-min", 100);
    say_number("delayed-retry-max", 900);
    set(&t, "p", "q");
    say_number("delayed-retry-min", 300);
    say_number("delayed-retry-max", 800);
    limit(&t, "o", "q");
    const struct policy_pair *policies = queue_policies(test_queue(&t, "q"));
    expect_true(policy_value(policies, "delayed-retry-min", &v));
    expect_int(v.number, 300);
    expect_true(policy_value(policies, "delayed-retry-max", &v));
    expect_int(v.number, 800);
    test_core_end(&t);
}

TEST(the_effective_definition_has_the_keys_of_both)
{
    struct test_core t;
    struct text all = {0}, dumped = {0};
    test_core_init(&t);
    test_make_queue(&t, "q", true);
    say_number("max-length", 10);
    say_number("message-ttl", 7);
    say_string("dead-letter-exchange", "x");
    set(&t, "p", "q");
    say_number("max-length", 20);
    say_number("expires", 5);
    limit(&t, "o", "q");
    policy_put_effective(queue_policies(test_queue(&t, "q")), &all);
    amqp_table_dump(text_bytes(&all), &dumped);
    expect_string(text_string(&dumped), "{dead-letter-exchange: S \"x\", expires: l 5, "
                                        "max-length: l 10, message-ttl: l 7}");
    text_reset(&all);
    text_reset(&dumped);
    test_core_end(&t);
}

/* ---- live ---- */

TEST(a_time_to_live_counts_for_messages_that_are_there)
{
    for (int durable = 0; durable < 2; durable++) {
        struct test_core t;
        test_core_init(&t);
        struct queue *q = test_make_queue(&t, "q", durable);
        test_publish_each(&t, "q", "ab");
        test_pass_ms(&t, 100);
        test_publish_each(&t, "q", "c");
        say_number("message-ttl", 100);
        set(&t, "p", "q");
        expect_int(queue_ready_count(q), 1);
        test_pass_ms(&t, 60);
        say_number("message-ttl", 1000);
        set(&t, "p", "q");
        test_pass_ms(&t, 60);
        expect_int(queue_ready_count(q), 1); /* it lives longer now */
        unset(&t, "p");
        test_pass_ms(&t, 5000);
        expect_string(test_drain(&t, "q"), "c");
        test_core_end(&t);
    }
}

TEST(a_lower_limit_drops_heads_and_a_higher_one_lets_more_in)
{
    struct test_core t;
    test_core_init(&t);
    struct queue *q = test_make_queue(&t, "q", true);
    test_publish_each(&t, "q", "abcdefgh");
    test_core_settle(&t);
    say_number("max-length", 3);
    set(&t, "p", "q");
    expect_int(queue_ready_count(q), 3);
    test_publish_each(&t, "q", "i");
    test_core_settle(&t);
    say_number("max-length", 5);
    set(&t, "p", "q");
    test_publish_each(&t, "q", "jkl");
    expect_string(test_drain(&t, "q"), "hijkl");
    unset(&t, "p");
    test_publish_each(&t, "q", "abcdefgh");
    expect_string(test_drain(&t, "q"), "abcdefgh");
    test_core_end(&t);
}

TEST(a_limit_of_bytes_knows_what_was_there_before_it)
{
    for (int durable = 0; durable < 2; durable++) {
        struct test_core t;
        struct test_consumer c = {0};
        test_core_init(&t);
        struct queue *q = test_make_queue(&t, "q", durable);
        test_publish_each(&t, "q", "abcdefgh");
        test_core_settle(&t);
        test_consume(q, &c, 2, false); /* a and b are out */
        test_core_settle(&t);
        test_publish_each(&t, "q", "ij"); /* may be on its way */
        say_number("max-length-bytes", 6);
        set(&t, "p", "q");
        expect_int(queue_ready_count(q), 6); /* e to j */
        queue_return(q, c.last.offset, c.last.number);
        test_core_settle(&t);
        expect_int(queue_ready_count(q), 6); /* b came back, and is the one too much */
        test_publish_each(&t, "q", "k");
        test_core_settle(&t);
        expect_int(queue_ready_count(q), 6);
        unset(&t, "p");
        test_publish_each(&t, "q", "lm");
        test_core_settle(&t);
        expect_int(queue_ready_count(q), 8);
        say_number("max-length-bytes", 3);
        set(&t, "p", "q");
        queue_cancel(&c.consumer);
        expect_string(test_drain(&t, "q"), "klm");
        test_consumer_reset(&c);
        test_core_end(&t);
    }
}

TEST(a_queue_refuses_as_soon_as_a_policy_says_so)
{
    struct test_core t;
    struct ticket ticket;
    test_core_init(&t);
    test_make_queue(&t, "q", true);
    test_publish_each(&t, "q", "abc");
    say_number("max-length", 3);
    say_string("overflow", "reject-publish");
    set(&t, "p", "q");
    expect_err(test_publish(&t, "q", "d", &ticket), E_FULL);
    unset(&t, "p");
    expect_ok(test_publish(&t, "q", "d", &ticket));
    expect_string(test_drain(&t, "q"), "abcd");
    test_core_end(&t);
}

TEST(dead_letters_go_where_the_policy_in_force_says)
{
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "q", true);
    test_make_queue(&t, "dead", true);
    test_publish_each(&t, "q", "abcd");
    test_core_settle(&t);
    say_string("dead-letter-exchange", "");
    say_string("dead-letter-routing-key", "dead");
    say_number("max-length", 3);
    set(&t, "p", "q");
    expect_string(test_drain(&t, "dead"), "a");
    say_number("max-length", 2);
    set(&t, "p", "q");
    expect_string(test_drain(&t, "dead"), "");
    expect_string(test_drain(&t, "q"), "cd");
    test_core_end(&t);
}

TEST(a_dead_letter_whose_policy_goes_is_dropped)
{
    struct test_core t;
    struct test_consumer c = {0};
    test_core_init(&t);
    struct queue *q = test_make_queue(&t, "q", true);
    test_make_queue(&t, "dead", true);
    say_string("dead-letter-exchange", "");
    say_string("dead-letter-routing-key", "dead");
    set(&t, "p", "q");
    test_publish_each(&t, "q", "a");
    test_core_settle(&t);
    test_consume(q, &c, 1, false);
    test_core_settle(&t);
    queue_reject(q, c.last.offset, c.last.number);
    expect_ok(policy_delete(test_vhost(&t), POLICY_USER, B("p")));
    test_core_settle(&t);
    expect_int(queue_unacked_count(q), 0);
    expect_int(queue_ready_count(q), 0);
    queue_cancel(&c.consumer);
    test_consumer_reset(&c);
    test_core_end(&t);
}

TEST(an_unused_queue_goes_when_a_policy_says_so_and_stays_when_it_no_longer_does)
{
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "q1", true);
    test_make_queue(&t, "q2", true);
    test_pass_ms(&t, 500);
    say_number("expires", 100);
    set(&t, "p", "q");
    test_pass_ms(&t, 50);
    say_number("expires", 100);
    set(&t, "p", "q1");
    test_pass_ms(&t, 100);
    expect_null(test_queue(&t, "q1"));
    test_pass_ms(&t, 500);
    expect_not_null(test_queue(&t, "q2"));
    test_core_end(&t);
}

TEST(an_alternate_exchange_comes_and_goes_with_its_policy)
{
    struct test_core t;
    test_core_init(&t);
    struct exchange *x = exchange_find(test_vhost(&t), B("amq.direct"));
    struct queue *lost = test_make_queue(&t, "lost", true);
    exchange_bind(exchange_find(test_vhost(&t), B("amq.fanout")), lost, B(""), BYTES_NULL);
    struct message m = {.routing_key = B("nowhere"), .body = B("a")};
    expect_int(exchange_route(x, &m).count, 0);
    say_string("alternate-exchange", "amq.fanout");
    expect_ok(try_set(&t, POLICY_USER, "p", "^amq.direct$", "exchanges", 0));
    test_core_settle(&t);
    expect_int(exchange_route(x, &m).count, 1);
    say_string("alternate-exchange", "amq.topic");
    expect_ok(try_set(&t, POLICY_USER, "p", "^amq.direct$", "exchanges", 0));
    test_core_settle(&t);
    expect_int(exchange_route(x, &m).count, 0);
    unset(&t, "p");
    expect_int(exchange_route(x, &m).count, 0);
    test_core_end(&t);
}

TEST(the_arguments_stay_as_they_were_declared)
{
    struct test_core t;
    test_core_init(&t);
    test_with_number("x-max-length", 9);
    struct queue *q = test_make_queue(&t, "q", true);
    struct bytes before = bytes_dup(q->arguments);
    say_number("max-length", 3);
    set(&t, "p", "q");
    expect_bytes(q->arguments, before);
    bytes_free(before);
    test_core_end(&t);
}

/* ---- slices ---- */

static int count_with_policy(struct test_core *t, int queues)
{
    int count = 0;
    char name[16];
    for (int i = 0; i < queues; i++) {
        snprintf(name, sizeof name, "q%d", i);
        struct queue *q = test_queue(t, name);
        count += q && queue_policies(q)->of[POLICY_USER];
    }
    return count;
}

TEST(a_policy_for_many_queues_is_applied_some_a_turn)
{
    enum { QUEUES = 5000 };
    struct test_core t;
    char name[16];
    test_core_init(&t);
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof name, "q%d", i);
        test_make_queue(&t, name, true);
    }
    test_core_settle(&t);
    say_number("max-length", 5);
    expect_ok(try_set(&t, POLICY_USER, "p", "^q", "queues", 0));
    test_core_turn(&t);
    int first = count_with_policy(&t, QUEUES);
    expect_true(first > 0);
    expect_true(first <= 1000);
    expect_false(policies_are_applied(test_vhost(&t)));
    queue_delete(test_queue(&t, "q4999")); /* while it waits for its turn */
    say_number("max-length", 6);           /* and everything begins anew */
    expect_ok(try_set(&t, POLICY_USER, "p", "^q", "queues", 0));
    test_core_settle(&t);
    expect_true(policies_are_applied(test_vhost(&t)));
    expect_int(count_with_policy(&t, QUEUES), QUEUES - 1);
    expect_int(settings_of(&t, "q0")->max_length, 6);
    unset(&t, "p");
    expect_int(count_with_policy(&t, QUEUES), 0);
    test_core_end(&t);
}

/* ---- restarts ---- */

/* A pattern of somebody who does not mean well, and names that nearly match. */
TEST(a_policy_that_is_slow_to_match_is_applied_in_smaller_slices)
{
    enum { QUEUES = 60 };
    struct test_core t;
    char name[64];
    test_core_init(&t);
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof name, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%d", i);
        test_make_queue(&t, name, true);
    }
    test_core_settle(&t);
    say_number("max-length", 5);
    expect_ok(try_set(&t, POLICY_USER, "p", "^(a+)+$", "queues", 0));
    test_core_turn(&t);
    test_core_turn(&t);
    expect_false(policies_are_applied(test_vhost(&t)));
    test_core_settle(&t);
    expect_true(policies_are_applied(test_vhost(&t)));
    test_core_end(&t);
}

TEST(policies_count_after_a_restart_before_anything_else_happens)
{
    for (int crash = 0; crash < 2; crash++) {
        struct test_core t;
        test_core_init(&t);
        test_make_queue(&t, "q", true);
        test_publish_each(&t, "q", "abc");
        say_number("max-length", 2);
        expect_ok(try_set(&t, POLICY_USER, "p", "^q$", "queues", 7));
        say_number("message-ttl", 60000);
        expect_ok(try_set(&t, POLICY_OPERATOR, "o", ".*", "classic_queues", -2));
        test_core_settle(&t);
        crash ? test_core_crash(&t) : test_core_reopen(&t);
        expect_int(settings_of(&t, "q")->max_length, 2);
        expect_int(settings_of(&t, "q")->message_ttl_ms, 60000);
        const struct policy *p = policy_find(test_vhost(&t), POLICY_USER, B("p"));
        expect_not_null(p);
        expect_int(p->priority, 7);
        expect_bytes(p->apply_to, B("queues"));
        expect_bytes(p->pattern.text, B("^q$"));
        test_publish_each(&t, "q", "d");
        expect_string(test_drain(&t, "q"), "cd");
        test_core_end(&t);
    }
}

TEST(a_policy_that_was_deleted_stays_deleted)
{
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "q", true);
    say_number("max-length", 2);
    set(&t, "p", "q");
    say_number("max-length", 3);
    set(&t, "p", "q");
    unset(&t, "p");
    test_core_crash(&t);
    expect_null(policy_find(test_vhost(&t), POLICY_USER, B("p")));
    expect_string(policy_of(&t, "q"), "-");
    test_core_end(&t);
}

TEST(a_policy_that_was_not_durable_is_gone_after_a_crash)
{
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "q", true);
    test_core_settle(&t);
    say_number("max-length", 2);
    expect_ok(try_set(&t, POLICY_USER, "p", "q", "all", 0));
    test_core_crash(&t);
    expect_null(policy_find(test_vhost(&t), POLICY_USER, B("p")));
    test_core_end(&t);
}

TEST(a_limit_of_bytes_by_policy_is_known_after_a_restart)
{
    struct test_core t;
    test_core_init(&t);
    test_make_queue(&t, "q", true);
    say_number("max-length-bytes", 4);
    set(&t, "p", "q");
    test_publish_each(&t, "q", "abcd");
    test_core_settle(&t);
    test_core_crash(&t);
    test_publish_each(&t, "q", "ef");
    test_core_settle(&t);
    expect_string(test_drain(&t, "q"), "cdef");
    test_core_end(&t);
}

TEST(the_policies_of_a_vhost_go_with_it)
{
    struct test_core t;
    struct vhost *vhost;
    bool created;
    test_core_init(&t);
    struct vhost_spec nothing = {0};
    expect_ok(vhost_create(t.core, B("v"), &nothing, &vhost));
    say_number("max-length", 2);
    struct policy_spec spec = {.name = B("p"),
                               .pattern = B(".*"),
                               .apply_to = B("all"),
                               .definition = text_bytes(&definition)};
    expect_ok(policy_set(vhost, POLICY_USER, &spec, &created));
    expect_ok(policy_set(vhost, POLICY_OPERATOR, &spec, &created));
    text_reset(&definition);
    struct queue_spec queue = {.name = B("q"), .durable = true};
    queue_create(vhost, &queue);
    test_core_settle(&t);
    test_core_crash(&t);
    vhost = vhost_find(t.core, B("v"));
    expect_not_null(queue_policies(queue_find(vhost, B("q")))->of[POLICY_USER]);
    expect_ok(vhost_delete(vhost));
    test_core_settle(&t);
    expect_null(vhost_find(t.core, B("v")));
    expect_ok(vhost_create(t.core, B("v"), &nothing, &vhost));
    expect_null(policy_find(vhost, POLICY_USER, B("p")));
    test_core_settle(&t);
    test_core_crash(&t);
    expect_null(policy_find(vhost_find(t.core, B("v")), POLICY_OPERATOR, B("p")));
    test_core_end(&t);
}

/* ---- at random, against a list ---- */

enum { MODEL_POLICIES = 12, MODEL_QUEUES = 24, MODEL_STEPS = 400 };

struct model_policy {
    bool is_there;
    char prefix; /* of names; 0: all */
    bool for_quorum, for_classic;
    int64_t priority, max_length;
};

/* Queues are named by a letter and a number; the odd ones are quorum queues. */
static void name_queue(int i, char out[16])
{
    snprintf(out, 16, "%c%d", 'a' + i % 4, i);
}

/* The one that counts, or -1: the highest priority, and of those the first name. */
static int expected(const struct model_policy *all, int queue)
{
    int best = -1;
    bool quorum = queue % 2;
    for (int i = 0; i < MODEL_POLICIES; i++) {
        const struct model_policy *p = &all[i];
        if (p->is_there && (!p->prefix || p->prefix == 'a' + queue % 4) &&
            (quorum ? p->for_quorum : p->for_classic) &&
            (best < 0 || p->priority > all[best].priority))
            best = i;
    }
    return best;
}

static void check_model(struct test_core *t, const struct model_policy *all)
{
    char name[16], wanted[16];
    test_core_settle(t);
    expect_true(policies_are_applied(test_vhost(t)));
    for (int i = 0; i < MODEL_QUEUES; i++) {
        name_queue(i, name);
        if (!test_queue(t, name))
            continue;
        int best = expected(all, i);
        snprintf(wanted, sizeof wanted, best < 0 ? "-" : "p%02d", best);
        expect_string(policy_of(t, name), wanted);
        expect_int(settings_of(t, name)->max_length, best < 0 ? -1 : all[best].max_length);
    }
}

static void change_policy(struct test_core *t, struct model_policy *p, int i)
{
    static const char *const kinds[] = {"", "classic_queues", "quorum_queues", "queues"};
    char name[16], pattern[16];
    snprintf(name, sizeof name, "p%02d", i);
    if (p->is_there && random_below(&t->random, 3) == 0) {
        expect_ok(policy_delete(test_vhost(t), POLICY_USER, B(name)));
        p->is_there = false;
        return;
    }
    uint64_t kind = 1 + random_below(&t->random, 3);
    *p = (struct model_policy){
        .is_there = true,
        .for_classic = kind & 1,
        .for_quorum = kind & 2,
        .prefix = (char)(random_below(&t->random, 2) ? 'a' + random_below(&t->random, 4) : 0),
        .priority = (int64_t)random_below(&t->random, 4) - 1,
        .max_length = 1 + (int64_t)random_below(&t->random, 100)};
    snprintf(pattern, sizeof pattern, p->prefix ? "^%c" : ".*", p->prefix);
    say_number("max-length", p->max_length);
    expect_ok(try_set(t, POLICY_USER, name, pattern, kinds[kind], p->priority));
}

static void make_or_delete(struct test_core *t, int i)
{
    char name[16];
    name_queue(i, name);
    if (test_queue(t, name)) {
        queue_delete(test_queue(t, name));
        return;
    }
    if (i % 2)
        test_with_string("x-queue-type", "quorum");
    test_make_queue(t, name, true);
}

TEST(whatever_happens_the_right_policy_counts)
{
    struct test_core t;
    struct model_policy all[MODEL_POLICIES] = {0};
    test_core_init(&t);
    for (int step = 0; step < MODEL_STEPS; step++) {
        uint64_t what = random_below(&t.random, 20);
        int policy = (int)random_below(&t.random, MODEL_POLICIES);
        if (what < 8)
            change_policy(&t, &all[policy], policy);
        else if (what < 16)
            make_or_delete(&t, (int)random_below(&t.random, MODEL_QUEUES));
        else if (what < 18)
            test_core_turn(&t);
        else
            check_model(&t, all);
        if (what == 19 && random_below(&t.random, 2))
            random_below(&t.random, 2) ? test_core_crash(&t) : test_core_reopen(&t);
    }
    check_model(&t, all);
    test_core_end(&t);
}
