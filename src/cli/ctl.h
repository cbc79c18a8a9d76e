/*
 * `rabbitmqctl` and `rabbitmq-diagnostics`, as scripts and tests use them: their words, output and
 * exit codes over the management API. The program is called by one of these names, or as `pabal
 * rabbitmqctl`. It goes where the other commands go: the control socket, or --url.
 *
 * A command is a row of a table (ctl_*.c). It says what it is about to do with ctl_begin(), which
 * prints nothing for machines, asks, prints, and returns its exit code: sysexits.h, as there.
 *
 * Formatters: table (fields separated by tabs), json, csv, pretty_table.
 */
#ifndef CLI_CTL_H
#define CLI_CTL_H

#include "cli/manage_client.h"

enum ctl_exit {
    CTL_OK = 0,
    CTL_USAGE = 64,
    CTL_DATA = 65,        /* no such vhost, queue, ...; a value that cannot be read */
    CTL_NO_USER = 67,     /* no such user */
    CTL_UNAVAILABLE = 69, /* no server, or it says no */
    CTL_SOFTWARE = 70,
    CTL_TIMEOUT = 75,
};

enum { CTL_ARGUMENTS_MAX = 64 };

struct ctl_options {
    /* all commands */
    const char *vhost, *node, *timeout, *formatter, *url, *control;
    bool quiet, silent, help, dry_run, no_table_headers;
    /* some */
    const char *priority, *apply_to, *description, *tags, *queue_type, *pid, *user, *limit, *delay,
        *format;
    bool if_empty, if_unused, is_hash, global, idempotent, no_wait, ignored;
};

struct ctl;

struct ctl_command {
    const char *name;
    const char *usage;   /* what may stand behind the name */
    const char *about;   /* "Adds a user" */
    const char *options; /* those of some commands that this one takes, separated by spaces */
    int least, most;     /* arguments; most -1: any number */
    int (*run)(struct ctl *c);
    const struct ctl_listing *listing; /* of a list_... command */
    bool is_diagnostic;                /* only rabbitmq-diagnostics has it */
};

struct ctl_commands {
    const struct ctl_command *rows;
    size_t count;
};

struct ctl {
    const char *program; /* "rabbitmqctl" */
    const struct ctl_command *command;
    struct ctl_options o;
    struct common common;
    const char *arguments[CTL_ARGUMENTS_MAX + 1]; /* a NULL behind the last */
    size_t count;
    int argc; /* as typed, for errors */
    char **argv;
};

/* The tables. */
extern const struct ctl_commands ctl_list_commands, ctl_user_commands, ctl_vhost_commands,
    ctl_policy_commands, ctl_object_commands, ctl_node_commands, ctl_tell_commands,
    ctl_health_commands, ctl_refused_commands;

/* Is this the name, or the end of the path, of a program that ctl_main() is? */
bool ctl_is_program(const char *name);
/* `argv` begins behind the program's name. Returns the exit code. */
int ctl_main(const char *program, int argc, char **argv);
/* Run another command with the same options and no arguments. */
int ctl_run(struct ctl *c, const char *name);

/* ---- for commands ---- */

/* Tell what is done, where a person reads it. False: --dry-run, end well. */
bool ctl_begin(const struct ctl *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "Error:\n<text>" on stderr; returns `code`. */
int ctl_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A result that is one sentence, for machines {"message": ...}; returns CTL_OK. */
int ctl_tell(const struct ctl *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What a question failed with, as the real program says it; returns the exit code. */
int ctl_failed(const struct ctl *c, enum err err);
/* The same, or CTL_OK. */
int ctl_end(const struct ctl *c, enum err err);
/* Wrong words: the error, what was typed, and the usage; returns `code`. */
int ctl_usage(const struct ctl *c, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int ctl_no_vhost(const char *vhost);

bool ctl_is_for_machines(const struct ctl *c); /* json, csv */
bool ctl_is_json(const struct ctl *c);
/* The node's name: --node, or what the server says; valid until the next call. */
const char *ctl_node(const struct ctl *c);
/* Where a listener is reached from here, as HOST:PORT: the first of its protocol. */
must_use enum err ctl_listener(const struct ctl *c, const char *protocol, char *out, size_t size);
/* A line for each of an overview's listeners; `prefix` ends in the "I" of "Interface". */
void ctl_print_listeners(const json_t *overview, const char *prefix);
/* A member of an answer: "" or 0 where it has none of that kind. */
const char *ctl_text(const json_t *object, const char *key);
long long ctl_number(const json_t *object, const char *key);
/* --timeout, or `otherwise`, in seconds. */
int64_t ctl_timeout_s(const struct ctl *c, int64_t otherwise);
/* Does the vhost exist? Otherwise *exit_code is the error's, which has been told. */
bool ctl_has_vhost(const struct ctl *c, const char *vhost, int *exit_code);

/* ---- listings (ctl_list.c has them, ctl_table.c prints them) ---- */

/* How a field is printed. */
enum ctl_kind {
    CTL_ANY,       /* by its JSON type */
    CTL_ARGUMENTS, /* an AMQP table: [{"x-max-length",100}] */
    CTL_JSON,      /* an object as its own JSON text */
    CTL_EXCHANGE,  /* always "exchange" */
};

struct ctl_column {
    const char *name;
    const char *key; /* in the API's object, maybe in an inner one; NULL: the same */
    enum ctl_kind kind;
};

struct ctl_listing {
    const char *banner; /* with one %s: the vhost or the first argument */
    const struct ctl_column *columns;
    size_t column_count;
    const char *defaults;  /* columns, separated by spaces; NULL: all, and none may be chosen */
    const char *path;      /* with at most one %s, the same */
    bool is_of_argument;   /* the %s are the first argument, not the vhost */
    bool is_of_all_vhosts; /* the API knows no path for one: choose */
    bool has_no_header;    /* the real one prints none */
    bool is_stream;        /* an unknown vhost has no rows, and no rows print no empty line */
};

/* Print rows that are already there by these columns, as the listing would. */
int ctl_print_rows(const struct ctl *c, const struct ctl_listing *l, const json_t *rows);

struct ctl_chosen {
    const struct ctl_column *columns[CTL_ARGUMENTS_MAX];
    size_t count;
};
void ctl_choose_all(const struct ctl_listing *l, struct ctl_chosen *out);
/* `rows` NULL: none. Returns CTL_OK. */
int ctl_print_chosen(const struct ctl *c, const struct ctl_listing *l,
                     const struct ctl_chosen *chosen, const json_t *rows);

#endif
