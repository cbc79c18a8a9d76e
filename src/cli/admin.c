#include "cli/admin.h"

#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/url.h"

/* ---- words ---- */

enum err admin_put_pairs(json_t *object, const char *flag, const struct flag_list *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const char *pair = pairs->items[i], *equals = strchr(pair, '=');
        if (!equals || equals == pair)
            return err_set(E_INVALID, "--%s %s: must be NAME=VALUE", flag, pair);
        json_t *value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
        if (!value)
            value = json_string(equals + 1);
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)(equals - pair), pair);
        if (!value || json_object_set_new(object, key, value))
            return err_set(E_INVALID, "--%s %s: not UTF-8", flag, pair);
    }
    return OK;
}

enum err admin_read_arguments(const struct flag_list *pairs, json_t **out)
{
    *out = json_object();
    enum err err = admin_put_pairs(*out, "arg", pairs);

    if (err) {
        json_decref(*out);
        *out = NULL;
    }
    return err;
}

/* ---- finding ---- */

static enum err ask_object(const struct common *common, const struct admin_object *o,
                           const char *method, const char *suffix, json_t *body,
                           struct manage_answer *out)
{
    struct text request = {0};

    if (!bytes_are_utf8(bytes_from_string(o->name))) {
        json_decref(body);
        return err_set(E_INVALID, "the %s's name is not UTF-8", o->kind);
    }
    text_printf(&request, "%s %s/", method, o->collection);
    if (o->vhost)
        url_put_path(&request, "%s/", o->vhost);
    url_put_path(&request, "%s", o->name);
    text_append_string(&request, suffix);
    enum err err = manage_ask_text(common, body, out, text_string(&request));
    text_reset(&request);
    return err;
}

/* Of the names in `rows` the one that was most likely meant. */
static struct nearest find_nearest(const json_t *rows, const char *wanted)
{
    struct nearest nearest = {0};
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        const char *name = json_string_value(json_object_get(row, "name"));
        nearest_consider(&nearest, bytes_from_string(wanted), bytes_from_string(name ? name : ""));
    }
    return nearest;
}

/* The server's 404 does not say what is missing: look. */
static enum err missing(const struct common *common, const struct admin_object *o)
{
    json_t *rows = NULL;
    enum err err = o->vhost ? manage_ask(common, NULL, NULL, "GET vhosts/%s", o->vhost) : OK;

    if (err == E_NOT_FOUND)
        return err_set(err, "there is no vhost %s", o->vhost);
    err = o->vhost ? manage_get(common, &rows, "GET %s/%s", o->collection, o->vhost)
                   : manage_get(common, &rows, "GET %s", o->collection);
    struct nearest nearest = find_nearest(err ? NULL : rows, o->name);
    err =
        err_set(E_NOT_FOUND, "there is no %s %s%s%s%s%s%s", o->kind, o->name,
                o->vhost ? " in vhost " : "", o->vhost ? o->vhost : "",
                nearest.name[0] ? "; did you mean " : "", nearest.name, nearest.name[0] ? "?" : "");
    json_decref(rows);
    return err;
}

enum err admin_ask(const struct common *common, const struct admin_object *o, const char *method,
                   const char *suffix, json_t *body, struct manage_answer *out)
{
    enum err err = ask_object(common, o, method, suffix, body, out);

    return err == E_NOT_FOUND ? missing(common, o) : err;
}

enum err admin_find(const struct common *common, const struct admin_object *o, json_t **out)
{
    struct manage_answer answer = {0};
    enum err err = admin_ask(common, o, "GET", "", NULL, &answer);

    if (!err)
        *out = answer.body ? answer.body : json_null();
    return err;
}

/* ---- ends of commands ---- */

int admin_failed(enum err err)
{
    int exit_code = (int)output_error(err);

    return err == E_INVALID ? EXIT_CODE_USAGE : exit_code;
}

int admin_done(const struct common *common, enum err err, const char *name, const char *done)
{
    if (err)
        return admin_failed(err);
    output_object(json_pack("{s:s, s:b}", "name", name, done, 1), common_wants_json(common));
    return EXIT_CODE_OK;
}

