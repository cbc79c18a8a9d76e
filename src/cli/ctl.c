#include "cli/ctl.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/nearest.h"
#include "base/number.h"

enum { DEFAULT_TIMEOUT_S = 60, NAME_COLUMN = 30 };

static const struct ctl_commands *const tables[] = {
    &ctl_user_commands,   &ctl_vhost_commands,  &ctl_list_commands,
    &ctl_policy_commands, &ctl_node_commands,   &ctl_tell_commands,
    &ctl_health_commands, &ctl_object_commands, &ctl_refused_commands,
};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

/* ---- options ---- */

struct option {
    const char *name;
    char letter;
    bool is_general; /* every command takes it */
    enum { TEXT, NUMBER, BOOL } type;
    size_t at; /* in struct ctl_options */
};

#define OPTION(name, letter, is_general, type, field)                                              \
    {                                                                                              \
        name, letter, is_general, type, offsetof(struct ctl_options, field)                        \
    }

static const struct option options[] = {
    OPTION("vhost", 'p', true, TEXT, vhost),
    OPTION("node", 'n', true, TEXT, node),
    OPTION("timeout", 't', true, NUMBER, timeout),
    OPTION("formatter", 0, true, TEXT, formatter),
    OPTION("url", 0, true, TEXT, url),
    OPTION("control", 0, true, TEXT, control),
    OPTION("quiet", 'q', true, BOOL, quiet),
    OPTION("silent", 's', true, BOOL, silent),
    OPTION("help", '?', true, BOOL, help),
    OPTION("dry-run", 0, true, BOOL, dry_run),
    OPTION("longnames", 'l', true, BOOL, ignored),
    OPTION("no-table-headers", 0, true, BOOL, no_table_headers),
    OPTION("priority", 0, false, NUMBER, priority),
    OPTION("apply-to", 0, false, TEXT, apply_to),
    OPTION("description", 0, false, TEXT, description),
    OPTION("tags", 0, false, TEXT, tags),
    OPTION("default-queue-type", 0, false, TEXT, queue_type),
    OPTION("pid", 'P', false, NUMBER, pid),
    OPTION("user", 0, false, TEXT, user),
    OPTION("limit", 0, false, NUMBER, limit),
    OPTION("per-connection-delay", 0, false, NUMBER, delay),
    OPTION("format", 0, false, TEXT, format),
    OPTION("if-empty", 'e', false, BOOL, if_empty),
    OPTION("if-unused", 'u', false, BOOL, if_unused),
    OPTION("pre-hashed-password", 0, false, BOOL, is_hash),
    OPTION("global", 0, false, BOOL, global),
    OPTION("idempotent", 0, false, BOOL, idempotent),
    OPTION("wait", 0, false, BOOL, ignored),
    OPTION("no-wait", 0, false, BOOL, no_wait),
    OPTION("online", 0, false, BOOL, ignored),
    OPTION("offline", 0, false, BOOL, ignored),
    OPTION("local", 0, false, BOOL, ignored),
};

static const struct option *find_option(const char *argument, size_t size)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *option = &options[i];
        if (argument[1] != '-' && size == 2 && option->letter && argument[1] == option->letter)
            return option;
        if (argument[1] == '-' && strlen(option->name) == size - 2 &&
            memcmp(option->name, argument + 2, size - 2) == 0)
            return option;
    }
    return NULL;
}

/* `words` has `word` between spaces. */
static bool has_word(const char *words, const char *word)
{
    size_t size = strlen(word);

    for (const char *at = words; at && *at; at += strcspn(at, " ")) {
        at += *at == ' ';
        if (strncmp(at, word, size) == 0 && (at[size] == ' ' || at[size] == 0))
            return true;
    }
    return false;
}

static bool is_taken(const struct ctl *c, const struct option *option)
{
    return option->is_general || !c->command || has_word(c->command->options, option->name);
}

/* What the parser could not take, for the error: "--foo : ". */
struct wrong {
    const char *option;
    size_t size;
    const char *value;
};

static bool is_number(const char *text)
{
    int64_t number;

    return number_parse_i64(bytes_from_string(text), &number);
}

