#include "manage/objects.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "io/link.h"

struct declarer objects_declarer(const struct manage_call *call)
{
    return (struct declarer){.user = call->user};
}

/* ---- errors ---- */

void objects_fail(struct manage_call *call, enum err err)
{
    if (err == E_NOT_FOUND)
        manage_fail_as(call, 404, "not_found", err_text());
    else if (err == E_REFUSED)
        manage_fail_as(call, 401, "not_authorised", "Access refused.");
    else
        manage_fail(call, err);
}

void objects_fail_pair(struct manage_call *call, const char *what, json_t *value)
{
    json_t *body = json_object();

    json_object_set_new(body, "error", json_string("bad_request"));
    json_object_set_new(body, "reason", json_pack("[s, O]", what, value));
    manage_answer(call, 400, body);
}

bool objects_body_has_all(struct manage_call *call, const char *const *names)
{
    for (; *names; names++) {
        char reason[80];
        if (manage_body_has(call, *names))
            continue;
        snprintf(reason, sizeof reason, "[{key_missing,%s}]", *names);
        manage_fail_as(call, 400, "bad_request", reason);
        return false;
    }
    return true;
}

/* ---- what the request says ---- */

struct bytes objects_exchange_name(const struct manage_call *call, const char *param)
{
    struct bytes name = manage_param(call, param);

    return bytes_equal_string(name, "amq.default") ? bytes_of("", 0) : name;
}

enum err objects_body_arguments(const struct manage_call *call, struct text *out)
{
    const json_t *arguments = json_object_get(call->body, "arguments");

    if (!arguments || json_is_null(arguments) ||
        (json_is_array(arguments) && json_array_size(arguments) == 0))
        return OK;
    if (!json_is_object(arguments))
        return err_set(E_INVALID, "arguments must be an object");
    return manage_table_from_json(arguments, out);
}

/* ---- message_stats ---- */

void stats_take(struct counters *counters, uint64_t ready, uint64_t unacked, int64_t now_ms,
                struct stats *out)
{
    *out = (struct stats){.is_there = counters != NULL};
    if (counters) {
        memcpy(out->value, counters->count, sizeof counters->count);
        out->value[STATS_READY] = ready;
        out->value[STATS_UNACKED] = unacked;
        rates_ask(&counters->rates, out->value, STATS, now_ms, out->rate);
    }
    out->value[STATS_READY] = ready;
    out->value[STATS_UNACKED] = unacked;
}

int64_t stats_sample_ms(const struct manage_call *call, const char *of)
{
    char age[32];

    snprintf(age, sizeof age, "%s_age", of);
    return manage_query(call, age) ? call->core->wall_ms : 0;
}

void stats_put_one(json_t *out, const char *name, uint64_t value, double rate, int64_t sample_ms)
{
    char name_of_details[64];
    json_t *details = manage_json_rate(rate);

    if (sample_ms) {
        json_object_set_new(details, "samples",
                            json_pack("[{s:I, s:I}]", "sample", (json_int_t)value, "timestamp",
                                      (json_int_t)sample_ms));
        json_object_set_new(details, "avg_rate", json_real(rate));
        json_object_set_new(details, "avg", json_real((double)value));
    }
    snprintf(name_of_details, sizeof name_of_details, "%s_details", name);
    json_object_set_new(out, name, manage_json_count(value));
    json_object_set_new(out, name_of_details, details);
}

void stats_put(const struct stats *stats, enum counter from, enum counter to, bool is_sparse,
               json_t *out)
{
    static const enum counter handed[] = {COUNTER_deliver, COUNTER_deliver_no_ack, COUNTER_get,
                                          COUNTER_get_no_ack};
    uint64_t count = 0;
    double rate = 0;

    for (enum counter c = from; c < to; c++)
        if (!is_sparse || stats->value[c])
            stats_put_one(out, counter_name(c), stats->value[c], stats->rate[c], stats->sample_ms);
    if (from > COUNTER_deliver || to <= COUNTER_get_no_ack)
        return;
    for (size_t i = 0; i < sizeof handed / sizeof *handed; i++) {
        count += stats->value[handed[i]];
        rate += stats->rate[handed[i]];
    }
    stats_put_one(out, "deliver_get", count, rate, stats->sample_ms);
}

struct gathering {
    const struct vhost *vhost;
    struct counters *sum;
};

