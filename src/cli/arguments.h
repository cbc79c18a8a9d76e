/*
 * Arguments: one table of flags for each command, from which come the parser and `--help`. A flag is
 * `--name value` or `--name=value`, and where it has a letter also `-l value` or `-lvalue`; a bool
 * takes no value. `--` ends flags. What is no flag is a positional argument, and so is a number below
 * zero.
 */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum flag_type {
    FLAG_BOOL,     /* bool */
    FLAG_TEXT,     /* const char * */
    FLAG_INT,      /* int64_t, 0 or more */
    FLAG_SIZE,     /* int64_t, bytes */
    FLAG_DURATION, /* int64_t, nanoseconds; a bare number is seconds */
    FLAG_LIST,     /* struct flag_list; may be given many times */
};

enum { FLAG_LIST_MAX = 64 };

struct flag_list {
    const char *items[FLAG_LIST_MAX];
    size_t count;
};

struct flag {
    const char *name; /* without "--"; a letter may follow behind a comma: "count,c" */
    enum flag_type type;
    const char *placeholder; /* "" for a bool */
    const char *help;
    void *to; /* where the value goes; holds the default before */
};

struct arguments {
    const char *synopsis; /* "topic create NAME [options]" */
    const char *about;    /* one or more sentences */
    const char *examples; /* lines, or "" */
    const struct flag *flags;
    size_t flag_count;
    size_t positional_least, positional_most;
    bool takes_bytes; /* texts may be no UTF-8: they become parts of messages */
};

enum { POSITIONALS_MAX = 8 };

/* Answer --help with a section of a manual page (man(7)) from now on. */
void arguments_help_as_manual(void);

enum arguments_outcome { ARGUMENTS_GO_ON, ARGUMENTS_HELP, ARGUMENTS_WRONG };

/* Fill the flags' variables and `positionals` (POSITIONALS_MAX; the rest NULL). HELP: it was asked
 * for and has been printed on stdout. WRONG: what is wrong, and how to get help, was said on
 * stderr. */
enum arguments_outcome arguments_parse(const struct arguments *a, int argc, char **argv,
                                       const char *positionals[POSITIONALS_MAX]);

#endif
