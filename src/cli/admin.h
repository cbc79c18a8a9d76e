/*
 * What the commands of administration share: an object of the management API is found, made, changed
 * and deleted in one way, and what is missing is named with the nearest name that there is.
 */
#ifndef CLI_ADMIN_H
#define CLI_ADMIN_H

#include "cli/manage_client.h"

/* An object's place in the API: "queues/%2F/tasks". */
struct admin_object {
    const char *kind;       /* "queue", for people */
    const char *collection; /* "queues" */
    const char *vhost;      /* NULL: its kind belongs to no vhost */
    const char *name;
};

/* ---- commands without anything of their own ---- */

struct listing {
    const char *synopsis, *about;
    const char *collection; /* "queues" */
    const char *columns;    /* of the table; JSON has all there is */
    bool takes_vhost;
};
/* A whole `list` command; returns the exit code. */
int listing_run(const struct listing *l, int argc, char **argv);

/* A command that names one object and asks for nothing else of its own. */
struct naming {
    const char *synopsis, *about;
    const char *kind, *collection; /* of struct admin_object */
    bool takes_vhost;
};
/* A whole `show` command; returns the exit code. */
int naming_show_run(const struct naming *n, int argc, char **argv);
/* A whole `delete` command, with --if-exists, for a kind that belongs to no vhost. */
int naming_delete_run(const struct naming *n, int argc, char **argv);

/* ---- steps of commands ---- */

/* *out is a new reference. E_NOT_FOUND names the nearest object. */
must_use enum err admin_find(const struct common *common, const struct admin_object *o,
                             json_t **out);

/* "METHOD <the object's path><suffix>"; E_NOT_FOUND as above. Takes `body`; `out` may be NULL. */
must_use enum err admin_ask(const struct common *common, const struct admin_object *o,
                            const char *method, const char *suffix, json_t *body,
                            struct manage_answer *out);

/* Each ends a command: it prints what was done as {"name": ..., "created": true}, or the error, and
 * returns the exit code. References are taken. */
int admin_show(const struct common *common, const struct admin_object *o);
/* E_EXISTS unless `if_not_exists`. */
int admin_create(const struct common *common, const struct admin_object *o, json_t *body,
                 bool if_not_exists);
/* Whether there is one or not. */
int admin_set(const struct common *common, const struct admin_object *o, json_t *body);
/* `query` is "", or begins with '?'. */
int admin_delete(const struct common *common, const struct admin_object *o, const char *query,
                 bool if_exists);
/* {"name": name, done: true}, or the error; `err` is what the command's last step returned. */
int admin_done(const struct common *common, enum err err, const char *name, const char *done);
/* Says what failed, and returns the exit code; E_INVALID is about the words, EXIT_CODE_USAGE. */
int admin_failed(enum err err);

/* ---- words ---- */

/* "x-max-length=10" into `object`: the value is JSON where it can be read as JSON, else text. */
must_use enum err admin_put_pairs(json_t *object, const char *flag, const struct flag_list *pairs);
/* All --arg of a command as an object, a new reference; NULL with an error. */
must_use enum err admin_read_arguments(const struct flag_list *pairs, json_t **out);

/* Of a command that takes one name. */
#define NAME_ARGUMENTS .positional_least = 1, .positional_most = 1

#define VHOST_FLAG(to)                                                                             \
    {                                                                                              \
        "vhost", FLAG_TEXT, "NAME", "[/]", &(to)                                                   \
    }

#endif
