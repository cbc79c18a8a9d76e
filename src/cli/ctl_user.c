/* rabbitmqctl: users, what they may do, and their limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/amqp_client.h"
#include "cli/ctl.h"
#include "cli/lines.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static int no_user(const char *name)
{
    return ctl_error(CTL_NO_USER, "User \"%s\" does not exist", name);
}

/* The password: an argument, or a line of the standard input. NULL: *exit_code; freed by the caller
 * otherwise. */
static char *take_password(const struct ctl *c, int *exit_code)
{
    struct lines lines;
    struct bytes line = BYTES_NULL;
    char *password = NULL;

    if (c->count > 1)
        return xstrdup(c->arguments[1]);
    if (!ctl_is_for_machines(c))
        puts("Password: ");
    if (lines_open(&lines, NULL) == OK) {
        if (lines_next(&lines, &line) == OK && line.size)
            password = xasprintf("%.*s", BYTES_FORMAT(line));
        lines_close(&lines);
    }
    if (!password)
        *exit_code = ctl_error(CTL_DATA, "Password is not provided via argument or stdin");
    return password;
}

static enum err put_user(const struct ctl *c, const char *name, json_t *body)
{
    if (!body)
        return err_set(E_INVALID, "the password is not UTF-8"); /* a line of the standard input */
    return manage_ask(&c->common, body, NULL, "PUT users/%s", name);
}

static int add_user(struct ctl *c)
{
    const char *name = c->arguments[0];
    int exit_code = CTL_OK;

    if (!ctl_begin(c, "Adding user \"%s\" ...", name))
        return CTL_OK;
    char *password = take_password(c, &exit_code);
    if (!password)
        return exit_code;
    enum err err = manage_ask(&c->common, NULL, NULL, "GET users/%s", name);
    if (!err)
        exit_code = ctl_error(CTL_SOFTWARE, "User \"%s\" already exists", name);
    if (err == E_NOT_FOUND) {
        err = put_user(c, name,
                       json_pack("{s:s, s:s}", c->o.is_hash ? "password_hash" : "password",
                                 password, "tags", ""));
        exit_code = ctl_end(c, err);
        if (!err && !ctl_is_for_machines(c) && !c->o.quiet && !c->o.silent)
            puts("Done. Don't forget to grant the user permissions to some virtual hosts! See "
                 "'rabbitmqctl help set_permissions' to learn more.");
    } else if (err) {
        exit_code = ctl_failed(c, err);
    }
    free(password);
    return exit_code;
}

static int delete_user(struct ctl *c)
{
    if (!ctl_begin(c, "Deleting user \"%s\" ...", c->arguments[0]))
        return CTL_OK;
    enum err err = manage_ask(&c->common, NULL, NULL, "DELETE users/%s", c->arguments[0]);
    return ctl_end(c, err == E_NOT_FOUND ? OK : err);
}

/* Put the user again with what `change` has, and the rest as it was. Takes `change`. */
static int change_user(const struct ctl *c, const char *name, json_t *change)
{
    static const char *const kept[] = {"password_hash", "hashing_algorithm", "tags"};
    json_t *user;
    bool has_password = json_object_get(change, "password") != NULL;

    enum err err = manage_get(&c->common, &user, "GET users/%s", name);
    if (err) {
        json_decref(change);
        return err == E_NOT_FOUND ? no_user(name) : ctl_failed(c, err);
    }
    for (size_t i = has_password ? 2 : 0; i < COUNT(kept); i++)
        if (!json_object_get(change, kept[i]) && json_object_get(user, kept[i]))
            json_object_set(change, kept[i], json_object_get(user, kept[i]));
    json_decref(user);
    return ctl_end(c, put_user(c, name, change));
}

static int change_password(struct ctl *c)
{
    const char *name = c->arguments[0];
    int exit_code = CTL_OK;

    if (!ctl_begin(c, "Changing password for user \"%s\" ...", name))
        return CTL_OK;
    char *password = take_password(c, &exit_code);
    if (!password)
        return exit_code;
    exit_code = change_user(c, name, json_pack("{s:s}", "password", password));
    free(password);
    return exit_code;
}

static int clear_password(struct ctl *c)
{
    if (!ctl_begin(c, "Clearing password for user \"%s\" ...", c->arguments[0]))
        return CTL_OK;
    return change_user(c, c->arguments[0], json_pack("{s:s}", "password_hash", ""));
}

