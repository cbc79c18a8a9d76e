#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/ctl.h"

enum { DEFAULT_TIMEOUT_S = 10, SUMMARY_COLUMN = 18 };

static int help_run(int argc, char **argv);
static int version_run(int argc, char **argv);
static int manual_run(int argc, char **argv);

static const struct command commands[] = {
    {"topic list", "list topics", topic_list_run},
    {"topic show", "show a topic's partitions, offsets and sizes, or its configs", topic_show_run},
    {"topic create", "create a topic", topic_create_run},
    {"topic alter", "change a topic's configs or add partitions", topic_alter_run},
    {"topic delete", "delete a topic", topic_delete_run},
    {"group list", "list consumer groups", group_list_run},
    {"group show", "show what a group has committed, and its lag", group_show_run},
    {"group reset", "let a group go on from another place", group_reset_run},
    {"group delete", "delete a group, or what it has committed", group_delete_run},
    {"exchange list", "list exchanges", exchange_list_run},
    {"exchange show", "show an exchange", exchange_show_run},
    {"exchange create", "create an exchange", exchange_create_run},
    {"exchange delete", "delete an exchange", exchange_delete_run},
    {"binding list", "list what is bound to what", binding_list_run},
    {"binding create", "let an exchange route to a queue or an exchange", binding_create_run},
    {"binding delete", "undo that", binding_delete_run},
    {"queue list", "list queues", queue_list_run},
    {"queue show", "show a queue", queue_show_run},
    {"queue create", "create a queue", queue_create_run},
    {"queue delete", "delete a queue", queue_delete_run},
    {"queue purge", "settle everything that is ready in a queue", queue_purge_run},
    {"queue get", "take or look at the next messages of a queue", queue_get_run},
    {"queue sync", "wait until everything done to a queue is durable", queue_sync_run},
    {"vhost list", "list vhosts", vhost_list_run},
    {"vhost show", "show a vhost", vhost_show_run},
    {"vhost create", "create a vhost", vhost_create_run},
    {"vhost alter", "change a vhost's description, tags or limits", vhost_alter_run},
    {"vhost delete", "delete a vhost and all that is in it", vhost_delete_run},
    {"user list", "list users", user_list_run},
    {"user show", "show a user", user_show_run},
    {"user create", "create a user", user_create_run},
    {"user alter", "change a user's password, tags or limits", user_alter_run},
    {"user delete", "delete a user", user_delete_run},
    {"permission list", "list who may do what", permission_list_run},
    {"permission show", "show what a user may do", permission_show_run},
    {"permission set", "say what a user may do in a vhost", permission_set_run},
    {"permission clear", "take that away", permission_clear_run},
    {"policy list", "list policies", policy_list_run},
    {"policy show", "show a policy", policy_show_run},
    {"policy set", "give settings to queues and exchanges by their names", policy_set_run},
    {"policy clear", "delete a policy", policy_clear_run},
    {"definitions export", "write everything that is declared as JSON", definitions_export_run},
    {"definitions import", "declare what a file says", definitions_import_run},
    {"publish", "publish lines to a topic, a queue or an exchange", publish_run},
    {"consume", "print the messages of a topic or a queue", consume_run},
    {"bench kafka", "load a Kafka listener and measure", bench_kafka_run},
    {"bench amqp", "load an AMQP listener and measure", bench_amqp_run},
    {"health", "ask a running server how it is", health_run},
    {"metrics", "print a running server's counters", metrics_run},
    {"connection list", "list the connections of clients", connection_list_run},
    {"connection show", "show a client's connection", connection_show_run},
    {"connection close", "close a client's connection", connection_close_run},
    {"channel list", "list AMQP channels", channel_list_run},
    {"consumer list", "list the consumers of queues", consumer_list_run},
    {"version", "print the version", version_run},
    {"manual", "print the manual page: pabal manual | man -l -", manual_run},
    {"help", "print this list", help_run},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

const char *cli_control_path = "data/control";

static const struct command *extra_commands;
static size_t extra_count;

static const struct command *command_at(size_t i)
{
    return i < extra_count ? &extra_commands[i] : &commands[i - extra_count];
}

static size_t command_count(void)
{
    return extra_count + COMMAND_COUNT;
}

static int version_run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("pabal %s\n", PABAL_VERSION);
    return EXIT_CODE_OK;
}

static void print_command(const struct command *command)
{
    printf("  pabal %-*s %s\n", SUMMARY_COLUMN, command->words, command->summary);
}

static int help_run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("Pabal: one broker for Kafka and AMQP 0-9-1 clients.\n\n");
    for (size_t i = 0; i < command_count(); i++)
        print_command(command_at(i));
    printf("\nScripts that call RabbitMQ's commands: pabal rabbitmqctl, pabal "
           "rabbitmq-diagnostics.\n");
    printf("Every command has --help. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found,\n"
           "4 refused, 5 timeout.\n");
    return EXIT_CODE_OK;
}

