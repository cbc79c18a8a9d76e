/*
 * Access: what a user may do to the things of a vhost.
 *
 * A permission is three patterns for one user in one vhost: configure (declare, delete), write
 * (publish to, bind to) and read (consume, purge, bind from). Without one the vhost is closed to
 * the user. A topic permission narrows the routing keys that may be published to, or bound to, one
 * exchange: without one all are good. In its patterns {username} and {vhost} stand for the names.
 * RabbitMQ: access control; both are catalog records.
 *
 * A change counts at once, also for what is open: all of them raise core_internal's access_version,
 * by which a session knows that its struct access is out of date. Lives in the core.
 */
#ifndef BROKER_ACCESS_H
#define BROKER_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/pattern.h"
#include "broker/user.h"
#include "broker/vhost.h"

enum access_right { ACCESS_CONFIGURE, ACCESS_WRITE, ACCESS_READ, ACCESS_RIGHTS };
enum access_kind { ACCESS_QUEUE, ACCESS_EXCHANGE };

/* ---- permissions ---- */

struct permission {
    struct user *user;
    struct vhost *vhost;
    struct pattern patterns[ACCESS_RIGHTS];
    struct list of_vhost;
    struct catalog_entry entry;
};

struct topic_permission {
    struct user *user;
    struct vhost *vhost;
    struct bytes exchange;      /* it need not be there */
    struct bytes write, read;   /* as given; owned */
    struct pattern patterns[2]; /* write, read, with the names put in */
    struct bytes key;           /* exchange in it; what the user's map is keyed by; owned */
    struct list of_vhost;
    struct catalog_entry entry;
};

struct permission *permission_find(const struct user *, const struct vhost *);
/* Creates or changes. E_INVALID: a pattern that is none; E_FROZEN, E_NO_SPACE. */
must_use enum err permission_put(struct user *, struct vhost *, struct bytes configure,
                                 struct bytes write, struct bytes read, bool *out_created);
must_use enum err permission_delete(struct permission *);

struct topic_permission *topic_permission_find(const struct user *, const struct vhost *,
                                               struct bytes exchange);
must_use enum err topic_permission_put(struct user *, struct vhost *, struct bytes exchange,
                                       struct bytes write, struct bytes read, bool *out_created);
must_use enum err topic_permission_delete(struct topic_permission *);

/* ---- asking; E_REFUSED with RabbitMQ's text. `user` NULL may do everything. ---- */

must_use enum err access_check_vhost(const struct user *, const struct vhost *);
must_use enum err access_check(const struct user *, const struct vhost *, enum access_right,
                               enum access_kind, struct bytes name);
/* Publish to (ACCESS_WRITE) or bind (ACCESS_READ) with this key; for topic exchanges only. */
must_use enum err access_check_topic(const struct user *, const struct vhost *, enum access_right,
                                     struct bytes exchange, struct bytes routing_key);

/* ---- a session's, asked for each message ---- */

/* What was found out, until something changes. One for each user and vhost: a connection's. */
enum { ACCESS_KNOWN = 8, ACCESS_KNOWN_MAX_BYTES = 54 };

struct access_known {
    uint8_t right, kind; /* enum access_right, enum access_kind */
    uint8_t size;        /* of the name; 0: nothing is known here */
    char name[ACCESS_KNOWN_MAX_BYTES];
};

struct access {
    const struct user *user; /* NULL: may do everything */
    const struct vhost *vhost;
    uint64_t version;
    bool all[ACCESS_RIGHTS];    /* the right to everything in the vhost */
    bool has_topic_permissions; /* the user, anywhere */
    struct access_known *known; /* allowed; the first is the last one asked for; NULL: none yet */
};

/* User and vhost outlive it. */
void access_init(struct access *, const struct user *, const struct vhost *);
void access_reset(struct access *); /* accepts a zeroed one */
/* As access_check(), but some ns when it has been asked before. */
must_use enum err access_ask(struct access *, enum access_right, enum access_kind,
                             struct bytes name);
/* As access_check_topic(). */
must_use enum err access_ask_topic(struct access *, enum access_right, struct bytes exchange,
                                   struct bytes routing_key);

#endif
