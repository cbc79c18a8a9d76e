/* `pabal vhost ...` and `pabal user ...`. */
#include <string.h>

#include "cli/admin.h"
#include "cli/commands.h"
#include "cli/lines.h"

/* A number that may be given, -1 to take the limit away; NULL: not given. */
static enum err put_limit(const struct common *common, const struct admin_object *limits,
                          const char *limit, const char *value)
{
    json_t *number = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;

    if (!value)
        return OK;
    if (!json_is_integer(number)) {
        json_decref(number);
        return err_set(E_INVALID, "--%s %s: must be a number; -1: no limit", limit, value);
    }
    struct admin_object one = {"limit of", limits->collection, limits->name, limit};
    if (json_integer_value(number) >= 0)
        return admin_ask(common, &one, "PUT", "", json_pack("{s:o}", "value", number), NULL);
    json_decref(number);
    enum err err = admin_ask(common, &one, "DELETE", "", NULL, NULL);
    return err == E_NOT_FOUND ? OK : err; /* there was none */
}

/* ---- vhosts ---- */

struct vhost_options {
    struct common common;
    const char *description, *tags, *queue_type, *max_queues, *max_connections;
    bool if_not_exists;
};

static void vhost_options_init(struct vhost_options *o)
{
    *o = (struct vhost_options){0};
    common_init(&o->common);
}

int vhost_list_run(int argc, char **argv)
{
    static const struct listing listing = {
        .synopsis = "vhost list [options]",
        .about = "List vhosts.",
        .collection = "vhosts",
        .columns = "name description tags default_queue_type messages",
    };

    return listing_run(&listing, argc, argv);
}

int vhost_show_run(int argc, char **argv)
{
    static const struct naming naming = {
        .synopsis = "vhost show NAME [options]",
        .about = "Show one vhost.",
        .kind = "vhost",
        .collection = "vhosts",
    };

    return naming_show_run(&naming, argc, argv);
}

static json_t *vhost_body(const struct vhost_options *o)
{
    return json_pack("{s:s*, s:s*, s:s*}", "description", o->description, "tags", o->tags,
                     "default_queue_type", o->queue_type);
}

#define VHOST_FLAGS(o)                                                                             \
    {"description", FLAG_TEXT, "TEXT", "for people", &(o).description},                            \
        {"tags", FLAG_TEXT, "TAG,...", "for people", &(o).tags},                                   \
        {"default-queue-type", FLAG_TEXT, "TYPE", "of queues that do not say", &(o).queue_type},   \
        API_FLAGS((o).common)

int vhost_create_run(int argc, char **argv)
{
    struct vhost_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"if-not-exists", FLAG_BOOL, "", "do nothing when there is one", &o.if_not_exists},
        VHOST_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "vhost create NAME [options]",
        .about = "Create a vhost. Nobody may use it before `pabal permission set`.",
        .examples = "  pabal vhost create shop --description 'orders and bills'\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    vhost_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    struct admin_object vhost = {"vhost", "vhosts", NULL, positionals[0]};
    return admin_create(&o.common, &vhost, vhost_body(&o), o.if_not_exists);
}

static int alter_vhost(const struct vhost_options *o, const char *name)
{
    struct admin_object vhost = {"vhost", "vhosts", NULL, name};
    struct admin_object limits = {"limits", "vhost-limits", NULL, name};
    bool has_words = o->description || o->tags || o->queue_type;
    json_t *found;

    if (!has_words && !o->max_queues && !o->max_connections)
        return admin_failed(err_set(E_INVALID, "what? --description, --tags, --default-queue-type, "
                                               "--max-queues or --max-connections"));
    enum err err = admin_find(&o->common, &vhost, &found);
    if (!err)
        json_decref(found);
    if (!err && has_words)
        err = admin_ask(&o->common, &vhost, "PUT", "", vhost_body(o), NULL);
    if (!err)
        err = put_limit(&o->common, &limits, "max-queues", o->max_queues);
    if (!err)
        err = put_limit(&o->common, &limits, "max-connections", o->max_connections);
    return admin_done(&o->common, err, name, "altered");
}

int vhost_alter_run(int argc, char **argv)
{
    struct vhost_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"max-queues", FLAG_TEXT, "N", "at most so many; -1: no limit", &o.max_queues},
        {"max-connections", FLAG_TEXT, "N", "at most so many; -1: no limit", &o.max_connections},
        VHOST_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "vhost alter NAME [options]",
        .about = "Change what a vhost says of itself, or its limits.",
        .examples = "  pabal vhost alter shop --max-queues 100\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    vhost_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    return alter_vhost(&o, positionals[0]);
}

int vhost_delete_run(int argc, char **argv)
{
    static const struct naming naming = {
        .synopsis = "vhost delete NAME [options]",
        .about = "Delete a vhost with its queues, exchanges, messages and permissions.",
        .kind = "vhost",
        .collection = "vhosts",
    };

    return naming_delete_run(&naming, argc, argv);
}

/* ---- users ---- */

struct user_options {
    struct common common;
    const char *password, *password_hash, *tags, *max_connections, *max_channels;
    bool no_password, if_not_exists;
};

static void user_options_init(struct user_options *o)
{
    *o = (struct user_options){0};
    common_init(&o->common);
}

int user_list_run(int argc, char **argv)
{
    static const struct listing listing = {
        .synopsis = "user list [options]",
        .about = "List users.",
        .collection = "users",
        .columns = "name tags limits",
    };

    return listing_run(&listing, argc, argv);
}

