/* Numbers of single queues, exchanges, channels, connections and vhosts for Prometheus. */
#include "manage/scrape.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "broker/counters.h"
#include "broker/exchange.h"
#include "broker/pattern.h"
#include "broker/queue.h"
#include "broker/session.h"
#include "broker/vhost.h"
#include "io/link.h"
#include "manage/exposition.h"

enum { SLICE_OBJECTS = 200, SLICE_SEARCHES = 50 };

/* ---- the table of families ---- */

enum kind { OF_QUEUE, OF_EXCHANGE, OF_CHANNEL, OF_CONNECTION, OF_VHOST };

struct family {
    enum kind kind;
    const char *group; /* as /metrics/detailed calls it */
    const char *name, *help;
    double (*value)(const void *object); /* NULL: a counter, below */
    enum counter counter;
};

static double queue_ready(const void *object)
{
    return (double)queue_ready_count(object);
}

static double queue_unacked(const void *object)
{
    return (double)queue_unacked_count(object);
}

static double queue_messages(const void *object)
{
    return queue_ready(object) + queue_unacked(object);
}

static double queue_consumers(const void *object)
{
    return (double)((const struct queue *)object)->consumer_count;
}

static double queue_bytes(const void *object)
{
    return (double)log_size_bytes(((const struct queue *)object)->log);
}

static double channel_consumers(const void *object)
{
    return (double)((const struct channel_description *)object)->consumer_count;
}

static double channel_unacked(const void *object)
{
    return (double)((const struct channel_description *)object)->unacked;
}

static double channel_unconfirmed(const void *object)
{
    return (double)((const struct channel_description *)object)->unconfirmed;
}

static double channel_prefetch(const void *object)
{
    return ((const struct channel_description *)object)->prefetch;
}

static double connection_in(const void *object)
{
    return (double)((const struct session *)object)->link->bytes_in;
}

static double connection_out(const void *object)
{
    return (double)((const struct session *)object)->link->bytes_out;
}

static double connection_channels(const void *object)
{
    struct session_description description;

    session_describe(object, &description);
    return (double)description.channel_count;
}

static double one(const void *object)
{
    (void)object;
    return 1;
}

#define GAUGE(kind, group, name, help, value)                                                      \
    {                                                                                              \
        kind, group, name, help, value, COUNTERS                                                   \
    }
#define COUNTER(kind, group, name, help, counter)                                                  \
    {                                                                                              \
        kind, group, name, help, NULL, COUNTER_##counter                                           \
    }

static const struct family families[] = {
    GAUGE(OF_QUEUE, "queue_coarse_metrics", "queue_messages_ready", "Messages to be delivered",
          queue_ready),
    GAUGE(OF_QUEUE, "queue_coarse_metrics", "queue_messages_unacked",
          "Messages delivered and not acked yet", queue_unacked),
    GAUGE(OF_QUEUE, "queue_coarse_metrics", "queue_messages", "Messages of the queue",
          queue_messages),
    GAUGE(OF_QUEUE, "queue_consumer_count", "queue_consumers", "Consumers of the queue",
          queue_consumers),
    GAUGE(OF_QUEUE, "queue_metrics", "queue_messages_bytes", "Bytes of the queue's log",
          queue_bytes),
    COUNTER(OF_QUEUE, "queue_metrics", "queue_messages_published_total",
            "Messages given to the queue", publish),
    COUNTER(OF_QUEUE, "queue_delivery_metrics", "queue_get_ack_total",
            "Messages fetched with basic.get, to be acked", get),
    COUNTER(OF_QUEUE, "queue_delivery_metrics", "queue_get_total",
            "Messages fetched with basic.get, not to be acked", get_no_ack),
    COUNTER(OF_QUEUE, "queue_delivery_metrics", "queue_get_empty_total",
            "Calls of basic.get that found nothing", get_empty),
    COUNTER(OF_QUEUE, "queue_delivery_metrics", "queue_messages_delivered_ack_total",
            "Messages delivered, to be acked", deliver),
    COUNTER(OF_QUEUE, "queue_delivery_metrics", "queue_messages_delivered_total",
            "Messages delivered, not to be acked", deliver_no_ack),
    COUNTER(OF_QUEUE, "queue_delivery_metrics", "queue_messages_redelivered_total",
            "Messages delivered again", redeliver),
    COUNTER(OF_QUEUE, "queue_delivery_metrics", "queue_messages_acked_total", "Messages acked",
            ack),
    COUNTER(OF_EXCHANGE, "exchange_metrics", "exchange_messages_published_total",
            "Messages that came to the exchange", publish_in),
    COUNTER(OF_EXCHANGE, "exchange_metrics", "exchange_messages_routed_total",
            "Queues that they went to", publish_out),
    GAUGE(OF_CHANNEL, "channel_metrics", "channel_consumers", "Consumers of the channel",
          channel_consumers),
    GAUGE(OF_CHANNEL, "channel_metrics", "channel_messages_unacked",
          "Messages delivered on the channel and not acked yet", channel_unacked),
    GAUGE(OF_CHANNEL, "channel_metrics", "channel_messages_unconfirmed",
          "Messages published on the channel and not confirmed yet", channel_unconfirmed),
    GAUGE(OF_CHANNEL, "channel_metrics", "channel_prefetch", "Prefetch of new consumers",
          channel_prefetch),
    COUNTER(OF_CHANNEL, "channel_exchange_metrics", "channel_messages_published_total",
            "Messages published on the channel", publish),
    COUNTER(OF_CHANNEL, "channel_exchange_metrics", "channel_messages_confirmed_total",
            "Messages confirmed on the channel", confirm),
    COUNTER(OF_CHANNEL, "channel_exchange_metrics", "channel_messages_unroutable_returned_total",
            "Messages returned on the channel", return_unroutable),
    COUNTER(OF_CHANNEL, "channel_exchange_metrics", "channel_messages_unroutable_dropped_total",
            "Messages of the channel that were thrown away", drop_unroutable),
    GAUGE(OF_CONNECTION, "connection_coarse_metrics", "connection_incoming_bytes_total",
          "Bytes received", connection_in),
    GAUGE(OF_CONNECTION, "connection_coarse_metrics", "connection_outgoing_bytes_total",
          "Bytes sent", connection_out),
    GAUGE(OF_CONNECTION, "connection_metrics", "connection_channels", "Channels of the connection",
          connection_channels),
    GAUGE(OF_VHOST, "vhost_status", "cluster_vhost_status", "1: the vhost is there", one),
};