static int set_user_tags(struct ctl *c)
{
    struct text shown = {0}, tags = {0};

    for (size_t i = 1; i < c->count; i++) {
        text_printf(&shown, "%s%s", i > 1 ? ", " : "", c->arguments[i]);
        text_printf(&tags, "%s%s", i > 1 ? "," : "", c->arguments[i]);
    }
    bool goes_on = ctl_begin(c, "Setting tags for user \"%s\" to [%s] ...", c->arguments[0],
                             text_string(&shown));
    int exit_code =
        goes_on ? change_user(c, c->arguments[0], json_pack("{s:s}", "tags", text_string(&tags)))
                : CTL_OK;
    text_reset(&shown);
    text_reset(&tags);
    return exit_code;
}

/* The API has no question about a password: log in by AMQP. A refusal that comes later than the
 * log-in, about the vhost, is none of the password. */
static enum err try_password(const struct ctl *c, const char *user, const char *password,
                             bool *out_is_right)
{
    struct amqp_login login = {user, password, c->o.vhost};
    struct amqp_client *client = NULL;
    char address[300];

    enum err err = ctl_listener(c, "amqp", address, sizeof address);
    if (err)
        return err;
    err = amqp_client_open(address, &login, c->common.timeout_ns, &client);
    amqp_client_close(client);
    if (err && err != E_REFUSED && err != E_INVALID)
        return err;
    *out_is_right = !err || !(strstr(err_text(), "Login was refused") ||
                              strstr(err_text(), ": access refused"));
    return OK;
}

static int authenticate_user(struct ctl *c)
{
    const char *name = c->arguments[0];
    int exit_code = CTL_OK;
    bool is_right;

    if (!ctl_begin(c, "Authenticating user \"%s\" ...", name))
        return CTL_OK;
    char *password = take_password(c, &exit_code);
    if (!password)
        return exit_code;
    enum err err = try_password(c, name, password, &is_right);
    free(password);
    if (err)
        return ctl_failed(c, err);
    if (!is_right)
        return ctl_error(
            CTL_DATA, "Error: failed to authenticate user \"%s\"\nuser '%s' - invalid credentials",
            name, name);
    puts("Success");
    return CTL_OK;
}

static int hash_password(struct ctl *c)
{
    int exit_code = CTL_OK;
    char *password = c->count ? xstrdup(c->arguments[0]) : take_password(c, &exit_code);
    json_t *answer;

    if (!password)
        return exit_code;
    (void)ctl_begin(c, "Will hash password %s", password);
    enum err err = manage_get(&c->common, &answer, "GET auth/hash_password/%s", password);
    free(password);
    if (err)
        return ctl_failed(c, err);
    const char *hash = json_string_value(json_object_get(answer, "ok"));
    puts(hash ? hash : "");
    json_decref(answer);
    return CTL_OK;
}

/* ---- permissions ---- */

/* A vhost or a user is missing: say which. */
static int end_permission(const struct ctl *c, const char *user, enum err err)
{
    if (err != E_NOT_FOUND && err != E_PRECONDITION)
        return ctl_end(c, err);
    char *reason = xstrdup(err_text());
    int exit_code;
    if (manage_ask(&c->common, NULL, NULL, "GET users/%s", user) == E_NOT_FOUND)
        exit_code = ctl_error(CTL_NO_USER, "User %s does not exist", user);
    else if (manage_ask(&c->common, NULL, NULL, "GET vhosts/%s", c->o.vhost) == E_NOT_FOUND)
        exit_code = ctl_error(CTL_UNAVAILABLE, "Virtual host %s does not exist", c->o.vhost);
    else
        exit_code = ctl_error(CTL_UNAVAILABLE, "%s", reason);
    free(reason);
    return exit_code;
}

static enum err put_permissions(const struct ctl *c, const char *vhost)
{
    return manage_ask(&c->common,
                      json_pack("{s:s, s:s, s:s}", "configure", c->arguments[1], "write",
                                c->arguments[2], "read", c->arguments[3]),
                      NULL, "PUT permissions/%s/%s", vhost, c->arguments[0]);
}

static int set_permissions(struct ctl *c)
{
    if (!ctl_begin(c, "Setting permissions for user \"%s\" in vhost \"%s\" ...", c->arguments[0],
                   c->o.vhost))
        return CTL_OK;
    return end_permission(c, c->arguments[0], put_permissions(c, c->o.vhost));
}

