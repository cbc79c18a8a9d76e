#include "manage/access_json.h"

#include <stdlib.h>

#include "base/check.h"
#include "manage/json.h"

/* ---- what is told ---- */

json_t *access_json_tags(const struct tag_list *tags)
{
    json_t *out = json_array();

    for (size_t i = 0; i < tags->count; i++)
        json_array_append_new(out, manage_json(tags->items[i]));
    return out;
}

static void put_limit(json_t *out, const char *name, int64_t limit)
{
    if (limit != LIMIT_NONE)
        json_object_set_new(out, name, json_integer(limit));
}

json_t *access_json_user_limits(const struct user *user)
{
    json_t *out = json_object();

    put_limit(out, "max-channels", user->max_channels);
    put_limit(out, "max-connections", user->max_connections);
    return out;
}

json_t *access_json_vhost_limits(const struct vhost *vhost)
{
    json_t *out = json_object();

    put_limit(out, "max-connections", vhost->max_connections);
    put_limit(out, "max-queues", vhost->max_queues);
    return out;
}

json_t *access_json_user(const struct user *user)
{
    json_t *out = json_object();
    struct text hash = {0};

    password_hash_put(&user->password, &hash);
    json_object_set_new(out, "name", manage_json(user->name));
    json_object_set_new(out, "password_hash", manage_json(text_bytes(&hash)));
    json_object_set_new(out, "hashing_algorithm",
                        json_string(password_hashing_name(user->password.hashing)));
    json_object_set_new(out, "tags", access_json_tags(&user->tags));
    json_object_set_new(out, "limits", access_json_user_limits(user));
    text_reset(&hash);
    return out;
}

/* What RabbitMQ tells twice. */
static void put_metadata(json_t *out, const struct vhost *vhost)
{
    struct bytes type = vhost->default_queue_type;

    json_object_set_new(out, "description", manage_json(vhost->description));
    json_object_set_new(out, "tags", access_json_tags(&vhost->tags));
    json_object_set_new(out, "default_queue_type",
                        type.size ? manage_json(type) : json_string("classic"));
}

json_t *access_json_vhost(const struct vhost *vhost)
{
    json_t *out = json_object(), *metadata = json_object();

    json_object_set_new(out, "name", manage_json(vhost->name));
    put_metadata(out, vhost);
    put_metadata(metadata, vhost);
    json_object_set_new(out, "metadata", metadata);
    json_object_set_new(out, "protected_from_deletion", json_boolean(vhost->is_protected));
    json_object_set_new(out, "tracing", json_boolean(vhost->is_traced));
    return out;
}

static json_t *json_of_place(const struct user *user, const struct vhost *vhost)
{
    json_t *out = json_object();

    json_object_set_new(out, "user", manage_json(user->name));
    json_object_set_new(out, "vhost", manage_json(vhost->name));
    return out;
}

json_t *access_json_permission(const struct permission *p)
{
    json_t *out = json_of_place(p->user, p->vhost);

    json_object_set_new(out, "configure", manage_json(p->patterns[ACCESS_CONFIGURE].text));
    json_object_set_new(out, "write", manage_json(p->patterns[ACCESS_WRITE].text));
    json_object_set_new(out, "read", manage_json(p->patterns[ACCESS_READ].text));
    return out;
}

json_t *access_json_topic_permission(const struct topic_permission *p)
{
    json_t *out = json_of_place(p->user, p->vhost);

    json_object_set_new(out, "exchange", manage_json(p->exchange));
    json_object_set_new(out, "write", manage_json(p->write));
    json_object_set_new(out, "read", manage_json(p->read));
    return out;
}

/* ---- what a body says ---- */

/* NULL: absent or null. */
static const json_t *member(const json_t *body, const char *name)
{
    const json_t *value = json_object_get(body, name);

    return json_is_null(value) ? NULL : value;
}

/* A string, where there is one. */
static enum err take_string(const json_t *body, const char *name, struct bytes *out)
{
    const json_t *value = member(body, name);

    if (!value)
        return OK;
    if (!json_is_string(value))
        return err_set(E_INVALID, "%s must be a string", name);
    *out = manage_bytes_of(value);
    return OK;
}

/* Strings that must be there; all that are missing are told at once (RabbitMQ). */
static enum err take_strings(const json_t *body, const char *const *names, size_t count,
                             struct bytes *out)
{
    struct text missing = {0};
    enum err err = OK;

