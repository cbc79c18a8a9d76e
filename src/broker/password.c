#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init() and the like */
#include "broker/password.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/random.h"

static const struct {
    const char *name;
    const EVP_MD *(*digest)(void);
    uint8_t digest_bytes;
} hashings[PASSWORD_HASHINGS] = {
    [PASSWORD_SHA256] = {"rabbit_password_hashing_sha256", EVP_sha256, 32},
    [PASSWORD_SHA512] = {"rabbit_password_hashing_sha512", EVP_sha512, 64},
    [PASSWORD_MD5] = {"rabbit_password_hashing_md5", EVP_md5, 16},
};

const char *password_hashing_name(enum password_hashing hashing)
{
    check(hashing < PASSWORD_HASHINGS);
    return hashings[hashing].name;
}

bool password_hashing_parse(struct bytes name, enum password_hashing *out)
{
    for (int i = 0; i < PASSWORD_HASHINGS; i++) {
        if (!bytes_equal_string(name, hashings[i].name))
            continue;
        *out = (enum password_hashing)i;
        return true;
    }
    return false;
}

/* What every new hash has, without the EVP interface: that loads the library's providers, a quarter of
 * the memory of an idle server. */
static bool put_sha256(struct password_hash *hash, struct bytes password)
{
    SHA256_CTX digest;
    return SHA256_Init(&digest) == 1 &&
           SHA256_Update(&digest, hash->bytes, PASSWORD_SALT_BYTES) == 1 &&
           SHA256_Update(&digest, password.data, password.size) == 1 &&
           SHA256_Final(hash->bytes + PASSWORD_SALT_BYTES, &digest) == 1;
}

/* Fill in the digest behind the salt, which lies there already. False: the library has none, as MD5
 * where only approved digests are allowed. */
static bool put_digest(struct password_hash *hash, struct bytes password)
{
    hash->size = (uint8_t)(PASSWORD_SALT_BYTES + hashings[hash->hashing].digest_bytes);
    if (hash->hashing == PASSWORD_SHA256)
        return put_sha256(hash, password);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    check(digest);
    bool done = EVP_DigestInit_ex(digest, hashings[hash->hashing].digest(), NULL) == 1 &&
                EVP_DigestUpdate(digest, hash->bytes, PASSWORD_SALT_BYTES) == 1 &&
                EVP_DigestUpdate(digest, password.data, password.size) == 1 &&
                EVP_DigestFinal_ex(digest, hash->bytes + PASSWORD_SALT_BYTES, NULL) == 1;
    EVP_MD_CTX_free(digest);
    return done;
}

struct password_hash password_hash_of(struct random *random, struct bytes password)
{
    struct password_hash hash = {.hashing = PASSWORD_SHA256};
    random_fill(random, hash.bytes, PASSWORD_SALT_BYTES);
    bool done = put_digest(&hash, password);
    check(done);
    return hash;
}

enum err password_hash_take(enum password_hashing hashing, struct bytes bytes,
                            struct password_hash *out)
{
    check(hashing < PASSWORD_HASHINGS);
    size_t size = PASSWORD_SALT_BYTES + (size_t)hashings[hashing].digest_bytes;
    if (bytes.size != 0 && bytes.size != size)
        return err_set(E_INVALID, "a password hash of %zu bytes, where %s has %zu", bytes.size,
                       hashings[hashing].name, size);
    *out = (struct password_hash){.hashing = hashing, .size = (uint8_t)bytes.size};
    if (bytes.size)
        memcpy(out->bytes, bytes.data, bytes.size);
    return OK;
}

enum err password_hash_parse(enum password_hashing hashing, struct bytes base64,
                             struct password_hash *out)
{
    struct text bytes = {0};
    enum err err = base64_decode(&bytes, base64)
                       ? password_hash_take(hashing, text_bytes(&bytes), out)
                       : err_set(E_INVALID, "a password hash that is not base64");
    text_reset(&bytes);
    return err;
}

void password_hash_put(const struct password_hash *hash, struct text *out)
{
    base64_encode(out, bytes_of(hash->bytes, hash->size));
}

bool password_matches(const struct password_hash *hash, struct bytes password)
{
    struct password_hash tried = {.hashing = hash->hashing};
    memcpy(tried.bytes, hash->bytes, PASSWORD_SALT_BYTES);
    return put_digest(&tried, password) && hash->size == tried.size &&
           CRYPTO_memcmp(tried.bytes, hash->bytes, tried.size) == 0;
}
