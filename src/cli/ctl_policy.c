/* rabbitmqctl: policies, parameters and definitions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "cli/ctl.h"
#include "io/process.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { DEFINITIONS_MAX_BYTES = 256 * 1024 * 1024 };

/* ---- policies ---- */

struct policy_words {
    const char *collection, *setting, *clearing;
};
static const struct policy_words user_policy = {"policies", "Setting policy", "Clearing policy"};
static const struct policy_words operator_policy = {
    "operator-policies", "Setting operator policy override", "Clearing operator policy"};

/* NULL: *exit_code, which has been told. */
static json_t *load_object(const char *text, int *exit_code)
{
    json_t *object = json_loads(text, 0, NULL);

    if (json_is_object(object))
        return object;
    json_decref(object);
    *exit_code = ctl_error(CTL_UNAVAILABLE, "Could not parse JSON document: %s", text);
    return NULL;
}

static int put_policy(const struct ctl *c, const struct policy_words *words)
{
    const char *name = c->arguments[0], *pattern = c->arguments[1];
    const char *priority = c->o.priority ? c->o.priority : "0";
    int64_t number = 0;
    int exit_code;

    if (!ctl_begin(c,
                   "%s \"%s\" for pattern \"%s\" to \"%s\" with priority \"%s\" for vhost \"%s\" "
                   "...",
                   words->setting, name, pattern, c->arguments[2], priority, c->o.vhost))
        return CTL_OK;
    json_t *definition = load_object(c->arguments[2], &exit_code);
    if (!definition)
        return exit_code;
    (void)number_parse_i64(bytes_from_string(priority), &number);
    json_t *body =
        json_pack("{s:s, s:o, s:I, s:s}", "pattern", pattern, "definition", definition, "priority",
                  (json_int_t)number, "apply-to", c->o.apply_to ? c->o.apply_to : "all");
    enum err err =
        manage_ask(&c->common, body, NULL, "PUT %s/%s/%s", words->collection, c->o.vhost, name);
    return err == E_NOT_FOUND ? ctl_no_vhost(c->o.vhost) : ctl_end(c, err);
}

static int set_policy(struct ctl *c)
{
    return put_policy(c, &user_policy);
}

static int set_operator_policy(struct ctl *c)
{
    return put_policy(c, &operator_policy);
}

static int delete_policy(const struct ctl *c, const struct policy_words *words)
{
    if (!ctl_begin(c, "%s \"%s\" on vhost \"%s\" ...", words->clearing, c->arguments[0],
                   c->o.vhost))
        return CTL_OK;
    enum err err = manage_ask(&c->common, NULL, NULL, "DELETE %s/%s/%s", words->collection,
                              c->o.vhost, c->arguments[0]);
    return err == E_NOT_FOUND ? ctl_error(CTL_UNAVAILABLE, "Parameter does not exist")
                              : ctl_end(c, err);
}

static int clear_policy(struct ctl *c)
{
    return delete_policy(c, &user_policy);
}

static int clear_operator_policy(struct ctl *c)
{
    return delete_policy(c, &operator_policy);
}

/* ---- parameters ---- */

static json_t *load_value(const char *text, int *exit_code)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    if (!value)
        *exit_code = ctl_error(CTL_UNAVAILABLE, "Could not parse JSON document: %s", text);
    return value;
}

static int set_parameter(struct ctl *c)
{
    const char *component = c->arguments[0], *name = c->arguments[1];
    int exit_code;

    if (!ctl_begin(c,
                   "Setting runtime parameter \"%s\" for component \"%s\" to \"%s\" in vhost "
                   "\"%s\" ...",
                   name, component, c->arguments[2], c->o.vhost))
        return CTL_OK;
    json_t *value = load_value(c->arguments[2], &exit_code);
    if (!value)
        return exit_code;
    json_t *body = json_pack("{s:s, s:s, s:s, s:o}", "component", component, "name", name, "vhost",
                             c->o.vhost, "value", value);
    return ctl_end(c, manage_ask(&c->common, body, NULL, "PUT parameters/%s/%s/%s", component,
                                 c->o.vhost, name));
}

static int clear_parameter(struct ctl *c)
{
    if (!ctl_begin(c, "Clearing runtime parameter \"%s\" for component \"%s\" on vhost \"%s\" ...",
                   c->arguments[1], c->arguments[0], c->o.vhost))
        return CTL_OK;
    enum err err = manage_ask(&c->common, NULL, NULL, "DELETE parameters/%s/%s/%s", c->arguments[0],
                              c->o.vhost, c->arguments[1]);
    return err == E_NOT_FOUND ? ctl_error(CTL_UNAVAILABLE, "Parameter does not exist")
                              : ctl_end(c, err);
}

static int put_global_parameter(const struct ctl *c, const char *name, json_t *value)
{
    return ctl_end(c, manage_ask(&c->common, json_pack("{s:s, s:o}", "name", name, "value", value),
                                 NULL, "PUT global-parameters/%s", name));
}

static int set_global_parameter(struct ctl *c)
{
    int exit_code;

    if (!ctl_begin(c, "Setting global runtime parameter \"%s\" to \"%s\" ...", c->arguments[0],
                   c->arguments[1]))
        return CTL_OK;
    json_t *value = load_value(c->arguments[1], &exit_code);
    return value ? put_global_parameter(c, c->arguments[0], value) : exit_code;
}

