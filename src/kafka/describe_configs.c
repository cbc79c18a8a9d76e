/*
 * DescribeConfigs: every config of a topic or a broker with the value that is in force, where it
 * comes from, and what would be in force without that (KIP-226). Answered when what is told is
 * durable.
 *
 * A broker's configs are the defaults of topics, which can be changed, and everything that the
 * server was configured with, which is read-only. Of the defaults of all brokers ("") only what was
 * set is told. There are no secrets among configs: nothing is sensitive.
 */
#include "kafka/configs.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { TIMEOUT_MS = 30000 };

/* A client may ask for all topics at once: so many resources are described in a turn. */
enum { SLICE_RESOURCES = 16 };

struct describing {
    struct slice slice;
    int32_t next;
};

static void go_on(struct request *r);
static void describe(struct request *r, const struct kafka_describe_configs_request_resource *in,
                     struct kafka_describe_configs_response_resource *out);

void describe_configs_start(struct request *r)
{
    const struct kafka_describe_configs_request *in = r->body;
    struct describing *work = request_alloc(r, 1, sizeof *work);
    struct kafka_describe_configs_response *reply =
        request_new(r, &kafka_describe_configs_response_schema, 1);
    if (!work || !reply)
        return;
    r->work = work;
    r->reply = reply;
    reply->results.items = request_new(r, &kafka_describe_configs_response_resource_schema,
                                       (size_t)in->resources.count);
    if (!reply->results.items)
        return;
    reply->results.count = in->resources.count;
    go_on(r);
}

void describe_configs_release(struct request *r)
{
    struct describing *work = r->work;
    if (work)
        core_defer_cancel(&work->slice.deferred);
}

static void answer(struct request *r, bool in_time)
{
    struct kafka_describe_configs_response *reply = r->reply;
    for (int32_t i = 0; i < reply->results.count && !in_time; i++)
        if (!reply->results.items[i].error_code)
            reply->results.items[i].error_code = KAFKA_REQUEST_TIMED_OUT;
    request_answer(r, reply);
}

static void go_on(struct request *r)
{
    const struct kafka_describe_configs_request *in = r->body;
    struct kafka_describe_configs_response *reply = r->reply;
    struct describing *work = r->work;
    for (int i = 0; i < SLICE_RESOURCES && work->next < in->resources.count; i++, work->next++)
        describe(r, &in->resources.items[work->next], &reply->results.items[work->next]);
    if (request_has_failed(r))
        return;
    if (work->next < in->resources.count)
        request_slice(r, &work->slice, go_on);
    else
        request_wait(r, core_catalog_ticket(request_core(r)), STAGE_COMMITTED, TIMEOUT_MS, answer);
}

static bool is_asked(const struct kafka_describe_configs_request_resource *in, const char *name)
{
    if (in->configuration_keys.count == 0)
        return true; /* none is all, as null */
    for (int32_t i = 0; i < in->configuration_keys.count; i++)
        if (bytes_equal_string(in->configuration_keys.items[i], name))
            return true;
    return false;
}

/* What somebody has set may be gone when the answer leaves; what is configured stays. */
static struct bytes lasting(struct request *r, const struct config_values *values,
                            const struct config_value *value)
{
    bool stays = value->source >= CONFIG_OF_FILE && value->value != values->scratch;
    struct bytes text = bytes_from_string(value->value);
    return stays ? text : arena_copy(&r->arena, text);
}

static void put_synonyms(struct request *r, const struct config_values *values,
                         struct kafka_describe_configs_response_config *out)
{
    out->synonyms.items =
        request_new(r, &kafka_describe_configs_response_synonym_schema, values->count);
    if (!out->synonyms.items)
        return;
    out->synonyms.count = (int32_t)values->count;
    for (size_t i = 0; i < values->count; i++) {
        out->synonyms.items[i].name = bytes_from_string(values->items[i].name);
        out->synonyms.items[i].value = lasting(r, values, &values->items[i]);
        out->synonyms.items[i].source = (int8_t)values->items[i].source;
    }
}

/* The next entry, with what the value says. */
static struct kafka_describe_configs_response_config *
put_config(struct request *r, struct kafka_describe_configs_response_resource *out,
           const char *name, const struct config_values *values)
{
    const struct kafka_describe_configs_request *in = r->body;
    struct kafka_describe_configs_response_config *config =
        &out->configs.items[out->configs.count++];
    config->name = bytes_from_string(name);
    config->value = lasting(r, values, &values->items[0]);
    config->config_source = (int8_t)values->items[0].source;
    if (in->include_synonyms)
        put_synonyms(r, values, config);
    return config;
}