static int set_permissions_globally(struct ctl *c)
{
    json_t *vhosts, *vhost;
    size_t i;

    if (!ctl_begin(c, "Setting permissions for user \"%s\" in all virtual hosts ...",
                   c->arguments[0]))
        return CTL_OK;
    enum err err = manage_get(&c->common, &vhosts, "GET vhosts");
    if (err)
        return ctl_failed(c, err);
    json_array_foreach(vhosts, i, vhost)
    {
        if (!err)
            err = put_permissions(c, json_string_value(json_object_get(vhost, "name")));
    }
    json_decref(vhosts);
    return end_permission(c, c->arguments[0], err);
}

static int clear_permissions(struct ctl *c)
{
    if (!ctl_begin(c, "Clearing permissions for user \"%s\" in vhost \"%s\" ...", c->arguments[0],
                   c->o.vhost))
        return CTL_OK;
    enum err err =
        manage_ask(&c->common, NULL, NULL, "DELETE permissions/%s/%s", c->o.vhost, c->arguments[0]);
    return ctl_end(c, err == E_NOT_FOUND ? OK : err);
}

static int set_topic_permissions(struct ctl *c)
{
    if (!ctl_begin(c, "Setting topic permissions on \"%s\" for user \"%s\" in vhost \"%s\" ...",
                   c->arguments[1], c->arguments[0], c->o.vhost))
        return CTL_OK;
    json_t *body = json_pack("{s:s, s:s, s:s}", "exchange", c->arguments[1], "write",
                             c->arguments[2], "read", c->arguments[3]);
    return end_permission(c, c->arguments[0],
                          manage_ask(&c->common, body, NULL, "PUT topic-permissions/%s/%s",
                                     c->o.vhost, c->arguments[0]));
}

/* Those of one exchange go by taking all away and setting the others again. */
static enum err clear_topic_permission(const struct ctl *c, const char *user, const char *exchange)
{
    json_t *rows, *row;
    size_t i;

    enum err err = manage_get(&c->common, &rows, "GET topic-permissions/%s/%s", c->o.vhost, user);
    if (err)
        return err;
    err = manage_ask(&c->common, NULL, NULL, "DELETE topic-permissions/%s/%s", c->o.vhost, user);
    json_array_foreach(rows, i, row)
    {
        const char *of = json_string_value(json_object_get(row, "exchange"));
        if (err || (of && strcmp(of, exchange) == 0))
            continue;
        err = manage_ask(&c->common, json_incref(row), NULL, "PUT topic-permissions/%s/%s",
                         c->o.vhost, user);
    }
    json_decref(rows);
    return err;
}

static int clear_topic_permissions(struct ctl *c)
{
    const char *user = c->arguments[0], *exchange = c->arguments[1];
    enum err err;

    bool goes_on =
        exchange ? ctl_begin(c,
                             "Clearing topic permissions on \"%s\" for user \"%s\" in vhost "
                             "\"%s\" ...",
                             exchange, user, c->o.vhost)
                 : ctl_begin(c, "Clearing topic permissions for user \"%s\" in vhost \"%s\" ...",
                             user, c->o.vhost);
    if (!goes_on)
        return CTL_OK;
    err = exchange ? clear_topic_permission(c, user, exchange)
                   : manage_ask(&c->common, NULL, NULL, "DELETE topic-permissions/%s/%s",
                                c->o.vhost, user);
    return ctl_end(c, err == E_NOT_FOUND ? OK : err);
}

/* ---- limits ---- */

static const struct ctl_column limit_columns[] = {{"user", NULL, CTL_ANY},
                                                  {"limits", "value", CTL_JSON}};
static const struct ctl_listing limit_listing = {.columns = limit_columns,
                                                 .column_count = COUNT(limit_columns)};

static int missing_user(const char *name)
{
    return ctl_error(CTL_UNAVAILABLE, "{:no_such_user, \"%s\"}", name);
}

static int set_user_limits(struct ctl *c)
{
    json_error_t error;
    const char *user = c->arguments[0], *name;
    json_t *limits, *limit;

    if (!ctl_begin(c, "Setting user limits to \"%s\" for user \"%s\" ...", c->arguments[1], user))
        return CTL_OK;
    limits = json_loads(c->arguments[1], 0, &error);
    if (!json_is_object(limits)) {
        json_decref(limits);
        return ctl_error(CTL_UNAVAILABLE, "Could not parse JSON document: %s", c->arguments[1]);
    }
    enum err err = manage_ask(&c->common, NULL, NULL, "GET users/%s", user);
    json_object_foreach(limits, name, limit)
    {
        if (!err)
            err = manage_ask(&c->common, json_pack("{s:O}", "value", limit), NULL,
                             "PUT user-limits/%s/%s", user, name);
    }
    json_decref(limits);
    return err == E_NOT_FOUND ? missing_user(user) : ctl_end(c, err);
}

