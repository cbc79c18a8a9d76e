/*
 * AlterConfigs and IncrementalAlterConfigs (KIP-339): the first says all that a topic or a broker
 * shall have set, the second what to change. Each resource alone succeeds or fails, as a whole, and
 * has its new configs at once; the answer leaves when they are durable. Both work on a copy of what
 * is set, which the broker checks and takes, or leaves.
 *
 * The level of the logger is changed by the second only, and lasts until the next start.
 */
#include "kafka/configs.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"
#include "kafka/repeats.h"

enum operation { OPERATION_SET, OPERATION_DELETE, OPERATION_APPEND, OPERATION_SUBTRACT };

enum { TIMEOUT_MS = 30000, SLICE_RESOURCES = 32, CHANGES_MAX = 256 };

/* One config of a request, whichever of the two. */
struct change {
    struct bytes name, value;
    enum operation operation;
};

/* One resource of a request. */
struct alteration {
    int8_t type;
    struct bytes name;
    struct change *changes;
    int32_t count;
    enum kafka_error error;
    struct bytes message; /* lives as long as the request */
};

struct altering {
    struct slice slice;
    struct repeats repeats;
    struct alteration *items;
    int32_t count, next;
    bool replaces, validate_only;
    void (*answer)(struct request *, bool in_time);
};

static void go_on(struct request *r);
static void alter(struct request *r, const struct altering *work, struct alteration *a);

/* ---- the two requests ---- */

/* NULL: the request has failed. */
static struct altering *begin(struct request *r, int32_t count)
{
    struct altering *work = request_alloc(r, 1, sizeof *work);
    if (!work)
        return NULL;
    r->work = work;
    work->items = request_alloc(r, (size_t)count, sizeof *work->items);
    work->count = count;
    return work->items ? work : NULL;
}

static void answer_all(struct request *r, bool in_time)
{
    const struct altering *work = r->work;
    struct kafka_alter_configs_response *reply =
        request_new(r, &kafka_alter_configs_response_schema, 1);
    if (!reply)
        return;
    reply->responses.items =
        request_new(r, &kafka_alter_configs_response_resource_schema, (size_t)work->count);
    if (!reply->responses.items)
        return;
    reply->responses.count = work->count;
    for (int32_t i = 0; i < work->count; i++) {
        struct kafka_alter_configs_response_resource *out = &reply->responses.items[i];
        const struct alteration *a = &work->items[i];
        out->resource_type = a->type;
        out->resource_name = a->name;
        out->error_code = (int16_t)(a->error || in_time ? a->error : KAFKA_REQUEST_TIMED_OUT);
        out->error_message = a->message;
    }
    request_answer(r, reply);
}

void alter_configs_start(struct request *r)
{
    const struct kafka_alter_configs_request *in = r->body;
    struct altering *work = begin(r, in->resources.count);
    if (!work)
        return;
    work->replaces = true;
    work->validate_only = in->validate_only;
    work->answer = answer_all;
    for (int32_t i = 0; i < in->resources.count; i++) {
        const struct kafka_alter_configs_request_resource *asked = &in->resources.items[i];
        struct alteration *a = &work->items[i];
        *a = (struct alteration){.type = asked->resource_type, .name = asked->resource_name};
        a->changes = request_alloc(r, (size_t)asked->configs.count, sizeof *a->changes);
        if (!a->changes)
            return;
        a->count = asked->configs.count;
        for (int32_t j = 0; j < a->count; j++)
            a->changes[j] = (struct change){asked->configs.items[j].name,
                                            asked->configs.items[j].value, OPERATION_SET};
    }
    go_on(r);
}

static void answer_incremental(struct request *r, bool in_time)
{
    const struct altering *work = r->work;
    struct kafka_incremental_alter_configs_response *reply =
        request_new(r, &kafka_incremental_alter_configs_response_schema, 1);
    if (!reply)
        return;
    reply->responses.items = request_new(
        r, &kafka_incremental_alter_configs_response_resource_schema, (size_t)work->count);
    if (!reply->responses.items)
        return;
    reply->responses.count = work->count;
    for (int32_t i = 0; i < work->count; i++) {
        struct kafka_incremental_alter_configs_response_resource *out = &reply->responses.items[i];
        const struct alteration *a = &work->items[i];
        out->resource_type = a->type;
        out->resource_name = a->name;
        out->error_code = (int16_t)(a->error || in_time ? a->error : KAFKA_REQUEST_TIMED_OUT);
        out->error_message = a->message;
    }
    request_answer(r, reply);
}

