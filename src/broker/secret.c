#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init() and the like: see password.c */
#include "broker/secret.h"

#include <openssl/sha.h>

#include "base/check.h"

void secret_name(struct core *core, char out[SECRET_NAME_SIZE + 1])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t draw[16], digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX sha;
    random_fill(&core->random, draw, sizeof draw);
    bool done = SHA256_Init(&sha) == 1 &&
                SHA256_Update(&sha, core->config.secret, sizeof core->config.secret) == 1 &&
                SHA256_Update(&sha, draw, sizeof draw) == 1 && SHA256_Final(digest, &sha) == 1;
    check(done);
    for (int i = 0; i < SECRET_NAME_SIZE; i++)
        out[i] = letters[digest[i] % 64];
    out[SECRET_NAME_SIZE] = '\0';
}
