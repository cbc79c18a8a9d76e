#include "broker/exchange.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/core_internal.h"
#include "broker/delays.h"
#include "broker/exchange_internal.h"
#include "broker/policy_internal.h"
#include "broker/queue_internal.h"
#include "wire/amqp_table.h"

/* What every vhost has from its beginning. */
static const struct {
    const char *name;
    enum exchange_kind kind;
    bool internal;
} predeclared[] = {
    {"", EXCHANGE_DIRECT, false},
    {"amq.direct", EXCHANGE_DIRECT, false},
    {"amq.fanout", EXCHANGE_FANOUT, false},
    {"amq.topic", EXCHANGE_TOPIC, false},
    {"amq.headers", EXCHANGE_HEADERS, false},
    {"amq.match", EXCHANGE_HEADERS, false},
    {"amq.rabbitmq.trace", EXCHANGE_TOPIC, true},
};

const char *exchange_kind_name(enum exchange_kind kind)
{
    return exchange_type(kind)->name;
}

bool exchange_kind_parse(struct bytes name, enum exchange_kind *out)
{
    for (int kind = 0; kind < EXCHANGE_KINDS; kind++) {
        *out = (enum exchange_kind)kind;
        if (bytes_equal_string(name, exchange_kind_name(*out)))
            return true;
    }
    return false;
}

/* ---- exchanges ---- */

struct exchange *exchange_walk_next(struct core *core, struct exchange_walk *walk)
{
    size_t at_vhost = walk->at_vhost;
    struct vhost *vhost;
    while ((vhost = map_next(&core->internal->vhosts, &at_vhost))) {
        struct exchange *exchange = map_next(&vhost->exchanges, &walk->at_exchange);
        if (exchange)
            return exchange;
        *walk = (struct exchange_walk){.at_vhost = at_vhost};
    }
    return NULL;
}

struct exchange *exchange_find(struct vhost *vhost, struct bytes name)
{
    return map_get(&vhost->exchanges, name);
}

/* The argument wins (RabbitMQ). */
void exchange_policies_changed(struct exchange *x)
{
    struct amqp_value v;
    bool found = amqp_table_find(x->arguments, "alternate-exchange", &v) ||
                 policy_value(exchange_policies(x), "alternate-exchange", &v);
    x->internal_state->alternate = found ? v.bytes : BYTES_NULL;
    x->vhost->core->internal->topology++;
}

/* In memory only. */
static struct exchange *exchange_new(struct vhost *vhost, const struct exchange_spec *spec)
{
    check(!exchange_find(vhost, spec->name));
    struct exchange *x = xzalloc(sizeof *x);
    x->internal_state = xzalloc(sizeof *x->internal_state);
    x->internal_state->exchange = x;
    list_init(&x->internal_state->bindings);
    list_init(&x->internal_state->incoming);
    x->name = bytes_dup(spec->name);
    x->vhost = vhost;
    x->kind = spec->kind;
    x->matching = spec->kind == EXCHANGE_DELAYED ? delays_matching(spec->arguments) : spec->kind;
    x->durable = spec->durable;
    x->auto_delete = spec->auto_delete;
    x->internal = spec->internal;
    x->arguments = bytes_dup(spec->arguments);
    if (x->name.size) /* nobody changes the default exchange */
        policies_add_exchange(x);
    exchange_policies_changed(x); /* and it may be somebody's alternate */
    map_put(&vhost->exchanges, x->name, x);
    return x;
}

static void exchange_free(struct exchange *x)
{
    if (x->internal_state->delays)
        queue_unref(x->internal_state->delays);
    history_reset(&x->internal_state->history);
    map_reset(&x->internal_state->by_identity);
    counters_free(x->internal_state->counters);
    policies_remove_exchange(x);
    bytes_free(x->name);
    bytes_free(x->arguments);
    free(x->internal_state);
    free(x);
}

struct exchange *exchange_restore(struct vhost *vhost, const struct exchange_spec *spec,
                                  uint64_t delays_log_id)
{
    struct exchange *x = exchange_new(vhost, spec);
    if (x->kind == EXCHANGE_DELAYED)
        x->internal_state->delays = queue_new_delays(x, delays_log_id);
    return x;
}

