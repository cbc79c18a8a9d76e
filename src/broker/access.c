#include "broker/access.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/access_internal.h"
#include "broker/core_internal.h"

static const char *const right_names[ACCESS_RIGHTS] = {
    [ACCESS_CONFIGURE] = "configure", [ACCESS_WRITE] = "write", [ACCESS_READ] = "read"};

static const char *const kind_names[] = {[ACCESS_QUEUE] = "queue", [ACCESS_EXCHANGE] = "exchange"};

/* Whoever has asked before asks anew. */
static void changed(struct core *core)
{
    core->internal->access_version++;
}

/* ---- permissions ---- */

struct permission *permission_find(const struct user *user, const struct vhost *vhost)
{
    return map_get(&user->permissions, vhost->name);
}

static void reset_patterns(struct pattern *patterns, int count)
{
    for (int i = 0; i < count; i++)
        pattern_reset(&patterns[i]);
}

static enum err init_patterns(struct pattern out[ACCESS_RIGHTS],
                              const struct bytes texts[ACCESS_RIGHTS])
{
    for (int i = 0; i < ACCESS_RIGHTS; i++) {
        enum err err = pattern_init_permission(&out[i], texts[i]);
        if (!err)
            continue;
        reset_patterns(out, i);
        return err_wrap(err, "%s pattern '%.*s'", right_names[i], BYTES_FORMAT(texts[i]));
    }
    return OK;
}

static struct permission *permission_new(struct user *user, struct vhost *vhost)
{
    struct permission *p = xzalloc(sizeof *p);
    p->user = user;
    p->vhost = vhost;
    map_put(&user->permissions, vhost->name, p);
    list_push_back(&vhost->permissions, &p->of_vhost);
    return p;
}

static void permission_free(struct permission *p)
{
    map_remove(&p->user->permissions, p->vhost->name);
    list_remove(&p->of_vhost);
    reset_patterns(p->patterns, ACCESS_RIGHTS);
    free(p);
}

enum err permission_restore(struct user *user, struct vhost *vhost,
                            const struct bytes texts[ACCESS_RIGHTS], struct permission **out)
{
    struct pattern patterns[ACCESS_RIGHTS];
    enum err err = init_patterns(patterns, texts);
    if (err)
        return err;
    *out = permission_new(user, vhost);
    memcpy((*out)->patterns, patterns, sizeof patterns);
    return OK;
}

enum err permission_put(struct user *user, struct vhost *vhost, struct bytes configure,
                        struct bytes write, struct bytes read, bool *out_created)
{
    const struct bytes texts[ACCESS_RIGHTS] = {
        [ACCESS_CONFIGURE] = configure, [ACCESS_WRITE] = write, [ACCESS_READ] = read};
    struct pattern patterns[ACCESS_RIGHTS];
    enum err err = core_catalog_can_change(user->core);
    if (!err)
        err = init_patterns(patterns, texts);
    if (err)
        return err;
    struct permission *p = permission_find(user, vhost);
    *out_created = !p;
    if (!p)
        p = permission_new(user, vhost);
    else
        reset_patterns(p->patterns, ACCESS_RIGHTS);
    memcpy(p->patterns, patterns, sizeof patterns);
    catalog_put(user->core, &p->entry, CATALOG_PERMISSION);
    changed(user->core);
    return OK;
}

static void permission_drop(struct permission *p)
{
    struct core *core = p->user->core;
    catalog_remove(core, &p->entry);
    permission_free(p);
    changed(core);
}

enum err permission_delete(struct permission *p)
{
    enum err err = core_catalog_can_change(p->user->core);
    if (!err)
        permission_drop(p);
    return err;
}

/* ---- topic permissions ---- */

/* The size of the vhost in front, so that no two pairs of names are one key. */
static struct bytes topic_key(struct bytes vhost, struct bytes exchange, struct text *out)
{
    text_put_u16(out, (uint16_t)vhost.size);
    text_append(out, vhost);
    text_append(out, exchange);
    return text_bytes(out);
}