static int clear_global_parameter(struct ctl *c)
{
    if (!ctl_begin(c, "Clearing global runtime parameter \"%s\" ...", c->arguments[0]))
        return CTL_OK;
    enum err err =
        manage_ask(&c->common, NULL, NULL, "DELETE global-parameters/%s", c->arguments[0]);
    return err == E_NOT_FOUND ? ctl_error(CTL_UNAVAILABLE, "Parameter does not exist")
                              : ctl_end(c, err);
}

static int set_cluster_name(struct ctl *c)
{
    if (!ctl_begin(c, "Setting cluster name to %s ...", c->arguments[0]))
        return CTL_OK;
    return ctl_end(c, manage_ask(&c->common, json_pack("{s:s}", "name", c->arguments[0]), NULL,
                                 "PUT cluster-name"));
}

/* ---- definitions ---- */

static bool is_json_wanted(const struct ctl *c)
{
    return !c->o.format || strcmp(c->o.format, "json") == 0;
}

static int export_definitions(struct ctl *c)
{
    const char *path = c->arguments[0];
    bool is_stdout = strcmp(path, "-") == 0;
    json_t *definitions;

    if (!is_json_wanted(c))
        return ctl_usage(c, CTL_USAGE, "only --format json is supported");
    if (!is_stdout && !ctl_begin(c, "Exporting definitions in JSON to a file at \"%s\" ...", path))
        return CTL_OK;
    enum err err = manage_get(&c->common, &definitions, "GET definitions");
    if (err)
        return ctl_failed(c, err);
    char *text = json_dumps(definitions, is_stdout ? JSON_COMPACT : JSON_INDENT(2));
    json_decref(definitions);
    if (is_stdout)
        puts(text);
    else
        err = process_write_file(path, bytes_from_string(text));
    free(text);
    return err ? ctl_error(CTL_DATA, "%s", err_text()) : CTL_OK;
}

static int import_definitions(struct ctl *c)
{
    const char *path = c->count && strcmp(c->arguments[0], "-") != 0 ? c->arguments[0] : NULL;
    struct text text = {0};

    if (!is_json_wanted(c))
        return ctl_usage(c, CTL_USAGE, "only --format json is supported");
    enum err err = process_read_file(path ? path : "/dev/stdin", DEFINITIONS_MAX_BYTES, &text);
    if (err)
        return ctl_usage(c, CTL_DATA, "Bad argument: %s", err_text());
    json_t *definitions = json_loadb(text_string(&text), text.size, 0, NULL);
    text_reset(&text);
    bool goes_on =
        path ? ctl_begin(c, "Importing definitions in JSON from a file at \"%s\" ...", path)
             : ctl_begin(c, "Importing definitions in JSON from standard input ...");
    if (!goes_on || !definitions) {
        json_decref(definitions);
        return goes_on ? ctl_error(CTL_DATA, "Failed to parse JSON") : CTL_OK;
    }
    err = manage_ask(&c->common, definitions, NULL, "POST definitions");
    if (!err && !c->o.quiet && !c->o.silent)
        puts("Successfully imported definitions.");
    return ctl_end(c, err);
}

#define POLICY_USAGE                                                                               \
    "[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> "          \
    "<definition>"

static const struct ctl_command commands[] = {
    {"set_policy", POLICY_USAGE, "Sets or updates a policy", "priority apply-to", 3, 3, set_policy,
     NULL, false},
    {"clear_policy", "[--vhost <vhost>] <name>", "Clears (removes) a policy", "", 1, 1,
     clear_policy, NULL, false},
    {"set_operator_policy", POLICY_USAGE,
     "Sets an operator policy that overrides a subset of arguments in user policies",
     "priority apply-to", 3, 3, set_operator_policy, NULL, false},
    {"clear_operator_policy", "[--vhost <vhost>] <name>", "Clears an operator policy", "", 1, 1,
     clear_operator_policy, NULL, false},
    {"set_parameter", "[--vhost <vhost>] <component_name> <name> <value>",
     "Sets a runtime parameter", "", 3, 3, set_parameter, NULL, false},
    {"clear_parameter", "[--vhost <vhost>] <component_name> <name>", "Clears a runtime parameter",
     "", 2, 2, clear_parameter, NULL, false},
    {"set_global_parameter", "<name> <value>", "Sets a runtime parameter", "", 2, 2,
     set_global_parameter, NULL, false},
    {"clear_global_parameter", "<name>", "Clears a global runtime parameter", "", 1, 1,
     clear_global_parameter, NULL, false},
    {"set_cluster_name", "<name>", "Sets the cluster name", "", 1, 1, set_cluster_name, NULL,
     false},
    {"export_definitions", "<file_path | \"-\"> [--format <json>] [--timeout <timeout>]",
     "Exports definitions in JSON", "format", 1, 1, export_definitions, NULL, false},
    {"import_definitions", "<file_path | \"-\"> [--format <json>] [--timeout <timeout>]",
     "Imports definitions in JSON", "format", 0, 1, import_definitions, NULL, false},
};

const struct ctl_commands ctl_policy_commands = {commands, COUNT(commands)};