static void gather_channel(void *ctx, const struct channel_description *d)
{
    struct gathering *g = ctx;
    counters_add_all(&g->sum, d->counters);
}

static void gather_session(void *ctx, struct session *session)
{
    const struct gathering *g = ctx;

    if (session->vhost && bytes_equal_string(g->vhost->name, session->vhost))
        session_each_channel(session, gather_channel, ctx);
}

json_t *stats_of_vhost(const struct manage_call *call, struct vhost *vhost)
{
    struct gathering g = {.vhost = vhost};
    struct stats stats;

    session_each(call->core, gather_session, &g);
    if (!g.sum && !vhost->counters)
        return NULL;
    counters_add_all(&g.sum, vhost->counters);
    if (!vhost->counters)
        vhost->counters = counters_new();
    g.sum->rates = vhost->counters->rates; /* samples of the sum */
    stats_take(g.sum, 0, 0, call->core->wall_ms, &stats);
    vhost->counters->rates = g.sum->rates;
    g.sum->rates = NULL;
    counters_free(g.sum);
    json_t *json = json_object();
    stats_put(&stats, COUNTER_publish, COUNTER_publish_in, false, json);
    return json;
}

/* ---- parts of other objects ---- */

void objects_put(json_t *object, const char *name, struct bytes value)
{
    json_object_set_new(object, name, manage_json(value));
}

void objects_put_count(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, manage_json_count(value));
}

struct bytes objects_user(const struct session *session)
{
    return session->user ? bytes_from_string(session->user) : bytes_of("", 0);
}

json_t *objects_connection(const struct session *session)
{
    char name[SESSION_NAME_MAX];

    session_put_name(session, name);
    return json_pack("{s:s, s:s, s:i}", "name", name, "peer_host", session->link->peer.host,
                     "peer_port", (int)session->link->peer.port);
}

static json_t *channel_of(const struct manage_call *call, const struct consumer_description *d)
{
    char connection[SESSION_NAME_MAX], name[SESSION_NAME_MAX + 16];
    json_t *json = json_object();

    session_put_name(d->session, connection);
    snprintf(name, sizeof name, "%s (%u)", connection, (unsigned)d->channel);
    json_object_set_new(json, "connection_name", json_string(connection));
    json_object_set_new(json, "name", json_string(name));
    json_object_set_new(json, "node", json_string(manage_config(call->manage)->node));
    objects_put_count(json, "number", d->channel);
    json_object_set_new(json, "peer_host", json_string(d->session->link->peer.host));
    objects_put_count(json, "peer_port", d->session->link->peer.port);
    objects_put(json, "user", objects_user(d->session));
    return json;
}

json_t *objects_consumer(const struct manage_call *call, const struct consumer_description *d)
{
    const char *status = "up";
    json_t *json = json_object(), *queue = json_object();

    if (queue_is_single_active(d->queue))
        status = d->is_active ? "single_active" : "waiting";
    objects_put(queue, "name", d->queue->name);
    objects_put(queue, "vhost", d->queue->vhost->name);
    json_object_set_new(json, "queue", queue);
    objects_put(json, "consumer_tag", d->tag);
    json_object_set_new(json, "channel_details", channel_of(call, d));
    json_object_set_new(json, "ack_required", json_boolean(d->acks));
    json_object_set_new(json, "active", json_boolean(d->is_active));
    json_object_set_new(json, "activity_status", json_string(status));
    json_object_set_new(json, "arguments", manage_json_table(d->arguments));
    json_object_set_new(json, "exclusive", json_boolean(d->is_exclusive));
    objects_put_count(json, "prefetch_count", d->prefetch);
    json_object_set_new(
        json, "consumer_timeout",
        json_integer(d->timeout_ms >= 0 ? d->timeout_ms : queue_consumer_timeout_ms(d->queue)));
    return json;
}

json_t *objects_time(int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm t;
    char text[48];

    check(gmtime_r(&seconds, &t));
    size_t size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(text + size, sizeof text - size, ".%03d+00:00", (int)(wall_ms % 1000));
    return json_string(text);
}

void objects_put_process(json_t *object)
{
    stats_put_one(object, "reductions", 0, 0, 0);
    json_object_set_new(object, "garbage_collection",
                        json_pack("{s:i, s:i, s:i, s:i, s:i}", "fullsweep_after", -1,
                                  "max_heap_size", -1, "min_bin_vheap_size", -1, "min_heap_size",
                                  -1, "minor_gcs", -1));
}