enum err exchange_check(const struct exchange_spec *spec)
{
    struct amqp_value alternate;
    if (amqp_table_find(spec->arguments, "alternate-exchange", &alternate) && alternate.tag != 'S')
        return err_set(E_INVALID, "alternate-exchange is not a string");
    const struct exchange_type *type = exchange_type(spec->kind);
    return type->check_arguments ? type->check_arguments(spec->arguments) : OK;
}

struct exchange *exchange_create(struct vhost *vhost, const struct exchange_spec *spec)
{
    struct exchange *x = exchange_new(vhost, spec);
    if (x->kind == EXCHANGE_DELAYED) {
        x->internal_state->delays = queue_new_delays(x, queue_new_log_id(vhost->core, x->durable));
        queue_attach(x->internal_state->delays);
    }
    if (x->durable)
        catalog_put(vhost->core, &x->internal_state->entry, CATALOG_EXCHANGE);
    return x;
}

void exchange_count(struct exchange *x, size_t queue_count)
{
    counters_add(&x->internal_state->counters, COUNTER_publish_in, 1);
    x->internal_state->counters->count[COUNTER_publish_out] += queue_count;
    metrics_add(METRIC_messages_received, 1);
    metrics_add(METRIC_messages_routed, queue_count);
}

struct counters *exchange_counters(const struct exchange *x)
{
    return x->internal_state->counters;
}

uint64_t exchange_delayed_count(const struct exchange *x)
{
    return x->internal_state->delays ? queue_ready_count(x->internal_state->delays) : 0;
}

bool exchange_has_bindings(const struct exchange *x)
{
    return !list_is_empty(&x->internal_state->bindings);
}

bool exchange_is_unwanted(const struct exchange *x)
{
    return x->auto_delete && !exchange_has_bindings(x);
}

/* Sources that lose their last binding with it go too if they are auto-delete, and so on up. */
void exchange_delete(struct exchange *x)
{
    struct exchange_internal *in = x->internal_state;
    if (in->doomed)
        return;
    VEC(struct exchange *) doomed = {0};
    in->doomed = true;
    vec_push(&doomed, x);
    while (doomed.count > 0) {
        x = vec_pop(&doomed);
        in = x->internal_state;
        while (!list_is_empty(&in->bindings))
            binding_drop(container_of(in->bindings.next, struct binding, of_exchange));
        while (!list_is_empty(&in->incoming)) {
            struct exchange *source =
                binding_drop(container_of(in->incoming.next, struct binding, of_destination));
            if (exchange_is_unwanted(source) && !source->internal_state->doomed) {
                source->internal_state->doomed = true;
                vec_push(&doomed, source);
            }
        }
        catalog_remove(x->vhost->core, &in->entry);
        if (in->delays)
            queue_delete_delays(in->delays);
        in->delays = NULL;
        map_remove(&x->vhost->exchanges, x->name);
        x->vhost->core->internal->topology++;
        exchange_free(x);
    }
    vec_reset(&doomed);
}

static void each_delays(struct core *core, void (*each)(struct queue *delays))
{
    size_t at_vhost = 0;
    struct vhost *vhost;
    while ((vhost = map_next(&core->internal->vhosts, &at_vhost))) {
        size_t position = 0;
        struct exchange *x;
        while ((x = map_next(&vhost->exchanges, &position)))
            if (x->internal_state->delays)
                each(x->internal_state->delays);
    }
}

void exchanges_attach(struct core *core)
{
    each_delays(core, queue_attach);
}

void exchanges_let_go(struct core *core)
{
    each_delays(core, queue_let_go);
}

/* ---- of a vhost ---- */

void exchanges_predeclare(struct vhost *vhost)
{
    for (size_t i = 0; i < sizeof predeclared / sizeof *predeclared; i++) {
        struct exchange_spec spec = {
            .name = bytes_from_string(predeclared[i].name),
            .kind = predeclared[i].kind,
            .durable = true,
            .internal = predeclared[i].internal,
        };
        exchange_new(vhost, &spec);
    }
}

void exchanges_free(struct vhost *vhost)
{
    size_t position = 0;
    struct exchange *x;
    while ((x = map_next(&vhost->exchanges, &position)))
        bindings_free(x);
    for (position = 0; (x = map_next(&vhost->exchanges, &position));)
        exchange_free(x);
    map_reset(&vhost->exchanges);
}
