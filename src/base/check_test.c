#include "base/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/test.h"

TEST(check_lets_the_truth_pass)
{
    int evaluated = 0;

    check(++evaluated == 1);
    expect_int(evaluated, 1);
}

TEST(check_stops_the_process_with_expression_and_place)
{
    char text[4096] = "";
    int ends[2];

    expect_int(pipe(ends), 0);
    if (test_fork()) {
        dup2(ends[1], STDERR_FILENO);
        check(1 + 1 == 3);
        test_fork_end();
    }
    close(ends[1]);
    for (ssize_t n, used = 0; (n = read(ends[0], text + used, sizeof text - 1 - (size_t)used)) > 0;)
        used += n;
    close(ends[0]);
    test_expect_aborted("check(1 + 1 == 3)", __FILE__, __LINE__);
    expect_not_null(strstr(text, "check_test.c:"));
    expect_not_null(strstr(text, "check failed: 1 + 1 == 3\n"));
    expect_not_null(strstr(text, "base_test")); /* the stack */
}

TEST(check_slow_costs_nothing_where_it_is_off)
{
#ifdef PABAL_CHECK_SLOW
    expect_check_fails(check_slow(false));
#else
    check_slow(abort());
#endif
}
