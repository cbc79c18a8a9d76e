/* What the router keeps of a call, and what the files of this folder share. */
#ifndef MANAGE_CALL_INTERNAL_H
#define MANAGE_CALL_INTERNAL_H

#include "broker/rates.h"
#include "manage/facts.h"
#include "manage/manage.h"

struct counting;

struct manage {
    struct manage_config config;
    struct facts facts;
    int64_t facts_ms; /* when they were read; 0: never */
    struct manage_facts_job *facts_job;
    struct rates *rates, *node_rates; /* of the whole broker */
};

struct manage_call_internal {
    struct manage_call *call;
    struct bytes segments[MANAGE_SEGMENTS_MAX]; /* of the path, decoded, with a NUL behind */
    size_t segment_count;
    bool below_api;              /* "/api" was in front of the segments */
    bool is_options, is_known;   /* a method that we have */
    bool is_not_json;            /* the body: 400, where that matters */
    const char *broken;          /* what is wrong with the request: 400 */
    struct bytes user, password; /* as given */
    bool has_login, peer_is_loopback, is_trusted;

    const struct manage_route *route;
    manage_handler *next; /* to be run by `wait` or `deferred` */
    struct wait wait;
    struct deferred deferred;
    bool is_waiting, is_answered;
    bool sees_all;             /* of what is counted, although nobody has logged in */
    struct counting *counting; /* totals_gather() */
    void (*done)(struct manage_call *call, void *ctx);
    void *ctx;
};

/* The route of a call; NULL: none. `*out_methods` has a bit for each method that the path takes. */
const struct manage_route *manage_find_route(const struct manage_call *call, unsigned *out_methods);

/* What may be done with the route, by the user as he is now: sets call->user and call->vhost, or
 * answers and returns false. */
bool manage_check_right(struct manage_call *call);

/* Forget the answer: something came between. */
void manage_answer_drop(struct manage_call *call);

/* "a=b&c=d" into an object of strings. False: malformed. */
bool manage_parse_form(struct manage_call *call, struct bytes form, json_t *out);
/* The user with this name and password, or NULL and the call is answered. */
const struct user *manage_log_in(struct manage_call *call, struct bytes name,
                                 struct bytes password);

#endif
