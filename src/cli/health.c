#include <string.h>

#include "cli/commands.h"
#include "cli/control_client.h"

int health_run(int argc, char **argv)
{
    struct common common;
    const char *positionals[POSITIONALS_MAX];
    json_t *result;
    int exit_code;
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

    common_init(&common);
    if (!cli_begin(&a, argc, argv, positionals, &common, &exit_code))
        return exit_code;
    enum err err = control_ask(&common, json_pack("{s:s}", "command", "health"), &result);
    if (err)
        return (int)output_error(err);
    const char *status = json_string_value(json_object_get(result, "status"));
    exit_code = status && strcmp(status, "ok") == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
    output_object(result, common_wants_json(&common));
    return exit_code;
}
