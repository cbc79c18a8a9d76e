/* Definitions read back: category after category, some objects a turn. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"
#include "broker/access.h"
#include "broker/declare.h"
#include "manage/definitions.h"
#include "manage/json.h"

enum { SLICE_OBJECTS = 300 }; /* about a millisecond */

struct definitions_import {
    struct core *core;
    json_t *json;
    bool is_owner;       /* of `json` */
    struct vhost *vhost; /* of this turn; NULL: objects say which is theirs */
    size_t category, index;
    struct text arguments; /* scratch */
};

/* The broker itself may do everything. */
static const struct declarer nobody;

/* ---- members ---- */

/* Absent or null: *out is not touched. */
static enum err get_string(const json_t *object, const char *name, struct bytes *out)
{
    const json_t *value = json_object_get(object, name);

    if (!value || json_is_null(value))
        return OK;
    if (!json_is_string(value))
        return err_set(E_INVALID, "%s must be a string", name);
    *out = manage_bytes_of(value);
    return OK;
}

static enum err need_string(const json_t *object, const char *name, struct bytes *out)
{
    out->data = NULL;
    enum err err = get_string(object, name, out);

    return err || out->data ? err : err_set(E_INVALID, "%s is missing", name);
}

static enum err get_bool(const json_t *object, const char *name, bool *out)
{
    const json_t *value = json_object_get(object, name);

    if (!value || json_is_null(value))
        return OK;
    if (!json_is_boolean(value))
        return err_set(E_INVALID, "%s must be true or false", name);
    *out = json_is_true(value);
    return OK;
}

/* Absent: none. RabbitMQ writes an empty list for it too. */
static enum err get_arguments(struct definitions_import *in, const json_t *object,
                              struct bytes *out)
{
    const json_t *value = json_object_get(object, "arguments");

    in->arguments.size = 0;
    *out = BYTES_NULL;
    if (!value || json_is_null(value) || (json_is_array(value) && !json_array_size(value)))
        return OK;
    enum err err = manage_table_from_json(value, &in->arguments);
    *out = text_bytes(&in->arguments);
    return err_wrap(err, "arguments");
}

static enum err get_vhost(struct definitions_import *in, const json_t *object, struct vhost **out)
{
    struct bytes name = BYTES_NULL;

    *out = in->vhost;
    if (in->vhost)
        return OK;
    enum err err = get_string(object, "vhost", &name);
    if (err)
        return err;
    if (!name.data)
        return err_set(E_INVALID, "Virtual host does not exist and is not specified in definitions "
                                  "file.");
    *out = vhost_find(in->core, name);
    return *out ? OK
                : err_set(E_INVALID,
                          "Please create virtual host \"%.*s\" prior to importing definitions.",
                          BYTES_FORMAT(name));
}

static enum err get_user(struct definitions_import *in, const json_t *object, struct user **out)
{
    struct bytes name;
    enum err err = need_string(object, "user", &name);

    if (err)
        return err;
    *out = user_find(in->core, name);
    return *out ? OK : err_set(E_INVALID, "user '%.*s' is not there", BYTES_FORMAT(name));
}

static enum err get_limit(const json_t *object, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(json_object_get(object, "limits"), name);

    if (!value)
        return OK;
    if (!json_is_integer(value))
        return err_set(E_INVALID, "%s must be a number", name);
    *out = json_integer_value(value);
    return OK;
}

/* A list of strings, or one string with commas. */
static enum err get_tags(const json_t *object, struct tag_list *out)
{
    const json_t *value = json_object_get(object, "tags"), *item;
    struct bytes tags[TAGS_MAX];
    size_t i;

    *out = (struct tag_list){0};
    if (json_is_string(value))
        return tag_list_parse(out, manage_bytes_of(value));
    if (json_array_size(value) > TAGS_MAX)
        return err_set(E_INVALID, "more than %d tags", TAGS_MAX);
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item))
            return err_set(E_INVALID, "tags must be strings");
        tags[i] = manage_bytes_of(item);
    }
    return tag_list_init(out, tags, json_array_size(value));
}

/* ---- users, vhosts, permissions ---- */

