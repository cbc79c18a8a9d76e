/* `pabal queue ...`. */
#include "cli/admin.h"
#include "cli/commands.h"

struct queue_options {
    struct common common;
    const char *vhost, *type;
    struct flag_list arguments;
    int64_t count;
    bool transient, auto_delete, if_not_exists, if_empty, if_unused, if_exists;
};

static void options_init(struct queue_options *o)
{
    *o = (struct queue_options){.vhost = "/", .count = 1};
    common_init(&o->common);
}

static struct admin_object queue_of(const struct queue_options *o, const char *name)
{
    return (struct admin_object){"queue", "queues", o->vhost, name};
}

int queue_list_run(int argc, char **argv)
{
    static const struct listing listing = {
        .synopsis = "queue list [options]",
        .about = "List the queues of all vhosts, with what is ready and what is delivered and not\n"
                 "acknowledged.",
        .collection = "queues",
        .columns = "name vhost type messages_ready:ready messages_unacknowledged:unacked consumers "
                   "durable exclusive auto_delete policy",
        .takes_vhost = true,
    };

    return listing_run(&listing, argc, argv);
}

/* The part of a command's run() that all commands about one queue share. */
static bool begin(const struct arguments *a, int argc, char **argv, struct queue_options *o,
                  struct admin_object *out, int *exit_code)
{
    const char *positionals[POSITIONALS_MAX];

    if (!cli_begin(a, argc, argv, positionals, &o->common, exit_code))
        return false;
    *out = queue_of(o, positionals[0]);
    return true;
}

int queue_show_run(int argc, char **argv)
{
    static const struct naming naming = {
        .synopsis = "queue show NAME [options]",
        .about = "Show one queue.",
        .kind = "queue",
        .collection = "queues",
        .takes_vhost = true,
    };

    return naming_show_run(&naming, argc, argv);
}

static int create_queue(const struct queue_options *o, const struct admin_object *queue)
{
    json_t *arguments;
    enum err err = admin_read_arguments(&o->arguments, &arguments);

    if (err)
        return admin_failed(err);
    if (o->type)
        json_object_set_new(arguments, "x-queue-type", json_string(o->type));
    json_t *body = json_pack("{s:b, s:b, s:o}", "durable", !o->transient, "auto_delete",
                             o->auto_delete, "arguments", arguments);
    return admin_create(&o->common, queue, body, o->if_not_exists);
}

int queue_create_run(int argc, char **argv)
{
    struct queue_options o;
    struct admin_object queue;
    int exit_code;
    const struct flag flags[] = {
        {"type", FLAG_TEXT, "TYPE", "classic, quorum, ... [the vhost's]", &o.type},
        {"transient", FLAG_BOOL, "", "kept in memory, gone after a restart", &o.transient},
        {"auto-delete", FLAG_BOOL, "", "gone with its last consumer", &o.auto_delete},
        {"arg", FLAG_LIST, "NAME=VALUE", "an argument; may be given many times", &o.arguments},
        {"if-not-exists", FLAG_BOOL, "", "do nothing when there is one", &o.if_not_exists},
        VHOST_FLAG(o.vhost),
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "queue create NAME [options]",
        .about = "Create a queue, durable unless told otherwise.",
        .examples = "  pabal queue create tasks --arg x-max-length=1000\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    options_init(&o);
    return begin(&a, argc, argv, &o, &queue, &exit_code) ? create_queue(&o, &queue) : exit_code;
}

static const char *delete_query(const struct queue_options *o)
{
    if (o->if_empty && o->if_unused)
        return "?if-empty=true&if-unused=true";
    if (o->if_empty)
        return "?if-empty=true";
    return o->if_unused ? "?if-unused=true" : "";
}

int queue_delete_run(int argc, char **argv)
{
    struct queue_options o;
    struct admin_object queue;
    int exit_code;
    const struct flag flags[] = {
        {"if-empty", FLAG_BOOL, "", "not when it has messages", &o.if_empty},
        {"if-unused", FLAG_BOOL, "", "not when it has consumers", &o.if_unused},
        {"if-exists", FLAG_BOOL, "", "do nothing when there is none", &o.if_exists},
        VHOST_FLAG(o.vhost),
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "queue delete NAME [options]",
        .about = "Delete a queue and its messages.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    options_init(&o);
    if (!begin(&a, argc, argv, &o, &queue, &exit_code))
        return exit_code;
    return admin_delete(&o.common, &queue, delete_query(&o), o.if_exists);
}

int queue_purge_run(int argc, char **argv)
{
    struct queue_options o;
    struct admin_object queue;
    int exit_code;
    const struct flag flags[] = {VHOST_FLAG(o.vhost), API_FLAGS(o.common)};
    const struct arguments a = {
        .synopsis = "queue purge NAME [options]",
        .about = "Settle every message that is ready. What consumers hold stays.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    options_init(&o);
    if (!begin(&a, argc, argv, &o, &queue, &exit_code))
        return exit_code;
    enum err err = admin_ask(&o.common, &queue, "DELETE", "/contents", NULL, NULL);
    return admin_done(&o.common, err, queue.name, "purged");
}

int queue_sync_run(int argc, char **argv)
{
    struct queue_options o;
    struct admin_object queue;
    int exit_code;
    const struct flag flags[] = {VHOST_FLAG(o.vhost), API_FLAGS(o.common)};
    const struct arguments a = {
        .synopsis = "queue sync NAME [options]",
        .about = "Return when everything that was done to the queue so far is durable.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    options_init(&o);
    if (!begin(&a, argc, argv, &o, &queue, &exit_code))
        return exit_code;
    enum err err = admin_ask(&o.common, &queue, "POST", "/actions",
                             json_pack("{s:s}", "action", "sync"), NULL);
    return admin_done(&o.common, err, queue.name, "synced");
}

int queue_get_run(int argc, char **argv)
{
    struct queue_options o;
    struct admin_object queue;
    struct manage_answer answer;
    bool keeps = false;
    int exit_code;
    const struct flag flags[] = {
        {"count,c", FLAG_INT, "N", "at most so many [1]", &o.count},
        {"keep", FLAG_BOOL, "", "put them back, marked as redelivered", &keeps},
        VHOST_FLAG(o.vhost),
        API_FLAGS(o.common),
    };
    const struct arguments a = {
        .synopsis = "queue get NAME [options]",
        .about = "Take messages that are ready, and show them with all that is known of them.",
        .examples = "  pabal queue get tasks --count 10 --keep --output json\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        NAME_ARGUMENTS,
    };

    options_init(&o);
    if (!begin(&a, argc, argv, &o, &queue, &exit_code))
        return exit_code;
    json_t *body = json_pack("{s:I, s:s, s:s}", "count", (json_int_t)o.count, "ackmode",
                             keeps ? "ack_requeue_true" : "ack_requeue_false", "encoding", "auto");
    enum err err = admin_ask(&o.common, &queue, "POST", "/get", body, &answer);
    if (err)
        return admin_failed(err);
    output_rows(answer.body, "exchange routing_key:key redelivered payload_encoding payload",
                common_wants_json(&o.common));
    return EXIT_CODE_OK;
}
