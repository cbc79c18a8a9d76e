/* `pabal exchange ...` and `pabal binding ...`. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/admin.h"
#include "cli/commands.h"

/* ---- exchanges ---- */

struct exchange_options {
    struct common common;
    const char *vhost, *type;
    struct flag_list arguments;
    bool transient, auto_delete, internal, if_not_exists, if_unused, if_exists;
};

static void exchange_options_init(struct exchange_options *o)
{
    *o = (struct exchange_options){.vhost = "/", .type = "direct"};
    common_init(&o->common);
}

static struct admin_object exchange_of(const struct exchange_options *o, const char *name)
{
    return (struct admin_object){"exchange", "exchanges", o->vhost, name};
}

int exchange_list_run(int argc, char **argv)
{
    static const struct listing listing = {
        .synopsis = "exchange list [options]",
        .about = "List exchanges of all vhosts.",
        .collection = "exchanges",
        .columns = "name vhost type durable auto_delete internal policy",
        .takes_vhost = true,
    };

    return listing_run(&listing, argc, argv);
}

int exchange_show_run(int argc, char **argv)
{
    static const struct naming naming = {
        .synopsis = "exchange show NAME [options]",
        .about = "Show one exchange.",
        .kind = "exchange",
        .collection = "exchanges",
        .takes_vhost = true,
    };

    return naming_show_run(&naming, argc, argv);
}

static int create_exchange(const struct exchange_options *o, const char *name)
{
    struct admin_object exchange = exchange_of(o, name);
    json_t *arguments;

    enum err err = admin_read_arguments(&o->arguments, &arguments);
    if (err)
        return admin_failed(err);
    json_t *body =
        json_pack("{s:s, s:b, s:b, s:b, s:o}", "type", o->type, "durable", !o->transient,
                  "auto_delete", o->auto_delete, "internal", o->internal, "arguments", arguments);
    return admin_create(&o->common, &exchange, body, o->if_not_exists);
}

int exchange_create_run(int argc, char **argv)
{
    struct exchange_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"type", FLAG_TEXT, "TYPE", "direct, fanout, topic, headers, x-... [direct]", &o.type},
        {"transient", FLAG_BOOL, "", "gone after a restart", &o.transient},
        {"auto-delete", FLAG_BOOL, "", "gone with its last binding", &o.auto_delete},
        {"internal", FLAG_BOOL, "", "takes messages from other exchanges only", &o.internal},
        {"arg", FLAG_LIST, "NAME=VALUE", "an argument; may be given many times", &o.arguments},
        {"if-not-exists", FLAG_BOOL, "", "do nothing when there is one", &o.if_not_exists},
        VHOST_FLAG(o.vhost),
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "exchange create NAME [options]",
        .about = "Create an exchange, durable unless told otherwise.",
        .examples = "  pabal exchange create events --type topic --arg alternate-exchange=rest\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    exchange_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    return create_exchange(&o, positionals[0]);
}

int exchange_delete_run(int argc, char **argv)
{
    struct exchange_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"if-unused", FLAG_BOOL, "", "not when something is bound to it", &o.if_unused},
        {"if-exists", FLAG_BOOL, "", "do nothing when there is none", &o.if_exists},
        VHOST_FLAG(o.vhost),
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "exchange delete NAME [options]",
        .about = "Delete an exchange and its bindings.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    exchange_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    struct admin_object exchange = exchange_of(&o, positionals[0]);
    return admin_delete(&o.common, &exchange, o.if_unused ? "?if-unused=true" : "", o.if_exists);
}

/* ---- bindings ---- */

struct binding_options {
    struct common common;
    const char *vhost, *source, *destination, *key;
    struct flag_list arguments;
    bool to_exchange;
};

static void binding_options_init(struct binding_options *o)
{
    *o = (struct binding_options){.vhost = "/", .key = ""};
    common_init(&o->common);
}

