/*
 * Users, vhosts, permissions and limits as JSON, the same for single objects and for definitions:
 * what is told of them, and what a body makes of them. The put functions return E_INVALID with
 * RabbitMQ's reason for a body that is none; what they change is durable with
 * core_catalog_ticket().
 */
#ifndef MANAGE_ACCESS_JSON_H
#define MANAGE_ACCESS_JSON_H

#include <jansson.h>

#include "broker/access.h"

/* {name, password_hash, hashing_algorithm, tags, limits} */
json_t *access_json_user(const struct user *);
/* {name, description, tags, default_queue_type, metadata, ...} */
json_t *access_json_vhost(const struct vhost *);
/* {user, vhost, configure, write, read} */
json_t *access_json_permission(const struct permission *);
/* {user, vhost, exchange, write, read} */
json_t *access_json_topic_permission(const struct topic_permission *);
json_t *access_json_tags(const struct tag_list *);
/* {"max-connections": ...} */
json_t *access_json_user_limits(const struct user *);
json_t *access_json_vhost_limits(const struct vhost *);

/* The body may be NULL everywhere. */
must_use enum err access_put_user(struct core *, struct bytes name, const json_t *body,
                                  bool *out_created);
/* `creator`, unless NULL, gets all permissions in a new vhost. */
must_use enum err access_put_vhost(struct core *, struct bytes name, const json_t *body,
                                   struct user *creator, bool *out_created);
must_use enum err access_put_permission(struct user *, struct vhost *, const json_t *body,
                                        bool *out_created);
must_use enum err access_put_topic_permission(struct user *, struct vhost *, const json_t *body,
                                              bool *out_created);
/* `limit` is "max-connections" or the like; value NULL: not set. */
must_use enum err access_put_user_limit(struct user *, struct bytes limit, const json_t *value);
must_use enum err access_put_vhost_limit(struct vhost *, struct bytes limit, const json_t *value);

#endif
