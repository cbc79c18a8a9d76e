/* Questions about a running server, over its control socket. */
#include <string.h>

#include "cli/commands.h"
#include "cli/control_client.h"

/* Parse, ask; *out is the answer. False: end with *exit_code. */
static bool ask(const struct arguments *a, int argc, char **argv, struct common *common,
                const char *command, json_t **out, int *exit_code)
{
    const char *positionals[POSITIONALS_MAX];

    if (!cli_begin(a, argc, argv, positionals, common, exit_code))
        return false;
    enum err err = control_ask(common, json_pack("{s:s}", "command", command), out);
    *exit_code = err ? (int)output_error(err) : EXIT_CODE_OK;
    return !err;
}

int health_run(int argc, char **argv)
{
    struct common common;
    const struct flag flags[] = {CONTROL_FLAG(common), COMMON_FLAGS(common)};
    const struct arguments a = {
        .synopsis = "health [options]",
        .about =
            "Ask the running server how it is. Exit code 0: it works; 1: it does not answer, or\n"
            "its disk has failed.",
        .examples = "  pabal health --control /var/lib/pabal/control\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };
    json_t *result;
    int exit_code;

    common_init(&common);
    if (!ask(&a, argc, argv, &common, "health", &result, &exit_code))
        return exit_code;
    const char *status = json_string_value(json_object_get(result, "status"));
    exit_code = status && strcmp(status, "ok") == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
    output_object(result, common_wants_json(&common));
    return exit_code;
}

int metrics_run(int argc, char **argv)
{
    struct common common;
    const struct flag flags[] = {CONTROL_FLAG(common), COMMON_FLAGS(common)};
    const struct arguments a = {
        .synopsis = "metrics [options]",
        .about = "Print what the running server has counted since its start.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };
    json_t *result;
    int exit_code;

    common_init(&common);
    if (ask(&a, argc, argv, &common, "metrics", &result, &exit_code))
        output_rows(result, "name value unit help", common_wants_json(&common));
    return exit_code;
}

int connection_list_run(int argc, char **argv)
{
    struct common common;
    const struct flag flags[] = {CONTROL_FLAG(common), COMMON_FLAGS(common)};
    const struct arguments a = {
        .synopsis = "connection list [options]",
        .about = "List the connections of Kafka and AMQP clients.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };
    json_t *result;
    int exit_code;

    common_init(&common);
    if (ask(&a, argc, argv, &common, "connection.list", &result, &exit_code))
        output_rows(result, "protocol peer user vhost client bytes_in bytes_out",
                    common_wants_json(&common));
    return exit_code;
}
