/* `pabal permission ...`. */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/admin.h"
#include "cli/commands.h"

struct permission_options {
    struct common common;
    const char *vhost, *configure, *write, *read, *exchange;
    bool of_topics;
};

static void permission_options_init(struct permission_options *o)
{
    *o = (struct permission_options){.vhost = "/"};
    common_init(&o->common);
}

int permission_list_run(int argc, char **argv)
{
    struct permission_options o;
    const char *positionals[POSITIONALS_MAX];
    json_t *rows;
    int exit_code;
    const struct flag flags[] = {
        {"topics", FLAG_BOOL, "", "those about routing keys of topic exchanges", &o.of_topics},
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "permission list [options]",
        .about = "List who may configure, write and read what: regular expressions for names.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };

    permission_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    enum err err =
        manage_get(&o.common, &rows, "GET %s", o.of_topics ? "topic-permissions" : "permissions");
    if (err)
        return admin_failed(err);
    output_rows(rows,
                o.of_topics ? "user vhost exchange write read" : "user vhost configure write read",
                common_wants_json(&o.common));
    return EXIT_CODE_OK;
}

int permission_show_run(int argc, char **argv)
{
    struct permission_options o;
    const char *positionals[POSITIONALS_MAX];
    json_t *rows, *found;
    int exit_code;
    const struct flag flags[] = {
        {"topics", FLAG_BOOL, "", "those about routing keys of topic exchanges", &o.of_topics},
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "permission show USER [options]",
        .about = "Show what a user may do, in all vhosts.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    permission_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    struct admin_object user = {"user", "users", NULL, positionals[0]};
    enum err err = admin_find(&o.common, &user, &found);
    if (err)
        return admin_failed(err);
    json_decref(found);
    err = manage_get(&o.common, &rows, "GET users/%s/%s", positionals[0],
                     o.of_topics ? "topic-permissions" : "permissions");
    if (err)
        return admin_failed(err);
    output_rows(rows, o.of_topics ? "vhost exchange write read" : "vhost configure write read",
                common_wants_json(&o.common));
    return EXIT_CODE_OK;
}

/* The server's 404 does not say whether vhost or user is missing. */
static int finish_permission(const struct permission_options *o, enum err err, const char *user,
                             const char *done)
{
    if (err == E_NOT_FOUND || err == E_PRECONDITION) {
        struct admin_object wanted[] = {{"user", "users", NULL, user},
                                        {"vhost", "vhosts", NULL, o->vhost}};
        char *reason = xstrdup(err_text());
        enum err missing = OK;
        for (int i = 0; i < 2 && !missing; i++) {
            json_t *found;
            missing = admin_find(&o->common, &wanted[i], &found);
            if (!missing)
                json_decref(found);
        }
        err = missing ? missing : err_set(err, "%s", reason);
        free(reason);
    }
    return admin_done(&o->common, err, user, done);
}

static int set_permission(const struct permission_options *o, const char *user)
{
    const char *collection = o->exchange ? "topic-permissions" : "permissions";
    struct admin_object permission = {"permission of", collection, o->vhost, user};
    const char *write = o->write ? o->write : "", *read = o->read ? o->read : "";

    if (o->exchange && o->configure)
        return admin_failed(err_set(E_INVALID, "--topic goes with --write and --read"));
    json_t *body =
        o->exchange
            ? json_pack("{s:s, s:s, s:s}", "exchange", o->exchange, "write", write, "read", read)
            : json_pack("{s:s, s:s, s:s}", "configure", o->configure ? o->configure : "", "write",
                        write, "read", read);
    return finish_permission(o, admin_ask(&o->common, &permission, "PUT", "", body, NULL), user,
                             "set");
}

int permission_set_run(int argc, char **argv)
{
    struct permission_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"configure", FLAG_TEXT, "REGEX", "names to declare and delete [none]", &o.configure},
        {"write", FLAG_TEXT, "REGEX", "names to publish to [none]", &o.write},
        {"read", FLAG_TEXT, "REGEX", "names to consume from [none]", &o.read},
        {"topic", FLAG_TEXT, "EXCHANGE", "routing keys of this topic exchange instead",
         &o.exchange},
        VHOST_FLAG(o.vhost),
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "permission set USER [options]",
        .about =
            "Say what a user may do in a vhost. The expressions are searched for in the name:\n"
            "^ and $ hold them fast, and .* is everything.",
        .examples =
            "  pabal permission set billing --configure '^bill-' --write '.*' --read '.*'\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    permission_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    return set_permission(&o, positionals[0]);
}

int permission_clear_run(int argc, char **argv)
{
    struct permission_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"topics", FLAG_BOOL, "", "those about routing keys", &o.of_topics},
        VHOST_FLAG(o.vhost),
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "permission clear USER [options]",
        .about = "Take away what a user may do in a vhost.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    permission_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    struct admin_object permission = {"permission of",
                                      o.of_topics ? "topic-permissions" : "permissions", o.vhost,
                                      positionals[0]};
    return finish_permission(&o, admin_ask(&o.common, &permission, "DELETE", "", NULL, NULL),
                             positionals[0], "cleared");
}
