/* What policies can say: the keys that RabbitMQ knows, their values, and how a policy and an
 * operator policy that both have one are merged. */
#include <string.h>

#include "broker/policy_internal.h"

enum value_kind { VALUE_INTEGER, VALUE_STRING, VALUE_CHOICE, VALUE_ANY };

enum merge {
    MERGE_OPERATOR, /* what the operator says */
    MERGE_MIN,
    MERGE_MAX,
    MERGE_LIMIT, /* the least, where negative means unlimited: then the greater */
};

enum {
    NOT_CLASSIC = POLICY_QUORUM_QUEUE | POLICY_STREAM | POLICY_EXCHANGE,
    NOT_QUORUM = POLICY_CLASSIC_QUEUE | POLICY_STREAM | POLICY_EXCHANGE,
    NOT_STREAM = POLICY_CLASSIC_QUEUE | POLICY_QUORUM_QUEUE | POLICY_EXCHANGE,
    ONLY_CLASSIC = NOT_QUORUM & NOT_STREAM,
    ONLY_QUORUM = NOT_CLASSIC & NOT_STREAM,
    ONLY_STREAM = NOT_CLASSIC & NOT_QUORUM,
    EVERY = NOT_CLASSIC | NOT_QUORUM,
};

struct policy_key {
    const char *name;
    const char *what; /* "-1 is not a valid message TTL" */
    bool for_operators;
    enum value_kind kind;
    int64_t min, max;
    const char *choices; /* separated by spaces */
    enum merge merge;
    unsigned suits; /* a policy with it is for no other kinds of objects */
};

#define INTEGER(name, what, from, to, for_operators, merge, suits)                                 \
    {                                                                                              \
        name, what, for_operators, VALUE_INTEGER, from, to, NULL, merge, suits                     \
    }
#define STRING(name, what, for_operators, suits)                                                   \
    {                                                                                              \
        name, what, for_operators, VALUE_STRING, 0, 0, NULL, MERGE_OPERATOR, suits                 \
    }
#define CHOICE(name, what, choices, for_operators, suits)                                          \
    {                                                                                              \
        name, what, for_operators, VALUE_CHOICE, 0, 0, choices, MERGE_OPERATOR, suits              \
    }
#define NO_EFFECT(name)                                                                            \
    {                                                                                              \
        name, name " value", true, VALUE_ANY, 0, 0, NULL, MERGE_OPERATOR, ONLY_CLASSIC             \
    }

static const int64_t least = INT64_MIN, most = INT64_MAX;

static const struct policy_key keys[] = {
    STRING("alternate-exchange", "alternate exchange name", false, EVERY),
    STRING("dead-letter-exchange", "dead letter exchange name", false, NOT_STREAM),
    STRING("dead-letter-routing-key", "dead letter routing key", false, NOT_STREAM),
    CHOICE("dead-letter-strategy", "dead letter strategy", "at-most-once at-least-once", false,
           ONLY_QUORUM),
    INTEGER("delivery-limit", "delivery limit", least, most, true, MERGE_LIMIT, ONLY_QUORUM),
    CHOICE("delayed-retry-type",
           "delayed retry type. Must be one of: all, failed, returned, disabled",
           "all failed returned disabled", true, ONLY_QUORUM),
    INTEGER("delayed-retry-min", "delayed retry minimum delay. Must be a positive integer", 1, most,
            true, MERGE_MAX, ONLY_QUORUM),
    INTEGER("delayed-retry-max", "delayed retry maximum delay. Must be a positive integer", 1, most,
            true, MERGE_MIN, ONLY_QUORUM),
    INTEGER("expires", "queue expiry", 1, most, true, MERGE_MIN, NOT_STREAM),
    INTEGER("max-length", "maximum length", 0, most, true, MERGE_MIN, NOT_STREAM),
    INTEGER("max-length-bytes", "maximum length in bytes", 0, most, true, MERGE_MIN, EVERY),
    INTEGER("message-ttl", "message TTL", 0, most, true, MERGE_MIN, NOT_STREAM),
    CHOICE("overflow", "overflow value", "drop-head reject-publish reject-publish-dlx", true,
           NOT_STREAM),
    INTEGER("consumer-timeout", "consumer timeout", 0, most, false, MERGE_OPERATOR, EVERY),
    /* Streams. */
    STRING("max-age", "max age", false, ONLY_STREAM),
    INTEGER("stream-max-segment-size-bytes", "segment size", 0, 3000000000, false, MERGE_OPERATOR,
            ONLY_STREAM),
    INTEGER("stream-filter-size-bytes", "filter size. Valid range is 16-255", 16, 255, false,
            MERGE_OPERATOR, EVERY),
    /* Where things lie in a cluster, and how: without effect here. */
    INTEGER("initial-cluster-size", "cluster size", 0, most, false, MERGE_OPERATOR, ONLY_STREAM),
    INTEGER("target-group-size", "qq target count value", 1, most, true, MERGE_MAX, NOT_CLASSIC),
    STRING("member-placement-tag", "member-placement-tag value", true, EVERY),
    CHOICE("queue-leader-locator", "queue leader locator value",
           "client-local balanced random least-leaders", false, EVERY),
    STRING("queue-master-locator", "queue master locator value", true, NOT_QUORUM),
    CHOICE("queue-mode", "queue-mode value", "default lazy", false, ONLY_CLASSIC),
    INTEGER("queue-version", "queue-version value", 1, 2, true, MERGE_OPERATOR, EVERY),
    INTEGER("max-in-memory-length", "maximum memory in bytes", 0, most, true, MERGE_MIN,
            NOT_CLASSIC),
    INTEGER("max-in-memory-bytes", "maximum memory in bytes", 0, most, true, MERGE_MIN,
            NOT_CLASSIC),
    /* Mirrored queues, which RabbitMQ 4 has no more. */
    NO_EFFECT("ha-mode"),
    NO_EFFECT("ha-params"),
    NO_EFFECT("ha-sync-mode"),
    NO_EFFECT("ha-sync-batch-size"),
    NO_EFFECT("ha-promote-on-shutdown"),
    NO_EFFECT("ha-promote-on-failure"),
};

