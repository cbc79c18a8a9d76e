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
    struct input_list requests;        /* those that wait for their turn; the first is under way */
    struct manage_call *api;           /* what it waits for, or NULL */
    bool api_is_starting, api_is_done; /* it may be answered before its start has returned */
};

/* One request's run. */
struct control_call {
    struct server *server;
    const json_t *request;
    json_t *result;          /* out: the answer, a new reference */
    struct manage_call *api; /* out: to be started instead, and its answer is the result */
};

struct control_command {
    const char *name;
    enum err (*run)(struct control_call *call);
};

/* NULL: unknown. */
const struct control_command *control_command_find(const char *name);

#endif