struct topic_permission *topic_permission_find(const struct user *user, const struct vhost *vhost,
                                               struct bytes exchange)
{
    if (user->topic_permissions.count == 0)
        return NULL;
    struct text *scratch = &user->core->internal->scratch;
    scratch->size = 0;
    return map_get(&user->topic_permissions, topic_key(vhost->name, exchange, scratch));
}

/* Put a name where a pattern has its variable, so that it is looked for as it is. */
static void put_quoted(struct text *out, struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
        if (!is_plain)
            text_append_string(out, "\\");
        text_append(out, bytes_of(&c, 1));
    }
}

static void expand(struct bytes pattern, const struct user *user, const struct vhost *vhost,
                   struct text *out)
{
    static const char username[] = "{username}", vhost_name[] = "{vhost}";
    for (struct bytes rest = pattern; rest.size;) {
        size_t taken = 1;
        if (bytes_has_prefix(rest, username)) {
            put_quoted(out, user->name);
            taken = sizeof username - 1;
        } else if (bytes_has_prefix(rest, vhost_name)) {
            put_quoted(out, vhost->name);
            taken = sizeof vhost_name - 1;
        } else {
            text_append(out, bytes_of(rest.data, 1));
        }
        rest = bytes_of(rest.data + taken, rest.size - taken);
    }
}

static enum err init_topic_pattern(const struct user *user, const struct vhost *vhost,
                                   const char *right, struct bytes text, struct pattern *out)
{
    struct text expanded = {0};
    expand(text, user, vhost, &expanded);
    enum err err = text.size > PATTERN_MAX_BYTES
                       ? err_set(E_INVALID, "a pattern of %zu bytes, the limit is %d", text.size,
                                 PATTERN_MAX_BYTES)
                       : pattern_init_permission(out, text_bytes(&expanded));
    text_reset(&expanded);
    return err_wrap(err, "%s pattern '%.*s'", right, BYTES_FORMAT(text));
}

static enum err init_topic_patterns(const struct user *user, const struct vhost *vhost,
                                    struct bytes write, struct bytes read, struct pattern out[2])
{
    enum err err = init_topic_pattern(user, vhost, "write", write, &out[0]);
    if (err)
        return err;
    err = init_topic_pattern(user, vhost, "read", read, &out[1]);
    if (err)
        pattern_reset(&out[0]);
    return err;
}

static struct topic_permission *topic_permission_new(struct user *user, struct vhost *vhost,
                                                     struct bytes exchange)
{
    struct topic_permission *p = xzalloc(sizeof *p);
    struct text key = {0};
    p->user = user;
    p->vhost = vhost;
    p->key = bytes_dup(topic_key(vhost->name, exchange, &key));
    p->exchange = bytes_of(p->key.data + p->key.size - exchange.size, exchange.size);
    text_reset(&key);
    map_put(&user->topic_permissions, p->key, p);
    list_push_back(&vhost->topic_permissions, &p->of_vhost);
    return p;
}

static void reset_topic_texts(struct topic_permission *p)
{
    reset_patterns(p->patterns, 2);
    bytes_free(p->write);
    bytes_free(p->read);
}

static void set_topic_texts(struct topic_permission *p, struct bytes write, struct bytes read,
                            const struct pattern patterns[2])
{
    p->write = bytes_dup(write);
    p->read = bytes_dup(read);
    memcpy(p->patterns, patterns, sizeof p->patterns);
}

static void topic_permission_free(struct topic_permission *p)
{
    map_remove(&p->user->topic_permissions, p->key);
    list_remove(&p->of_vhost);
    reset_topic_texts(p);
    bytes_free(p->key);
    free(p);
}

enum err topic_permission_restore(struct user *user, struct vhost *vhost, struct bytes exchange,
                                  struct bytes write, struct bytes read,
                                  struct topic_permission **out)
{
    struct pattern patterns[2];
    enum err err = init_topic_patterns(user, vhost, write, read, patterns);
    if (err)
        return err;
    *out = topic_permission_new(user, vhost, exchange);
    set_topic_texts(*out, write, read, patterns);
    return OK;
}

