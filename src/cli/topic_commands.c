/* `pabal topic ...`, over Kafka's protocol: of Pabal and of any other broker that speaks it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/kafka_admin.h"

struct topic_options {
    struct common common;
    const char *name;
    int64_t partitions, replicas; /* 0: the server's default */
    struct flag_list configs, deleted_configs;
    bool if_not_exists, if_exists, shows_configs, dry_run;
};

/* ---- list and show ---- */

static json_t *count_or_null(int64_t count)
{
    return count >= 0 ? json_integer((json_int_t)count) : json_null();
}

static json_t *topic_row(const struct kafka_partition *first, size_t count)
{
    int64_t messages = 0, bytes = 0;

    for (size_t i = 0; i < count; i++) {
        messages += first[i].end - first[i].start;
        bytes = first[i].bytes < 0 || bytes < 0 ? -1 : bytes + first[i].bytes;
    }
    json_t *row = json_pack("{s:s, s:I, s:I}", "name", first->topic, "partitions",
                            (json_int_t)count, "messages", (json_int_t)messages);
    json_object_set_new(row, "bytes", count_or_null(bytes));
    return row;
}

static enum err list_topics(struct kafka_client *c, const void *options, json_t **out)
{
    kafka_partitions list = {0};

    (void)options;
    enum err err = kafka_admin_partitions(c, NULL, &list);
    *out = json_array();
    for (size_t i = 0, next; i < list.count; i = next) {
        next = i + 1;
        while (next < list.count && strcmp(list.items[next].topic, list.items[i].topic) == 0)
            next++;
        json_array_append_new(*out, topic_row(&list.items[i], next - i));
    }
    kafka_partitions_reset(&list);
    return err;
}

static enum err show_partitions(struct kafka_client *c, const struct topic_options *o, json_t **out)
{
    kafka_partitions list = {0};

    enum err err = kafka_admin_partitions(c, o->name, &list);
    *out = json_array();
    for (size_t i = 0; i < list.count; i++) {
        const struct kafka_partition *p = &list.items[i];
        json_t *row = json_pack("{s:i, s:I, s:I, s:I, s:i}", "partition", (int)p->index, "start",
                                (json_int_t)p->start, "end", (json_int_t)p->end, "messages",
                                (json_int_t)(p->end - p->start), "leader", (int)p->leader);
        json_object_set_new(row, "bytes", count_or_null(p->bytes));
        json_array_append_new(*out, row);
    }
    kafka_partitions_reset(&list);
    return err;
}

static const char *source_name(int8_t source)
{
    static const char *const names[] = {"", "topic", "broker", "brokers", "file", "default"};

    return source > 0 && source < (int8_t)(sizeof names / sizeof names[0]) ? names[source] : "";
}

static enum err show_configs(struct kafka_client *c, const struct topic_options *o, json_t **out)
{
    struct kafka_describe_configs_request request;
    struct kafka_describe_configs_request_resource resource;
    struct kafka_describe_configs_response response;
    struct kafka_metadata_response metadata;

    enum err err = kafka_client_metadata(c, o->name, &metadata); /* for its better error */
    if (err)
        return err;
    wire_init(&kafka_describe_configs_request_schema, &request);
    wire_init(&kafka_describe_configs_request_resource_schema, &resource);
    resource.resource_type = KAFKA_RESOURCE_TOPIC;
    resource.resource_name = bytes_from_string(o->name);
    request.resources.items = &resource;
    request.resources.count = 1;
    err = kafka_client_ask(c, KAFKA_DESCRIBE_CONFIGS, KAFKA_CLIENT_DESCRIBE_CONFIGS_VERSION,
                           &request, &response);
    if (!err && response.results.count != 1)
        err = err_set(E_MALFORMED, "configs of %d topics instead of one", response.results.count);
    if (!err)
        err = kafka_client_error(response.results.items[0].error_code,
                                 response.results.items[0].error_message, o->name);
    if (err)
        return err;
    const struct kafka_describe_configs_response_resource *found = &response.results.items[0];
    *out = json_array();
    for (int32_t i = 0; i < found->configs.count; i++) {
        const struct kafka_describe_configs_response_config *config = &found->configs.items[i];
        json_t *row = json_object();
        json_object_set_new(row, "name", json_of_bytes(config->name));
        json_object_set_new(row, "value",
                            config->value.data ? json_of_bytes(config->value) : json_null());
        json_object_set_new(row, "source", json_string(source_name(config->config_source)));
        json_array_append_new(*out, row);
    }
    return OK;
}

static enum err show_topic(struct kafka_client *c, const void *options, json_t **out)
{
    const struct topic_options *o = options;
    return o->shows_configs ? show_configs(c, o, out) : show_partitions(c, o, out);
}

/* ---- create, alter, delete ---- */

/* "NAME=VALUE"; *out_value is what is behind the sign. */
static enum err split_config(const char *text, struct bytes *out_name, struct bytes *out_value)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text)
        return err_set(E_INVALID, "--config %s: must be NAME=VALUE", text);
    *out_name = bytes_of(text, (size_t)(equals - text));
    *out_value = bytes_from_string(equals + 1);
    return OK;
}

