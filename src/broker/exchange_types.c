/*
 * The types of exchanges: which of its bindings a message matches.
 *
 *   direct             the binding's key is the message's
 *   fanout             always
 *   topic              the binding's key is a pattern of words, see pattern_trie.h
 *   headers            the binding's arguments against the message's headers, by `x-match`
 *   x-consistent-hash  one binding, chosen by the hash of the key, a header or a property; a
 *                      binding's key is its weight. The choice changes for few messages when a
 *                      binding comes or goes, and not by a restart.
 *   x-random           one binding, by chance
 *   x-modulus-hash     one destination, by the hash of the key and their number
 *   x-recent-history   always; who is bound gets the newest messages too, see history.h
 *   x-delayed-message  as another type, after a delay, see delays.h
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/say.h"
#include "broker/core_internal.h"
#include "broker/delays.h"
#include "broker/exchange_internal.h"
#include "broker/extra_keys.h"
#include "broker/queue_internal.h"
#include "wire/amqp_table.h"

/* ---- direct ---- */

static void direct_add(struct exchange_internal *in, struct binding *b)
{
    struct bucket *bucket = map_get(&in->buckets, b->key);
    if (!bucket) { /* with its key behind it */
        bucket = xzalloc(sizeof *bucket + b->key.size);
        if (b->key.size)
            memcpy(bucket + 1, b->key.data, b->key.size);
        bucket->key = bytes_of(bucket + 1, b->key.size);
        map_put(&in->buckets, bucket->key, bucket);
    }
    b->slot = bucket->bindings.count;
    vec_push(&bucket->bindings, b);
}

static void direct_remove(struct exchange_internal *in, struct binding *b)
{
    struct bucket *bucket = map_get(&in->buckets, b->key);
    struct binding *last = vec_pop(&bucket->bindings);
    if (last != b) { /* it takes the place */
        bucket->bindings.items[b->slot] = last;
        last->slot = b->slot;
    }
    if (bucket->bindings.count > 0)
        return;
    map_remove(&in->buckets, bucket->key);
    if (in->buckets.count == 0)
        map_reset(&in->buckets);
    vec_reset(&bucket->bindings);
    free(bucket);
}

static void direct_match(struct exchange_internal *in, const struct message *m, struct bytes key,
                         binding_list *out)
{
    (void)m;
    const struct bucket *bucket = map_get(&in->buckets, key);
    for (size_t i = 0; bucket && i < bucket->bindings.count; i++)
        vec_push(out, bucket->bindings.items[i]);
}

/* ---- fanout ---- */

static void fanout_match(struct exchange_internal *in, const struct message *m, struct bytes key,
                         binding_list *out)
{
    (void)m, (void)key;
    list_each (node, &in->bindings)
        vec_push(out, container_of(node, struct binding, of_exchange));
}

/* ---- topic ---- */

static void topic_add(struct exchange_internal *in, struct binding *b)
{
    pattern_trie_add(&in->patterns, b->key, b);
}

static void topic_remove(struct exchange_internal *in, struct binding *b)
{
    pattern_trie_remove(&in->patterns, b->key, b);
}

static void topic_match(struct exchange_internal *in, const struct message *m, struct bytes key,
                        binding_list *out)
{
    (void)m;
    pattern_values found = {0};
    if (!in->patterns.root)
        return;
    pattern_trie_match(&in->patterns, key, &found);
    for (size_t i = 0; i < found.count; i++)
        vec_push(out, found.items[i]);
    vec_reset(&found);
}

/* ---- headers ---- */

enum match_mode { MATCH_ALL, MATCH_ANY, MATCH_ALL_WITH_X, MATCH_ANY_WITH_X, MATCH_UNKNOWN };

static enum match_mode parse_mode(struct bytes name)
{
    static const char *const names[] = {"all", "any", "all-with-x", "any-with-x"};
    int mode = 0;
    while (mode < MATCH_UNKNOWN && !bytes_equal_string(name, names[mode]))
        mode++;
    return (enum match_mode)mode;
}