enum err topic_permission_put(struct user *user, struct vhost *vhost, struct bytes exchange,
                              struct bytes write, struct bytes read, bool *out_created)
{
    struct pattern patterns[2];
    enum err err = core_catalog_can_change(user->core);
    if (!err && exchange.size > UINT8_MAX)
        err = err_set(E_INVALID, "an exchange name of %zu bytes", exchange.size);
    if (!err)
        err = init_topic_patterns(user, vhost, write, read, patterns);
    if (err)
        return err;
    struct topic_permission *p = topic_permission_find(user, vhost, exchange);
    *out_created = !p;
    if (!p)
        p = topic_permission_new(user, vhost, exchange);
    else
        reset_topic_texts(p);
    set_topic_texts(p, write, read, patterns);
    catalog_put(user->core, &p->entry, CATALOG_TOPIC_PERMISSION);
    changed(user->core);
    return OK;
}

static void topic_permission_drop(struct topic_permission *p)
{
    struct core *core = p->user->core;
    catalog_remove(core, &p->entry);
    topic_permission_free(p);
    changed(core);
}

enum err topic_permission_delete(struct topic_permission *p)
{
    enum err err = core_catalog_can_change(p->user->core);
    if (!err)
        topic_permission_drop(p);
    return err;
}

/* ---- going away ---- */

/* The next of a map that is being emptied: NULL only when it is empty. */
static void *next_of(const struct map *map, size_t *position)
{
    void *next = map_next(map, position);
    if (next)
        return next;
    *position = 0;
    return map_next(map, position);
}

void permissions_drop_user(struct user *user)
{
    size_t position = 0;
    struct permission *p;
    struct topic_permission *t;
    while ((p = next_of(&user->permissions, &position)))
        permission_drop(p);
    position = 0;
    while ((t = next_of(&user->topic_permissions, &position)))
        topic_permission_drop(t);
}

bool permissions_drop_some(struct vhost *vhost, int count)
{
    for (; count > 0 && !list_is_empty(&vhost->permissions); count--)
        permission_drop(container_of(vhost->permissions.next, struct permission, of_vhost));
    for (; count > 0 && !list_is_empty(&vhost->topic_permissions); count--)
        topic_permission_drop(
            container_of(vhost->topic_permissions.next, struct topic_permission, of_vhost));
    return !list_is_empty(&vhost->permissions) || !list_is_empty(&vhost->topic_permissions);
}

static void free_of_vhost(struct vhost *vhost)
{
    while (!list_is_empty(&vhost->permissions))
        permission_free(container_of(vhost->permissions.next, struct permission, of_vhost));
    while (!list_is_empty(&vhost->topic_permissions))
        topic_permission_free(
            container_of(vhost->topic_permissions.next, struct topic_permission, of_vhost));
}

void permissions_free(struct core *core)
{
    size_t position = 0;
    struct vhost *vhost;
    while ((vhost = map_next(&core->internal->vhosts, &position)))
        free_of_vhost(vhost);
}

static void grant_all(void *ctx, struct vhost *vhost)
{
    bool created;
    struct bytes all = BYTES_LITERAL(".*");
    enum err err = permission_put(ctx, vhost, all, all, all, &created);
    check(!err);
}

static void grant_all_vhosts(void *ctx, struct user *user)
{
    vhost_each(ctx, grant_all, user);
}

void permissions_grant_all(struct core *core)
{
    user_each(core, grant_all_vhosts, core);
}

/* ---- asking ---- */

enum err access_check_vhost(const struct user *user, const struct vhost *vhost)
{
    if (!user || permission_find(user, vhost))
        return OK;
    return err_set(E_REFUSED, "access to vhost '%.*s' refused for user '%.*s'",
                   BYTES_FORMAT(vhost->name), BYTES_FORMAT(user->name));
}

static bool is_allowed(const struct user *user, const struct vhost *vhost, enum access_right right,
                       struct bytes name)
{
    const struct permission *p = permission_find(user, vhost);
    return p && pattern_matches(&p->patterns[right], name);
}

/* The name that patterns and texts have for the default exchange. */
static struct bytes shown_name(enum access_kind kind, struct bytes name)
{
    return kind == ACCESS_EXCHANGE && name.size == 0 ? BYTES_LITERAL("amq.default") : name;
}