enum { FAMILIES = sizeof families / sizeof families[0] };

/* ---- one scrape ---- */

struct scrape {
    const char *prefix;
    bool wanted[FAMILIES];
    const char *vhosts;        /* only these, separated by commas; NULL: all */
    struct pattern queue_name; /* only queues that match; of kind PATTERN_NOTHING: all */
    struct text out;
    struct text lines[FAMILIES];
    int finished; /* so many are in `out` */
    struct queue_walk queues;
    struct exchange_walk exchanges;
    VEC(uint64_t) sessions; /* their links' ids */
};

static void scrape_free(void *state)
{
    struct scrape *s = state;

    for (int i = 0; i < FAMILIES; i++)
        text_reset(&s->lines[i]);
    text_reset(&s->out);
    pattern_reset(&s->queue_name);
    vec_reset(&s->sessions);
    free(s);
}

static struct scrape *scrape_new(struct manage_call *call, const char *prefix)
{
    struct scrape *s = xzalloc(sizeof *s);

    s->prefix = prefix;
    call->state = s;
    call->free_state = scrape_free;
    return s;
}

/* Is `word` one of those that `list` has between commas? */
static bool is_listed(const char *list, struct bytes word)
{
    while (list && *list) {
        const char *end = strchrnul(list, ',');
        if (bytes_equal(bytes_of(list, (size_t)(end - list)), word))
            return true;
        list = *end ? end + 1 : end;
    }
    return false;
}

static bool wants_vhost(const struct scrape *s, const struct vhost *vhost)
{
    return !s->vhosts || (vhost && is_listed(s->vhosts, vhost->name));
}

static bool wants_kind(const struct scrape *s, enum kind kind)
{
    for (int i = 0; i < FAMILIES; i++)
        if (families[i].kind == kind && s->wanted[i])
            return true;
    return false;
}

/* Vhosts are of the cluster, whatever is asked. */
static const char *prefix_of(const struct scrape *s, const struct family *f)
{
    return f->kind == OF_VHOST ? "rabbitmq_" : s->prefix;
}

/* A line in each wanted family of the kind. Takes the labels. What is not counted has no line. */
static void put_lines(struct scrape *s, enum kind kind, const void *object,
                      const struct counters *counters, struct text *labels)
{
    for (int i = 0; i < FAMILIES; i++) {
        const struct family *f = &families[i];
        if (f->kind != kind || !s->wanted[i] || (!f->value && !counters))
            continue;
        exposition_line(&s->lines[i], prefix_of(s, f), f->name, text_string(labels),
                        f->value ? f->value(object) : (double)counters->count[f->counter]);
    }
    text_reset(labels);
}

/* ---- objects ---- */

/* Whoever asks is not known: what takes too long is refused. */
static enum err put_queue(struct scrape *s, const struct queue *queue)
{
    struct text labels = {0};
    bool found = true;

    if (!wants_vhost(s, queue->vhost))
        return OK;
    enum err err = s->queue_name.kind == PATTERN_NOTHING
                       ? OK
                       : pattern_search(&s->queue_name, queue->name, &found);
    if (err || !found)
        return err;
    exposition_label(&labels, "vhost", queue->vhost->name);
    exposition_label(&labels, "queue", queue->name);
    put_lines(s, OF_QUEUE, queue, queue_counters(queue), &labels);
    return OK;
}

static void put_exchange(struct scrape *s, const struct exchange *exchange)
{
    struct text labels = {0};

    if (!wants_vhost(s, exchange->vhost))
        return;
    exposition_label(&labels, "vhost", exchange->vhost->name);
    exposition_label(&labels, "exchange", exchange->name);
    put_lines(s, OF_EXCHANGE, exchange, exchange_counters(exchange), &labels);
}

