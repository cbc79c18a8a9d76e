#include "broker/password.h"

#include "tests/test.h"

#include "base/random.h"

/* Salt 90 8d c6 0a and "test12": the example in RabbitMQ's documentation of password hashes. */
static const uint8_t known_sha256[] = {0x90, 0x8d, 0xc6, 0x0a, 0xa5, 0xb9, 0x24, 0xb3, 0x09,
                                       0x6b, 0x88, 0x97, 0xd6, 0x5a, 0x3b, 0x5f, 0x80, 0xfa,
                                       0x5d, 0xb6, 0x2a, 0x94, 0xb8, 0x31, 0x22, 0xcd, 0xf4,
                                       0xf8, 0xfe, 0xad, 0x10, 0xd5, 0x15, 0xd8, 0xf3, 0x91};

/* Salt 01 02 03 04 and "secret", by md5sum and sha512sum. */
static const uint8_t known_md5[] = {0x01, 0x02, 0x03, 0x04, 0x38, 0x24, 0xf5, 0xc8, 0xbc, 0x2d,
                                    0xf8, 0x7a, 0x08, 0xa1, 0x3d, 0x63, 0x40, 0x14, 0x7e, 0x65};
static const uint8_t known_sha512[] = {
    0x01, 0x02, 0x03, 0x04, 0xf8, 0x53, 0x1f, 0x62, 0xf9, 0x1c, 0x66, 0x01, 0xd4, 0xb5,
    0x8e, 0xae, 0x7f, 0x98, 0xa6, 0xfb, 0x90, 0x99, 0x53, 0x97, 0x28, 0x6a, 0xa0, 0xb2,
    0xe8, 0x89, 0x44, 0x86, 0x53, 0x20, 0xb4, 0x68, 0x12, 0xf6, 0xe5, 0x48, 0x9a, 0x3f,
    0x58, 0x0b, 0x32, 0x9b, 0x72, 0x19, 0x4d, 0xfb, 0x9a, 0x21, 0xa2, 0xb9, 0x29, 0x1d,
    0xa8, 0xe4, 0xac, 0x05, 0x7d, 0x3b, 0xfa, 0x2a, 0xcc, 0x5f, 0x30, 0x81};

static struct password_hash take(enum password_hashing hashing, const void *bytes, size_t size)
{
    struct password_hash hash = {0};
    expect_ok(password_hash_take(hashing, bytes_of(bytes, size), &hash));
    return hash;
}

TEST(a_hash_of_rabbitmq_is_taken_over_whichever_digest_made_it)
{
    struct password_hash sha256 = take(PASSWORD_SHA256, known_sha256, sizeof known_sha256);
    expect_true(password_matches(&sha256, BYTES_LITERAL("test12")));
    expect_false(password_matches(&sha256, BYTES_LITERAL("test13")));

    struct password_hash md5 = take(PASSWORD_MD5, known_md5, sizeof known_md5);
    expect_true(password_matches(&md5, BYTES_LITERAL("secret")));
    expect_false(password_matches(&md5, BYTES_LITERAL("Secret")));

    struct password_hash sha512 = take(PASSWORD_SHA512, known_sha512, sizeof known_sha512);
    expect_true(password_matches(&sha512, BYTES_LITERAL("secret")));
    expect_false(password_matches(&sha512, BYTES_LITERAL("")));
}

TEST(a_hash_of_another_size_is_refused)
{
    struct password_hash hash;
    for (size_t size = 1; size < 70; size++)
        if (size != sizeof known_sha256)
            expect_err(password_hash_take(PASSWORD_SHA256, bytes_of(known_sha512, size), &hash),
                       E_INVALID);
    expect_err_text("a password hash of 69 bytes, where rabbit_password_hashing_sha256 has 36");
}

TEST(a_hash_is_the_same_after_base64_and_back)
{
    struct password_hash hash;
    struct text text = {0};
    expect_ok(password_hash_parse(
        PASSWORD_SHA256, BYTES_LITERAL("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"), &hash));
    expect_true(password_matches(&hash, BYTES_LITERAL("test12")));
    password_hash_put(&hash, &text);
    expect_string(text_string(&text), "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR");

    text.size = 0;
    hash = take(PASSWORD_SHA512, known_sha512, sizeof known_sha512);
    password_hash_put(&hash, &text);
    expect_ok(password_hash_parse(PASSWORD_SHA512, text_bytes(&text), &hash));
    expect_bytes(bytes_of(hash.bytes, hash.size), bytes_of(known_sha512, sizeof known_sha512));
    text.size = 0;
    hash = take(PASSWORD_MD5, known_md5, sizeof known_md5);
    password_hash_put(&hash, &text);
    expect_ok(password_hash_parse(PASSWORD_MD5, text_bytes(&text), &hash));
    expect_int(hash.size, sizeof known_md5);

    expect_ok(password_hash_parse(PASSWORD_MD5, BYTES_LITERAL(""), &hash));
    expect_int(hash.size, 0);
    text_reset(&text);
}

TEST(what_is_no_hash_in_base64_is_refused)
{
    static const char *const wrong[] = {
        "AAAA", "!!!!", "kI3GCq",
        "=",    "====", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2PO\xff"};
    struct password_hash hash;
    struct text large = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_err(password_hash_parse(PASSWORD_SHA256, bytes_from_string(wrong[i]), &hash),
                   E_INVALID);
    for (int i = 0; i < 100; i++)
        text_append_string(&large, "AAAA");
    expect_err(password_hash_parse(PASSWORD_SHA256, text_bytes(&large), &hash), E_INVALID);
    text_reset(&large);
}

TEST(no_password_matches_no_password)
{
    struct password_hash none = take(PASSWORD_SHA256, NULL, 0);
    expect_false(password_matches(&none, BYTES_LITERAL("")));
    expect_false(password_matches(&none, BYTES_LITERAL("secret")));
}

TEST(the_same_password_has_another_hash_each_time)
{
    struct random random;
    random_init(&random, 1);
    struct password_hash a = password_hash_of(&random, BYTES_LITERAL("same"));
    struct password_hash b = password_hash_of(&random, BYTES_LITERAL("same"));
    expect_true(memcmp(a.bytes, b.bytes, a.size) != 0);
    expect_true(password_matches(&a, BYTES_LITERAL("same")));
    expect_true(password_matches(&b, BYTES_LITERAL("same")));
}

TEST(digests_go_by_the_names_of_rabbitmq)
{
    enum password_hashing hashing;
    for (int i = 0; i < PASSWORD_HASHINGS; i++) {
        const char *name = password_hashing_name((enum password_hashing)i);
        expect_true(password_hashing_parse(bytes_from_string(name), &hashing));
        expect_int(hashing, i);
    }
    expect_false(password_hashing_parse(BYTES_LITERAL("rabbit_password_hashing_sha1"), &hashing));
}
