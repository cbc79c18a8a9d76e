/*
 * CreateTopics. Each topic alone succeeds or fails; all are answered when the catalog has them
 * durably, also "already exists", so that nothing is told that a crash could take back. There is
 * one node: a replication factor is -1 or 1, and an assignment names this node for every partition.
 * KIP-464 (-1: defaults), KIP-525 (v5 configs), KIP-516 (v7 topic id).
 */
#include "base/say.h"
#include "broker/core.h"
#include "broker/topic.h"
#include "broker/topic_config.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"
#include "kafka/repeats.h"

enum { CONFIGS_SINCE = 5 };

static void create_one(struct request *r, const struct repeats *repeats,
                       const struct kafka_create_topics_request_topic *in,
                       struct kafka_create_topics_response_topic *out);

static void answer(struct request *r, bool in_time)
{
    struct kafka_create_topics_response *reply = r->reply;
    for (int32_t i = 0; i < reply->topics.count && !in_time; i++)
        if (!reply->topics.items[i].error_code)
            reply->topics.items[i].error_code = KAFKA_REQUEST_TIMED_OUT;
    request_answer(r, reply);
}

/* Many topics are made in slices: at most so many in a turn, and no more once there are so many
 * partitions. */
enum { SLICE_TOPICS = 64, SLICE_PARTITIONS = 1000 };

struct creating {
    struct slice slice;
    struct repeats repeats;
    int32_t next;
};

static void go_on(struct request *r)
{
    const struct kafka_create_topics_request *in = r->body;
    struct kafka_create_topics_response *reply = r->reply;
    struct creating *work = r->work;
    int64_t partitions = 0;
    for (int i = 0;
         i < SLICE_TOPICS && partitions < SLICE_PARTITIONS && work->next < in->topics.count;
         i++, work->next++) {
        if (!repeats_take(&work->repeats, in->topics.items[work->next].name))
            continue;
        struct kafka_create_topics_response_topic *out =
            &reply->topics.items[reply->topics.count++];
        create_one(r, &work->repeats, &in->topics.items[work->next], out);
        partitions += out->num_partitions;
    }
    if (request_has_failed(r))
        return;
    if (work->next < in->topics.count)
        request_slice(r, &work->slice, go_on);
    else
        request_wait(r, core_catalog_ticket(request_core(r)), STAGE_COMMITTED, in->timeout_ms,
                     answer);
}

void create_topics_release(struct request *r)
{
    struct creating *work = r->work;
    if (!work)
        return;
    core_defer_cancel(&work->slice.deferred);
    repeats_reset(&work->repeats);
}

void create_topics_start(struct request *r)
{
    const struct kafka_create_topics_request *in = r->body;
    struct creating *work = request_alloc(r, 1, sizeof *work);
    struct kafka_create_topics_response *reply =
        request_new(r, &kafka_create_topics_response_schema, 1);
    if (!reply || !work)
        return;
    r->work = work;
    r->reply = reply;
    reply->topics.items =
        request_new(r, &kafka_create_topics_response_topic_schema, (size_t)in->topics.count);
    if (!reply->topics.items)
        return;
    for (int32_t i = 0; i < in->topics.count; i++)
        repeats_note(&work->repeats, in->topics.items[i].name);
    go_on(r);
}

/* ---- one topic ---- */

static void fails(struct request *r, struct kafka_create_topics_response_topic *out,
                  enum kafka_error error, const char *message)
{
    out->error_code = (int16_t)error;
    out->error_message = arena_copy(&r->arena, bytes_from_string(message));
}

/* Every partition from 0 on, once, each on this node alone. */
static bool assignment_is_possible(struct request *r,
                                   const struct kafka_create_topics_request_topic *in)
{
    int32_t count = in->assignments.count;
    bool *seen = arena_zalloc(&r->arena, (size_t)count, sizeof *seen);
    for (int32_t i = 0; seen && i < count; i++) {
        const struct kafka_create_topics_request_assignment *a = &in->assignments.items[i];
        if (a->partition_index < 0 || a->partition_index >= count || seen[a->partition_index] ||
            a->broker_ids.count != 1 || a->broker_ids.items[0] != request_core(r)->config.node_id)
            return false;
        seen[a->partition_index] = true;
    }
    return seen != NULL;
}

static bool check_shape(struct request *r, const struct repeats *repeats,
                        const struct kafka_create_topics_request_topic *in,
                        struct kafka_create_topics_response_topic *out)
{
    bool is_assigned = in->assignments.count > 0;
    if (repeats_has(repeats, in->name))
        fails(r, out, KAFKA_INVALID_REQUEST, "the request names this topic twice");
    else if (!topic_name_is_legal(in->name))
        fails(
            r, out, KAFKA_INVALID_TOPIC,
            "a topic name is 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-', and not \".\" or \"..\"");
    else if (topic_name_is_internal(in->name))
        fails(r, out, KAFKA_INVALID_TOPIC, "the broker makes this topic itself when it is needed");
    else if (is_assigned && (in->num_partitions != -1 || in->replication_factor != -1))
        fails(r, out, KAFKA_INVALID_REQUEST,
              "with an assignment, partition count and replication factor must be -1");
    else if (is_assigned && !assignment_is_possible(r, in))
        fails(r, out, KAFKA_INVALID_REPLICA_ASSIGNMENT,
              "an assignment must name this node, and no other, for each partition from 0 on");
    else if (in->num_partitions == 0 || in->num_partitions < -1)
        fails(r, out, KAFKA_INVALID_PARTITIONS, "the number of partitions must be above 0, or -1");
    else if (in->replication_factor == 0 || in->replication_factor < -1)
        fails(r, out, KAFKA_INVALID_REPLICATION_FACTOR,
              "the replication factor must be above 0, or -1");
    return out->error_code == KAFKA_NONE;
}