/* argv[*at] is an option; take it and its value. */
static bool take_option(struct ctl *c, int *at, struct wrong *wrong)
{
    const char *argument = c->argv[*at];
    size_t size = strcspn(argument, "=");
    const struct option *option = find_option(argument, size);
    const char *value = argument[size] ? argument + size + 1 : NULL;
    char *to = (char *)&c->o;

    *wrong = (struct wrong){argument, size, ""};
    if (!option || !is_taken(c, option) || (option->type == BOOL && value))
        return false;
    if (option->type == BOOL) {
        memcpy(to + option->at, &(bool){true}, sizeof(bool));
        return true;
    }
    if (!value && *at + 1 == c->argc)
        return false;
    if (!value)
        value = c->argv[++*at];
    wrong->value = value;
    if (option->type == NUMBER && !is_number(value))
        return false;
    memcpy(to + option->at, &value, sizeof value);
    return true;
}

/* -1 and the like are arguments. */
static bool is_option(const char *argument)
{
    return argument[0] == '-' && argument[1] != 0 && !is_number(argument);
}

/* ---- commands ---- */

static bool is_diagnostics(const struct ctl *c)
{
    return strcmp(c->program, "rabbitmq-diagnostics") == 0;
}

static const struct ctl_command *find_command(const struct ctl *c, const char *name)
{
    for (size_t t = 0; t < TABLE_COUNT; t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct ctl_command *command = &tables[t]->rows[i];
            if (strcmp(command->name, name) == 0 && (!command->is_diagnostic || is_diagnostics(c)))
                return command;
        }
    }
    return NULL;
}

static struct nearest find_nearest(const struct ctl *c, const char *name)
{
    struct nearest nearest = {0};

    for (size_t t = 0; t < TABLE_COUNT; t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct ctl_command *command = &tables[t]->rows[i];
            if (!command->is_diagnostic || is_diagnostics(c))
                nearest_consider(&nearest, bytes_from_string(name),
                                 bytes_from_string(command->name));
        }
    }
    return nearest;
}

static void print_commands(const struct ctl *c, FILE *to)
{
    fprintf(to,
            "\nUsage\n\n%s [--node <node>] [--timeout <timeout>] [--longnames] [--quiet] <command> "
            "[<command options>]\n\nAvailable commands:\n\n",
            c->program);
    for (size_t t = 0; t < TABLE_COUNT; t++) {
        if (tables[t] == &ctl_refused_commands)
            continue;
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct ctl_command *command = &tables[t]->rows[i];
            if (!command->is_diagnostic || is_diagnostics(c))
                fprintf(to, "   %-*s %s\n", NAME_COLUMN, command->name, command->about);
        }
    }
    fprintf(to, "\nUse '%s help <command>' to learn more about a specific command\n", c->program);
}

static void print_usage(const struct ctl *c, const struct ctl_command *command, FILE *to)
{
    fprintf(to, "\nUsage\n\n%s [--node <node>] [--longnames] [--quiet] %s%s%s\n", c->program,
            command->name, *command->usage ? " " : "", command->usage);
}

static int print_help(const struct ctl *c, const struct ctl_command *command)
{
    print_usage(c, command, stdout);
    printf("\n%s.\n", command->about);
    if (command->listing && command->listing->defaults) {
        printf("\nColumns:");
        for (size_t i = 0; i < command->listing->column_count; i++)
            printf(" %s", command->listing->columns[i].name);
        printf("\n");
    }
    printf(
        "\n-p, --vhost, -t, --timeout, -q, --quiet, -s, --silent, --formatter, --no-table-headers\n"
        "are as everywhere; --url http://USER:PASSWORD@HOST:15672 asks another server, --control\n"
        "PATH another control socket. --node is taken and means nothing: there is one server.\n");
    return CTL_OK;
}

static int unknown_command(const struct ctl *c, const char *name)
{
    struct nearest nearest = find_nearest(c, name);

    fprintf(stderr, "\nCommand '%s' not found. \n", name);
    if (nearest.name[0])
        fprintf(stderr, "Did you mean '%s'? \n", nearest.name);
    else
        print_commands(c, stderr);
    return CTL_USAGE;
}

