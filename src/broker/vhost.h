/*
 * Vhosts: name spaces of exchanges and queues, each with permissions, limits and a default of its
 * own. In the catalog; each has the exchanges that are there from the beginning.
 *
 *   (none) -vhost_create()-> THERE -vhost_delete()-> DOOMED -slices of turns-> (gone)
 *
 * A deletion takes as long as there is something to delete: first the record that says so is
 * written, then the sessions on the vhost are closed, then its queues and exchanges go, some each
 * turn, then its permissions and itself. A restart in between goes on with it. Who looks for a
 * doomed vhost does not find it; its name is free when it is gone. Lives in the core.
 */
#ifndef BROKER_VHOST_H
#define BROKER_VHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "broker/catalog.h"
#include "broker/core.h"
#include "broker/tag_list.h"

struct counters;

struct policies;

enum { VHOST_NAME_MAX_BYTES = 255 };

/* A limit that nobody has set. Any negative one limits nothing, but is told as it was set. */
#define LIMIT_NONE INT64_MIN

struct vhost {
    struct bytes name;
    struct map queues;
    struct map exchanges;
    struct core *core;
    struct catalog_entry entry;
    struct policies *policies; /* NULL until something could have some */
    struct counters *counters; /* of channels that are gone; NULL: nothing has happened */

    struct bytes description; /* owned, as the next two */
    struct tag_list tags;
    struct bytes default_queue_type;     /* empty: none; otherwise classic, quorum or stream */
    bool is_protected;                   /* from deletion */
    bool is_traced;                      /* trace.h; as RabbitMQ's it does not outlive a restart */
    int64_t max_connections, max_queues; /* LIMIT_NONE */

    struct list sessions; /* of_vhost */
    uint32_t session_count;
    uint32_t references;                        /* by sessions, and one by the map of vhosts */
    struct list permissions, topic_permissions; /* of_vhost */

    bool doomed;
    struct wait doom;         /* for the record that says so */
    struct deferred deletion; /* its slices */
    size_t deletion_position; /* in the map that is being emptied */
    struct list gone;         /* struct wait: to be told when it is */
};

struct vhost *vhost_find(struct core *, struct bytes name); /* NULL: none, or doomed */

/* What can be said about a vhost, as a whole. */
struct vhost_spec {
    struct bytes description;
    const struct bytes *tags; /* copied */
    size_t tag_count;
    struct bytes default_queue_type;
    bool is_protected;
};
/* With the exchanges that every vhost has. E_EXISTS; E_LOCKED: one of this name is being deleted;
 * E_INVALID: name or spec; E_FROZEN, E_NO_SPACE. */
must_use enum err vhost_create(struct core *, struct bytes name, const struct vhost_spec *,
                               struct vhost **out);
must_use enum err vhost_update(struct vhost *, const struct vhost_spec *);

must_use enum err vhost_set_limits(struct vhost *, int64_t max_connections, int64_t max_queues);

must_use enum err vhost_protect(struct vhost *, bool is_protected);
/* Delete it, however long that takes. E_PRECONDITION: it is protected; E_FROZEN, E_NO_SPACE. */
must_use enum err vhost_delete(struct vhost *);
/* Is one of this name being deleted? */
bool vhost_is_doomed(struct core *, struct bytes name);
/* Of one that is: ready when it is gone and that is durable. */
void vhost_wait_gone(struct core *, struct bytes name, struct wait *);

/* For who keeps a pointer to it: it does not go away, though it may be deleted. */
struct vhost *vhost_ref(struct vhost *);
void vhost_unref(struct vhost *); /* accepts NULL */

void vhost_each(struct core *, void (*each)(void *ctx, struct vhost *), void *ctx);

/* ---- limits, asked before something is made, with RabbitMQ's texts ---- */

/* E_REFUSED. */
must_use enum err vhost_can_connect(const struct vhost *, struct bytes user_name);
/* E_PRECONDITION. */
must_use enum err vhost_can_declare_queue(const struct vhost *, struct bytes queue_name);

#endif
