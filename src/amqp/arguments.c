#include "amqp/arguments.h"

#include <stdio.h>
#include <string.h>

#include "wire/amqp_table.h"

enum argument_state {
    ARGUMENT_BUILT, /* checked by queue_check() */
    ARGUMENT_NOT_BUILT,
    ARGUMENT_NO_EFFECT, /* here, or anywhere since RabbitMQ 4 */
};

struct argument {
    const char *name;
    enum argument_state state;
};

/* Those that RabbitMQ knows for classic queues come first: they are what redeclares compare. */
static const struct argument queue_arguments[] = {
    {"x-expires", ARGUMENT_BUILT},
    {"x-message-ttl", ARGUMENT_BUILT},
    {"x-dead-letter-exchange", ARGUMENT_BUILT},
    {"x-dead-letter-routing-key", ARGUMENT_BUILT},
    {"x-max-length", ARGUMENT_BUILT},
    {"x-max-length-bytes", ARGUMENT_BUILT},
    {"x-max-priority", ARGUMENT_BUILT},
    {"x-overflow", ARGUMENT_BUILT},
    {"x-single-active-consumer", ARGUMENT_BUILT},
    {"x-queue-mode", ARGUMENT_NO_EFFECT},
    {"x-queue-version", ARGUMENT_NO_EFFECT},
    {"x-queue-master-locator", ARGUMENT_NO_EFFECT},
    {"x-queue-leader-locator", ARGUMENT_NO_EFFECT},
    {"x-delivery-limit", ARGUMENT_BUILT},
};

static const char *const other_queue_arguments[] = {
    "x-dead-letter-strategy",
    "x-delayed-retry-type",
    "x-consumer-timeout",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-source-topic",
    "x-name-prefix",
};

static const char *const exchange_arguments[] = {"alternate-exchange"};

