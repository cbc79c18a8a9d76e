/*
 * The control socket, data.dir/control: administration by the client commands of the same machine
 * and user. A request is one line of JSON, an answer too, in order:
 *
 *   {"command": "api", "method": "PUT", "path": "/api/vhosts/shop", "body": {...}, "reason": "..."}
 *   {"ok": true, "result": {"status": 201, "body": ...}}
 *   {"command": "health"}
 *   {"ok": false, "error": "not supported", "text": "unknown command helth"}
 *
 * "api" is the management API (manage/manage.h), body and reason (the header X-Reason) may be missing;
 * a status of 400 or above is an answer, no error. health, metrics, config.show and stop are about the
 * server itself; memory.watermark.set and disk.reserve.set take {"bytes": N} or {"fraction": F} of the
 * machine's memory, until the next start. `error` is err_name(). Whoever may open the socket (mode 0600) may do everything.
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
