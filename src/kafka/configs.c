#include "kafka/configs.h"

#include "base/check.h"
#include "base/number.h"
#include "base/say.h"

static enum kafka_error find_topic(struct request *r, struct bytes name, struct resource *out,
                                   struct bytes *out_message)
{
    if (!topic_name_is_legal(name)) {
        *out_message = BYTES_LITERAL("this is no name of a topic");
        return KAFKA_INVALID_TOPIC;
    }
    out->topic = topic_find(request_core(r), name);
    if (out->topic)
        return KAFKA_NONE;
    *out_message = request_text(r, "The topic '%.*s' does not exist.", BYTES_FORMAT(name));
    return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* Of a logger the node must be named. */
static enum kafka_error find_broker(struct request *r, struct bytes name, struct resource *out,
                                    struct bytes *out_message)
{
    int64_t id;
    int32_t node_id = request_core(r)->config.node_id;
    out->scope = BROKER_SCOPE_CLUSTER;
    if (name.size == 0 && out->type == RESOURCE_BROKER)
        return KAFKA_NONE;
    if (!number_parse_i64(name, &id)) {
        *out_message = request_text(r, "Node id must be an integer, but it is: %.*s",
                                    (int)(name.size < 100 ? name.size : 100), name.data);
        return KAFKA_INVALID_REQUEST;
    }
    if (id != node_id) {
        *out_message = request_text(r, "Unexpected broker id, expected %d, but received %lld",
                                    node_id, (long long)id);
        return KAFKA_INVALID_REQUEST;
    }
    out->scope = BROKER_SCOPE_NODE;
    return KAFKA_NONE;
}

enum kafka_error resource_find(struct request *r, int8_t type, struct bytes name,
                               struct resource *out, struct bytes *out_message)
{
    *out = (struct resource){.type = (enum resource_type)type};
    switch ((int)type) {
    case RESOURCE_TOPIC: return find_topic(r, name, out, out_message);
    case RESOURCE_BROKER:
    case RESOURCE_LOGGER: return find_broker(r, name, out, out_message);
    default: break;
    }
    *out_message = request_text(r, "resources of type %d have no configs here", type);
    return KAFKA_INVALID_REQUEST;
}

const struct config_set *resource_configs(const struct request *r, const struct resource *resource)
{
    if (resource->type == RESOURCE_TOPIC)
        return &resource->topic->configs;
    check(resource->type == RESOURCE_BROKER);
    return broker_configs(request_core(r), resource->scope);
}

const struct topic_config_row *resource_row(const struct resource *resource, const char *name)
{
    return resource->type == RESOURCE_TOPIC ? topic_config_find(name)
                                            : topic_config_of_broker(name);
}

enum err resource_check(const struct request *r, const struct resource *resource, const char *name,
                        const char *value)
{
    return resource->type == RESOURCE_TOPIC ? topic_config_check(name, value)
                                            : broker_config_check(request_core(r), name, value);
}

/* ---- the logger ---- */

static const char *const levels[] = {"DEBUG", "INFO", "WARN", "ERROR"}; /* by enum say_level */

const char *logger_level(void)
{
    int level = SAY_DEBUG;
    while (level < SAY_ERROR && !say_is_on((enum say_level)level))
        level++;
    return levels[level];
}

static int find_level(const char *name)
{
    int level = SAY_DEBUG;
    while (level <= SAY_ERROR && strcmp(levels[level], name) != 0)
        level++;
    return level;
}

bool logger_has_level(const char *name)
{
    return find_level(name) <= SAY_ERROR;
}

bool logger_set_level(const char *name)
{
    if (!logger_has_level(name))
        return false;
    say_set_level((enum say_level)find_level(name));
    return true;
}

enum kafka_error config_error(const struct resource *resource, enum err err)
{
    switch ((int)err) {
    case E_INVALID:
    case E_UNSUPPORTED:
        return resource->type == RESOURCE_TOPIC ? KAFKA_INVALID_CONFIG : KAFKA_INVALID_REQUEST;
    case E_REFUSED: return KAFKA_INVALID_REQUEST;
    default: return kafka_error_of(err);
    }
}
