/*
 * Unit tests: TEST(name_as_a_sentence) registers itself; tests/test_main.c runs all of a binary's
 * tests by cmocka and prints TAP. The expect_* macros stop the test at the first failure.
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"

void test_register(const char *name, void (*run)(void));

#define TEST(name)                                                                                 \
    static void name(void);                                                                        \
    __attribute__((constructor)) static void name##_register(void)                                 \
    {                                                                                              \
        test_register(#name, name);                                                                \
    }                                                                                              \
    static void name(void)

#undef expect_string /* cmocka's mocks, which we do not use, have one too */

/* PABAL_TEST_SEED, or a fixed number: a test that draws at random prints it when it fails. */
uint64_t test_seed(void);

#define expect_true(c) assert_true(c)
#define expect_false(c) assert_false(c)
#define expect_int(actual, wanted) assert_int_equal((intmax_t)(actual), (intmax_t)(wanted))
#define expect_string(actual, wanted) assert_string_equal(actual, wanted)
#define expect_null(p) assert_null(p)
#define expect_not_null(p) assert_non_null(p)
#define expect_ok(call) test_expect_err((call), OK, #call, __FILE__, __LINE__)
#define expect_err(call, code) test_expect_err((call), code, #call, __FILE__, __LINE__)
#define expect_bytes(actual, wanted) test_expect_bytes(actual, wanted, __FILE__, __LINE__)
/* The statement ends in a failed check(). It runs in a forked process. */
#define expect_check_fails(statement)                                                              \
    do {                                                                                           \
        if (test_fork()) {                                                                         \
            statement;                                                                             \
            test_fork_end();                                                                       \
        }                                                                                          \
        test_expect_aborted(#statement, __FILE__, __LINE__);                                       \
    } while (0)
/* The thread's error text contains `part`. */
#define expect_err_text(part) test_expect_err_text(part, __FILE__, __LINE__)

void test_expect_err(enum err actual, enum err wanted, const char *call, const char *file,
                     int line);
void test_expect_err_text(const char *part, const char *file, int line);
bool test_fork(void); /* true in the child, whose standard error is silent */
_Noreturn void test_fork_end(void);
void test_expect_aborted(const char *statement, const char *file, int line);
void test_expect_bytes(struct bytes actual, struct bytes wanted, const char *file, int line);

#endif
