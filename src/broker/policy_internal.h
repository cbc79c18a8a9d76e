/* Policies, for the modules of this folder. */
#ifndef BROKER_POLICY_INTERNAL_H
#define BROKER_POLICY_INTERNAL_H

#include "broker/core_internal.h"
#include "broker/policy.h"

/* A policy's place in the catalog. */
struct policy_slot {
    struct list node; /* by priority, then name */
    struct vhost *vhost;
    enum policy_author author;
    struct policy *policy;
    struct catalog_entry entry;
};

/* A vhost's. Every object is in one of two lists; those that have to be looked at again in the
 * second one. */
struct policies {
    struct vhost *vhost;
    struct list slots[POLICY_AUTHORS];
    struct list queues, stale_queues;       /* of struct queue_internal: of_vhost */
    struct list exchanges, stale_exchanges; /* of struct exchange_internal: of_vhost */
    struct deferred sweep;
};

const char *policy_author_name(enum policy_author author);
/* From the catalog. E_MALFORMED. */
must_use enum err policy_restore(struct vhost *vhost, struct bytes class_name,
                                 const struct policy_spec *spec, struct catalog_entry **out);
/* Everything, before anybody is served. */
void policies_apply(struct core *core);
/* The vhost is deleted. */
void policies_drop(struct vhost *vhost);
/* With what they hold, without a word to the catalog; its queues and exchanges are gone. */
void policies_free(struct vhost *vhost);

/* A new object: find its policies. */
void policies_add_queue(struct queue *queue);
void policies_add_exchange(struct exchange *x);
/* It goes away. */
void policies_remove_queue(struct queue *queue);
void policies_remove_exchange(struct exchange *x);

/* policy_definition.c: is it a definition? E_INVALID. */
must_use enum err policy_definition_check(struct bytes definition, enum policy_author author);
/* The kinds of objects that no key of it rules out. */
unsigned policy_definition_kinds(struct bytes definition);

#endif