enum err access_check(const struct user *user, const struct vhost *vhost, enum access_right right,
                      enum access_kind kind, struct bytes name)
{
    check(right < ACCESS_RIGHTS);
    struct bytes shown = shown_name(kind, name);
    if (!user || is_allowed(user, vhost, right, shown))
        return OK;
    return err_set(E_REFUSED, "%s access to %s '%.*s' in vhost '%.*s' refused for user '%.*s'",
                   right_names[right], kind_names[kind], BYTES_FORMAT(shown),
                   BYTES_FORMAT(vhost->name), BYTES_FORMAT(user->name));
}

enum err access_check_topic(const struct user *user, const struct vhost *vhost,
                            enum access_right right, struct bytes exchange,
                            struct bytes routing_key)
{
    check(right == ACCESS_WRITE || right == ACCESS_READ);
    const struct topic_permission *p = user ? topic_permission_find(user, vhost, exchange) : NULL;
    if (!p || pattern_matches(&p->patterns[right == ACCESS_READ], routing_key))
        return OK;
    return err_set(E_REFUSED,
                   "%s access to topic '%.*s' in exchange '%.*s' in vhost '%.*s' refused for user "
                   "'%.*s'",
                   right_names[right], BYTES_FORMAT(routing_key), BYTES_FORMAT(exchange),
                   BYTES_FORMAT(vhost->name), BYTES_FORMAT(user->name));
}

/* ---- a session's ---- */

void access_init(struct access *a, const struct user *user, const struct vhost *vhost)
{
    *a = (struct access){.user = user, .vhost = vhost};
}

void access_reset(struct access *a)
{
    free(a->known);
    *a = (struct access){0};
}

static void look_again(struct access *a, uint64_t version)
{
    const struct permission *p = permission_find(a->user, a->vhost);
    for (int i = 0; i < ACCESS_RIGHTS; i++)
        a->all[i] = p && p->patterns[i].kind == PATTERN_ALL;
    a->has_topic_permissions = a->user->topic_permissions.count > 0;
    free(a->known);
    a->known = NULL;
    a->version = version;
}

static inline void refresh(struct access *a)
{
    uint64_t version = a->user->core->internal->access_version;
    if (a->version != version)
        look_again(a, version);
}

static bool is_known(const struct access_known *k, enum access_right right, enum access_kind kind,
                     struct bytes name)
{
    return k->size == name.size && k->right == right && k->kind == kind &&
           memcmp(k->name, name.data, name.size) == 0;
}

/* What is asked comes to the front, as the next message asks the same. */
static void move_to_front(struct access *a, int i)
{
    struct access_known k = a->known[i];
    memmove(&a->known[1], &a->known[0], (size_t)i * sizeof k);
    a->known[0] = k;
}

static void note(struct access *a, enum access_right right, enum access_kind kind,
                 struct bytes name)
{
    if (!a->known)
        a->known = xzalloc(ACCESS_KNOWN * sizeof *a->known);
    struct access_known *last = &a->known[ACCESS_KNOWN - 1];
    last->right = (uint8_t)right;
    last->kind = (uint8_t)kind;
    last->size = (uint8_t)name.size;
    memcpy(last->name, name.data, name.size);
    move_to_front(a, ACCESS_KNOWN - 1);
}

enum err access_ask(struct access *a, enum access_right right, enum access_kind kind,
                    struct bytes name)
{
    if (!a->user)
        return OK;
    refresh(a);
    if (a->all[right])
        return OK;
    struct bytes shown = shown_name(kind, name);
    bool fits = shown.size > 0 && shown.size <= ACCESS_KNOWN_MAX_BYTES;
    for (int i = 0; fits && a->known && i < ACCESS_KNOWN; i++) {
        if (!is_known(&a->known[i], right, kind, shown))
            continue;
        if (i > 0)
            move_to_front(a, i);
        return OK;
    }
    enum err err = access_check(a->user, a->vhost, right, kind, name);
    if (!err && fits)
        note(a, right, kind, shown);
    return err;
}

enum err access_ask_topic(struct access *a, enum access_right right, struct bytes exchange,
                          struct bytes routing_key)
{
    if (!a->user)
        return OK;
    refresh(a);
    return a->has_topic_permissions
               ? access_check_topic(a->user, a->vhost, right, exchange, routing_key)
               : OK;
}
