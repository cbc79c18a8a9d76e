/* Users, vhosts and permissions, for the modules of this folder. */
#ifndef BROKER_ACCESS_INTERNAL_H
#define BROKER_ACCESS_INTERNAL_H

#include "broker/access.h"

/* ---- from the catalog ---- */

struct user_saved {
    enum password_hashing hashing;
    struct bytes password_hash;
    const struct bytes *tags; /* NULL: in the text, as the first release had them */
    size_t tag_count;
    struct bytes tag_text;
    int64_t max_connections, max_channels;
};
/* E_INVALID: nothing that user_put() lets in. */
must_use enum err user_restore(struct core *core, struct bytes name, const struct user_saved *saved,
                               struct user **out);

struct vhost_saved {
    struct vhost_spec spec;
    int64_t max_connections, max_queues;
    bool doomed;
};
must_use enum err vhost_restore(struct core *core, struct bytes name,
                                const struct vhost_saved *saved, struct vhost **out);
/* Doomed ones too. */
struct vhost *vhost_lookup(struct core *core, struct bytes name);

must_use enum err permission_restore(struct user *user, struct vhost *vhost,
                                     const struct bytes texts[ACCESS_RIGHTS],
                                     struct permission **out);
must_use enum err topic_permission_restore(struct user *user, struct vhost *vhost,
                                           struct bytes exchange, struct bytes write,
                                           struct bytes read, struct topic_permission **out);
/* A data directory of the first release, in which every user might do everything, is to stay so. */
void permissions_grant_all(struct core *core);

/* ---- going away ---- */

/* All of a user's, from memory and catalog. */
void permissions_drop_user(struct user *user);
/* Some of a vhost's; false: there are none left. */
bool permissions_drop_some(struct vhost *vhost, int count);
/* Of the whole core, from memory. */
void permissions_free(struct core *core);

#endif