void incremental_alter_configs_start(struct request *r)
{
    const struct kafka_incremental_alter_configs_request *in = r->body;
    struct altering *work = begin(r, in->resources.count);
    if (!work)
        return;
    work->validate_only = in->validate_only;
    work->answer = answer_incremental;
    for (int32_t i = 0; i < in->resources.count; i++) {
        const struct kafka_incremental_alter_configs_request_resource *asked =
            &in->resources.items[i];
        struct alteration *a = &work->items[i];
        *a = (struct alteration){.type = asked->resource_type, .name = asked->resource_name};
        a->changes = request_alloc(r, (size_t)asked->configs.count, sizeof *a->changes);
        if (!a->changes)
            return;
        a->count = asked->configs.count;
        for (int32_t j = 0; j < a->count; j++)
            a->changes[j] =
                (struct change){asked->configs.items[j].name, asked->configs.items[j].value,
                                (enum operation)asked->configs.items[j].config_operation};
    }
    go_on(r);
}

void alter_configs_release(struct request *r)
{
    struct altering *work = r->work;
    if (!work)
        return;
    core_defer_cancel(&work->slice.deferred);
    repeats_reset(&work->repeats);
}

/* ---- one resource after the other ---- */

/* A resource by its type and name. */
static struct bytes key_of(struct request *r, const struct alteration *a)
{
    uint8_t *key = request_alloc(r, 1, 1 + a->name.size);
    if (!key)
        return BYTES_NULL;
    key[0] = (uint8_t)a->type;
    if (a->name.size > 0)
        memcpy(key + 1, a->name.data, a->name.size);
    return bytes_of(key, 1 + a->name.size);
}

static void note_repeats(struct request *r, struct altering *work)
{
    for (int32_t i = 0; i < work->count && !request_has_failed(r); i++)
        repeats_note(&work->repeats, key_of(r, &work->items[i]));
}

static void go_on(struct request *r)
{
    struct altering *work = r->work;
    if (work->next == 0)
        note_repeats(r, work);
    for (int i = 0; i < SLICE_RESOURCES && work->next < work->count; i++, work->next++) {
        if (request_has_failed(r))
            return;
        alter(r, work, &work->items[work->next]);
    }
    if (work->next < work->count || !broker_config_is_in_force(request_core(r)))
        request_slice(r, &work->slice, go_on);
    else
        request_wait(r, core_catalog_ticket(request_core(r)), STAGE_COMMITTED, TIMEOUT_MS,
                     work->answer);
}

static void fails(struct alteration *a, enum kafka_error error, struct bytes message)
{
    a->error = error;
    a->message = message;
}

/* ---- lists: what is set, or the default, with items put behind or taken out ---- */

static struct bytes next_item(const char **list)
{
    const char *start = *list;
    const char *end = strchr(start, ',');
    size_t size = end ? (size_t)(end - start) : strlen(start);
    *list = end ? end + 1 : start + size;
    while (size > 0 && *start == ' ')
        start++, size--;
    while (size > 0 && start[size - 1] == ' ')
        size--;
    return bytes_of(start, size);
}

static bool list_has(const char *list, struct bytes item)
{
    while (*list)
        if (bytes_equal(next_item(&list), item))
            return true;
    return false;
}

static void add_items(struct text *out, const char *list, const char *without)
{
    while (*list) {
        struct bytes item = next_item(&list);
        if (item.size == 0 || list_has(without, item))
            continue;
        if (out->size > 0)
            text_append_string(out, ",");
        text_append(out, item);
    }
}

static void change_list(struct config_set *set, const char *name, const char *old,
                        const char *items, bool append)
{
    struct text list = {0};
    add_items(&list, old, append ? "" : items);
    if (append)
        add_items(&list, items, old);
    config_set_put(set, name, text_string(&list));
    text_reset(&list);
}

/* ---- one config ---- */

static const char *operation_name(enum operation operation)
{
    return operation == OPERATION_APPEND ? "APPEND" : "SUBTRACT";
}

static void change_one(struct request *r, struct alteration *a, const struct resource *resource,
                       const struct change *change, const char *name, const char *value,
                       struct config_set *set)
{
    const struct topic_config_row *row = resource_row(resource, name);
    const char *old = config_set_get(set, name);
    struct config_values values;
    switch (change->operation) {
    case OPERATION_SET: config_set_put(set, name, value); return;
    case OPERATION_DELETE: config_set_remove(set, name); return;
    case OPERATION_APPEND:
    case OPERATION_SUBTRACT:
        if (!row || row->type != CONFIG_LIST) {
            fails(a, KAFKA_INVALID_CONFIG,
                  request_text(r, "Can't %s to key %s because its type is not LIST.",
                               operation_name(change->operation), name));
            return;
        }
        topic_config_values(request_core(r), NULL, row, &values);
        change_list(set, name, old ? old : values.items[0].value, value,
                    change->operation == OPERATION_APPEND);
        return;
    }
    fails(a, KAFKA_INVALID_REQUEST,
          request_text(r, "Unknown operation type %d", (int)change->operation));
}

