/* `pabal policy ...` and `pabal definitions ...`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "cli/admin.h"
#include "cli/commands.h"
#include "io/process.h"

enum { DEFINITIONS_MAX_BYTES = 256 * 1024 * 1024 };

/* ---- policies ---- */

struct policy_options {
    struct common common;
    const char *vhost, *apply_to, *priority, *definition;
    struct flag_list settings;
    bool is_operator, if_exists;
};

static void options_init(struct policy_options *o)
{
    *o = (struct policy_options){.vhost = "/", .apply_to = "all", .priority = "0"};
    common_init(&o->common);
}

static const char *collection_of(const struct policy_options *o)
{
    return o->is_operator ? "operator-policies" : "policies";
}

static struct admin_object policy_of(const struct policy_options *o, const char *name)
{
    return (struct admin_object){o->is_operator ? "operator policy" : "policy", collection_of(o),
                                 o->vhost, name};
}

#define OPERATOR_FLAG(o)                                                                           \
    {                                                                                              \
        "operator", FLAG_BOOL, "", "of the operator, which limits the others", &(o).is_operator    \
    }

int policy_list_run(int argc, char **argv)
{
    struct policy_options o;
    const char *positionals[POSITIONALS_MAX];
    json_t *rows;
    int exit_code;
    const struct flag flags[] = {
        {"vhost", FLAG_TEXT, "NAME", "of this one only", &o.vhost},
        OPERATOR_FLAG(o),
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "policy list [options]",
        .about = "List the policies of all vhosts.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };

    options_init(&o);
    o.vhost = NULL;
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    enum err err = o.vhost ? manage_get(&o.common, &rows, "GET %s/%s", collection_of(&o), o.vhost)
                           : manage_get(&o.common, &rows, "GET %s", collection_of(&o));
    if (err)
        return admin_failed(err);
    output_rows(rows, "name vhost pattern apply-to priority definition",
                common_wants_json(&o.common));
    return EXIT_CODE_OK;
}

int policy_show_run(int argc, char **argv)
{
    struct policy_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {OPERATOR_FLAG(o), VHOST_FLAG(o.vhost), API_FLAGS(o.common)};
    const struct arguments a = {
        .synopsis = "policy show NAME [options]",
        .about = "Show one policy.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    struct admin_object policy = policy_of(&o, positionals[0]);
    return admin_show(&o.common, &policy);
}

/* --definition and each --set; *out is a new reference, also on failure. */
static enum err read_definition(const struct policy_options *o, json_t **out)
{
    json_error_t error;

    *out = o->definition ? json_loads(o->definition, 0, &error) : json_object();
    if (!json_is_object(*out))
        return err_set(E_INVALID, "--definition: %s", *out ? "must be a JSON object" : error.text);
    enum err err = admin_put_pairs(*out, "set", &o->settings);
    if (!err && json_object_size(*out) == 0)
        err = err_set(E_INVALID, "what? --set NAME=VALUE, or --definition JSON");
    return err;
}

static int set_policy(const struct policy_options *o, const char *name, const char *pattern)
{
    struct admin_object policy = policy_of(o, name);
    int64_t priority;
    json_t *definition;

    enum err err = read_definition(o, &definition);
    if (!err && !number_parse_i64(bytes_from_string(o->priority), &priority))
        err = err_set(E_INVALID, "--priority %s: must be a number", o->priority);
    if (err) {
        json_decref(definition);
        return admin_failed(err);
    }
    json_t *body = json_pack("{s:s, s:o, s:s, s:I}", "pattern", pattern, "definition", definition,
                             "apply-to", o->apply_to, "priority", (json_int_t)priority);
    return admin_set(&o->common, &policy, body);
}

int policy_set_run(int argc, char **argv)
{
    struct policy_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"set", FLAG_LIST, "NAME=VALUE", "a setting; may be given many times", &o.settings},
        {"definition", FLAG_TEXT, "JSON", "the settings as an object", &o.definition},
        {"apply-to", FLAG_TEXT, "KIND", "queues, exchanges, classic_queues, ... [all]",
         &o.apply_to},
        {"priority", FLAG_TEXT, "N", "of those that match a name the highest counts [0]",
         &o.priority},
        OPERATOR_FLAG(o),
        VHOST_FLAG(o.vhost),
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "policy set NAME PATTERN [options]",
        .about = "Give settings to all queues or exchanges whose names match a regular expression.",
        .examples = "  pabal policy set short '^log-' --apply-to queues --set max-length=1000\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 2,
        .positional_most = 2,
    };

    options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    return set_policy(&o, positionals[0], positionals[1]);
}