/* ---- what commands say ---- */

bool ctl_is_json(const struct ctl *c)
{
    return strcmp(c->o.formatter, "json") == 0;
}

bool ctl_is_for_machines(const struct ctl *c)
{
    return ctl_is_json(c) || strcmp(c->o.formatter, "csv") == 0;
}

bool ctl_begin(const struct ctl *c, const char *format, ...)
{
    va_list arguments;

    if (!c->o.quiet && !c->o.silent && !ctl_is_for_machines(c)) {
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        putchar('\n');
        fflush(stdout);
    }
    return !c->o.dry_run;
}

int ctl_error(int code, const char *format, ...)
{
    va_list arguments;

    fputs("Error:\n", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return code;
}

int ctl_tell(const struct ctl *c, const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (!ctl_is_json(c)) {
        puts(line);
        return CTL_OK;
    }
    json_t *object = json_pack("{s:s}", "message", line);
    char *text = json_dumps(object, JSON_COMPACT);
    puts(text ? text : "{}");
    free(text);
    json_decref(object);
    return CTL_OK;
}

const char *ctl_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(output_find(object, key));

    return text ? text : "";
}

long long ctl_number(const json_t *object, const char *key)
{
    return json_integer_value(output_find(object, key));
}

int ctl_usage(const struct ctl *c, int code, const char *format, ...)
{
    va_list arguments;

    fputs("Error (argument validation): ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\nArguments given:\n\t", stderr);
    for (int i = 0; i < c->argc; i++)
        fprintf(stderr, "%s%s", i ? " " : "", c->argv[i]);
    fputc('\n', stderr);
    print_usage(c, c->command, stderr);
    return code;
}

int ctl_failed(const struct ctl *c, enum err err)
{
    if (err == E_TIMEOUT) {
        fprintf(stderr, "Error: operation %s on node %s timed out. Timeout value used: %lld\n",
                c->command->name, c->o.node ? c->o.node : "(default)",
                (long long)(c->common.timeout_ns / 1000000));
        return CTL_TIMEOUT;
    }
    if (err == E_CLOSED) {
        fprintf(stderr,
                "Error: unable to perform an operation on node '%s'. Please see diagnostics "
                "information and suggestions below.\n\n * %s\n",
                c->o.node ? c->o.node : "(default)", err_text());
        return CTL_UNAVAILABLE;
    }
    if (err == E_NOT_FOUND) {
        fprintf(stderr, "Object (queue, stream, exchange, etc) was not found\n");
        return CTL_DATA;
    }
    return ctl_error(CTL_UNAVAILABLE, "%s", err_message(err));
}

int ctl_end(const struct ctl *c, enum err err)
{
    return err ? ctl_failed(c, err) : CTL_OK;
}

int ctl_no_vhost(const char *vhost)
{
    fprintf(stderr, "Virtual host '%s' does not exist\n", vhost);
    return CTL_DATA;
}

bool ctl_has_vhost(const struct ctl *c, const char *vhost, int *exit_code)
{
    enum err err = manage_ask(&c->common, NULL, NULL, "GET vhosts/%s", vhost);

    if (err)
        *exit_code = err == E_NOT_FOUND ? ctl_no_vhost(vhost) : ctl_failed(c, err);
    return !err;
}

const char *ctl_node(const struct ctl *c)
{
    static char name[256];
    json_t *overview;

    if (c->o.node)
        return c->o.node;
    if (manage_get(&c->common, &overview, "GET overview") != OK) {
        err_clear();
        return "rabbit@localhost";
    }
    const char *node = json_string_value(json_object_get(overview, "node"));
    snprintf(name, sizeof name, "%s", node ? node : "rabbit@localhost");
    json_decref(overview);
    return name;
}

int64_t ctl_timeout_s(const struct ctl *c, int64_t otherwise)
{
    int64_t seconds = otherwise;

    if (c->o.timeout)
        (void)number_parse_i64(bytes_from_string(c->o.timeout), &seconds);
    return seconds > 0 ? seconds : otherwise;
}

/* ---- the program ---- */

