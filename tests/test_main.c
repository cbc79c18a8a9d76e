#include "tests/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TESTS_MAX = 2000 };

static struct CMUnitTest tests[TESTS_MAX];
static void (*runs[TESTS_MAX])(void);
static size_t test_count;

static void run_one(void **state)
{
    void (*run)(void) = *(void (**)(void)) * state;
    run();
}

void test_register(const char *name, void (*run)(void))
{
    if (test_count == TESTS_MAX)
        abort();
    runs[test_count] = run;
    tests[test_count] =
        (struct CMUnitTest){.name = name, .test_func = run_one, .initial_state = &runs[test_count]};
    test_count++;
}

uint64_t test_seed(void)
{
    const char *seed = getenv("PABAL_TEST_SEED");
    return seed ? strtoull(seed, NULL, 10) : 20260101;
}

void test_expect_err(enum err actual, enum err wanted, const char *call, const char *file, int line)
{
    if (actual == wanted)
        return;
    print_error("%s: got %s, wanted %s: %s\n", call, err_name(actual), err_name(wanted),
                err_text());
    _fail(file, line);
}

void test_expect_err_text(const char *part, const char *file, int line)
{
    if (strstr(err_text(), part))
        return;
    print_error("error text \"%s\" lacks \"%s\"\n", err_text(), part);
    _fail(file, line);
}

void test_expect_bytes(struct bytes actual, struct bytes wanted, const char *file, int line)
{
    if (bytes_equal(actual, wanted))
        return;
    size_t i = 0;
    while (i < actual.size && i < wanted.size && actual.data[i] == wanted.data[i])
        i++;
    print_error("bytes differ at %zu: sizes %zu and %zu\n", i, actual.size, wanted.size);
    _fail(file, line);
}

static pid_t forked;

bool test_fork(void)
{
    fflush(NULL);
    forked = fork();
    assert_true(forked >= 0);
    if (forked > 0)
        return false;
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    signal(SIGABRT, SIG_DFL);
    return true;
}

_Noreturn void test_fork_end(void)
{
    _exit(0);
}

void test_expect_aborted(const char *statement, const char *file, int line)
{
    int status = 0;

    assert_int_equal(waitpid(forked, &status, 0), forked);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        return;
    print_error("%s: no check failed, wait status %d\n", statement, status);
    _fail(file, line);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a glob over the names */
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("tests", tests, test_count, NULL, NULL);
}