static enum err create_topic(struct kafka_client *c, const void *options, json_t **out)
{
    const struct topic_options *o = options;
    struct kafka_create_topics_request_config configs[FLAG_LIST_MAX];
    struct kafka_topic_spec spec = {.name = o->name,
                                    .partitions = o->partitions ? (int32_t)o->partitions : -1,
                                    .replicas = o->replicas ? (int16_t)o->replicas : -1,
                                    .configs = configs,
                                    .config_count = o->configs.count,
                                    .validate_only = o->dry_run};
    enum err err = OK;

    for (size_t i = 0; i < o->configs.count && !err; i++)
        err = split_config(o->configs.items[i], &configs[i].name, &configs[i].value);
    if (!err)
        err = kafka_client_create_topic(c, &spec);
    bool is_there = err == E_EXISTS;
    if (err && !(is_there && o->if_not_exists))
        return err;
    *out = json_pack("{s:s, s:b}", "name", o->name, "created", !is_there && !o->dry_run);
    return OK;
}

static enum err delete_topic(struct kafka_client *c, const void *options, json_t **out)
{
    const struct topic_options *o = options;
    struct kafka_metadata_response metadata;

    enum err err = kafka_client_metadata(c, o->name, &metadata); /* for its better error */
    if (!err)
        err = kafka_client_delete_topic(c, o->name);
    bool is_missing = err == E_NOT_FOUND;
    if (err && !(is_missing && o->if_exists))
        return err;
    *out = json_pack("{s:s, s:b}", "name", o->name, "deleted", !is_missing);
    return OK;
}

static enum err add_partitions(struct kafka_client *c, const struct topic_options *o)
{
    struct kafka_create_partitions_request request;
    struct kafka_create_partitions_request_topic topic;
    struct kafka_create_partitions_response response;

    wire_init(&kafka_create_partitions_request_schema, &request);
    wire_init(&kafka_create_partitions_request_topic_schema, &topic);
    topic.name = bytes_from_string(o->name);
    topic.count = (int32_t)o->partitions;
    request.topics.items = &topic;
    request.topics.count = 1;
    request.timeout_ms = (int32_t)(o->common.timeout_ns / 1000000);
    request.validate_only = o->dry_run;
    enum err err = kafka_client_ask(c, KAFKA_CREATE_PARTITIONS,
                                    KAFKA_CLIENT_CREATE_PARTITIONS_VERSION, &request, &response);
    if (!err && response.results.count != 1)
        err = err_set(E_MALFORMED, "answer about %d topics", response.results.count);
    return err ? err
               : kafka_client_error(response.results.items[0].error_code,
                                    response.results.items[0].error_message, o->name);
}

static enum err put_changes(const struct topic_options *o,
                            struct kafka_incremental_alter_configs_request_config *out,
                            int32_t *out_count)
{
    enum { SET, DELETE };
    int32_t count = 0;

    for (size_t i = 0; i < o->configs.count; i++) {
        struct kafka_incremental_alter_configs_request_config *config = &out[count++];
        config->config_operation = SET;
        enum err err = split_config(o->configs.items[i], &config->name, &config->value);
        if (err)
            return err;
    }
    for (size_t i = 0; i < o->deleted_configs.count; i++)
        out[count++] = (struct kafka_incremental_alter_configs_request_config){
            .name = bytes_from_string(o->deleted_configs.items[i]), .config_operation = DELETE};
    *out_count = count;
    return OK;
}

static enum err alter_configs(struct kafka_client *c, const struct topic_options *o)
{
    struct kafka_incremental_alter_configs_request request;
    struct kafka_incremental_alter_configs_request_resource resource;
    struct kafka_incremental_alter_configs_request_config configs[2 * FLAG_LIST_MAX];
    struct kafka_incremental_alter_configs_response response;

    wire_init(&kafka_incremental_alter_configs_request_schema, &request);
    wire_init(&kafka_incremental_alter_configs_request_resource_schema, &resource);
    resource.resource_type = KAFKA_RESOURCE_TOPIC;
    resource.resource_name = bytes_from_string(o->name);
    resource.configs.items = configs;
    request.resources.items = &resource;
    request.resources.count = 1;
    request.validate_only = o->dry_run;
    enum err err = put_changes(o, configs, &resource.configs.count);
    if (!err)
        err = kafka_client_ask(c, KAFKA_INCREMENTAL_ALTER_CONFIGS,
                               KAFKA_CLIENT_ALTER_CONFIGS_VERSION, &request, &response);
    if (!err && response.responses.count != 1)
        err = err_set(E_MALFORMED, "answer about %d topics", response.responses.count);
    return err ? err
               : kafka_client_error(response.responses.items[0].error_code,
                                    response.responses.items[0].error_message, o->name);
}

static enum err alter_topic(struct kafka_client *c, const void *options, json_t **out)
{
    const struct topic_options *o = options;
    struct kafka_metadata_response metadata;
    bool has_configs = o->configs.count + o->deleted_configs.count > 0;