    for (size_t i = 0; i < count; i++)
        if (!json_object_get(body, names[i])) {
            text_append_string(&missing, missing.size ? ",{key_missing," : "{key_missing,");
            text_append_string(&missing, names[i]);
            text_append_string(&missing, "}");
        }
    if (missing.size)
        err = err_set(E_INVALID, "[%.*s]", BYTES_FORMAT(text_bytes(&missing)));
    text_reset(&missing);
    for (size_t i = 0; i < count && !err; i++) {
        out[i] = BYTES_NULL;
        err = take_string(body, names[i], &out[i]);
    }
    return err;
}

/* An array of strings, or a string with commas between them. */
static enum err take_tags(const json_t *value, struct tag_list *out)
{
    struct bytes tags[TAGS_MAX + 1];
    size_t count = json_array_size(value);

    if (!value)
        return tag_list_init(out, NULL, 0);
    if (json_is_string(value))
        return tag_list_parse(out, manage_bytes_of(value));
    if (!json_is_array(value))
        return err_set(E_INVALID, "tags must be an array of strings");
    for (size_t i = 0; i < count && i <= TAGS_MAX; i++) {
        const json_t *tag = json_array_get(value, i);
        if (!json_is_string(tag))
            return err_set(E_INVALID, "tags must be an array of strings");
        tags[i] = manage_bytes_of(tag);
    }
    return tag_list_init(out, tags, count);
}

/* ---- limits ---- */

struct limit_field {
    const char *name;
    int64_t *value;
};

static enum err set_limit(const struct limit_field *fields, size_t count, struct bytes name,
                          const json_t *value)
{
    if (value && !json_is_integer(value)) {
        char *shown = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        enum err err = err_set(E_INVALID, "%.*s should be a number, actually was %s",
                               BYTES_FORMAT(name), shown ? shown : "?");
        free(shown);
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        if (!bytes_equal_string(name, fields[i].name))
            continue;
        *fields[i].value = value ? json_integer_value(value) : LIMIT_NONE;
        return OK;
    }
    return err_set(E_INVALID, "Unrecognised limit '%.*s'", BYTES_FORMAT(name));
}

enum err access_put_user_limit(struct user *user, struct bytes limit, const json_t *value)
{
    int64_t connections = user->max_connections, channels = user->max_channels;
    const struct limit_field fields[] = {{"max-connections", &connections},
                                         {"max-channels", &channels}};
    enum err err = set_limit(fields, 2, limit, value);

    return err ? err : user_set_limits(user, connections, channels);
}

enum err access_put_vhost_limit(struct vhost *vhost, struct bytes limit, const json_t *value)
{
    int64_t connections = vhost->max_connections, queues = vhost->max_queues;
    const struct limit_field fields[] = {{"max-connections", &connections},
                                         {"max-queues", &queues}};
    enum err err = set_limit(fields, 2, limit, value);

    return err ? err : vhost_set_limits(vhost, connections, queues);
}

/* ---- users ---- */

/* The tags, or what came before there were any: "administrator": true. */
static enum err take_user_tags(const json_t *body, struct tag_list *out)
{
    const json_t *tags = member(body, "tags"), *administrator = member(body, "administrator");
    struct bytes tag = BYTES_LITERAL("administrator");

    if (tags)
        return take_tags(tags, out);
    if (!administrator)
        return err_set(E_INVALID, "tags_not_present");
    bool is_one =
        json_is_true(administrator) || (json_is_string(administrator) &&
                                        bytes_equal_string(manage_bytes_of(administrator), "true"));
    return tag_list_init(out, &tag, is_one ? 1 : 0);
}

/* As text, as a hash, or none: a user that does not log in with one. */
static enum err take_password(struct core *core, const json_t *body, struct password_hash *out)
{
    struct bytes password = BYTES_NULL, hash = BYTES_NULL, name = BYTES_NULL;
    enum password_hashing hashing = PASSWORD_SHA256;

    if (member(body, "password") && member(body, "password_hash"))
        return err_set(E_INVALID, "both_password_and_password_hash_are_provided");
    enum err err = take_string(body, "password", &password);
    if (!err)
        err = take_string(body, "password_hash", &hash);
    if (!err)
        err = take_string(body, "hashing_algorithm", &name);
    if (err)
        return err;
    if (password.size) {
        *out = password_hash_of(&core->random, password);
        return OK;
    }
    if (hash.size && name.size && !password_hashing_parse(name, &hashing))
        return err_set(E_INVALID, "unknown hashing_algorithm '%.*s'", BYTES_FORMAT(name));
    return password_hash_parse(hashing, hash, out);
}

static enum err take_user_limits(const json_t *limits, int64_t *out_connections,
                                 int64_t *out_channels)
{
    const struct limit_field fields[] = {{"max-connections", out_connections},
                                         {"max-channels", out_channels}};
    const char *name;
    json_t *value;

    if (limits && !json_is_object(limits))
        return err_set(E_INVALID, "limits must be an object");
    json_object_foreach((json_t *)limits, name, value)
    {
        enum err err = set_limit(fields, 2, bytes_from_string(name), value);
        if (err)
            return err;
    }
    return OK;
}