static enum match_mode mode_of(struct bytes arguments)
{
    struct amqp_value mode;
    return amqp_table_find(arguments, "x-match", &mode) ? parse_mode(mode.bytes) : MATCH_ALL;
}

static enum err headers_check(const struct exchange *x, struct bytes key, struct bytes arguments)
{
    (void)x, (void)key;
    struct amqp_value mode;
    if (!amqp_table_find(arguments, "x-match", &mode))
        return OK;
    if (mode.tag != 'S')
        return err_set(E_INVALID, "Invalid x-match field type %s (value %lld); expected longstr",
                       amqp_type_name(mode.tag), (long long)mode.number);
    if (parse_mode(mode.bytes) == MATCH_UNKNOWN)
        return err_set(
            E_INVALID,
            "Invalid x-match field value <<\"%.*s\">>; expected all, any, all-with-x, or "
            "any-with-x",
            BYTES_FORMAT(mode.bytes));
    return OK;
}

static bool as_real(const struct amqp_value *v, double *out)
{
    int64_t integer;
    bool is_integer = amqp_value_integer(v, &integer) || v->tag == 'T';
    *out = is_integer ? (double)v->number : v->real;
    return is_integer || v->tag == 'd' || v->tag == 'f';
}

/* By value, whatever the width that a client chose (RabbitMQ). */
static bool headers_agree(const struct amqp_value *a, const struct amqp_value *b)
{
    int64_t left, right;
    double x, y;
    if (amqp_value_integer(a, &left) && amqp_value_integer(b, &right))
        return left == right;
    if (as_real(a, &x) && as_real(b, &y))
        return !(x < y) && !(x > y);
    bool is_text = (a->tag == 'S' || a->tag == 'x') && (b->tag == 'S' || b->tag == 'x');
    return (is_text || a->tag == b->tag) && a->number == b->number && a->scale == b->scale &&
           bytes_equal(a->bytes, b->bytes);
}

static bool header_matches(struct bytes headers, const struct amqp_entry *wanted)
{
    struct reader r = reader_of(headers);
    struct amqp_entry header;
    while (amqp_table_next(&r, &header))
        if (bytes_equal(header.name, wanted->name))
            return wanted->value.tag == 'V' || headers_agree(&wanted->value, &header.value);
    return false;
}

static bool binding_matches(struct bytes arguments, struct bytes headers)
{
    enum match_mode mode = mode_of(arguments);
    bool any = mode == MATCH_ANY || mode == MATCH_ANY_WITH_X;
    bool with_x = mode == MATCH_ALL_WITH_X || mode == MATCH_ANY_WITH_X;
    struct reader r = reader_of(arguments);
    struct amqp_entry wanted;
    while (amqp_table_next(&r, &wanted)) {
        if (bytes_equal_string(wanted.name, "x-match") ||
            (!with_x && bytes_has_prefix(wanted.name, "x-")))
            continue;
        if (header_matches(headers, &wanted) == any)
            return any;
    }
    return !any;
}

static void headers_match(struct exchange_internal *in, const struct message *m, struct bytes key,
                          binding_list *out)
{
    (void)key;
    struct bytes headers = message_headers(m);
    list_each (node, &in->bindings) {
        struct binding *b = container_of(node, struct binding, of_exchange);
        if (binding_matches(b->arguments, headers))
            vec_push(out, b);
    }
}

/* ---- consistent hash ---- */

enum { WEIGHT_MAX = 1000000 };

static bool parse_weight(struct bytes key, int64_t *out)
{
    return number_parse_i64(key, out) && *out >= 1 && *out <= WEIGHT_MAX;
}

static enum err hash_check_binding(const struct exchange *x, struct bytes key,
                                   struct bytes arguments)
{
    (void)x, (void)arguments;
    int64_t weight;
    if (!parse_weight(key, &weight))
        return err_set(E_INVALID,
                       "The binding key must be an integer from 1 to %d, its weight: '%.*s'",
                       WEIGHT_MAX, BYTES_FORMAT(key));
    return OK;
}