int binding_list_run(int argc, char **argv)
{
    static const struct listing listing = {
        .synopsis = "binding list [options]",
        .about =
            "List bindings of all vhosts. Every queue is bound to the exchange without a name\n"
            "by its own name.",
        .collection = "bindings",
        .columns = "source destination destination_type:type vhost routing_key:key arguments",
        .takes_vhost = true,
    };

    return listing_run(&listing, argc, argv);
}

#define BINDING_FLAGS(o)                                                                           \
    {"key,k", FLAG_TEXT, "KEY", "routing key [none]", &(o).key},                                   \
        {"arg", FLAG_LIST, "NAME=VALUE", "an argument; may be given many times", &(o).arguments},  \
        {"to-exchange", FLAG_BOOL, "", "DESTINATION is an exchange, no queue", &(o).to_exchange},  \
        VHOST_FLAG((o).vhost), API_FLAGS((o).common)

/* As the API's paths say it. */
static const char *destination_kind(const struct binding_options *o)
{
    return o->to_exchange ? "e" : "q";
}

static int create_binding(const struct binding_options *o)
{
    json_t *arguments;

    enum err err = admin_read_arguments(&o->arguments, &arguments);
    if (err)
        return admin_failed(err);
    json_t *body = json_pack("{s:s, s:o}", "routing_key", o->key, "arguments", arguments);
    err = manage_ask(&o->common, body, NULL, "POST bindings/%s/e/%s/%s/%s", o->vhost, o->source,
                     destination_kind(o), o->destination);
    if (err == E_NOT_FOUND)
        err = err_set(err, "there is no exchange %s or no %s %s in vhost %s", o->source,
                      o->to_exchange ? "exchange" : "queue", o->destination, o->vhost);
    return admin_done(&o->common, err, o->destination, "bound");
}

int binding_create_run(int argc, char **argv)
{
    struct binding_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {BINDING_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "binding create EXCHANGE DESTINATION [options]",
        .about = "Let an exchange route to a queue, or to another exchange.",
        .examples = "  pabal binding create events billing --key 'order.#'\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 2,
        .positional_most = 2,
    };

    binding_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    o.source = positionals[0];
    o.destination = positionals[1];
    return create_binding(&o);
}

/* The API names a binding by its key and a hash of its arguments: look for the one meant. */
static enum err find_binding(const struct binding_options *o, const json_t *arguments, char **out)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum err err = manage_get(&o->common, &rows, "GET bindings/%s/e/%s/%s/%s", o->vhost, o->source,
                              destination_kind(o), o->destination);

    if (err && err != E_NOT_FOUND)
        return err;
    err = err_set(E_NOT_FOUND, "%s is not bound to %s with key \"%s\" and these arguments",
                  o->destination, o->source, o->key);
    json_array_foreach(rows, i, row)
    {
        const char *key = json_string_value(json_object_get(row, "routing_key"));
        const char *properties = json_string_value(json_object_get(row, "properties_key"));
        if (!key || !properties || strcmp(key, o->key) != 0 ||
            !json_equal(json_object_get(row, "arguments"), arguments))
            continue;
        *out = xstrdup(properties);
        err = OK;
        break;
    }
    json_decref(rows);
    return err;
}

static int delete_binding(const struct binding_options *o)
{
    json_t *arguments;
    char *properties = NULL;
    enum err err = admin_read_arguments(&o->arguments, &arguments);

    if (err)
        return admin_failed(err);
    err = find_binding(o, arguments, &properties);
    if (!err)
        err = manage_ask(&o->common, NULL, NULL, "DELETE bindings/%s/e/%s/%s/%s/%s", o->vhost,
                         o->source, destination_kind(o), o->destination, properties);
    free(properties);
    json_decref(arguments);
    return admin_done(&o->common, err, o->destination, "unbound");
}

int binding_delete_run(int argc, char **argv)
{
    struct binding_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {BINDING_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "binding delete EXCHANGE DESTINATION [options]",
        .about = "Delete the binding with exactly this key and these arguments.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 2,
        .positional_most = 2,
    };

    binding_options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    o.source = positionals[0];
    o.destination = positionals[1];
    return delete_binding(&o);
}
