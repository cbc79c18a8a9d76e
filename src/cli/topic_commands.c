/* `pabal topic ...`: over the control socket, or with --server over Kafka's protocol, to any
 * broker. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/kafka_client.h"

struct topic_options {
    struct common common;
    const char *name;
    int64_t partitions; /* 0: the server's default */
    struct flag_list configs;
};

/* What a command does over Kafka's protocol; *out is the result, a new reference. */
typedef enum err topic_ask(struct kafka_client *c, const struct topic_options *o, json_t **out);

struct topic_command {
    const char *name;    /* on the control socket */
    const char *columns; /* of rows; NULL: the result is an object */
    topic_ask *by_kafka;
};

/* ---- over Kafka's protocol ---- */

static json_t *string_of(struct bytes b)
{
    return json_stringn((const char *)b.data, b.size);
}

static enum err list_by_kafka(struct kafka_client *c, const struct topic_options *o, json_t **out)
{
    struct kafka_metadata_response metadata;

    (void)o;
    enum err err = kafka_client_metadata(c, NULL, &metadata);
    if (err)
        return err;
    *out = json_array();
    for (int32_t i = 0; i < metadata.topics.count; i++) {
        json_t *row = json_object();
        json_object_set_new(row, "name", string_of(metadata.topics.items[i].name));
        json_object_set_new(row, "partitions",
                            json_integer(metadata.topics.items[i].partitions.count));
        json_array_append_new(*out, row);
    }
    return OK;
}

static enum err add_partition(struct kafka_client *c, const char *topic, int32_t partition,
                              json_t *rows)
{
    int64_t start, end;

    enum err err = kafka_client_list_offset(c, topic, partition, KAFKA_TIMESTAMP_EARLIEST, &start);
    if (!err)
        err = kafka_client_list_offset(c, topic, partition, KAFKA_TIMESTAMP_LATEST, &end);
    if (!err)
        json_array_append_new(rows, json_pack("{s:i, s:I, s:I}", "partition", (int)partition,
                                              "start", (json_int_t)start, "end", (json_int_t)end));
    return err;
}

static enum err show_by_kafka(struct kafka_client *c, const struct topic_options *o, json_t **out)
{
    struct kafka_metadata_response metadata;

    enum err err = kafka_client_metadata(c, o->name, &metadata);
    if (err)
        return err;
    int32_t count = metadata.topics.items[0].partitions.count;
    *out = json_array();
    for (int32_t p = 0; p < count && !err; p++)
        err = add_partition(c, o->name, p, *out);
    if (err)
        json_decref(*out);
    return err;
}

static enum err create_by_kafka(struct kafka_client *c, const struct topic_options *o, json_t **out)
{
    if (o->configs.count)
        return err_set(E_UNSUPPORTED, "--config works over the control socket only");
    enum err err =
        kafka_client_create_topic(c, o->name, o->partitions ? (int32_t)o->partitions : -1);
    if (!err)
        *out = json_pack("{s:s}", "name", o->name);
    return err;
}

static enum err delete_by_kafka(struct kafka_client *c, const struct topic_options *o, json_t **out)
{
    enum err err = kafka_client_delete_topic(c, o->name);
    if (!err)
        *out = json_object();
    return err;
}

static enum err ask_by_kafka(const struct topic_options *o, topic_ask *ask, json_t **out)
{
    struct kafka_client *client = NULL;

    enum err err = kafka_client_open(o->common.server, o->common.timeout_ns, &client);
    if (!err)
        err = ask(client, o, out);
    kafka_client_close(client);
    return err;
}

/* ---- over the control socket ---- */

/* "name=value" flags as a JSON object. */
static enum err add_configs(const struct flag_list *list, json_t *request)
{
    json_t *configs = json_object();

    json_object_set_new(request, "configs", configs);
    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strchr(list->items[i], '=');
        char name[256];
        if (!equals || (size_t)(equals - list->items[i]) >= sizeof name)
            return err_set(E_INVALID, "--config %s: must be NAME=VALUE", list->items[i]);
        snprintf(name, sizeof name, "%.*s", (int)(equals - list->items[i]), list->items[i]);
        json_object_set_new(configs, name, json_string(equals + 1));
    }
    return OK;
}

static enum err ask_by_control(const struct topic_options *o, const char *command, json_t **out)
{
    json_t *request = json_pack("{s:s}", "command", command);

    if (o->name)
        json_object_set_new(request, "name", json_string(o->name));
    if (o->partitions)
        json_object_set_new(request, "partitions", json_integer(o->partitions));
    enum err err = add_configs(&o->configs, request);
    if (err) {
        json_decref(request);
        return err;
    }
    return control_ask(&o->common, request, out);
}

/* ---- the commands ---- */

static int run(const struct arguments *a, int argc, char **argv, struct topic_options *o,
               const struct topic_command *command)
{
    const char *positionals[POSITIONALS_MAX];
    json_t *result = NULL;
    int exit_code;

    if (!cli_begin(a, argc, argv, positionals, &o->common, &exit_code))
        return exit_code;
    o->name = positionals[0];
    enum err err = o->common.server && !o->common.control
                       ? ask_by_kafka(o, command->by_kafka, &result)
                       : ask_by_control(o, command->name, &result);
    if (err)
        return (int)output_error(err);
    if (command->columns)
        output_rows(result, command->columns, common_wants_json(&o->common));
    else
        output_object(result, common_wants_json(&o->common));
    return EXIT_CODE_OK;
}

static void options_init(struct topic_options *o)
{
    *o = (struct topic_options){0};
    common_init(&o->common);
}

#define TOPIC_FLAGS(o) SERVER_FLAG((o).common), CONTROL_FLAG((o).common), COMMON_FLAGS((o).common)

int topic_list_run(int argc, char **argv)
{
    static const struct topic_command command = {"topic.list", "name partitions messages bytes",
                                                 list_by_kafka};
    struct topic_options o;
    const struct flag flags[] = {TOPIC_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "topic list [options]",
        .about =
            "List topics: of the server on this machine, or with --server of any Kafka broker.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };

    options_init(&o);
    return run(&a, argc, argv, &o, &command);
}

int topic_show_run(int argc, char **argv)
{
    static const struct topic_command command = {"topic.show", "partition start end bytes",
                                                 show_by_kafka};
    struct topic_options o;
    const struct flag flags[] = {TOPIC_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "topic show NAME [options]",
        .about = "Show a topic's partitions: the first offset kept and the next one to come.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };

    options_init(&o);
    return run(&a, argc, argv, &o, &command);
}

int topic_create_run(int argc, char **argv)
{
    static const struct topic_command command = {"topic.create", NULL, create_by_kafka};
    struct topic_options o;
    const struct flag flags[] = {
        {"partitions", FLAG_INT, "N", "[num.partitions]", &o.partitions},
        {"config", FLAG_LIST, "NAME=VALUE", "a topic config; may be given many times", &o.configs},
        TOPIC_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "topic create NAME [options]",
        .about = "Create a topic.",
        .examples = "  pabal topic create orders --partitions 4\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };

    options_init(&o);
    return run(&a, argc, argv, &o, &command);
}

int topic_delete_run(int argc, char **argv)
{
    static const struct topic_command command = {"topic.delete", NULL, delete_by_kafka};
    struct topic_options o;
    const struct flag flags[] = {TOPIC_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "topic delete NAME [options]",
        .about = "Delete a topic and everything in it.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };

    options_init(&o);
    return run(&a, argc, argv, &o, &command);
}