static enum err get_password(struct definitions_import *in, const json_t *object,
                             struct password_hash *out)
{
    enum password_hashing hashing = PASSWORD_SHA256;
    struct bytes name = BYTES_NULL, hash = BYTES_NULL, password = BYTES_NULL;
    enum err err = get_string(object, "hashing_algorithm", &name);

    *out = (struct password_hash){0};
    if (!err)
        err = get_string(object, "password_hash", &hash);
    if (!err)
        err = get_string(object, "password", &password);
    if (err)
        return err;
    if (name.data && !password_hashing_parse(name, &hashing))
        return err_set(E_INVALID, "unknown hashing_algorithm '%.*s'", BYTES_FORMAT(name));
    if (password.data) {
        *out = password_hash_of(&in->core->random, password);
        return OK;
    }
    return hash.size ? password_hash_parse(hashing, hash, out) : OK;
}

static enum err put_user(struct definitions_import *in, const json_t *object, struct bytes name,
                         const struct user_spec *spec)
{
    struct user *user;
    bool created;
    enum err err = user_put(in->core, name, spec, &user, &created);

    if (err || !json_object_get(object, "limits"))
        return err;
    int64_t connections = LIMIT_NONE, channels = LIMIT_NONE;
    err = get_limit(object, "max-connections", &connections);
    if (!err)
        err = get_limit(object, "max-channels", &channels);
    return err ? err : user_set_limits(user, connections, channels);
}

static enum err import_user(struct definitions_import *in, const json_t *object)
{
    struct bytes name;
    struct tag_list tags = {0};
    struct user_spec spec;
    enum err err = need_string(object, "name", &name);

    if (!err)
        err = get_password(in, object, &spec.password);
    if (!err)
        err = get_tags(object, &tags);
    spec.tags = tags.items;
    spec.tag_count = tags.count;
    if (!err)
        err = put_user(in, object, name, &spec);
    tag_list_reset(&tags);
    return err;
}

static enum err set_vhost_limits(struct vhost *vhost, const json_t *object)
{
    int64_t connections = vhost->max_connections, queues = vhost->max_queues;
    enum err err = get_limit(object, "max-connections", &connections);

    if (!err)
        err = get_limit(object, "max-queues", &queues);
    if (err || (connections == vhost->max_connections && queues == vhost->max_queues))
        return err;
    return vhost_set_limits(vhost, connections, queues);
}

/* What it does not say stays as it is. Older versions have all of it in the metadata. */
static enum err read_vhost(const json_t *object, struct vhost_spec *spec, struct tag_list *tags)
{
    const json_t *metadata = json_object_get(object, "metadata");
    enum err err = get_string(metadata, "description", &spec->description);

    if (!err)
        err = get_string(object, "description", &spec->description);
    if (!err)
        err = get_string(metadata, "default_queue_type", &spec->default_queue_type);
    if (!err)
        err = get_string(object, "default_queue_type", &spec->default_queue_type);
    if (!err)
        err = get_bool(metadata, "protected_from_deletion", &spec->is_protected);
    if (bytes_equal_string(spec->default_queue_type, "undefined"))
        spec->default_queue_type = BYTES_NULL;
    const json_t *with_tags = json_object_get(object, "tags") ? object : metadata;
    if (err || !json_object_get(with_tags, "tags"))
        return err;
    err = get_tags(with_tags, tags);
    spec->tags = tags->items;
    spec->tag_count = tags->count;
    return err;
}

static enum err import_vhost(struct definitions_import *in, const json_t *object)
{
    struct bytes name;
    struct tag_list tags = {0};
    struct vhost_spec spec = {0};
    enum err err = need_string(object, "name", &name);
    struct vhost *vhost = err ? NULL : vhost_find(in->core, name);

    if (vhost)
        spec = (struct vhost_spec){.description = vhost->description,
                                   .tags = vhost->tags.items,
                                   .tag_count = vhost->tags.count,
                                   .default_queue_type = vhost->default_queue_type,
                                   .is_protected = vhost->is_protected};
    if (!err)
        err = read_vhost(object, &spec, &tags);
    if (!err)
        err = vhost ? vhost_update(vhost, &spec) : vhost_create(in->core, name, &spec, &vhost);
    if (!err)
        err = set_vhost_limits(vhost, object);
    tag_list_reset(&tags);
    return err;
}