enum err access_put_user(struct core *core, struct bytes name, const json_t *body,
                         bool *out_created)
{
    struct user *user = user_find(core, name);
    int64_t connections = user ? user->max_connections : LIMIT_NONE;
    int64_t channels = user ? user->max_channels : LIMIT_NONE;
    struct user_spec spec = {0};
    struct tag_list tags;
    enum err err = take_password(core, body, &spec.password);

    if (!err)
        err = take_user_limits(member(body, "limits"), &connections, &channels);
    if (!err)
        err = take_user_tags(body, &tags);
    if (err)
        return err;
    spec.tags = tags.items;
    spec.tag_count = tags.count;
    err = user_put(core, name, &spec, &user, out_created);
    tag_list_reset(&tags);
    return err ? err : user_set_limits(user, connections, channels);
}

/* ---- vhosts ---- */

static bool is_true(const json_t *value)
{
    return json_is_true(value) ||
           (json_is_string(value) && bytes_equal_string(manage_bytes_of(value), "true"));
}

/* Definitions have description, tags and type inside of "metadata" too; what is outside wins. */
static const json_t *vhost_member(const json_t *body, const char *name)
{
    const json_t *value = member(body, name);

    return value ? value : member(json_object_get(body, "metadata"), name);
}

static enum err take_queue_type(const json_t *body, struct bytes *out)
{
    const json_t *type = vhost_member(body, "default_queue_type");

    if (!type)
        type = member(body, "defaultqueuetype"); /* its name in RabbitMQ 3.11 */
    if (!type)
        return OK;
    if (!json_is_string(type))
        return err_set(E_INVALID, "default_queue_type must be a string");
    *out = manage_bytes_of(type);
    if (bytes_equal_string(*out, "undefined"))
        *out = BYTES_NULL; /* how RabbitMQ exports that there is none */
    return OK;
}

static enum err put_vhost(struct core *core, struct bytes name, const struct vhost_spec *spec,
                          struct user *creator, bool *out_created)
{
    struct bytes all = BYTES_LITERAL(".*");
    struct vhost *vhost = vhost_find(core, name);
    bool ignored;

    *out_created = !vhost;
    if (vhost)
        return vhost_update(vhost, spec);
    enum err err = vhost_create(core, name, spec, &vhost);
    if (err || !creator)
        return err;
    return permission_put(creator, vhost, all, all, all, &ignored);
}

enum err access_put_vhost(struct core *core, struct bytes name, const json_t *body,
                          struct user *creator, bool *out_created)
{
    const struct vhost *there = vhost_find(core, name);
    const json_t *protection = vhost_member(body, "protected_from_deletion");
    const json_t *description = vhost_member(body, "description");
    struct vhost_spec spec = {
        .description = json_is_string(description) ? manage_bytes_of(description) : BYTES_NULL,
        .default_queue_type = there ? there->default_queue_type : BYTES_NULL,
        .is_protected = protection ? is_true(protection) : there && there->is_protected,
    };
    struct tag_list tags;

    enum err err = take_queue_type(body, &spec.default_queue_type);
    if (!err)
        err = take_tags(vhost_member(body, "tags"), &tags);
    if (err)
        return err;
    spec.default_queue_type =
        bytes_dup(spec.default_queue_type); /* it may be what is being replaced */
    spec.tags = tags.items;
    spec.tag_count = tags.count;
    err = put_vhost(core, name, &spec, creator, out_created);
    if (!err && member(body, "tracing"))
        vhost_find(core, name)->is_traced = is_true(member(body, "tracing"));
    bytes_free(spec.default_queue_type);
    tag_list_reset(&tags);
    return err;
}

/* ---- permissions ---- */

enum err access_put_permission(struct user *user, struct vhost *vhost, const json_t *body,
                               bool *out_created)
{
    static const char *const names[] = {"configure", "write", "read"};
    struct bytes texts[3];
    enum err err = take_strings(body, names, 3, texts);

    return err ? err : permission_put(user, vhost, texts[0], texts[1], texts[2], out_created);
}

enum err access_put_topic_permission(struct user *user, struct vhost *vhost, const json_t *body,
                                     bool *out_created)
{
    static const char *const names[] = {"exchange", "write", "read"};
    struct bytes texts[3];
    enum err err = take_strings(body, names, 3, texts);

    return err ? err : topic_permission_put(user, vhost, texts[0], texts[1], texts[2], out_created);
}