enum { KEY_COUNT = sizeof keys / sizeof *keys };

/* NULL: not known, or not to this author. */
static const struct policy_key *key_find(struct bytes name, enum policy_author author)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (bytes_equal_string(name, keys[i].name))
            return author == POLICY_USER || keys[i].for_operators ? &keys[i] : NULL;
    return NULL;
}

/* ---- checking ---- */

/* A value as RabbitMQ prints it in its errors. */
static void put_term(struct text *out, const struct amqp_value *v)
{
    int64_t number;
    if (v->tag == 'S' || v->tag == 'x')
        text_printf(out, "<<\"%.*s\">>", BYTES_FORMAT(v->bytes));
    else if (v->tag == 't')
        text_append_string(out, v->number ? "true" : "false");
    else if (v->tag == 'V')
        text_append_string(out, "null");
    else if (amqp_value_integer(v, &number))
        text_printf(out, "%lld", (long long)number);
    else if (v->tag == 'd' || v->tag == 'f')
        text_printf(out, "%g", v->real);
    else
        text_append_string(out, v->tag == 'A' ? "[...]" : "#{...}");
}

static bool has_word(const char *words, struct bytes word)
{
    size_t size;
    for (; *words; words += size + (words[size] == ' ')) {
        size = strcspn(words, " ");
        if (size == word.size && memcmp(words, word.data, size) == 0)
            return true;
    }
    return false;
}

static bool is_value(const struct policy_key *key, const struct amqp_value *v)
{
    int64_t number;
    switch (key->kind) {
    case VALUE_INTEGER:
        return v->tag != 't' && amqp_value_integer(v, &number) && number >= key->min &&
               number <= key->max;
    case VALUE_STRING: return v->tag == 'S';
    case VALUE_CHOICE: return v->tag == 'S' && has_word(key->choices, v->bytes);
    case VALUE_ANY: return true;
    }
    return false;
}

static enum err bad_value(const struct policy_key *key, const struct amqp_value *v)
{
    struct text term = {0};
    put_term(&term, v);
    enum err err = err_set(E_INVALID, "Validation failed\n\n%s is not a valid %s\n",
                           text_string(&term), key->what);
    text_reset(&term);
    return err;
}

enum err policy_definition_check(struct bytes definition, enum policy_author author)
{
    struct reader r = reader_of(definition);
    struct amqp_entry entry;
    struct text unknown = {0};
    enum err err = OK;
    if (definition.size == 0)
        return err_set(E_INVALID, "Validation failed\n\nno policy provided\n");
    while (!err && amqp_table_next(&r, &entry)) {
        const struct policy_key *key = key_find(entry.name, author);
        if (key && !is_value(key, &entry.value))
            err = bad_value(key, &entry.value);
        if (key)
            continue;
        text_printf(&unknown, "%s{<<\"%.*s\">>,", unknown.size ? "," : "",
                    BYTES_FORMAT(entry.name));
        put_term(&unknown, &entry.value);
        text_append_string(&unknown, "}");
    }
    if (!err && unknown.size > 0)
        err = err_set(E_INVALID, "Validation failed\n\n[%s] are not recognised policy settings\n",
                      text_string(&unknown));
    text_reset(&unknown);
    return err;
}

unsigned policy_definition_kinds(struct bytes definition)
{
    struct reader r = reader_of(definition);
    struct amqp_entry entry;
    unsigned kinds = EVERY;
    while (amqp_table_next(&r, &entry)) {
        const struct policy_key *key = key_find(entry.name, POLICY_USER);
        kinds &= key ? key->suits : EVERY;
    }
    return kinds;
}

/* ---- merging ---- */

static const struct amqp_value *merge(const struct policy_key *key, const struct amqp_value *user,
                                      const struct amqp_value *limit)
{
    int64_t a, b;
    if (!key || key->merge == MERGE_OPERATOR || !amqp_value_integer(user, &a) ||
        !amqp_value_integer(limit, &b))
        return limit;
    bool take_greater = key->merge == MERGE_MAX || (key->merge == MERGE_LIMIT && (a < 0 || b < 0));
    return (a < b) == take_greater ? limit : user;
}

static bool find_in(const struct policy *policy, const char *key, struct amqp_value *out)
{
    return policy && amqp_table_find(policy->definition, key, out);
}

bool policy_value(const struct policy_pair *pair, const char *key, struct amqp_value *out)
{
    struct amqp_value user, limit;
    bool has_user = find_in(pair->of[POLICY_USER], key, &user);
    bool has_limit = find_in(pair->of[POLICY_OPERATOR], key, &limit);
    if (has_user && has_limit)
        *out = *merge(key_find(bytes_from_string(key), POLICY_USER), &user, &limit);
    else if (has_user || has_limit)
        *out = has_user ? user : limit;
    return has_user || has_limit;
}

void policy_put_effective(const struct policy_pair *pair, struct text *out)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        struct amqp_value v;
        if (policy_value(pair, keys[i].name, &v))
            amqp_table_put(out, keys[i].name, &v);
    }
}