static enum err import_permission(struct definitions_import *in, const json_t *object)
{
    struct user *user;
    struct vhost *vhost;
    struct bytes configure, write, read;
    bool created;
    enum err err = get_user(in, object, &user);

    if (!err)
        err = get_vhost(in, object, &vhost);
    if (!err)
        err = need_string(object, "configure", &configure);
    if (!err)
        err = need_string(object, "write", &write);
    if (!err)
        err = need_string(object, "read", &read);
    return err ? err : permission_put(user, vhost, configure, write, read, &created);
}

static enum err import_topic_permission(struct definitions_import *in, const json_t *object)
{
    struct user *user;
    struct vhost *vhost;
    struct bytes exchange, write, read;
    bool created;
    enum err err = get_user(in, object, &user);

    if (!err)
        err = get_vhost(in, object, &vhost);
    if (!err)
        err = need_string(object, "exchange", &exchange);
    if (!err)
        err = need_string(object, "write", &write);
    if (!err)
        err = need_string(object, "read", &read);
    return err ? err : topic_permission_put(user, vhost, exchange, write, read, &created);
}

/* ---- parameters, policies ---- */

static enum err import_parameter(struct definitions_import *in, const json_t *object)
{
    struct vhost *vhost;
    struct bytes component, name;
    bool created;
    const json_t *value = json_object_get(object, "value");
    enum err err = get_vhost(in, object, &vhost);

    if (!err)
        err = need_string(object, "component", &component);
    if (!err)
        err = need_string(object, "name", &name);
    if (!err && !value)
        err = err_set(E_INVALID, "value is missing");
    return err ? err : manage_parameter_set(vhost, component, name, value, &created);
}

/* What one broker knows itself by is not another's. */
static enum err import_global_parameter(struct definitions_import *in, const json_t *object)
{
    struct bytes name;
    bool created;
    const json_t *value = json_object_get(object, "value");
    enum err err = need_string(object, "name", &name);

    if (!err && !value)
        err = err_set(E_INVALID, "value is missing");
    if (err || bytes_has_prefix(name, "internal"))
        return err;
    return manage_global_parameter_set(in->core, name, value, &created);
}

static enum err import_policy(struct definitions_import *in, const json_t *object)
{
    struct vhost *vhost;
    struct bytes name;
    bool created;
    enum err err = get_vhost(in, object, &vhost);

    if (!err)
        err = need_string(object, "name", &name);
    if (!err)
        err = manage_policy_set(vhost, POLICY_USER, name, object, &created);
    return err;
}

/* ---- exchanges, queues, bindings ---- */

/* Those that every vhost has, and those of one connection. */
static bool is_reserved(struct bytes name)
{
    return name.size == 0 || bytes_has_prefix(name, "amq.");
}

static enum err import_exchange(struct definitions_import *in, const json_t *object)
{
    struct exchange_declaration e = {.durable = true};
    struct vhost *vhost;
    struct exchange *x;
    enum err err = get_vhost(in, object, &vhost);

    if (!err)
        err = need_string(object, "name", &e.name);
    if (err || is_reserved(e.name) || exchange_find(vhost, e.name))
        return err;
    err = need_string(object, "type", &e.type);
    if (!err)
        err = get_bool(object, "durable", &e.durable);
    if (!err)
        err = get_bool(object, "auto_delete", &e.auto_delete);
    if (!err)
        err = get_bool(object, "internal", &e.internal);
    if (!err)
        err = get_arguments(in, object, &e.arguments);
    return err ? err : declare_exchange(vhost, &e, &nobody, &x);
}

static enum err import_queue(struct definitions_import *in, const json_t *object)
{
    struct queue_declaration q = {.durable = true};
    struct vhost *vhost;
    struct queue *queue;
    enum err err = get_vhost(in, object, &vhost);

    if (!err)
        err = need_string(object, "name", &q.name);
    if (err || is_reserved(q.name) || queue_find(vhost, q.name))
        return err;
    err = get_bool(object, "durable", &q.durable);
    if (!err)
        err = get_bool(object, "auto_delete", &q.auto_delete);
    if (!err)
        err = get_arguments(in, object, &q.arguments);
    return err ? err : declare_queue(vhost, &q, &nobody, &queue);
}

