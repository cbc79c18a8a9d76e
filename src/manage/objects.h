/*
 * What the handlers of a vhost's objects share: how the errors of declares are told, on whose behalf
 * a call acts, names in paths, arguments in bodies, and `message_stats`.
 */
#ifndef MANAGE_OBJECTS_H
#define MANAGE_OBJECTS_H

#include "broker/counters.h"
#include "broker/declare.h"
#include "broker/session.h"
#include "manage/json.h"
#include "manage/manage.h"

/* A management user owns nothing that is exclusive. */
struct declarer objects_declarer(const struct manage_call *call);
/* The end of a call whose declare failed, as RabbitMQ words it. */
void objects_fail(struct manage_call *call, enum err err);
/* 400 with a pair for a reason: ["unknown", "sync"]. */
void objects_fail_pair(struct manage_call *call, const char *what, json_t *value);
/* 400 "[{key_missing,count}]" unless the body has all of these, up to a NULL; false then. */
bool objects_body_has_all(struct manage_call *call, const char *const *names);

/* The exchange of the path; "amq.default" is the one without a name. */
struct bytes objects_exchange_name(const struct manage_call *call, const char *param);
/* The body's `arguments` as a field table, appended; an empty array counts as none. */
must_use enum err objects_body_arguments(const struct manage_call *call, struct text *out);

/* ---- message_stats ---- */

enum { STATS_READY = COUNTERS, STATS_UNACKED, STATS };

/* Counters with their rates; a queue's lengths are beside them. */
struct stats {
    bool is_there;     /* false: nothing has happened, all is 0 */
    int64_t sample_ms; /* of the one sample that is shown; 0: none is asked for */
    uint64_t value[STATS];
    double rate[STATS];
};
/* `counters` may be NULL. Takes a sample for the rates to come. */
void stats_take(struct counters *counters, uint64_t ready, uint64_t unacked, int64_t now_ms,
                struct stats *out);
/* Put the counters [from, to) and their rates into an object, `deliver_get` too; with none that is
 * 0 when `is_sparse`. */
void stats_put(const struct stats *stats, enum counter from, enum counter to, bool is_sparse,
               json_t *out);
/* "<name>": n, "<name>_details": {"rate": x}; with a sample also {"samples": [...]}. */
void stats_put_one(json_t *out, const char *name, uint64_t value, double rate, int64_t sample_ms);
/* Does the query ask for samples: "lengths", "msg_rates" with an age? Then the time of the sample that
 * there is, which is of now; otherwise 0. */
int64_t stats_sample_ms(const struct manage_call *call, const char *of);
/* message_stats of all that happened in a vhost; NULL: nothing has. */
json_t *stats_of_vhost(const struct manage_call *call, struct vhost *vhost);

/* ---- parts of other objects ---- */

void objects_put(json_t *object, const char *name, struct bytes value);
void objects_put_count(json_t *object, const char *name, uint64_t value);
struct bytes objects_user(const struct session *session); /* empty before log-in */
/* {"name", "peer_host", "peer_port"} */
json_t *objects_connection(const struct session *session);
json_t *objects_consumer(const struct manage_call *call, const struct consumer_description *d);
/* "2024-11-21T09:46:32.123+00:00" */
json_t *objects_time(int64_t wall_ms);
/* What RabbitMQ tells of its own processes: there, and without a meaning here. */
void objects_put_process(json_t *object);

#endif
