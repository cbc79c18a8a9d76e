/*
 * ListConfigResources (KIP-1142): the names of everything that has configs. Version 0 asks for client
 * metrics only, of which there are none.
 */
#include "broker/core.h"
#include "kafka/configs.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

enum { TYPES_SINCE = 1, TIMEOUT_MS = 30000 };

struct listing {
    struct request *request;
    struct kafka_list_config_resources_response *reply;
    size_t capacity;
};

static bool is_asked(const struct kafka_list_config_resources_request *in, int8_t type)
{
    for (int32_t i = 0; i < in->resource_types.count; i++)
        if (in->resource_types.items[i] == type)
            return true;
    return in->resource_types.count == 0;
}

static void add(struct listing *l, struct bytes name, enum resource_type type)
{
    struct kafka_list_config_resources_response *reply = l->reply;
    if ((size_t)reply->config_resources.count == l->capacity)
        return;
    struct kafka_list_config_resources_response_resource *out =
        &reply->config_resources.items[reply->config_resources.count++];
    out->resource_name = arena_copy(&l->request->arena, name);
    out->resource_type = (int8_t)type;
}

static void count_topic(void *ctx, struct topic *topic)
{
    (void)topic;
    ((struct listing *)ctx)->capacity++;
}

static void add_topic(void *ctx, struct topic *topic)
{
    add(ctx, topic->name, RESOURCE_TOPIC);
}

static bool types_are_known(const struct kafka_list_config_resources_request *in)
{
    for (int32_t i = 0; i < in->resource_types.count; i++) {
        int8_t type = in->resource_types.items[i];
        if (type != RESOURCE_TOPIC && type != RESOURCE_BROKER && type != RESOURCE_LOGGER &&
            type != RESOURCE_GROUP && type != RESOURCE_CLIENT_METRICS)
            return false;
    }
    return true;
}

static void answer(struct request *r, bool in_time)
{
    struct kafka_list_config_resources_response *reply = r->reply;
    if (!in_time) {
        reply->config_resources.count = 0;
        reply->error_code = KAFKA_REQUEST_TIMED_OUT;
    }
    request_answer(r, reply);
}

void list_config_resources_start(struct request *r)
{
    const struct kafka_list_config_resources_request *in = r->body;
    struct core *core = request_core(r);
    struct listing l = {.request = r, .capacity = 2};
    l.reply = request_new(r, &kafka_list_config_resources_response_schema, 1);
    if (!l.reply)
        return;
    r->reply = l.reply;
    if (!types_are_known(in))
        l.reply->error_code = KAFKA_UNSUPPORTED_VERSION;
    bool lists = r->version >= TYPES_SINCE && !l.reply->error_code;
    if (lists && is_asked(in, RESOURCE_TOPIC))
        topic_each(core, count_topic, &l);
    l.reply->config_resources.items =
        request_new(r, &kafka_list_config_resources_response_resource_schema, l.capacity);
    if (!l.reply->config_resources.items)
        return;
    struct bytes node = request_text(r, "%d", core->config.node_id);
    if (lists && is_asked(in, RESOURCE_BROKER))
        add(&l, node, RESOURCE_BROKER);
    if (lists && is_asked(in, RESOURCE_LOGGER))
        add(&l, node, RESOURCE_LOGGER);
    if (lists && is_asked(in, RESOURCE_TOPIC))
        topic_each(core, add_topic, &l);
    request_wait(r, core_catalog_ticket(core), STAGE_COMMITTED, TIMEOUT_MS, answer);
}
