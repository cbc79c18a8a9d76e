/*
 * The client commands of the binary: what the user types, up to the exit code. A command is a row
 * in a table; its run() gets the arguments behind its own words. The server's commands come from
 * the caller in a table of the same kind, so that nothing here depends on the server.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/arguments.h"
#include "cli/output.h"

struct command {
    const char *words;   /* "topic list" */
    const char *summary; /* one line for `pabal help` */
    int (*run)(int argc, char **argv);
};

/* Where the control socket is when neither --control nor --server says; set by main(). */
extern const char *cli_control_path;

/* Find the command by argv[1] and, for the two-worded ones, argv[2], and run it. */
int cli_main(const struct command *more, size_t more_count, int argc, char **argv);

/* What most commands take. */
struct common {
    const char *server;  /* HOST:PORT, or NULL */
    const char *control; /* path, or NULL */
    const char *url;     /* of the management API, or NULL: over the control socket */
    const char *output;  /* "table" or "json" */
    int64_t timeout_ns;
};

#define COMMON_FLAGS(common)                                                                       \
    {"output", FLAG_TEXT, "table|json", "form of the result", &(common).output},                   \
    {                                                                                              \
        "timeout", FLAG_DURATION, "TIME", "how long to wait for an answer [10s]",                  \
            &(common).timeout_ns                                                                   \
    }

#define SERVER_FLAG(common)                                                                        \
    {                                                                                              \
        "server", FLAG_TEXT, "HOST:PORT", "where it listens [PABAL_SERVER, or the local default]", \
            &(common).server                                                                       \
    }

#define CONTROL_FLAG(common)                                                                       \
    {                                                                                              \
        "control", FLAG_TEXT, "PATH", "the server's control socket [data.dir/control]",            \
            &(common).control                                                                      \
    }

/* For the commands that ask the management API. */
#define API_FLAGS(common)                                                                          \
    {"url", FLAG_TEXT, "URL", "ask http://USER:PASSWORD@HOST:15672 instead of the control socket", \
     &(common).url},                                                                               \
        CONTROL_FLAG(common), COMMON_FLAGS(common)

/* Defaults, PABAL_SERVER and PABAL_URL. */
void common_init(struct common *common);
bool common_wants_json(const struct common *common);

/* arguments_parse() and, when the command must not go on, its exit code in *exit_code. Checks
 * --output too. */
bool cli_begin(const struct arguments *a, int argc, char **argv,
               const char *positionals[POSITIONALS_MAX], const struct common *common,
               int *exit_code);

#endif
