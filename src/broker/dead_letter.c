#include "broker/dead_letter.h"

#include <stdio.h>

#include "base/metrics.h"
#include "base/vec.h"
#include "broker/extra_keys.h"
#include "broker/queue_internal.h"
#include "broker/queue_rules.h"
#include "wire/amqp_table.h"

static const char *const reasons[] = {"rejected", "expired", "maxlen", "delivery_limit"};
static const enum metric metric_of[] = {
    METRIC_dead_lettered_rejected,
    METRIC_dead_lettered_expired,
    METRIC_dead_lettered_maxlen,
    METRIC_dead_lettered_delivery_limit,
};

struct dying {
    struct queue *from;
    const struct message *message;
    enum death reason;
    int64_t now_ms;
    struct text deaths;     /* array `x-death` */
    struct text headers;    /* table */
    struct text properties; /* list */
};

/* ---- x-death: one table for each queue and reason, the newest death first ---- */

static bool field_is(struct bytes table, const char *name, struct bytes text)
{
    struct amqp_value v;
    return amqp_table_find(table, name, &v) && v.tag == 'S' && bytes_equal(v.bytes, text);
}

static bool is_same_death(const struct dying *d, struct bytes table)
{
    return field_is(table, "queue", d->from->name) &&
           field_is(table, "reason", bytes_from_string(reasons[d->reason]));
}

static void put_keys(const struct message *m, struct text *out)
{
    struct extra_keys extra = {0};
    amqp_array_put(out, &(struct amqp_value){.tag = 'S', .bytes = m->routing_key});
    if (extra_keys_read(m, &extra) == OK)
        for (size_t i = 0; i < extra.keys.count; i++)
            amqp_array_put(out, &(struct amqp_value){.tag = 'S', .bytes = extra.keys.items[i]});
    extra_keys_reset(&extra);
}

static void put_first_death(const struct dying *d, struct text *out)
{
    const struct message *m = d->message;
    struct bytes expiration = message_property(m, PROPERTY_EXPIRATION);
    struct text keys = {0};
    if (expiration.data)
        amqp_table_put_string(out, "original-expiration", expiration);
    amqp_table_put(out, "count", &(struct amqp_value){.tag = 'l', .number = 1});
    amqp_table_put_string(out, "reason", bytes_from_string(reasons[d->reason]));
    amqp_table_put_string(out, "queue", d->from->name);
    amqp_table_put(out, "time", &(struct amqp_value){.tag = 'T', .number = d->now_ms / 1000});
    amqp_table_put_string(out, "exchange", m->exchange);
    put_keys(m, &keys);
    amqp_table_put(out, "routing-keys",
                   &(struct amqp_value){.tag = 'A', .bytes = text_bytes(&keys)});
    text_reset(&keys);
}

static void put_one_more_death(struct bytes table, struct text *out)
{
    struct reader r = reader_of(table);
    struct amqp_entry entry;
    while (amqp_table_next(&r, &entry)) {
        if (bytes_equal_string(entry.name, "count"))
            entry.value.number++;
        amqp_table_put_named(out, entry.name, &entry.value);
    }
}

/* The deaths so far, those that are tables; empty when there were none. */
static struct bytes past_deaths(struct bytes headers)
{
    struct amqp_value v;
    bool found = amqp_table_find(headers, "x-death", &v) && v.tag == 'A';
    return found ? v.bytes : bytes_of("", 0);
}

static void put_deaths(struct dying *d, struct bytes past)
{
    struct text newest = {0};
    struct amqp_value v;
    struct reader r = reader_of(past);
    while (newest.size == 0 && amqp_array_next(&r, &v))
        if (v.tag == 'F' && is_same_death(d, v.bytes))
            put_one_more_death(v.bytes, &newest);
    if (newest.size == 0)
        put_first_death(d, &newest);
    amqp_array_put(&d->deaths, &(struct amqp_value){.tag = 'F', .bytes = text_bytes(&newest)});
    for (r = reader_of(past); amqp_array_next(&r, &v);)
        if (v.tag == 'F' && !is_same_death(d, v.bytes))
            amqp_array_put(&d->deaths, &v);
    text_reset(&newest);
}

/* Going to that queue again, would it be for ever? Not if somebody rejected it since it was there. */
static bool is_circle(const struct dying *d, const struct queue *target)
{
    struct reader r = reader_of(text_bytes(&d->deaths));
    struct amqp_value v;
    while (amqp_array_next(&r, &v)) {
        if (field_is(v.bytes, "reason", BYTES_LITERAL("rejected")))
            return false;
        if (field_is(v.bytes, "queue", target->name))
            return true;
    }
    return false;
}

