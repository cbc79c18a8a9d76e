/* The program: the server's commands and the client's in one binary. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/say.h"
#include "cli/cli.h"
#include "io/clock.h"
#include "server/config_command.h"
#include "server/server.h"

static enum err run_server(const char *path, const struct flag_list *sets)
{
    struct config config;

    enum err err = config_load(&config, path, sets);
    if (!err)
        err = config_check(&config);
    if (!err)
        err = server_run(&config);
    config_reset(&config);
    return err;
}

static int server_command_run(int argc, char **argv)
{
    const char *path = NULL, *positionals[POSITIONALS_MAX];
    struct flag_list sets = {0};
    const struct flag flags[] = {
        {"config", FLAG_TEXT, "FILE", "[PABAL_CONFIG, or /etc/pabal/pabal.conf]", &path},
        {"set", FLAG_LIST, "KEY=VALUE", "an option; may be given many times", &sets},
    };
    const struct arguments a = {
        .synopsis = "server [options]",
        .about = "Run the broker until SIGTERM or SIGINT. Options come from a file, then from the\n"
                 "environment (PABAL_DATA_DIR is data.dir), then from --set; docs/options.md has\n"
                 "all of them. When every listener accepts, one line on stdout says where:\n"
                 "ready kafka=127.0.0.1:9092 amqp=127.0.0.1:5672",
        .examples = "  pabal server --set data.dir=/var/lib/pabal\n"
                    "  pabal server --set listener.kafka=127.0.0.1:0 --set listener.amqp=none\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };

    enum arguments_outcome outcome = arguments_parse(&a, argc, argv, positionals);
    if (outcome != ARGUMENTS_GO_ON)
        return outcome == ARGUMENTS_HELP ? EXIT_CODE_OK : EXIT_CODE_USAGE;
    enum err err = run_server(path, &sets);
    return err ? (int)output_error(err) : EXIT_CODE_OK;
}

/* The client commands find the control socket where a server started here would put it. */
static void find_control_socket(void)
{
    struct config config;
    struct flag_list none = {0};

    enum err err = config_load(&config, NULL, &none);
    if (!err)
        cli_control_path = xasprintf("%s/%s", config_text(&config, OPT_DATA_DIR), CONTROL_NAME);
    config_reset(&config);
}

int main(int argc, char **argv)
{
    static const struct command commands[] = {
        {"server", "run the broker", server_command_run},
        {"config show", "show the configuration and where it comes from", config_show_run},
        {"config document", "print the manual page of all options", config_document_run},
    };

    say_set_clock(clock_wall_ms);
    find_control_socket();
    return cli_main(commands, sizeof commands / sizeof commands[0], argc, argv);
}
