#include "tests/test.h"

#include "broker/core_internal.h"
#include "broker/test_core.h"
#include "broker/user.h"

TEST(guest_may_log_in_from_the_same_machine_only)
{
    struct test_core t;
    struct bytes guest = BYTES_LITERAL("guest");
    test_core_init(&t);
    expect_ok(user_authenticate(t.core, guest, guest, true));
    expect_err(user_authenticate(t.core, guest, guest, false), E_REFUSED);
    expect_err_text("can only connect via localhost");
    test_core_end(&t);
}

TEST(a_wrong_password_and_an_unknown_user_are_told_alike)
{
    struct test_core t;
    struct bytes guest = BYTES_LITERAL("guest"), nobody = BYTES_LITERAL("nobody");
    test_core_init(&t);
    expect_err(user_authenticate(t.core, guest, BYTES_LITERAL("guess"), true), E_REFUSED);
    expect_err_text("user 'guest' - invalid credentials");
    expect_err(user_authenticate(t.core, nobody, BYTES_LITERAL(""), true), E_REFUSED);
    expect_err_text("user 'nobody' - invalid credentials");
    test_core_end(&t);
}

/* Salt 90 8d c6 0a and "test12": the example in RabbitMQ's documentation of password hashes. */
static const uint8_t known_hash[USER_HASH_BYTES] = {
    0x90, 0x8d, 0xc6, 0x0a, 0xa5, 0xb9, 0x24, 0xb3, 0x09, 0x6b, 0x88, 0x97,
    0xd6, 0x5a, 0x3b, 0x5f, 0x80, 0xfa, 0x5d, 0xb6, 0x2a, 0x94, 0xb8, 0x31,
    0x22, 0xcd, 0xf4, 0xf8, 0xfe, 0xad, 0x10, 0xd5, 0x15, 0xd8, 0xf3, 0x91};

TEST(a_password_hash_of_rabbitmq_is_taken_over)
{
    struct test_core t;
    struct user *user;
    struct user_spec spec = {.tags = BYTES_LITERAL("")};
    struct bytes name = BYTES_LITERAL("old");
    test_core_init(&t);
    expect_err(user_restore(t.core, name, bytes_of(known_hash, 35), &spec, &user), E_MALFORMED);
    expect_ok(user_restore(t.core, name, bytes_of(known_hash, USER_HASH_BYTES), &spec, &user));
    expect_ok(user_authenticate(t.core, name, BYTES_LITERAL("test12"), false));
    expect_err(user_authenticate(t.core, name, BYTES_LITERAL("test13"), false), E_REFUSED);
    test_core_end(&t);
}

TEST(the_same_password_has_another_hash_for_each_user)
{
    struct test_core t;
    struct user_spec spec = {.tags = BYTES_LITERAL("")};
    test_core_init(&t);
    struct user *a = user_create(t.core, BYTES_LITERAL("a"), BYTES_LITERAL("same"), &spec);
    struct user *b = user_create(t.core, BYTES_LITERAL("b"), BYTES_LITERAL("same"), &spec);
    expect_true(memcmp(a->password_hash, b->password_hash, USER_HASH_BYTES) != 0);
    test_core_end(&t);
}