int policy_clear_run(int argc, char **argv)
{
    struct policy_options o;
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {
        {"if-exists", FLAG_BOOL, "", "do nothing when there is none", &o.if_exists},
        OPERATOR_FLAG(o),
        VHOST_FLAG(o.vhost),
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "policy clear NAME [options]",
        .about = "Delete a policy; what it set is as before.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    options_init(&o);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    struct admin_object policy = policy_of(&o, positionals[0]);
    return admin_delete(&o.common, &policy, "", o.if_exists);
}

/* ---- definitions ---- */

struct definitions_options {
    struct common common;
    const char *vhost;
};

#define DEFINITIONS_FLAGS(o)                                                                       \
    {"vhost", FLAG_TEXT, "NAME", "of this one only [all, with users]", &(o).vhost},                \
        API_FLAGS((o).common)

static enum err export_definitions(const struct definitions_options *o, const char *path)
{
    json_t *definitions;
    enum err err = o->vhost ? manage_get(&o->common, &definitions, "GET definitions/%s", o->vhost)
                            : manage_get(&o->common, &definitions, "GET definitions");

    if (err)
        return err;
    char *text = json_dumps(definitions, JSON_INDENT(2));
    json_decref(definitions);
    if (strcmp(path, "-") == 0)
        puts(text);
    else
        err = process_write_file(path, bytes_from_string(text));
    free(text);
    return err;
}

int definitions_export_run(int argc, char **argv)
{
    struct definitions_options o = {0};
    const char *positionals[POSITIONALS_MAX];
    int exit_code;
    const struct flag flags[] = {DEFINITIONS_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "definitions export [FILE] [options]",
        .about = "Write vhosts, users, permissions, policies, queues, exchanges and bindings as\n"
                 "JSON, in RabbitMQ's form. Without FILE: to the standard output.",
        .examples = "  pabal definitions export definitions.json\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_most = 1,
    };

    common_init(&o.common);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    enum err err = export_definitions(&o, positionals[0] ? positionals[0] : "-");
    return err ? admin_failed(err) : EXIT_CODE_OK;
}

static enum err read_definitions(const char *path, json_t **out)
{
    struct text text = {0};
    json_error_t error;

    enum err err = process_read_file(strcmp(path, "-") == 0 ? "/dev/stdin" : path,
                                     DEFINITIONS_MAX_BYTES, &text);
    if (err)
        return err;
    *out = json_loadb(text_string(&text), text.size, 0, &error);
    text_reset(&text);
    return *out ? OK : err_set(E_MALFORMED, "%s:%d: %s", path, error.line, error.text);
}

int definitions_import_run(int argc, char **argv)
{
    struct definitions_options o = {0};
    const char *positionals[POSITIONALS_MAX];
    json_t *definitions;
    int exit_code;
    const struct flag flags[] = {DEFINITIONS_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "definitions import FILE [options]",
        .about =
            "Make what the file says, in RabbitMQ's form; what is there already stays. FILE -\n"
            "is the standard input.",
        .examples = "  pabal definitions import definitions.json --vhost shop\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    common_init(&o.common);
    if (!cli_begin(&a, argc, argv, positionals, &o.common, &exit_code))
        return exit_code;
    enum err err = read_definitions(positionals[0], &definitions);
    if (err)
        return admin_failed(err);
    err = o.vhost ? manage_ask(&o.common, definitions, NULL, "POST definitions/%s", o.vhost)
                  : manage_ask(&o.common, definitions, NULL, "POST definitions");
    return admin_done(&o.common, err, positionals[0], "imported");
}