/* ---- headers and properties ---- */

static bool is_rewritten(const struct dying *d, struct bytes name)
{
    return bytes_equal_string(name, "x-death") || bytes_has_prefix(name, "x-first-death-") ||
           bytes_has_prefix(name, "x-last-death-") ||
           (d->from->internal->rules->settings.dead_letter_key.data &&
            bytes_equal_string(name, "CC"));
}

/* Where and why it died; of its first death as it has been told before. */
static void put_summary(struct dying *d, const char *prefix, struct bytes told)
{
    char name[32];
    struct amqp_value v;
    const struct {
        const char *what;
        struct bytes value;
    } fields[] = {{"exchange", d->message->exchange},
                  {"queue", d->from->name},
                  {"reason", bytes_from_string(reasons[d->reason])}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        snprintf(name, sizeof name, "%s%s", prefix, fields[i].what);
        bool is_told = amqp_table_find(told, name, &v) && v.tag == 'S';
        amqp_table_put_string(&d->headers, name, is_told ? v.bytes : fields[i].value);
    }
}

static void put_headers(struct dying *d)
{
    struct bytes headers = message_headers(d->message), past = past_deaths(headers);
    struct reader r = reader_of(headers);
    struct amqp_entry entry;
    put_deaths(d, past);
    while (amqp_table_next(&r, &entry))
        if (!is_rewritten(d, entry.name))
            amqp_table_put_named(&d->headers, entry.name, &entry.value);
    amqp_table_put(&d->headers, "x-death",
                   &(struct amqp_value){.tag = 'A', .bytes = text_bytes(&d->deaths)});
    put_summary(d, "x-first-death-", past.size ? headers : past);
    put_summary(d, "x-last-death-", BYTES_NULL);
    message_put_properties(d->message, PROPERTY_HEADERS, text_bytes(&d->headers),
                           PROPERTY_EXPIRATION, &d->properties);
}

/* ---- publishing ---- */

/* A queue that refuses may have dead letters of its own: a chain of them ends somewhere. */
static enum err publish_to(struct dying *d, struct route route, const struct message *m)
{
    enum { DEPTH_MAX = 16 };
    struct ticket ignored;
    struct core *core = d->from->internal->core;
    if (core->internal->dying == DEPTH_MAX)
        return OK;
    core->internal->dying++;
    enum err err = queue_publish(core, route, m, &ignored);
    core->internal->dying--;
    return err == E_FULL ? OK : err;
}

static enum err publish(struct dying *d, struct exchange *exchange)
{
    const struct queue_settings *settings = &d->from->internal->rules->settings;
    struct message m = *d->message;
    struct extra_keys extra = {0};
    VEC(struct queue *) targets = {0};
    m.exchange = exchange->name;
    if (settings->dead_letter_key.data)
        m.routing_key = settings->dead_letter_key;
    else if (extra_keys_read(&m, &extra)) /* they were good when it was published */
        vec_clear(&extra.keys);
    m.properties = text_bytes(&d->properties);
    struct route all = exchange_route_keys(exchange, &m, extra.keys.items, extra.keys.count);
    for (size_t i = 0; i < all.count; i++)
        if (d->reason == DEATH_REJECTED || !is_circle(d, all.queues[i]))
            vec_push(&targets, all.queues[i]);
    enum err err = OK;
    if (targets.count > 0)
        err = publish_to(d, (struct route){targets.items, targets.count}, &m);
    vec_reset(&targets);
    extra_keys_reset(&extra);
    return err;
}

enum err dead_letter(struct queue *from, const struct message *m, enum death reason)
{
    struct core *core = from->internal->core;
    struct bytes name = from->internal->rules->settings.dead_letter_exchange;
    struct exchange *exchange = name.data ? exchange_find(from->vhost, name) : NULL;
    if (!exchange) /* or the policy that named it has gone since */
        return OK;
    struct dying d = {.from = from, .message = m, .reason = reason, .now_ms = core->wall_ms};
    put_headers(&d);
    enum err err = publish(&d, exchange);
    if (!err)
        metrics_add(metric_of[reason], 1);
    text_reset(&d.deaths);
    text_reset(&d.headers);
    text_reset(&d.properties);
    return err;
}