static enum err read_destination_type(const json_t *object, bool *out_to_exchange)
{
    struct bytes type = BYTES_NULL;
    enum err err = need_string(object, "destination_type", &type);

    *out_to_exchange = !err && bytes_equal_string(type, "exchange");
    if (!err && !*out_to_exchange && !bytes_equal_string(type, "queue"))
        err = err_set(E_INVALID, "destination_type must be queue or exchange");
    return err;
}

/* Every queue is bound to the default exchange by itself, and queues that are left out by their
 * names have no bindings. */
static enum err import_binding(struct definitions_import *in, const json_t *object)
{
    struct binding_declaration b = {.key = BYTES_LITERAL("")};
    struct vhost *vhost;
    enum err err = get_vhost(in, object, &vhost);

    if (!err)
        err = need_string(object, "source", &b.source);
    if (!err)
        err = need_string(object, "destination", &b.destination);
    if (!err)
        err = read_destination_type(object, &b.to_exchange);
    if (!err)
        err = get_string(object, "routing_key", &b.key);
    if (!err)
        err = get_arguments(in, object, &b.arguments);
    if (err || b.source.size == 0 || (!b.to_exchange && bytes_has_prefix(b.destination, "amq.")))
        return err;
    return declare_binding(vhost, &b, &nobody);
}

/* ---- all of them ---- */

/* What refers to something comes behind it. */
static const struct {
    const char *name;
    bool of_vhosts; /* also in the definitions of one vhost */
    enum err (*import)(struct definitions_import *, const json_t *object);
} categories[] = {
    {"users", false, import_user},
    {"vhosts", false, import_vhost},
    {"permissions", false, import_permission},
    {"exchanges", true, import_exchange},
    {"topic_permissions", false, import_topic_permission},
    {"global_parameters", false, import_global_parameter},
    {"policies", true, import_policy},
    {"parameters", true, import_parameter},
    {"queues", true, import_queue},
    {"bindings", true, import_binding},
};

enum { CATEGORY_COUNT = sizeof categories / sizeof *categories };

struct definitions_import *definitions_import_new(struct core *core, json_t *json)
{
    struct definitions_import *in = xzalloc(sizeof *in);

    in->core = core;
    in->json = json;
    return in;
}

void definitions_import_free(struct definitions_import *in)
{
    if (!in)
        return;
    if (in->is_owner)
        json_decref(in->json);
    text_reset(&in->arguments);
    free(in);
}

/* The next object, with its category; NULL: there is none. */
static const json_t *next_object(struct definitions_import *in)
{
    for (; in->category < CATEGORY_COUNT; in->category++, in->index = 0) {
        const json_t *list = json_object_get(in->json, categories[in->category].name);
        if (in->vhost && !categories[in->category].of_vhosts)
            continue;
        if (in->index < json_array_size(list))
            return json_array_get(list, in->index++);
    }
    return NULL;
}

enum err definitions_import_some(struct definitions_import *in, struct vhost *vhost, bool *out_done)
{
    in->vhost = vhost;
    *out_done = false;
    if (!json_is_object(in->json))
        return err_set(E_INVALID, "failed_to_parse_json");
    for (int i = 0; i < SLICE_OBJECTS; i++) {
        const json_t *object = next_object(in);
        *out_done = !object;
        if (!object)
            return OK;
        err_clear();
        enum err err = json_is_object(object) ? categories[in->category].import(in, object)
                                              : err_set(E_INVALID, "not an object");
        if (err)
            return err_wrap(err, "%s[%zu]", categories[in->category].name, in->index - 1);
    }
    return OK;
}

enum err definitions_import_read(struct core *core, struct bytes text,
                                 struct definitions_import **out)
{
    json_t *json;

    if (bytes_has_prefix(text, "\xef\xbb\xbf")) /* a mark that some editors put in front */
        text = bytes_of(text.data + 3, text.size - 3);
    enum err err = manage_json_parse(text, JSON_REJECT_DUPLICATES, &json);
    if (err)
        return err;
    *out = definitions_import_new(core, json);
    (*out)->is_owner = true;
    return OK;
}
