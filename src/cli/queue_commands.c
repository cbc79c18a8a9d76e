/* `pabal queue ...`: administration over the control socket. */
#include "cli/commands.h"
#include "cli/control_client.h"

struct queue_options {
    struct common common;
    const char *vhost;
    bool transient, auto_delete, if_empty, if_unused;
};

static const char columns[] = "name vhost ready unacked consumers durable exclusive auto_delete";

static void options_init(struct queue_options *o)
{
    *o = (struct queue_options){.vhost = "/"};
    common_init(&o->common);
}

/* Parse, ask, print what comes back as rows or as an object. */
static int run(const struct arguments *a, int argc, char **argv, struct queue_options *o,
               const char *command, bool prints_rows)
{
    const char *positionals[POSITIONALS_MAX];
    json_t *result = NULL;
    int exit_code;

    if (!cli_begin(a, argc, argv, positionals, &o->common, &exit_code))
        return exit_code;
    json_t *request = json_pack("{s:s, s:s, s:b, s:b, s:b, s:b}", "command", command, "vhost",
                                o->vhost, "durable", !o->transient, "auto_delete", o->auto_delete,
                                "if_empty", o->if_empty, "if_unused", o->if_unused);
    if (positionals[0])
        json_object_set_new(request, "name", json_string(positionals[0]));
    enum err err = control_ask(&o->common, request, &result);
    if (err)
        return (int)output_error(err);
    if (prints_rows)
        output_rows(result, columns, common_wants_json(&o->common));
    else
        output_object(result, common_wants_json(&o->common));
    return EXIT_CODE_OK;
}

int queue_list_run(int argc, char **argv)
{
    struct queue_options o;
    const struct flag flags[] = {CONTROL_FLAG(o.common), COMMON_FLAGS(o.common)};
    const struct arguments a = {
        .synopsis = "queue list [options]",
        .about = "List the queues of all vhosts, with what is ready and what is delivered and not\n"
                 "acknowledged.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };

    options_init(&o);
    return run(&a, argc, argv, &o, "queue.list", true);
}

#define NAMED_QUEUE_FLAGS(o)                                                                       \
    {"vhost", FLAG_TEXT, "NAME", "[/]", &(o).vhost}, CONTROL_FLAG((o).common),                     \
        COMMON_FLAGS((o).common)

int queue_show_run(int argc, char **argv)
{
    struct queue_options o;
    const struct flag flags[] = {NAMED_QUEUE_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "queue show NAME [options]",
        .about = "Show one queue.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };

    options_init(&o);
    return run(&a, argc, argv, &o, "queue.show", false);
}

int queue_create_run(int argc, char **argv)
{
    struct queue_options o;
    const struct flag flags[] = {
        {"transient", FLAG_BOOL, "", "kept in memory, gone after a restart", &o.transient},
        {"auto-delete", FLAG_BOOL, "", "gone with its last consumer", &o.auto_delete},
        NAMED_QUEUE_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "queue create NAME [options]",
        .about = "Create a queue, durable unless told otherwise.",
        .examples = "  pabal queue create tasks\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };

    options_init(&o);
    return run(&a, argc, argv, &o, "queue.create", false);
}

int queue_delete_run(int argc, char **argv)
{
    struct queue_options o;
    const struct flag flags[] = {
        {"if-empty", FLAG_BOOL, "", "not when it has messages", &o.if_empty},
        {"if-unused", FLAG_BOOL, "", "not when it has consumers", &o.if_unused},
        NAMED_QUEUE_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "queue delete NAME [options]",
        .about = "Delete a queue and its messages; tells how many there were.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };

    options_init(&o);
    return run(&a, argc, argv, &o, "queue.delete", false);
}

int queue_purge_run(int argc, char **argv)
{
    struct queue_options o;
    const struct flag flags[] = {NAMED_QUEUE_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "queue purge NAME [options]",
        .about = "Settle every message that is ready; tells how many. What consumers hold stays.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };

    options_init(&o);
    return run(&a, argc, argv, &o, "queue.purge", false);
}
