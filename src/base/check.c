#include "base/check.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>

enum { STACK_DEPTH_MAX = 64 };

_Noreturn void check_failed(const char *expression, const char *file, int line)
{
    void *stack[STACK_DEPTH_MAX];

    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, expression);
    fflush(stderr);
    /* Writes straight to the descriptor: the heap may be what is broken. */
    backtrace_symbols_fd(stack, backtrace(stack, STACK_DEPTH_MAX), fileno(stderr));
    abort();
}