/* 0: not one that can be hashed by. */
static enum property_flag hashed_property(struct bytes name)
{
    static const struct {
        const char *name;
        enum property_flag flag;
    } properties[] = {{"message_id", PROPERTY_MESSAGE_ID},
                      {"correlation_id", PROPERTY_CORRELATION_ID},
                      {"timestamp", PROPERTY_TIMESTAMP}};
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (bytes_equal_string(name, properties[i].name))
            return properties[i].flag;
    return 0;
}

static enum err hash_check_arguments(struct bytes arguments)
{
    struct amqp_value header, property;
    bool by_header = amqp_table_find(arguments, "hash-header", &header);
    if (!amqp_table_find(arguments, "hash-property", &property))
        return OK;
    if (by_header)
        return err_set(E_INVALID, "hash-header and hash-property are mutually exclusive");
    if (!hashed_property(property.bytes))
        return err_set(E_INVALID, "Unsupported property: %.*s", BYTES_FORMAT(property.bytes));
    return OK;
}

/* What is hashed: for a header or a property that is not there, nothing. */
static struct bytes hashed_bytes(const struct exchange *x, const struct message *m,
                                 struct bytes key, struct text *scratch)
{
    struct amqp_value by, value;
    char name[256];
    if (amqp_table_find(x->arguments, "hash-property", &by))
        return message_property(m, hashed_property(by.bytes));
    if (!amqp_table_find(x->arguments, "hash-header", &by) || by.bytes.size >= sizeof name)
        return key;
    snprintf(name, sizeof name, "%.*s", BYTES_FORMAT(by.bytes));
    if (!amqp_table_find(message_headers(m), name, &value))
        return BYTES_NULL;
    if (value.bytes.data)
        return value.bytes;
    text_printf(scratch, "%lld", (long long)value.number);
    return text_bytes(scratch);
}

static struct bytes destination_name(const struct binding *b)
{
    return b->queue ? b->queue->name : b->target->name;
}

static uint64_t mix(uint64_t h) /* splitmix64's finish */
{
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
    h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
    return h ^ (h >> 31);
}

/* Weighted rendezvous: each binding draws a time by the hash, the heavier the sooner; the first
 * one wins. So a binding that comes takes its share of each other one, and no more. */
static void hash_match(struct exchange_internal *in, const struct message *m, struct bytes key,
                       binding_list *out)
{
    struct text scratch = {0};
    struct bytes hashed = hashed_bytes(in->exchange, m, key, &scratch);
    uint64_t seed = mix(0x9e3779b97f4a7c15 + crc32c(hashed.data, hashed.size));
    struct binding *best = NULL;
    double best_time = 0;
    list_each (node, &in->bindings) {
        struct binding *b = container_of(node, struct binding, of_exchange);
        struct bytes name = destination_name(b);
        int64_t weight = 1;
        (void)parse_weight(b->key, &weight);
        uint64_t h = mix(seed ^ mix(crc32c(name.data, name.size)));
        double u = ((double)(h >> 11) + 0.5) / 9007199254740992.0; /* within (0, 1) */
        double time = -log(u) / (double)weight;
        if (!best || time < best_time) {
            best = b;
            best_time = time;
        }
    }
    if (best)
        vec_push(out, best);
    text_reset(&scratch);
}

/* ---- random ---- */

static void random_match(struct exchange_internal *in, const struct message *m, struct bytes key,
                         binding_list *out)
{
    struct core *core = in->exchange->vhost->core;
    size_t before = out->count;
    fanout_match(in, m, key, out);
    size_t count = out->count - before;
    if (count == 0)
        return;
    out->items[before] = out->items[before + random_below(&core->random, (uint32_t)count)];
    out->count = before + 1;
}

/* ---- modulus hash ---- */

/* Exchanges before queues, by name: the order does not depend on that of the bindings. */
static int compare_destinations(const void *left, const void *right)
{
    const struct binding *a = *(struct binding *const *)left, *b = *(struct binding *const *)right;
    if (!a->queue != !b->queue)
        return a->queue ? 1 : -1;
    struct bytes x = destination_name(a), y = destination_name(b);
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    return order ? order : (x.size > y.size) - (x.size < y.size);
}