static int did(const struct common *common, const struct admin_object *o, const char *what,
               bool did)
{
    output_object(json_pack("{s:s, s:b}", "name", o->name, what, did), common_wants_json(common));
    return EXIT_CODE_OK;
}

int admin_show(const struct common *common, const struct admin_object *o)
{
    json_t *object;
    enum err err = admin_find(common, o, &object);

    if (err)
        return admin_failed(err);
    output_object(object, common_wants_json(common));
    return EXIT_CODE_OK;
}

int admin_set(const struct common *common, const struct admin_object *o, json_t *body)
{
    return admin_done(common, admin_ask(common, o, "PUT", "", body, NULL), o->name, "set");
}

int admin_create(const struct common *common, const struct admin_object *o, json_t *body,
                 bool if_not_exists)
{
    enum err err = ask_object(common, o, "GET", "", NULL, NULL);

    if (err == E_NOT_FOUND) {
        err = admin_ask(common, o, "PUT", "", body, NULL);
        return err ? admin_failed(err) : did(common, o, "created", true);
    }
    json_decref(body);
    if (!err && if_not_exists)
        return did(common, o, "created", false);
    if (!err)
        err = err_set(E_EXISTS, "%s %s exists already", o->kind, o->name);
    return admin_failed(err);
}

int admin_delete(const struct common *common, const struct admin_object *o, const char *query,
                 bool if_exists)
{
    enum err err = admin_ask(common, o, "DELETE", query, NULL, NULL);

    if (err == E_NOT_FOUND && if_exists)
        return did(common, o, "deleted", false);
    return err ? admin_failed(err) : did(common, o, "deleted", true);
}

/* ---- list ---- */

int listing_run(const struct listing *l, int argc, char **argv)
{
    struct common common;
    const char *vhost = NULL, *positionals[POSITIONALS_MAX];
    json_t *rows;
    int exit_code;
    const struct flag flags[] = {
        API_FLAGS(common),
        {"vhost", FLAG_TEXT, "NAME", "of this one only", &vhost},
    };
    const struct arguments a = {
        .synopsis = l->synopsis,
        .about = l->about,
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0] - !l->takes_vhost,
    };

    common_init(&common);
    if (!cli_begin(&a, argc, argv, positionals, &common, &exit_code))
        return exit_code;
    enum err err = vhost ? manage_get(&common, &rows, "GET %s/%s", l->collection, vhost)
                         : manage_get(&common, &rows, "GET %s", l->collection);
    if (err == E_NOT_FOUND && vhost)
        err = err_set(err, "there is no vhost %s", vhost);
    if (err)
        return admin_failed(err);
    output_rows(rows, l->columns, common_wants_json(&common));
    return EXIT_CODE_OK;
}

/* ---- show, delete ---- */

int naming_show_run(const struct naming *n, int argc, char **argv)
{
    struct common common;
    const char *vhost = "/", *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {VHOST_FLAG(vhost), API_FLAGS(common)};
    const struct arguments a = {
        .synopsis = n->synopsis,
        .about = n->about,
        .examples = "",
        .flags = flags + !n->takes_vhost,
        .flag_count = sizeof flags / sizeof flags[0] - !n->takes_vhost,
        NAME_ARGUMENTS,
    };

    common_init(&common);
    if (!cli_begin(&a, argc, argv, positionals, &common, &exit_code))
        return exit_code;
    struct admin_object object = {n->kind, n->collection, n->takes_vhost ? vhost : NULL,
                                  positionals[0]};
    return admin_show(&common, &object);
}

int naming_delete_run(const struct naming *n, int argc, char **argv)
{
    struct common common;
    const char *positionals[POSITIONALS_MAX];
    bool if_exists = false;
    int exit_code;
    const struct flag flags[] = {
        {"if-exists", FLAG_BOOL, "", "do nothing when there is none", &if_exists},
        API_FLAGS(common),
    };
    const struct arguments a = {
        .synopsis = n->synopsis,
        .about = n->about,
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    common_init(&common);
    if (!cli_begin(&a, argc, argv, positionals, &common, &exit_code))
        return exit_code;
    struct admin_object object = {n->kind, n->collection, NULL, positionals[0]};
    return admin_delete(&common, &object, "", if_exists);
}
