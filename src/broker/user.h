/*
 * Users: who may log in. In the catalog, with a salted hash of the password: 4 bytes of salt, then
 * SHA-256 over salt and password, as RabbitMQ keeps it, so that its definitions can be taken over.
 */
#ifndef BROKER_USER_H
#define BROKER_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/catalog.h"

struct core;

enum { USER_SALT_BYTES = 4, USER_HASH_BYTES = USER_SALT_BYTES + 32 };

struct user {
    struct bytes name; /* owned */
    struct bytes tags; /* owned; separated by commas, "administrator" */
    uint8_t password_hash[USER_HASH_BYTES];
    bool loopback_only;
    struct catalog_entry entry;
};

struct user_spec {
    struct bytes tags;
    bool loopback_only;
};

struct user *user_find(struct core *core, struct bytes name); /* NULL: there is none */

/* The name must be free. */
struct user *user_create(struct core *core, struct bytes name, struct bytes password,
                         const struct user_spec *spec);
/* From the catalog. E_MALFORMED: not a hash of ours. */
must_use enum err user_restore(struct core *core, struct bytes name, struct bytes password_hash,
                               const struct user_spec *spec, struct user **out);

#endif
