/* The control socket's sessions and the table of their commands. */
#ifndef SERVER_CONTROL_INTERNAL_H
#define SERVER_CONTROL_INTERNAL_H

#include <jansson.h>

#include "broker/core.h"
#include "io/link.h"
#include "manage/manage.h"
#include "server/server.h"

struct control_session {
    struct link *link;
    struct server *server;
    struct input_list requests; /* those that wait for their turn; the first may be under way */
    struct wait wait;           /* of the one that is under way */
    json_t *result;             /* its answer, when the wait is over */
    bool is_waiting;
    bool is_second;                    /* the one that waits is to be run again */
    struct manage_call *api;           /* under way instead */
    bool api_is_starting, api_is_done; /* it may be answered before its start has returned */
};

/* One request's run. */
struct control_call {
    struct server *server;
    const json_t *request;
    json_t *result;          /* out: the answer, a new reference */
    struct ticket ticket;    /* out: answer when this is durable; what counts or changes sets it */
    bool is_again;           /* out: no answer yet, run again when `ticket` is done */
    bool is_second;          /* it is the run that was asked for by is_again */
    struct manage_call *api; /* out: to be started instead, and its answer is the result */
};

struct control_command {
    const char *name;
    enum err (*run)(struct control_call *call);
};

/* NULL: unknown. */
const struct control_command *control_command_find(const char *name);

#endif