int user_show_run(int argc, char **argv)
{
    static const struct naming naming = {
        .synopsis = "user show NAME [options]",
        .about = "Show one user.",
        .kind = "user",
        .collection = "users",
    };

    return naming_show_run(&naming, argc, argv);
}

/* "-" is a line of the standard input: what is typed as an argument everybody on the machine sees. */
static enum err put_plain_password(const char *password, json_t *body)
{
    struct lines lines;
    struct bytes line;
    enum err err = OK;

    if (strcmp(password, "-") != 0) {
        json_object_set_new(body, "password", json_string(password));
        return OK;
    }
    err = lines_open(&lines, NULL);
    if (!err)
        err = lines_next(&lines, &line);
    json_t *text = err ? NULL : json_stringn((const char *)line.data, line.size);
    lines_close(&lines);
    if (err)
        return err_set(E_INVALID, "--password -: there is no line to read");
    if (json_object_set_new(body, "password", text))
        return err_set(E_INVALID, "--password -: not UTF-8");
    return OK;
}

/* One of --password, --password-hash and --no-password, or none. */
static enum err put_password(const struct user_options *o, json_t *body)
{
    int given = !!o->password + !!o->password_hash + o->no_password;

    if (given > 1)
        return err_set(E_INVALID, "one of --password, --password-hash and --no-password");
    if (o->password)
        return put_plain_password(o->password, body);
    if (o->password_hash || o->no_password)
        json_object_set_new(body, "password_hash",
                            json_string(o->password_hash ? o->password_hash : ""));
    return OK;
}

#define USER_FLAGS(o)                                                                              \
    {"password", FLAG_TEXT, "TEXT", "what the user logs in with; - reads a line", &(o).password},  \
        {"password-hash", FLAG_TEXT, "HASH", "its salted hash instead", &(o).password_hash},       \
        {"no-password", FLAG_BOOL, "", "no login by password", &(o).no_password},                  \
        {"tags", FLAG_TEXT, "TAG,...", "administrator, monitoring, policymaker, management",       \
         &(o).tags},                                                                               \
        API_FLAGS((o).common)

static int create_user(const struct user_options *o, const char *name)
{
    struct admin_object user = {"user", "users", NULL, name};
    json_t *body = json_pack("{s:s}", "tags", o->tags ? o->tags : "");
    enum err err = put_password(o, body);

    if (!err && !o->password && !o->password_hash && !o->no_password)
        err = err_set(E_INVALID, "--password, --password-hash or --no-password is missing");
    if (err) {
        json_decref(body);
        return admin_failed(err);
    }
    return admin_create(&o->common, &user, body, o->if_not_exists);
}

int user_create_run(int argc, char **argv)
{
    struct user_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"if-not-exists", FLAG_BOOL, "", "do nothing when there is one", &o.if_not_exists},
        USER_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "user create NAME [options]",
        .about = "Create a user. What it may do is said by `pabal permission set`.",
        .examples = "  pabal user create billing --password secret --tags monitoring\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    user_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    return create_user(&o, positionals[0]);
}

/* The API takes a user whole: what is not changed is taken from what there is. */
static enum err put_user(const struct user_options *o, const struct admin_object *user)
{
    json_t *body, *found;

    enum err err = admin_find(&o->common, user, &found);
    if (err)
        return err;
    bool has_password = o->password || o->password_hash || o->no_password;
    body = json_object();
    json_object_set(body, "tags", json_object_get(found, "tags"));
    if (o->tags)
        json_object_set_new(body, "tags", json_string(o->tags));
    if (!has_password) {
        json_object_set(body, "password_hash", json_object_get(found, "password_hash"));
        json_object_set(body, "hashing_algorithm", json_object_get(found, "hashing_algorithm"));
    }
    json_decref(found);
    err = put_password(o, body);
    if (err) {
        json_decref(body);
        return err;
    }
    return admin_ask(&o->common, user, "PUT", "", body, NULL);
}

static int alter_user(const struct user_options *o, const char *name)
{
    struct admin_object user = {"user", "users", NULL, name};
    struct admin_object limits = {"limits", "user-limits", NULL, name};
    bool has_words = o->password || o->password_hash || o->no_password || o->tags;
    json_t *found;

    if (!has_words && !o->max_connections && !o->max_channels)
        return admin_failed(err_set(E_INVALID, "what? --password, --password-hash, --no-password, "
                                               "--tags, --max-connections or --max-channels"));
    enum err err = admin_find(&o->common, &user, &found);
    if (!err)
        json_decref(found);
    if (!err && has_words)
        err = put_user(o, &user);
    if (!err)
        err = put_limit(&o->common, &limits, "max-connections", o->max_connections);
    if (!err)
        err = put_limit(&o->common, &limits, "max-channels", o->max_channels);
    return admin_done(&o->common, err, name, "altered");
}

int user_alter_run(int argc, char **argv)
{
    struct user_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"max-connections", FLAG_TEXT, "N", "at most so many; -1: no limit", &o.max_connections},
        {"max-channels", FLAG_TEXT, "N", "at most so many; -1: no limit", &o.max_channels},
        USER_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "user alter NAME [options]",
        .about = "Change a user's password, tags or limits; what is not said stays.",
        .examples = "  pabal user alter billing --password better\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    user_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    return alter_user(&o, positionals[0]);
}

int user_delete_run(int argc, char **argv)
{
    static const struct naming naming = {
        .synopsis = "user delete NAME [options]",
        .about = "Delete a user and its permissions.",
        .kind = "user",
        .collection = "users",
    };

    return naming_delete_run(&naming, argc, argv);
}