bool ctl_is_program(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash ? slash + 1 : name;

    return strcmp(last, "rabbitmqctl") == 0 || strcmp(last, "rabbitmq-diagnostics") == 0;
}

/* The first word that is no option is the command; its options may stand before it. */
static const char *find_name(struct ctl *c)
{
    struct wrong ignored;

    for (int at = 0; at < c->argc; at++) {
        if (!is_option(c->argv[at]))
            return c->argv[at];
        (void)take_option(c, &at, &ignored);
    }
    return NULL;
}

static bool parse(struct ctl *c, struct wrong *wrong)
{
    bool has_name = false, options_ended = false;

    for (int at = 0; at < c->argc; at++) {
        const char *argument = c->argv[at];
        if (!options_ended && strcmp(argument, "--") == 0)
            options_ended = true;
        else if (!options_ended && is_option(argument)) {
            if (!take_option(c, &at, wrong))
                return false;
        } else if (!has_name)
            has_name = true;
        else if (c->count < CTL_ARGUMENTS_MAX)
            c->arguments[c->count++] = argument;
    }
    return true;
}

static void set_defaults(struct ctl *c)
{
    memset(&c->o, 0, sizeof c->o);
    c->o.vhost = "/";
    c->o.formatter = "table";
}

static int run_command(struct ctl *c)
{
    static const char *const formatters[] = {"table", "json", "csv", "pretty_table"};
    const struct ctl_command *command = c->command;
    bool is_known = false;

    for (size_t i = 0; i < sizeof formatters / sizeof formatters[0]; i++)
        is_known |= strcmp(formatters[i], c->o.formatter) == 0;
    if (!is_known)
        return ctl_usage(c, CTL_USAGE, "the requested formatter is not supported by this command");
    if ((int)c->count < command->least)
        return ctl_usage(c, CTL_USAGE, "not enough arguments.");
    if (command->most >= 0 && (int)c->count > command->most)
        return ctl_usage(c, CTL_USAGE, "too many arguments.");
    common_init(&c->common);
    c->common.timeout_ns = ctl_timeout_s(c, DEFAULT_TIMEOUT_S) * INT64_C(1000000000);
    if (c->o.url)
        c->common.url = c->o.url;
    c->common.control = c->o.control;
    return command->run(c);
}

int ctl_run(struct ctl *c, const char *name)
{
    c->command = find_command(c, name);
    check(c->command);
    c->count = 0;
    return c->command->run(c);
}

static int help(const struct ctl *c)
{
    const struct ctl_command *command = c->count ? find_command(c, c->arguments[0]) : NULL;

    if (command)
        return print_help(c, command);
    if (c->count)
        return ctl_error(CTL_USAGE, "\nCommand '%s' not found.", c->arguments[0]);
    print_commands(c, stdout);
    return CTL_OK;
}

int ctl_main(const char *program, int argc, char **argv)
{
    const char *slash = strrchr(program, '/');
    struct ctl c = {.program = slash ? slash + 1 : program, .argc = argc, .argv = argv};
    struct wrong wrong;

    for (int at = 0; at < argc; at++)
        if (!bytes_are_utf8(bytes_from_string(argv[at])))
            return ctl_error(CTL_USAGE, "argument %d is not UTF-8", at + 1);
    set_defaults(&c);
    const char *name = find_name(&c);
    bool wants_version = argc > 0 && strcmp(argv[0], "--version") == 0;
    if (wants_version)
        name = "version";
    if (!name) {
        bool is_asked = c.o.help;
        print_commands(&c, is_asked ? stdout : stderr);
        return is_asked ? CTL_OK : CTL_USAGE;
    }
    set_defaults(&c);
    bool is_help = strcmp(name, "help") == 0;
    c.command = is_help ? NULL : find_command(&c, name);
    if (!c.command && !is_help)
        return unknown_command(&c, name);
    if (!wants_version && !parse(&c, &wrong) && c.command)
        return ctl_usage(&c, CTL_USAGE, "Invalid options for this command:\n%.*s : %s",
                         (int)wrong.size, wrong.option, wrong.value);
    if (is_help)
        return help(&c);
    return c.o.help ? print_help(&c, c.command) : run_command(&c);
}
