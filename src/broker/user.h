/*
 * Users: who may log in, and with which tags. In the catalog, with a salted hash of the password as
 * RabbitMQ keeps it (broker/password.h), so that its definitions can be taken over.
 *
 * A session holds a reference to its user. A change of tags, limits or permissions counts for open
 * sessions at once; a new password counts for the next log-in; a deletion closes the sessions. The
 * struct of a deleted user lives until the last of them is gone, and may do nothing.
 */
#ifndef BROKER_USER_H
#define BROKER_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "broker/catalog.h"
#include "broker/core.h"
#include "broker/password.h"
#include "broker/tag_list.h"

/* The tags that mean something to the broker; a user may have others. */
enum user_tag {
    USER_ADMINISTRATOR = 1,
    USER_MONITORING = 2,
    USER_POLICYMAKER = 4,
    USER_MANAGEMENT = 8,
    USER_IMPERSONATOR = 16,
};

enum { USER_TAGS_MAX = 32, USER_NAME_MAX_BYTES = 255 };

struct user {
    struct core *core;
    struct bytes name; /* owned */
    struct tag_list tags;
    uint32_t known_tags; /* enum user_tag */
    struct password_hash password;
    int64_t max_connections, max_channels; /* LIMIT_NONE */

    struct list sessions;   /* of_user: those that are logged in */
    uint32_t session_count; /* of them, those that are on a vhost */
    uint32_t channel_count;
    uint32_t references; /* by sessions, and one by the map of users */
    bool deleted;
    struct wait deletion;         /* for the record that says so */
    struct deferred closing;      /* its sessions, some each turn */
    struct map permissions;       /* of struct permission, by vhost */
    struct map topic_permissions; /* of struct topic_permission, by vhost and exchange */
    struct catalog_entry entry;
};

/* Does the tag count, itself or by a higher one? Management: what administrators, those who monitor
 * and those who make policies may do, too; monitoring: administrators too. */
bool user_may(const struct user *, enum user_tag);

struct user *user_find(struct core *, struct bytes name);
void user_each(struct core *, void (*each)(void *ctx, struct user *), void *ctx);

/* What a user is to be, as a whole. */
struct user_spec {
    const struct bytes *tags; /* copied */
    size_t tag_count;
    struct password_hash password;
};
/* Creates or changes. E_INVALID: name or tags; E_FROZEN, E_NO_SPACE. */
must_use enum err user_put(struct core *, struct bytes name, const struct user_spec *,
                           struct user **out, bool *out_created);
must_use enum err user_set_limits(struct user *, int64_t max_connections, int64_t max_channels);
/* With its permissions; its sessions are closed. */
must_use enum err user_delete(struct user *);

/* For who keeps a pointer to it: it does not go away, though it may be deleted. */
struct user *user_ref(struct user *);
void user_unref(struct user *); /* accepts NULL */

/* ---- logging in; E_REFUSED, with the reason for the log ---- */

/* Some, as guest, only from a loopback peer. The user is borrowed. */
must_use enum err user_authenticate(struct core *, struct bytes name, struct bytes password,
                                    bool peer_is_loopback, struct user **out);
/* The limits of RabbitMQ, with its texts. */
must_use enum err user_can_connect(const struct user *);
must_use enum err user_can_open_channel(const struct user *);

#endif
