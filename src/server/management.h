/* The management API put together: what the server knows of itself, and the HTTP listeners. */
#ifndef SERVER_MANAGEMENT_H
#define SERVER_MANAGEMENT_H

#include "base/bytes.h"
#include "base/err.h"
#include "manage/manage.h"

struct server;
struct settings;

enum { MANAGEMENT_LISTENERS_MAX = 8 };

struct management {
    struct manage *manage;
    struct http *http, *metrics; /* NULL: not open */
    char node[320];
    struct manage_listener listeners[MANAGEMENT_LISTENERS_MAX]; /* of all protocols */
    size_t listener_count;
};

/* Call for each listener that has opened. */
void management_add_listener(struct management *m, const char *protocol, const char *address,
                             uint16_t port);
/* When the core is open and the other listeners too. Adds "http=HOST:PORT" to the ready line. */
must_use enum err management_open(struct server *s, const struct settings *settings,
                                  struct text *ready);
void management_dispatch(struct management *m); /* in each turn */
void management_stop_listening(struct management *m);
bool management_is_idle(const struct management *m);
void management_close(struct management *m); /* before the core; accepts a zeroed one */

#endif
