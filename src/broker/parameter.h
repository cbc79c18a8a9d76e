/*
 * Parameters: values that management keeps for components ("shovel", "federation-upstream"), each
 * of one vhost, and global ones of the whole broker. Stored in the catalog and told to who asks; the
 * broker does nothing with them. The value is JSON text. Lives in the core.
 */
#ifndef BROKER_PARAMETER_H
#define BROKER_PARAMETER_H

#include "base/bytes.h"
#include "base/err.h"
#include "broker/catalog.h"

struct core;
struct vhost;

enum { PARAMETER_VALUE_MAX_BYTES = 1 << 20 };

struct parameter {
    struct vhost *vhost;    /* NULL: global */
    struct bytes component; /* empty: global */
    struct bytes name;
    struct bytes value; /* owned, as all bytes here */
    struct bytes key;   /* what the map is keyed by */
    struct catalog_entry entry;
};

/* vhost NULL, component empty: a global one. */
struct parameter *parameter_find(const struct core *, const struct vhost *, struct bytes component,
                                 struct bytes name);
/* Creates or changes. E_INVALID: too long, E_FROZEN, E_NO_SPACE. */
must_use enum err parameter_set(struct core *, struct vhost *, struct bytes component,
                                struct bytes name, struct bytes value, bool *out_created);
must_use enum err parameter_delete(struct core *, struct parameter *);
/* Global ones and those of all vhosts, in no order. */
void parameter_each(const struct core *, void (*each)(void *ctx, const struct parameter *),
                    void *ctx);

/* From the catalog. */
struct parameter *parameter_restore(struct core *, struct vhost *, struct bytes component,
                                    struct bytes name, struct bytes value);
/* The vhost is deleted. */
void parameters_drop(struct vhost *);

#endif
