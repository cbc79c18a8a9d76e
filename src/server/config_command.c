#include "server/config_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/control_client.h"

extern char **environ;

static const char default_path[] = "/etc/pabal/pabal.conf";

static enum err load_file(struct config *c, const char *path)
{
    if (!path)
        path = getenv("PABAL_CONFIG");
    if (path)
        return config_read_file(c, path);
    enum err err = config_read_file(c, default_path);
    return err == E_NOT_FOUND ? OK : err;
}

enum err config_load(struct config *c, const char *path, const struct flag_list *sets)
{
    config_init(c);
    enum err err = load_file(c, path);
    if (!err)
        err = config_read_environment(c, environ);
    for (size_t i = 0; i < sets->count && !err; i++)
        err = config_set(c, sets->items[i]);
    return err;
}

/* {"data.dir": {"value": ..., "origin": ...}} as rows. */
static json_t *rows_of(json_t *options)
{
    json_t *rows = json_array(), *option;
    const char *name;

    json_object_foreach(options, name, option)
    {
        json_t *row = json_copy(option);
        json_object_set_new(row, "option", json_string(name));
        json_array_append_new(rows, row);
    }
    json_decref(options);
    return rows;
}

static enum err load_json(const char *path, const struct flag_list *sets, json_t **out)
{
    struct config c;

    enum err err = config_load(&c, path, sets);
    if (!err)
        err = config_check(&c);
    if (!err)
        *out = config_json(&c);
    config_reset(&c);
    return err;
}

int config_show_run(int argc, char **argv)
{
    struct common common;
    const char *path = NULL, *positionals[POSITIONALS_MAX];
    struct flag_list sets = {0};
    bool with_origin = false, of_running = false;
    json_t *options = NULL;
    const struct flag flags[] = {
        {"origin", FLAG_BOOL, "", "where each value comes from", &with_origin},
        {"running", FLAG_BOOL, "", "of the running server, by its control socket", &of_running},
        {"config", FLAG_TEXT, "FILE", "[PABAL_CONFIG, or /etc/pabal/pabal.conf]", &path},
        {"set", FLAG_LIST, "KEY=VALUE", "as for pabal server", &sets},
        CONTROL_FLAG(common),
        COMMON_FLAGS(common),
    };
    const struct arguments a = {
        .synopsis = "config show [options]",
        .about = "Show every option as the server would start with it, or runs with it.",
        .examples = "  pabal config show --origin --config pabal.conf\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };
    int exit_code;

    common_init(&common);
    if (!cli_begin(&a, argc, argv, positionals, &common, &exit_code))
        return exit_code;
    enum err err =
        of_running ? control_ask(&common, json_pack("{s:s}", "command", "config.show"), &options)
                   : load_json(path, &sets, &options);
    if (err)
        return (int)output_error(err);
    output_rows(rows_of(options), with_origin ? "option value origin" : "option value",
                common_wants_json(&common));
    return EXIT_CODE_OK;
}

int config_document_run(int argc, char **argv)
{
    const struct arguments a = {
        .synopsis = "config document",
        .about =
            "Print docs/options.md: all options, from the table that the server reads them by.",
        .examples = "",
    };
    const char *positionals[POSITIONALS_MAX];
    struct text text = {0};
    enum arguments_outcome outcome = arguments_parse(&a, argc, argv, positionals);

    if (outcome != ARGUMENTS_GO_ON)
        return outcome == ARGUMENTS_HELP ? EXIT_CODE_OK : EXIT_CODE_USAGE;
    config_document(&text);
    fputs(text_string(&text), stdout);
    text_reset(&text);
    return EXIT_CODE_OK;
}
