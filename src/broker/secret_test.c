#include "broker/secret.h"

#include <string.h>

#include "broker/test_core.h"
#include "tests/test.h"

/* The first two names of a core with this secret; draws are the same in all. */
static void names_with(uint8_t secret, char out[2][SECRET_NAME_SIZE + 1])
{
    struct test_core t;
    test_core_init(&t);
    random_init(&t.core->random, 1);
    memset(t.core->config.secret, secret, sizeof t.core->config.secret);
    secret_name(t.core, out[0]);
    secret_name(t.core, out[1]);
    test_core_end(&t);
}

TEST(a_secret_name_depends_on_the_secret_and_on_the_draw)
{
    char a[2][SECRET_NAME_SIZE + 1], b[2][SECRET_NAME_SIZE + 1], again[2][SECRET_NAME_SIZE + 1];
    names_with(1, a);
    names_with(2, b);
    names_with(1, again);
    expect_int(strlen(a[0]), SECRET_NAME_SIZE);
    expect_true(strcmp(a[0], a[1]) != 0);
    expect_true(strcmp(a[0], b[0]) != 0);
    expect_true(strcmp(a[1], b[1]) != 0);
    expect_string(again[0], a[0]);
    expect_string(again[1], a[1]);
}