static bool is_repeated(const struct kafka_create_topics_request_topic *in, int32_t i)
{
    for (int32_t j = 0; j < i; j++)
        if (bytes_equal(in->configs.items[i].name, in->configs.items[j].name))
            return true;
    return false;
}

/* NULL: an error was put, or the request has failed. */
static struct topic_config *copy_configs(struct request *r,
                                         const struct kafka_create_topics_request_topic *in,
                                         struct kafka_create_topics_response_topic *out)
{
    size_t known;
    topic_config_rows(&known);
    if ((size_t)in->configs.count > known) {
        fails(r, out, KAFKA_INVALID_CONFIG, "there are fewer configs than these");
        return NULL;
    }
    struct topic_config *configs = request_alloc(r, (size_t)in->configs.count, sizeof *configs);
    for (int32_t i = 0; configs && i < in->configs.count; i++) {
        struct bytes name = in->configs.items[i].name, value = in->configs.items[i].value;
        bool is_text = value.data && !memchr(value.data, 0, value.size) &&
                       !(name.size && memchr(name.data, 0, name.size));
        if (!is_text || is_repeated(in, i)) {
            fails(r, out, KAFKA_INVALID_CONFIG,
                  is_text ? "a config is given twice" : "a config has no value");
            return NULL;
        }
        configs[i].name = (char *)(uintptr_t)arena_copy(&r->arena, name).data;
        configs[i].value = (char *)(uintptr_t)arena_copy(&r->arena, value).data;
        if (!configs[i].name || !configs[i].value) {
            request_fail(r, "too many configs");
            return NULL;
        }
    }
    return configs;
}

static enum kafka_error create_error(enum err err)
{
    switch ((int)err) {
    case E_INVALID:
    case E_UNSUPPORTED: return KAFKA_INVALID_CONFIG;
    case E_REFUSED: return KAFKA_INVALID_TOPIC;
    case E_OUT_OF_RANGE: return KAFKA_INVALID_PARTITIONS;
    case E_TOO_LARGE: return KAFKA_POLICY_VIOLATION;
    default: return kafka_error_of(err);
    }
}

/* All configs with the values that are, or would be, in force. */
static void put_configs(struct request *r, const struct topic_spec *spec,
                        struct kafka_create_topics_response_topic *out)
{
    size_t count;
    const struct topic_config_row *rows = topic_config_rows(&count);
    struct config_set set = {0};
    out->configs.items = request_new(r, &kafka_create_topics_response_config_schema, count);
    if (!out->configs.items)
        return;
    out->configs.count = (int32_t)count;
    config_set_put_all(&set, spec->configs, spec->config_count);
    for (size_t i = 0; i < count; i++) {
        struct kafka_create_topics_response_config *config = &out->configs.items[i];
        struct config_values values;
        topic_config_values(request_core(r), &set, &rows[i], &values);
        config->config_source = (int8_t)values.items[0].source;
        config->name = bytes_from_string(rows[i].name);
        config->value = arena_copy(&r->arena, bytes_from_string(values.items[0].value));
    }
    config_set_reset(&set);
}

static void put_created(struct request *r, const struct topic_spec *spec, const struct topic *topic,
                        struct kafka_create_topics_response_topic *out)
{
    if (topic)
        memcpy(out->topic_id.data, topic->id, sizeof topic->id);
    out->num_partitions = spec->partition_count != -1 ? spec->partition_count
                                                      : request_core(r)->config.default_partitions;
    out->replication_factor = 1;
    if (r->version >= CONFIGS_SINCE)
        put_configs(r, spec, out);
}

static void create_one(struct request *r, const struct repeats *repeats,
                       const struct kafka_create_topics_request_topic *in,
                       struct kafka_create_topics_response_topic *out)
{
    struct core *core = request_core(r);
    const struct kafka_create_topics_request *request = r->body;
    static struct kafka_create_topics_response_config no_configs;
    out->name = in->name;
    out->configs.items = &no_configs; /* empty: null would say that they may not be seen */
    if (!check_shape(r, repeats, in, out))
        return;
    struct topic_config *configs = copy_configs(r, in, out);
    if (!configs)
        return;
    struct topic_spec spec = {
        .name = in->name,
        .partition_count = in->assignments.count > 0 ? in->assignments.count : in->num_partitions,
        .configs = configs,
        .config_count = (size_t)in->configs.count,
        .validate_only = request->validate_only,
    };
    struct topic *topic = NULL;
    enum err err = topic_create(core, &spec, &topic);
    if (err) {
        fails(r, out, create_error(err), err_text());
        return;
    }
    put_created(r, &spec, topic, out);
    if (topic && in->replication_factor > 1)
        say_info("kafka",
                 "a replication factor is lowered to 1, there is one node: topic=%.*s "
                 "asked=%d",
                 BYTES_FORMAT(in->name), (int)in->replication_factor);
}