static void modulus_match(struct exchange_internal *in, const struct message *m, struct bytes key,
                          binding_list *out)
{
    size_t before = out->count, count = 0;
    fanout_match(in, m, key, out);
    struct binding **found = out->items + before;
    if (out->count == before)
        return;
    qsort(found, out->count - before, sizeof(struct binding *), compare_destinations);
    for (size_t i = 0; i < out->count - before; i++) /* each destination once */
        if (i == 0 || compare_destinations(&found[count - 1], &found[i]) != 0)
            found[count++] = found[i];
    found[0] = found[mix(crc32c(key.data, key.size)) % count];
    out->count = before + 1;
}

/* ---- recent history ---- */

static enum err history_check_arguments(struct bytes arguments)
{
    struct amqp_value length;
    int64_t value = 0;
    if (!amqp_table_find(arguments, "x-recent-history-length", &length) ||
        (amqp_value_integer(&length, &value) && value > 0))
        return OK;
    return err_set(E_INVALID,
                   "Invalid argument %lld, 'x-recent-history-length' must be a positive integer",
                   (long long)value);
}

static void history_note(struct exchange_internal *in, const struct message *m)
{
    struct amqp_value v;
    int64_t length = HISTORY_LENGTH;
    if (amqp_table_find(in->exchange->arguments, "x-recent-history-length", &v))
        (void)amqp_value_integer(&v, &length);
    history_add(&in->history, m, length);
}

/* As if they were published now, to the new destination alone. */
static void history_bound(struct exchange_internal *in, const struct binding *b)
{
    struct core *core = in->exchange->vhost->core;
    for (uint32_t i = 0; i < in->history.messages.count; i++) {
        struct message m = *fifo_at(&in->history.messages, i);
        struct extra_keys extra = {0};
        struct ticket ignored;
        struct route route =
            b->queue ? (struct route){&b->queue->internal->self, 1} : exchange_route(b->target, &m);
        if (extra_keys_read(&m, &extra) == OK && extra.properties.size)
            m.properties = text_bytes(&extra.properties);
        if (route.count > 0 && queue_publish(core, route, &m, &ignored))
            say_warn("exchange", "a recent message cannot be stored: %s exchange=%.*s", err_text(),
                     BYTES_FORMAT(in->exchange->name));
        extra_keys_reset(&extra);
    }
}

/* ---- the table ---- */

static const struct exchange_type types[EXCHANGE_KINDS] = {
    [EXCHANGE_DIRECT] = {.name = "direct",
                         .by_key = true,
                         .add = direct_add,
                         .remove = direct_remove,
                         .match = direct_match},
    [EXCHANGE_FANOUT] = {.name = "fanout", .by_key = true, .match = fanout_match},
    [EXCHANGE_TOPIC] = {.name = "topic",
                        .by_key = true,
                        .add = topic_add,
                        .remove = topic_remove,
                        .match = topic_match},
    [EXCHANGE_HEADERS] = {.name = "headers",
                          .match = headers_match,
                          .check_binding = headers_check},
    [EXCHANGE_CONSISTENT_HASH] = {.name = "x-consistent-hash",
                                  .match = hash_match,
                                  .check_binding = hash_check_binding,
                                  .check_arguments = hash_check_arguments},
    [EXCHANGE_RANDOM] = {.name = "x-random", .match = random_match},
    [EXCHANGE_MODULUS_HASH] = {.name = "x-modulus-hash", .match = modulus_match},
    [EXCHANGE_RECENT_HISTORY] = {.name = "x-recent-history",
                                 .match = fanout_match,
                                 .note = history_note,
                                 .bound = history_bound,
                                 .check_arguments = history_check_arguments},
    [EXCHANGE_DELAYED] = {.name = "x-delayed-message", .check_arguments = delays_check_arguments},
};

const struct exchange_type *exchange_type(enum exchange_kind kind)
{
    check(kind < EXCHANGE_KINDS);
    return &types[kind];
}