static int clear_user_limits(struct ctl *c)
{
    static const char *const all[] = {"max-connections", "max-channels"};
    const char *user = c->arguments[0], *limit = c->arguments[1];
    bool is_all = strcmp(limit, "all") == 0;
    enum err err = OK;

    bool goes_on = is_all ? ctl_begin(c, "Clearing all limits for user \"%s\" ...", user)
                          : ctl_begin(c, "Clearing \"%s\" limit for user \"%s\" ...", limit, user);
    for (size_t i = 0; goes_on && !err && i < (is_all ? COUNT(all) : 1); i++) {
        err = manage_ask(&c->common, NULL, NULL, "DELETE user-limits/%s/%s", user,
                         is_all ? all[i] : limit);
        err = err == E_NOT_FOUND ? OK : err;
    }
    return ctl_end(c, err);
}

static int list_user_limits(struct ctl *c)
{
    const char *user = c->o.user ? c->o.user : "guest";
    json_t *rows;

    bool goes_on = c->o.global ? ctl_begin(c, "Listing limits for all users ...")
                               : ctl_begin(c, "Listing limits for user \"%s\" ...", user);
    if (!goes_on)
        return CTL_OK;
    enum err err = c->o.global ? manage_get(&c->common, &rows, "GET user-limits")
                               : manage_get(&c->common, &rows, "GET user-limits/%s", user);
    if (err)
        return err == E_NOT_FOUND && !c->o.global ? missing_user(user) : ctl_failed(c, err);
    if (c->o.global) {
        (void)ctl_print_rows(c, &limit_listing, rows);
    } else {
        const json_t *value = output_find(json_array_get(rows, 0), "value");
        char *text = value ? json_dumps(value, JSON_COMPACT) : xstrdup("{}");
        puts(text);
        free(text);
    }
    json_decref(rows);
    return CTL_OK;
}

static const struct ctl_command commands[] = {
    {"add_user", "<username> [<password>] [<password_hash> --pre-hashed-password]",
     "Creates a new user in the internal database", "pre-hashed-password", 1, 2, add_user, NULL,
     false},
    {"delete_user", "<username>", "Removes a user from the internal database", "", 1, 1,
     delete_user, NULL, false},
    {"change_password", "<username> [<password>]", "Changes the user password", "", 1, 2,
     change_password, NULL, false},
    {"clear_password", "<username>", "Clears (resets) password and disables password login", "", 1,
     1, clear_password, NULL, false},
    {"set_user_tags", "<username> [<tag> ...]", "Sets user tags", "", 1, -1, set_user_tags, NULL,
     false},
    {"authenticate_user", "<username> [<password>]",
     "Attempts to authenticate a user. Exits with a non-zero code if authentication fails", "", 1,
     2, authenticate_user, NULL, false},
    {"hash_password", "<cleartext_password>", "Hashes a plaintext password", "", 0, 1,
     hash_password, NULL, false},
    {"set_permissions", "[--vhost <vhost>] <username> <conf> <write> <read>",
     "Sets user permissions for a vhost", "", 4, 4, set_permissions, NULL, false},
    {"set_permissions_globally", "<username> <conf> <write> <read>",
     "Sets user permissions for all virtual hosts", "", 4, 4, set_permissions_globally, NULL,
     false},
    {"clear_permissions", "[--vhost <vhost>] <username>", "Revokes user permissions for a vhost",
     "", 1, 1, clear_permissions, NULL, false},
    {"set_topic_permissions", "[--vhost <vhost>] <username> <exchange> <write> <read>",
     "Sets user topic permissions for an exchange", "", 4, 4, set_topic_permissions, NULL, false},
    {"clear_topic_permissions", "[--vhost <vhost>] <username> [<exchange>]",
     "Clears user topic permissions for a vhost or exchange", "", 1, 2, clear_topic_permissions,
     NULL, false},
    {"set_user_limits", "<username> <definition>", "Sets user limits", "", 2, 2, set_user_limits,
     NULL, false},
    {"clear_user_limits", "<username> <limit_type> | all", "Clears user connection/channel limits",
     "", 2, 2, clear_user_limits, NULL, false},
    {"list_user_limits", "[--user <username>] [--global]", "Displays configured user limits",
     "user global", 0, 0, list_user_limits, NULL, false},
};

const struct ctl_commands ctl_user_commands = {commands, COUNT(commands)};