/* The page is made of the same tables as --help. */
static int manual_run(int argc, char **argv)
{
    char *help[] = {"--help"};

    (void)argc;
    (void)argv;
    printf(".TH PABAL 1 \"\" \"pabal %s\" \"User commands\"\n"
           ".SH NAME\npabal \\- a broker for Kafka and AMQP 0\\-9\\-1 clients\n"
           ".SH SYNOPSIS\n\\fBpabal\\fR \\fICOMMAND\\fR [\\fIoptions\\fR]\n"
           ".SH COMMANDS\n",
           PABAL_VERSION);
    fflush(stdout);
    arguments_help_as_manual();
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *command = command_at(i);
        bool has_options =
            command->run != help_run && command->run != version_run && command->run != manual_run;
        if (has_options)
            (void)command->run(1, help);
        else
            printf(".SS pabal %s\n%s\n", command->words, command->summary);
    }
    printf(".SH ENVIRONMENT\n.TP\n\\fBPABAL_SERVER\\fR\n"
           "HOST:PORT for the commands that speak Kafka or AMQP.\n"
           ".TP\n\\fBPABAL_URL\\fR\n"
           "http://USER:PASSWORD@HOST:15672 for the commands of administration.\n"
           ".TP\n\\fBPABAL_DATA_DIR\\fR\nWhere the server's control socket is looked for.\n"
           ".SH RABBITMQ'S COMMANDS\nCalled as \\fBrabbitmqctl\\fR or "
           "\\fBrabbitmq\\-diagnostics\\fR, or "
           "with one of these as its\nfirst argument, the program takes their words and answers in "
           "their form and with\ntheir exit codes: \\fBrabbitmqctl help\\fR lists them.\n"
           ".SH EXIT STATUS\n0 ok, 1 failed, 2 usage, 3 not found, 4 refused, 5 timeout.\n");
    return EXIT_CODE_OK;
}

/* How many words of the command line are this command's: 0 when it is another one. */
static int match(const struct command *command, int argc, char **argv)
{
    const char *space = strchr(command->words, ' ');
    size_t first = space ? (size_t)(space - command->words) : strlen(command->words);

    if (argc < 2 || strncmp(argv[1], command->words, first) != 0 || argv[1][first] != 0)
        return 0;
    if (!space)
        return 1;
    return argc > 2 && strcmp(argv[2], space + 1) == 0 ? 2 : 0;
}

/* `pabal topic`: the commands that begin with this word. */
static bool print_group(const char *word)
{
    size_t size = strlen(word);
    bool any = false;

    for (size_t i = 0; i < command_count(); i++) {
        const struct command *command = command_at(i);
        if (strncmp(command->words, word, size) != 0 || command->words[size] != ' ')
            continue;
        print_command(command);
        any = true;
    }
    return any;
}

/* The command's words up to `word_count`, of which typos are looked for. */
static void take_words(char *out, size_t size, const char *words, int word_count)
{
    const char *space = word_count == 1 ? strchr(words, ' ') : NULL;

    snprintf(out, size, "%.*s", space ? (int)(space - words) : (int)strlen(words), words);
}

/* `pabal topci` is compared with first words, `pabal topci list` with two. */
static int unknown_command(int argc, char **argv)
{
    char typed[64], known[64];
    struct nearest nearest = {0};
    bool has_second = argc > 2 && argv[2][0] != '-';

    snprintf(typed, sizeof typed, "%s%s%s", argv[1], has_second ? " " : "",
             has_second ? argv[2] : "");
    for (size_t i = 0; i < command_count(); i++) {
        const char *words = command_at(i)->words;
        bool is_two = has_second && strchr(words, ' ') != NULL;
        take_words(known, sizeof known, words, is_two ? 2 : 1);
        nearest_consider(&nearest, bytes_from_string(is_two ? typed : argv[1]),
                         bytes_from_string(known));
    }
    fprintf(stderr, "pabal: unknown command \"%s\"", typed);
    if (nearest.name[0])
        fprintf(stderr, "; did you mean \"pabal %s\"?", nearest.name);
    fprintf(stderr, "\nTry: pabal help\n");
    return EXIT_CODE_USAGE;
}

int cli_main(const struct command *more, size_t more_count, int argc, char **argv)
{
    extra_commands = more;
    extra_count = more_count;
    if (argc > 0 && ctl_is_program(argv[0]))
        return ctl_main(argv[0], argc - 1, argv + 1);
    if (argc > 1 && ctl_is_program(argv[1]))
        return ctl_main(argv[1], argc - 2, argv + 2);
    if (argc < 2) {
        help_run(0, NULL);
        return EXIT_CODE_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help_run(0, NULL);
    if (strcmp(argv[1], "--version") == 0)
        return version_run(0, NULL);
    for (size_t i = 0; i < command_count(); i++) {
        int words = match(command_at(i), argc, argv);
        if (words)
            return command_at(i)->run(argc - 1 - words, argv + 1 + words);
    }
    bool is_bare = argc == 2 || strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0;
    if (is_bare && print_group(argv[1]))
        return argc == 2 ? EXIT_CODE_USAGE : EXIT_CODE_OK;
    return unknown_command(argc, argv);
}

void common_init(struct common *common)
{
    *common = (struct common){.server = getenv("PABAL_SERVER"),
                              .url = getenv("PABAL_URL"),
                              .output = "table",
                              .timeout_ns = DEFAULT_TIMEOUT_S * INT64_C(1000000000)};
}

bool common_wants_json(const struct common *common)
{
    return strcmp(common->output, "json") == 0;
}

bool cli_begin(const struct arguments *a, int argc, char **argv,
               const char *positionals[POSITIONALS_MAX], const struct common *common,
               int *exit_code)
{
    enum arguments_outcome outcome = arguments_parse(a, argc, argv, positionals);

    *exit_code = outcome == ARGUMENTS_HELP ? EXIT_CODE_OK : EXIT_CODE_USAGE;
    if (outcome != ARGUMENTS_GO_ON)
        return false;
    if (!common_wants_json(common) && strcmp(common->output, "table") != 0) {
        fprintf(stderr, "pabal: --output %s: must be table or json\n", common->output);
        return false;
    }
    return true;
}
