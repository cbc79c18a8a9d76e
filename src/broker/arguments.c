#include "broker/arguments.h"

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
    {"x-delayed-retry-type", ARGUMENT_BUILT},
    {"x-delayed-retry-min", ARGUMENT_BUILT},
    {"x-delayed-retry-max", ARGUMENT_BUILT},
};

static const char *const other_queue_arguments[] = {
    "x-dead-letter-strategy",     "x-max-age",      "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes", "x-source-topic", "x-name-prefix",
};

static const char *const exchange_arguments[] = {"alternate-exchange"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- what is built ---- */

#define SUBJECT "%s '%.*s' in vhost '%.*s'"
#define SUBJECT_ARGS(s) (s)->kind, BYTES_FORMAT((s)->name), BYTES_FORMAT((s)->vhost)

static enum err not_built(const struct argument_subject *subject, const char *argument)
{
    return err_set(E_UNSUPPORTED, "argument '%s' is not built yet, for " SUBJECT, argument,
                   SUBJECT_ARGS(subject));
}

static enum err check_queue_type(const struct argument_subject *subject, struct bytes table)
{
    struct amqp_value value;
    if (!amqp_table_find(table, "x-queue-type", &value))
        return OK;
    if (value.tag != 'S')
        return err_set(E_INVALID,
                       "invalid arg 'x-queue-type' for " SUBJECT ": {unacceptable_type,%s}",
                       SUBJECT_ARGS(subject), amqp_type_name(value.tag));
    if (bytes_equal_string(value.bytes, "classic") || bytes_equal_string(value.bytes, "quorum"))
        return OK;
    if (bytes_equal_string(value.bytes, "stream"))
        return err_set(E_UNSUPPORTED, "x-queue-type '%.*s' is not built yet, for " SUBJECT,
                       BYTES_FORMAT(value.bytes), SUBJECT_ARGS(subject));
    return err_set(E_INVALID,
                   "invalid arg 'x-queue-type' for " SUBJECT ": \"unsupported queue type '%.*s'\"",
                   SUBJECT_ARGS(subject), BYTES_FORMAT(value.bytes));
}

/* Words that have no effect here are still looked at, so that a typing error is found. */
static enum err check_queue_mode(const struct argument_subject *subject, struct bytes table)
{
    struct amqp_value v;
    int64_t version;

    if (amqp_table_find(table, "x-queue-mode", &v) && v.tag != 'S')
        return err_set(E_INVALID,
                       "invalid arg 'x-queue-mode' for " SUBJECT ": {unacceptable_type,%s}",
                       SUBJECT_ARGS(subject), amqp_type_name(v.tag));
    if (amqp_table_find(table, "x-queue-mode", &v) && !bytes_equal_string(v.bytes, "lazy") &&
        !bytes_equal_string(v.bytes, "default"))
        return err_set(E_INVALID,
                       "invalid arg 'x-queue-mode' for " SUBJECT
                       ": \"unsupported queue mode '%.*s'\"",
                       SUBJECT_ARGS(subject), BYTES_FORMAT(v.bytes));
    if (amqp_table_find(table, "x-queue-version", &v) && amqp_value_integer(&v, &version) &&
        version != 1 && version != 2)
        return err_set(E_INVALID,
                       "invalid arg 'x-queue-version' for " SUBJECT
                       ": \"unsupported queue version '%lld'\"",
                       SUBJECT_ARGS(subject), (long long)version);
    return OK;
}

/* The name of an exchange is told otherwise than all else (RabbitMQ). */
static enum err check_dead_letter_exchange(const struct argument_subject *subject,
                                           struct bytes table)
{
    struct amqp_value v;

    if (!amqp_table_find(table, "x-dead-letter-exchange", &v) || v.tag == 'S')
        return OK;
    return err_set(E_INVALID,
                   "invalid type '%s' for arg 'x-dead-letter-exchange' in queue '%.*s' in vhost "
                   "'%.*s'",
                   amqp_type_name(v.tag), BYTES_FORMAT(subject->name),
                   BYTES_FORMAT(subject->vhost));
}

enum err arguments_check_queue(const struct argument_subject *subject, struct bytes table)
{
    struct amqp_value value;
    enum err err = check_queue_type(subject, table);
    if (!err)
        err = check_queue_mode(subject, table);
    if (!err)
        err = check_dead_letter_exchange(subject, table);
    if (err)
        return err;
    for (size_t i = 0; i < COUNT(queue_arguments); i++)
        if (queue_arguments[i].state == ARGUMENT_NOT_BUILT &&
            amqp_table_find(table, queue_arguments[i].name, &value))
            return not_built(subject, queue_arguments[i].name);
    for (size_t i = 0; i < COUNT(other_queue_arguments); i++)
        if (amqp_table_find(table, other_queue_arguments[i], &value))
            return not_built(subject, other_queue_arguments[i]);
    return OK;
}

/* ---- whether two declares say the same ---- */

static enum err inequivalent(const struct argument_subject *subject, const char *name,
                             const char *asked, const char *is)
{
    return err_set(E_PRECONDITION,
                   "inequivalent arg '%s' for " SUBJECT ": received %s but current is %s", name,
                   SUBJECT_ARGS(subject), asked, is);
}

enum err arguments_same_word(const struct argument_subject *subject, const char *name,
                             const char *asked, const char *is)
{
    char asked_text[280], is_text[280];

    if (strcmp(asked, is) == 0)
        return OK;
    snprintf(asked_text, sizeof asked_text, "'%s'", asked);
    snprintf(is_text, sizeof is_text, "'%s'", is);
    return inequivalent(subject, name, asked_text, is_text);
}

enum err arguments_same_flag(const struct argument_subject *subject, const char *name, bool asked,
                             bool is)
{
    return arguments_same_word(subject, name, asked ? "true" : "false", is ? "true" : "false");
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

static enum err same_argument(const struct argument_subject *subject, const char *name,
                              struct bytes asked_table, struct bytes is_table)
{
    struct amqp_value asked, is;
    bool is_asked = amqp_table_find(asked_table, name, &asked);
    bool is_set = amqp_table_find(is_table, name, &is);
    char asked_text[320], is_text[320];

    if ((!is_asked && !is_set) || (is_asked && is_set && values_agree(&asked, &is)))
        return OK;
    print_value(is_asked ? &asked : NULL, !is_set, asked_text, sizeof asked_text);
    print_value(is_set ? &is : NULL, !is_asked, is_text, sizeof is_text);
    return inequivalent(subject, name, asked_text, is_text);
}

/* A queue that says it is classic and one that says nothing are the same. */
static const char *queue_type(struct bytes table)
{
    static const char *const types[] = {"quorum", "stream"};
    struct amqp_value value;

    if (amqp_table_find(table, "x-queue-type", &value))
        for (size_t i = 0; i < COUNT(types); i++)
            if (bytes_equal_string(value.bytes, types[i]))
                return types[i];
    return "classic";
}

enum err arguments_same_queue(const struct argument_subject *subject, struct bytes asked,
                              struct bytes is)
{
    enum err err = arguments_same_word(subject, "x-queue-type", queue_type(asked), queue_type(is));

    for (size_t i = 0; !err && i < COUNT(queue_arguments); i++)
        err = same_argument(subject, queue_arguments[i].name, asked, is);
    return err;
}

enum err arguments_same_exchange(const struct argument_subject *subject, struct bytes asked,
                                 struct bytes is)
{
    enum err err = OK;

    for (size_t i = 0; !err && i < COUNT(exchange_arguments); i++)
        err = same_argument(subject, exchange_arguments[i], asked, is);
    return err;
}
