/*
 * Those who have not logged in share one small pool: only so many may wait at the door, each for
 * HANDSHAKE_MAX_S, with frames of 8 KiB at most. Who comes when it is full makes the one leave who
 * has waited longest, so strangers that hold connections open keep nobody out. In the core.
 */
#ifndef AMQP_DOOR_H
#define AMQP_DOOR_H

#include "amqp/connection.h"

enum { DOOR_CONNECTIONS_MAX = 1000 };

/* It has come. Returns who must leave for it, or NULL. */
struct connection *door_enter(struct connection *);
/* It has logged in, or goes; nothing if it has left already. */
void door_leave(struct connection *);

#endif
