#include "broker/user.h"

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/core_internal.h"

/* out = salt, SHA-256(salt, password); the salt lies in `out` already. */
static void hash_password(uint8_t out[USER_HASH_BYTES], struct bytes password)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    check(digest);
    bool done = EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(digest, out, USER_SALT_BYTES) == 1 &&
                EVP_DigestUpdate(digest, password.data, password.size) == 1 &&
                EVP_DigestFinal_ex(digest, out + USER_SALT_BYTES, NULL) == 1;
    EVP_MD_CTX_free(digest);
    check(done);
}

struct user *user_find(struct core *core, struct bytes name)
{
    return map_get(&core->internal->users, name);
}

static struct user *user_new(struct core *core, struct bytes name, const struct user_spec *spec)
{
    check(!user_find(core, name));
    struct user *user = xzalloc(sizeof *user);
    user->name = bytes_dup(name);
    user->tags = bytes_dup(spec->tags);
    user->loopback_only = spec->loopback_only;
    map_put(&core->internal->users, user->name, user);
    return user;
}

static void user_free(struct user *user)
{
    bytes_free(user->name);
    bytes_free(user->tags);
    free(user);
}

struct user *user_create(struct core *core, struct bytes name, struct bytes password,
                         const struct user_spec *spec)
{
    struct user *user = user_new(core, name, spec);
    random_fill(&core->random, user->password_hash, USER_SALT_BYTES);
    hash_password(user->password_hash, password);
    catalog_put(core, &user->entry, CATALOG_USER);
    return user;
}

enum err user_restore(struct core *core, struct bytes name, struct bytes password_hash,
                      const struct user_spec *spec, struct user **out)
{
    if (password_hash.size != USER_HASH_BYTES)
        return err_set(E_MALFORMED, "user '%.*s' has a hash of %zu bytes", BYTES_FORMAT(name),
                       password_hash.size);
    struct user *user = user_new(core, name, spec);
    memcpy(user->password_hash, password_hash.data, USER_HASH_BYTES);
    *out = user;
    return OK;
}

void users_free(struct core *core)
{
    size_t position = 0;
    struct user *user;
    while ((user = map_next(&core->internal->users, &position)))
        user_free(user);
    map_reset(&core->internal->users);
}

/* An unknown name costs the same hash, so that the time tells nothing about which names exist. */
enum err user_authenticate(struct core *core, struct bytes name, struct bytes password,
                           bool peer_is_loopback)
{
    static const struct user nobody;
    const struct user *user = user_find(core, name);
    uint8_t hash[USER_HASH_BYTES];
    memcpy(hash, user ? user->password_hash : nobody.password_hash, USER_SALT_BYTES);
    hash_password(hash, password);
    if (!user || CRYPTO_memcmp(hash, user->password_hash, sizeof hash) != 0)
        return err_set(E_REFUSED, "user '%.*s' - invalid credentials", BYTES_FORMAT(name));
    if (user->loopback_only && !peer_is_loopback)
        return err_set(E_REFUSED, "user '%.*s' can only connect via localhost", BYTES_FORMAT(name));
    return OK;
}