static void put_row(struct request *r, const struct topic_config_row *row, const char *name,
                    const struct config_values *values,
                    struct kafka_describe_configs_response_resource *out)
{
    const struct kafka_describe_configs_request *in = r->body;
    struct kafka_describe_configs_response_config *config = put_config(r, out, name, values);
    config->config_type = (int8_t)row->type;
    if (in->include_documentation)
        config->documentation = bytes_from_string(row->help);
}

static void put_topic(struct request *r, const struct kafka_describe_configs_request_resource *in,
                      const struct topic *topic,
                      struct kafka_describe_configs_response_resource *out)
{
    size_t count;
    const struct topic_config_row *rows = topic_config_rows(&count);
    for (size_t i = 0; i < count; i++) {
        struct config_values values;
        if (!is_asked(in, rows[i].name))
            continue;
        topic_config_values(request_core(r), &topic->configs, &rows[i], &values);
        put_row(r, &rows[i], rows[i].name, &values, out);
    }
}

/* The values of one scope only. */
static void keep_source(struct config_values *values, enum config_source source)
{
    size_t kept = 0;
    for (size_t i = 0; i < values->count; i++)
        if (values->items[i].source == source)
            values->items[kept++] = values->items[i];
    values->count = kept;
}

static void put_defaults(struct request *r,
                         const struct kafka_describe_configs_request_resource *in,
                         enum broker_scope scope,
                         struct kafka_describe_configs_response_resource *out)
{
    size_t count;
    const struct topic_config_row *rows = topic_config_rows(&count);
    for (size_t i = 0; i < count; i++) {
        struct config_values values;
        if (!rows[i].broker_name || !is_asked(in, rows[i].broker_name))
            continue;
        topic_config_values(request_core(r), NULL, &rows[i], &values);
        if (scope == BROKER_SCOPE_CLUSTER)
            keep_source(&values, CONFIG_OF_CLUSTER);
        if (values.count > 0)
            put_row(r, &rows[i], rows[i].broker_name, &values, out);
    }
}

static void put_settings(struct request *r,
                         const struct kafka_describe_configs_request_resource *in,
                         struct kafka_describe_configs_response_resource *out)
{
    const struct kafka_describe_configs_request *request = r->body;
    const struct core_config *config = &request_core(r)->config;
    for (size_t i = 0; i < config->setting_count; i++) {
        const struct broker_setting *s = &config->settings[i];
        if (topic_config_of_broker(s->name) || !is_asked(in, s->name))
            continue;
        struct config_values values = {.count = 1};
        values.items[0] = (struct config_value){s->name, s->value,
                                                s->is_given ? CONFIG_OF_FILE : CONFIG_OF_DEFAULT};
        struct kafka_describe_configs_response_config *entry = put_config(r, out, s->name, &values);
        entry->read_only = true;
        entry->config_type = (int8_t)s->type;
        if (request->include_documentation)
            entry->documentation = bytes_from_string(s->help);
    }
}

/* There is one level for all log lines. */
static void put_logger(struct request *r, const struct kafka_describe_configs_request_resource *in,
                       struct kafka_describe_configs_response_resource *out)
{
    struct config_values values = {.count = 1};
    values.items[0] = (struct config_value){LOGGER_NAME, logger_level(), CONFIG_OF_LOGGER};
    if (is_asked(in, LOGGER_NAME))
        put_config(r, out, LOGGER_NAME, &values)->config_type = CONFIG_STRING;
}

static void describe(struct request *r, const struct kafka_describe_configs_request_resource *in,
                     struct kafka_describe_configs_response_resource *out)
{
    struct resource resource;
    size_t row_count;
    out->resource_type = in->resource_type;
    out->resource_name = in->resource_name;
    out->error_code = (int16_t)resource_find(r, in->resource_type, in->resource_name, &resource,
                                             &out->error_message);
    if (out->error_code)
        return;
    topic_config_rows(&row_count);
    if (resource.type == RESOURCE_BROKER)
        row_count += request_core(r)->config.setting_count;
    out->configs.items = request_new(r, &kafka_describe_configs_response_config_schema, row_count);
    if (!out->configs.items)
        return;
    if (resource.type == RESOURCE_TOPIC)
        put_topic(r, in, resource.topic, out);
    else if (resource.type == RESOURCE_LOGGER)
        put_logger(r, in, out);
    else
        put_defaults(r, in, resource.scope, out);
    if (resource.type == RESOURCE_BROKER && resource.scope == BROKER_SCOPE_NODE)
        put_settings(r, in, out);
}