/* With the reason of an error just born. */
static void refuse(struct request *r, struct alteration *a, const struct resource *resource,
                   enum err err)
{
    fails(a, config_error(resource, err), request_text(r, "%s", err_text()));
}

static bool has_nul(struct bytes text)
{
    return text.size > 0 && memchr(text.data, 0, text.size);
}

static bool is_repeated(const struct alteration *a, int32_t i)
{
    for (int32_t j = 0; j < i; j++)
        if (bytes_equal(a->changes[j].name, a->changes[i].name))
            return true;
    return false;
}

/* One change of the set, or an error. The name must be one that can be set, so a request can make a
 * set no larger than the table. */
static void change(struct request *r, struct alteration *a, const struct resource *resource,
                   int32_t i, struct config_set *set)
{
    const struct change *c = &a->changes[i];
    const char *name = (const char *)arena_copy(&r->arena, c->name).data;
    const char *value = c->value.data ? (const char *)arena_copy(&r->arena, c->value).data : NULL;
    if (!name || (c->value.data && !value)) {
        request_fail(r, "too many configs");
        return;
    }
    if (has_nul(c->name) || has_nul(c->value) || c->name.size == 0)
        fails(a, KAFKA_INVALID_CONFIG, BYTES_LITERAL("this is no text"));
    else if (is_repeated(a, i))
        fails(a, KAFKA_INVALID_REQUEST, BYTES_LITERAL("Error due to duplicate config keys"));
    else if (c->operation != OPERATION_DELETE && !value)
        fails(a, KAFKA_INVALID_REQUEST, request_text(r, "Null value not supported for : %s", name));
    else if (c->operation == OPERATION_DELETE || resource_row(resource, name))
        change_one(r, a, resource, c, name, value, set);
    else
        refuse(r, a, resource, resource_check(r, resource, name, value));
}

static void alter_logger(struct request *r, const struct altering *work, struct alteration *a)
{
    for (int32_t i = 0; i < a->count && !a->error; i++) {
        const struct change *c = &a->changes[i];
        const char *value =
            c->value.data ? (const char *)arena_copy(&r->arena, c->value).data : NULL;
        if (!bytes_equal_string(c->name, LOGGER_NAME))
            fails(a, KAFKA_INVALID_CONFIG,
                  BYTES_LITERAL("there is one logger here, and it is called " LOGGER_NAME));
        else if (c->operation != OPERATION_SET || work->replaces || !value)
            fails(a, KAFKA_INVALID_REQUEST, BYTES_LITERAL("a level can only be set"));
        else if (work->validate_only ? !logger_has_level(value) : !logger_set_level(value))
            fails(a, KAFKA_INVALID_CONFIG, BYTES_LITERAL("a level is DEBUG, INFO, WARN or ERROR"));
    }
}

static enum err take(struct request *r, const struct resource *resource, struct config_set *set,
                     bool validate_only)
{
    if (resource->type == RESOURCE_TOPIC)
        return topic_alter(request_core(r), resource->topic, set, validate_only);
    return broker_config_alter(request_core(r), resource->scope, set, validate_only);
}

static void alter(struct request *r, const struct altering *work, struct alteration *a)
{
    struct resource resource;
    struct config_set set = {0};
    if (repeats_has(&work->repeats, key_of(r, a))) {
        fails(a, KAFKA_INVALID_REQUEST, BYTES_LITERAL("Each resource must appear at most once."));
        return;
    }
    if (a->type == RESOURCE_TOPIC && a->name.size == 0) {
        fails(a, KAFKA_INVALID_REQUEST, BYTES_LITERAL("Default topic resources are not allowed."));
        return;
    }
    a->error = resource_find(r, a->type, a->name, &resource, &a->message);
    if (a->error)
        return;
    if (resource.type == RESOURCE_LOGGER) {
        alter_logger(r, work, a);
        return;
    }
    if (!work->replaces) {
        const struct config_set *old = resource_configs(r, &resource);
        config_set_put_all(&set, old->items, old->count);
    }
    if (a->count > CHANGES_MAX)
        fails(a, KAFKA_INVALID_REQUEST, BYTES_LITERAL("there are fewer configs than these"));
    for (int32_t i = 0; i < a->count && !a->error && !request_has_failed(r); i++)
        change(r, a, &resource, i, &set);
    if (!a->error && !request_has_failed(r)) {
        enum err err = take(r, &resource, &set, work->validate_only);
        if (err)
            refuse(r, a, &resource, err);
    }
    config_set_reset(&set);
}