static void put_channel(void *ctx, const struct channel_description *channel)
{
    struct text labels = {0};
    char connection[SESSION_NAME_MAX], name[SESSION_NAME_MAX + 16];

    session_put_name(channel->session, connection);
    snprintf(name, sizeof name, "%s (%u)", connection, (unsigned)channel->number);
    exposition_label(&labels, "channel", bytes_from_string(name));
    put_lines(ctx, OF_CHANNEL, channel, channel->counters, &labels);
}

static void put_session(struct scrape *s, struct session *session)
{
    struct text labels = {0};
    char name[SESSION_NAME_MAX];

    if (!wants_vhost(s, session->place))
        return;
    session_put_name(session, name);
    exposition_label(&labels, "connection", bytes_from_string(name));
    put_lines(s, OF_CONNECTION, session, NULL, &labels);
    if (wants_kind(s, OF_CHANNEL))
        session_each_channel(session, put_channel, s);
}

static void put_vhost(void *ctx, struct vhost *vhost)
{
    struct scrape *s = ctx;
    struct text labels = {0};

    if (!wants_vhost(s, vhost))
        return;
    exposition_label(&labels, "vhost", vhost->name);
    put_lines(s, OF_VHOST, vhost, NULL, &labels);
}

/* ---- over many turns ---- */

static bool is_counter_name(const char *name)
{
    size_t size = strlen(name);

    return size > 6 && strcmp(name + size - 6, "_total") == 0;
}

/* Put the families together: one in each turn, they may be megabytes. */
static void finish(struct manage_call *call)
{
    struct scrape *s = call->state;
    const struct family *f = &families[s->finished];
    struct text *lines = &s->lines[s->finished];

    if (lines->size) {
        exposition_head(&s->out, prefix_of(s, f), f->name, is_counter_name(f->name), f->help);
        text_append(&s->out, text_bytes(lines));
        text_reset(lines);
    }
    if (++s->finished < FAMILIES)
        manage_yield(call, finish);
    else
        manage_answer_text(call, 200, EXPOSITION_TYPE, &s->out);
}

static void put_exchanges(struct manage_call *call)
{
    struct scrape *s = call->state;
    struct exchange *exchange = NULL;

    for (int i = 0; i < SLICE_OBJECTS && (exchange = exchange_walk_next(call->core, &s->exchanges));
         i++)
        put_exchange(s, exchange);
    if (exchange)
        manage_yield(call, put_exchanges);
    else
        finish(call);
}

static void put_queues(struct manage_call *call)
{
    struct scrape *s = call->state;
    struct queue *queue = NULL;
    int count = s->queue_name.kind == PATTERN_REGEX ? SLICE_SEARCHES : SLICE_OBJECTS;
    enum err err = OK;

    for (int i = 0; i < count && !err && (queue = queue_walk_next(call->core, &s->queues)); i++)
        err = put_queue(s, queue);
    if (err)
        manage_fail(call, err);
    else if (queue)
        manage_yield(call, put_queues);
    else if (wants_kind(s, OF_EXCHANGE))
        put_exchanges(call);
    else
        finish(call);
}

static void add_session(void *ctx, struct session *session)
{
    struct scrape *s = ctx;

    vec_push(&s->sessions, session->link->id);
}

static void put_sessions(struct manage_call *call)
{
    struct scrape *s = call->state;

    for (int i = 0; i < SLICE_OBJECTS && s->sessions.count; i++) {
        struct session *session = session_find(call->core, vec_pop(&s->sessions));
        if (session)
            put_session(s, session);
    }
    if (s->sessions.count)
        manage_yield(call, put_sessions);
    else if (wants_kind(s, OF_QUEUE))
        put_queues(call);
    else if (wants_kind(s, OF_EXCHANGE))
        put_exchanges(call);
    else
        finish(call);
}

static void start(struct manage_call *call)
{
    struct scrape *s = call->state;

    vhost_each(call->core, put_vhost, s);
    if (wants_kind(s, OF_CONNECTION) || wants_kind(s, OF_CHANNEL))
        session_each(call->core, add_session, s);
    put_sessions(call);
}

void scrape_objects(struct manage_call *call, struct text *out)
{
    struct scrape *s = scrape_new(call, "rabbitmq_");

    s->out = *out;
    *out = (struct text){0};
    memset(s->wanted, true, sizeof s->wanted);
    start(call);
}

void scrape_detailed(struct manage_call *call)
{
    struct scrape *s = scrape_new(call, "rabbitmq_detailed_");
    const char *groups = manage_query(call, "family"), *queue = manage_query(call, "queue");

    for (int i = 0; i < FAMILIES; i++)
        s->wanted[i] = is_listed(groups, bytes_from_string(families[i].group));
    s->vhosts = manage_query(call, "vhost");
    enum err err = queue ? pattern_init(&s->queue_name, bytes_from_string(queue)) : OK;
    if (err)
        manage_fail(call, err);
    else
        start(call);
}