static const char *const consumer_arguments[] = {
    "x-consumer-timeout", "x-stream-offset",           "x-stream-filter",
    "x-credit",           "x-stream-match-unfiltered",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- what is built ---- */

static void fail_not_built(struct channel *ch, const char *argument, const char *kind,
                           struct bytes name)
{
    channel_fail(ch, REPLY_NOT_IMPLEMENTED,
                 "argument '%s' is not built yet, for %s '%.*s' in vhost "
                 "'%.*s'",
                 argument, kind, BYTES_FORMAT(name), BYTES_FORMAT(ch->conn->vhost->name));
}

/* Does the table have none of these? */
static bool has_none_of(struct channel *ch, const struct argument_subject *subject,
                        struct bytes table, const char *const *names, size_t count)
{
    struct amqp_value value;

    for (size_t i = 0; i < count; i++) {
        if (amqp_table_find(table, names[i], &value)) {
            fail_not_built(ch, names[i], subject->kind, subject->name);
            return false;
        }
    }
    return true;
}

static void fail_queue_type(struct channel *ch, const struct argument_subject *subject,
                            const char *why)
{
    channel_fail(ch, REPLY_PRECONDITION_FAILED,
                 "invalid arg 'x-queue-type' for queue '%.*s' in vhost '%.*s': %s",
                 BYTES_FORMAT(subject->name), BYTES_FORMAT(ch->conn->vhost->name), why);
}

static bool queue_type_is_built(struct channel *ch, const struct argument_subject *subject,
                                struct bytes table)
{
    struct amqp_value value;
    char why[300];

    if (!amqp_table_find(table, "x-queue-type", &value) ||
        (value.tag == 'S' &&
         (bytes_equal_string(value.bytes, "classic") || bytes_equal_string(value.bytes, "quorum"))))
        return true;
    if (value.tag != 'S') {
        snprintf(why, sizeof why, "{unacceptable_type,%s}", amqp_type_name(value.tag));
        fail_queue_type(ch, subject, why);
    } else if (bytes_equal_string(value.bytes, "stream")) {
        channel_fail(ch, REPLY_NOT_IMPLEMENTED,
                     "x-queue-type '%.*s' is not built yet, for queue '%.*s' in vhost '%.*s'",
                     BYTES_FORMAT(value.bytes), BYTES_FORMAT(subject->name),
                     BYTES_FORMAT(ch->conn->vhost->name));
    } else {
        snprintf(why, sizeof why, "\"unsupported queue type '%.*s'\"", BYTES_FORMAT(value.bytes));
        fail_queue_type(ch, subject, why);
    }
    return false;
}

bool arguments_are_built_for_queue(struct channel *ch, const struct argument_subject *subject,
                                   struct bytes table)
{
    struct amqp_value value;

    if (!queue_type_is_built(ch, subject, table))
        return false;
    for (size_t i = 0; i < COUNT(queue_arguments); i++) {
        if (queue_arguments[i].state != ARGUMENT_NOT_BUILT ||
            !amqp_table_find(table, queue_arguments[i].name, &value))
            continue;
        fail_not_built(ch, queue_arguments[i].name, subject->kind, subject->name);
        return false;
    }
    return has_none_of(ch, subject, table, other_queue_arguments, COUNT(other_queue_arguments));
}

bool arguments_are_built_for_consumer(struct channel *ch, const struct queue *queue,
                                      struct bytes table)
{
    struct argument_subject subject = {.kind = "a consumer of queue", .name = queue->name};

    return has_none_of(ch, &subject, table, consumer_arguments, COUNT(consumer_arguments));
}

/* ---- whether two declares say the same ---- */

static void fail_inequivalent(struct channel *ch, const struct argument_subject *subject,
                              const char *name, const char *asked, const char *is)
{
    channel_fail(
        ch, REPLY_PRECONDITION_FAILED,
        "inequivalent arg '%s' for %s '%.*s' in vhost '%.*s': received %s but current is %s", name,
        subject->kind, BYTES_FORMAT(subject->name), BYTES_FORMAT(ch->conn->vhost->name), asked, is);
}

bool argument_words_agree(struct channel *ch, const struct argument_subject *subject,
                          const char *name, const char *asked, const char *is)
{
    char asked_text[280], is_text[280];

    if (strcmp(asked, is) == 0)
        return true;
    snprintf(asked_text, sizeof asked_text, "'%s'", asked);
    snprintf(is_text, sizeof is_text, "'%s'", is);
    fail_inequivalent(ch, subject, name, asked_text, is_text);
    return false;
}

bool argument_flags_agree(struct channel *ch, const struct argument_subject *subject,
                          const char *name, bool asked, bool is)
{
    return argument_words_agree(ch, subject, name, asked ? "true" : "false", is ? "true" : "false");
}

static bool value_is_real(const struct amqp_value *v)
{
    return v->tag == 'd' || v->tag == 'f';
}

static bool values_agree(const struct amqp_value *a, const struct amqp_value *b)
{
    int64_t left, right;

    if (amqp_value_integer(a, &left) && amqp_value_integer(b, &right))
        return left == right;
    if (value_is_real(a) && value_is_real(b))
        return !(a->real < b->real) && !(a->real > b->real);
    return a->tag == b->tag && a->number == b->number && a->scale == b->scale &&
           bytes_equal(a->bytes, b->bytes);
}

static void print_bare(const struct amqp_value *v, char *out, size_t size)
{
    if (v->tag == 'S' || v->tag == 'x')
        snprintf(out, size, "%.*s", (int)(v->bytes.size < 200 ? v->bytes.size : 200),
                 (const char *)v->bytes.data);
    else if (v->tag == 't')
        snprintf(out, size, "%s", v->number ? "true" : "false");
    else if (value_is_real(v))
        snprintf(out, size, "%g", v->real);
    else
        snprintf(out, size, "%lld", (long long)v->number);
}

/* As RabbitMQ words it: with its type when the other side has no value. */
static void print_value(const struct amqp_value *v, bool with_type, char *out, size_t size)
{
    char bare[256];

    if (!v) {
        snprintf(out, size, "none");
        return;
    }
    print_bare(v, bare, sizeof bare);
    if (with_type)
        snprintf(out, size, "the value '%s' of type '%s'", bare, amqp_type_name(v->tag));
    else
        snprintf(out, size, "'%s'", bare);
}

static bool argument_agrees(struct channel *ch, const struct argument_subject *subject,
                            const char *name, struct bytes asked_table, struct bytes is_table)
{
    struct amqp_value asked, is;
    bool is_asked = amqp_table_find(asked_table, name, &asked);
    bool is_set = amqp_table_find(is_table, name, &is);
    char asked_text[320], is_text[320];

    if ((!is_asked && !is_set) || (is_asked && is_set && values_agree(&asked, &is)))
        return true;
    print_value(is_asked ? &asked : NULL, !is_set, asked_text, sizeof asked_text);
    print_value(is_set ? &is : NULL, !is_asked, is_text, sizeof is_text);
    fail_inequivalent(ch, subject, name, asked_text, is_text);
    return false;
}

/* A queue that says it is classic and one that says nothing are the same. */
static bool queue_types_agree(struct channel *ch, const struct argument_subject *subject,
                              struct bytes asked, struct bytes is)
{
    struct amqp_value value;
    bool asks_classic = !amqp_table_find(asked, "x-queue-type", &value) ||
                        bytes_equal_string(value.bytes, "classic");

    if (asks_classic && (!amqp_table_find(is, "x-queue-type", &value) ||
                         bytes_equal_string(value.bytes, "classic")))
        return true;
    return argument_agrees(ch, subject, "x-queue-type", asked, is);
}

bool arguments_agree_for_queue(struct channel *ch, const struct argument_subject *subject,
                               struct bytes asked, struct bytes is)
{
    for (size_t i = 0; i < COUNT(queue_arguments); i++)
        if (!argument_agrees(ch, subject, queue_arguments[i].name, asked, is))
            return false;
    return queue_types_agree(ch, subject, asked, is);
}

bool arguments_agree_for_exchange(struct channel *ch, const struct argument_subject *subject,
                                  struct bytes asked, struct bytes is)
{
    for (size_t i = 0; i < COUNT(exchange_arguments); i++)
        if (!argument_agrees(ch, subject, exchange_arguments[i], asked, is))
            return false;
    return true;
}