    enum err err = kafka_client_metadata(c, o->name, &metadata); /* for its better error */
    if (!err && !has_configs && !o->partitions)
        err = err_set(E_INVALID, "what? --partitions, --config or --delete-config");
    if (!err && has_configs)
        err = alter_configs(c, o);
    if (!err && o->partitions)
        err = add_partitions(c, o);
    if (!err)
        *out = json_pack("{s:s, s:b}", "name", o->name, "altered", !o->dry_run);
    return err;
}

/* ---- the commands ---- */

static bool begin(const struct arguments *a, int argc, char **argv, struct topic_options *o,
                  int *exit_code)
{
    const char *positionals[POSITIONALS_MAX];

    if (!cli_begin(a, argc, argv, positionals, &o->common, exit_code))
        return false;
    o->name = positionals[0];
    return true;
}

static void options_init(struct topic_options *o)
{
    *o = (struct topic_options){0};
    common_init(&o->common);
}

#define TOPIC_FLAGS(o) SERVER_FLAG((o).common), CONTROL_FLAG((o).common), COMMON_FLAGS((o).common)

int topic_list_run(int argc, char **argv)
{
    struct topic_options o;
    const struct flag flags[] = {TOPIC_FLAGS(o)};
    const struct arguments a = {
        .synopsis = "topic list [options]",
        .about = "List topics with how much is in them.",
        .examples = "  pabal topic list --server broker.example.org:9092\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
    };
    int exit_code;

    options_init(&o);
    return begin(&a, argc, argv, &o, &exit_code)
               ? kafka_admin_run(&o.common, &o, list_topics, "name partitions messages bytes")
               : exit_code;
}

int topic_show_run(int argc, char **argv)
{
    struct topic_options o;
    const struct flag flags[] = {
        {"configs", FLAG_BOOL, "", "its configs instead, and where each comes from",
         &o.shows_configs},
        TOPIC_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "topic show NAME [options]",
        .about = "Show a topic's partitions: the first offset kept and the next one to come.",
        .examples = "  pabal topic show orders --configs\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };
    int exit_code;

    options_init(&o);
    if (!begin(&a, argc, argv, &o, &exit_code))
        return exit_code;
    return kafka_admin_run(&o.common, &o, show_topic,
                           o.shows_configs ? "name value source"
                                           : "partition start end messages bytes leader");
}

int topic_create_run(int argc, char **argv)
{
    struct topic_options o;
    const struct flag flags[] = {
        {"partitions", FLAG_INT, "N", "[num.partitions]", &o.partitions},
        {"replicas", FLAG_INT, "N", "of brokers with more than one node", &o.replicas},
        {"config", FLAG_LIST, "NAME=VALUE", "a topic config; may be given many times", &o.configs},
        {"if-not-exists", FLAG_BOOL, "", "it is fine when it is there", &o.if_not_exists},
        {"dry-run", FLAG_BOOL, "", "only ask whether it could be created", &o.dry_run},
        TOPIC_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "topic create NAME [options]",
        .about = "Create a topic.",
        .examples = "  pabal topic create orders --partitions 4 --config retention.ms=86400000\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };
    int exit_code;

    options_init(&o);
    return begin(&a, argc, argv, &o, &exit_code)
               ? kafka_admin_run(&o.common, &o, create_topic, NULL)
               : exit_code;
}

int topic_alter_run(int argc, char **argv)
{
    struct topic_options o;
    const struct flag flags[] = {
        {"partitions", FLAG_INT, "N", "so many in all; there can only be more", &o.partitions},
        {"config", FLAG_LIST, "NAME=VALUE", "set; may be given many times", &o.configs},
        {"delete-config", FLAG_LIST, "NAME", "back to the default; may be given many times",
         &o.deleted_configs},
        {"dry-run", FLAG_BOOL, "", "only ask whether it could be done", &o.dry_run},
        TOPIC_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "topic alter NAME [options]",
        .about = "Change a topic's configs, or give it more partitions.",
        .examples = "  pabal topic alter orders --config max.message.bytes=2000000\n"
                    "  pabal topic alter orders --partitions 8\n",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };
    int exit_code;

    options_init(&o);
    return begin(&a, argc, argv, &o, &exit_code) ? kafka_admin_run(&o.common, &o, alter_topic, NULL)
                                                 : exit_code;
}

int topic_delete_run(int argc, char **argv)
{
    struct topic_options o;
    const struct flag flags[] = {
        {"if-exists", FLAG_BOOL, "", "it is fine when it is not there", &o.if_exists},
        TOPIC_FLAGS(o),
    };
    const struct arguments a = {
        .synopsis = "topic delete NAME [options]",
        .about = "Delete a topic and everything in it.",
        .examples = "",
        .flags = flags,
        .flag_count = sizeof flags / sizeof flags[0],
        .positional_least = 1,
        .positional_most = 1,
    };
    int exit_code;

    options_init(&o);
    return begin(&a, argc, argv, &o, &exit_code)
               ? kafka_admin_run(&o.common, &o, delete_topic, NULL)
               : exit_code;
}
