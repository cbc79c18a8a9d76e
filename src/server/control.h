/*
 * The control socket, data.dir/control: administration by the client commands of the same machine
 * and user. A request is one line of JSON, an answer too, in order:
 *
 *   {"command": "topic.create", "name": "orders", "partitions": 4}
 *   {"ok": true, "result": {"name": "orders"}}
 *   {"ok": false, "error": "not found", "text": "topic orders"}
 *
 * `error` is err_name(). Whoever may open the socket (mode 0600) may do everything.
 */
#ifndef SERVER_CONTROL_H
#define SERVER_CONTROL_H

#include "io/link.h"

struct server;

#define CONTROL_NAME "control"

struct control_listener {
    struct protocol protocol; /* first: a link's protocol leads to its listener */
    struct server *server;
};

/* For hub_listen(); must outlive the hub. */
void control_listener_init(struct control_listener *l, struct server *server);

#endif
