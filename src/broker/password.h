/*
 * Hashes of passwords as RabbitMQ keeps them: 4 bytes of salt, then the digest of salt and
 * password; with SHA-256 unless they come from elsewhere. An empty one is no password: nobody logs
 * in with it. Pure.
 */
#ifndef BROKER_PASSWORD_H
#define BROKER_PASSWORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct random;

enum { PASSWORD_SALT_BYTES = 4, PASSWORD_HASH_MAX_BYTES = PASSWORD_SALT_BYTES + 64 };

/* In the catalog: never renumber. */
enum password_hashing {
    PASSWORD_SHA256 = 0,
    PASSWORD_SHA512 = 1,
    PASSWORD_MD5 = 2,
    PASSWORD_HASHINGS,
};

struct password_hash {
    enum password_hashing hashing;
    uint8_t size; /* 0: no password */
    uint8_t bytes[PASSWORD_HASH_MAX_BYTES];
};

/* "rabbit_password_hashing_sha256" */
const char *password_hashing_name(enum password_hashing);
must_use bool password_hashing_parse(struct bytes name, enum password_hashing *out);

struct password_hash password_hash_of(struct random *, struct bytes password);
/* A hash made elsewhere. E_INVALID: its size. */
must_use enum err password_hash_take(enum password_hashing, struct bytes bytes,
                                     struct password_hash *out);
/* The same in base64, as RabbitMQ's definitions have it. E_INVALID. */
must_use enum err password_hash_parse(enum password_hashing, struct bytes base64,
                                      struct password_hash *out);
void password_hash_put(const struct password_hash *, struct text *out);
/* In constant time, also against no password, which never matches. */
bool password_matches(const struct password_hash *, struct bytes password);

#endif
