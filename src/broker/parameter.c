#include "broker/parameter.h"

#include <stdlib.h>

#include "base/mem.h"
#include "broker/core_internal.h"
#include "broker/exchange.h"

/* Vhost, component and name with their sizes in front, so that no two have the same. */
static void put_key(const struct vhost *vhost, struct bytes component, struct bytes name,
                    struct text *out)
{
    const struct bytes parts[] = {vhost ? vhost->name : BYTES_NULL, component, name};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        text_put_u32(out, (uint32_t)parts[i].size);
        text_append(out, parts[i]);
    }
}

struct parameter *parameter_find(const struct core *core, const struct vhost *vhost,
                                 struct bytes component, struct bytes name)
{
    struct text key = {0};
    put_key(vhost, component, name, &key);
    struct parameter *found = map_get(&core->internal->parameters, text_bytes(&key));
    text_reset(&key);
    return found;
}

struct parameter *parameter_restore(struct core *core, struct vhost *vhost, struct bytes component,
                                    struct bytes name, struct bytes value)
{
    struct text key = {0};
    struct parameter *p = xzalloc(sizeof *p);
    put_key(vhost, component, name, &key);
    p->vhost = vhost;
    p->component = bytes_dup(component);
    p->name = bytes_dup(name);
    p->value = bytes_dup(value);
    p->key = bytes_dup(text_bytes(&key));
    text_reset(&key);
    map_put(&core->internal->parameters, p->key, p);
    return p;
}

static void parameter_free(struct parameter *p)
{
    bytes_free(p->component);
    bytes_free(p->name);
    bytes_free(p->value);
    bytes_free(p->key);
    free(p);
}

static enum err check_sizes(struct bytes component, struct bytes name, struct bytes value)
{
    if (name.size == 0 || name.size > UINT8_MAX || component.size > UINT8_MAX)
        return err_set(E_INVALID, "a parameter's component and name have 1 to 255 bytes");
    if (value.size > PARAMETER_VALUE_MAX_BYTES)
        return err_set(E_INVALID, "a parameter of %zu bytes, the limit is %d", value.size,
                       PARAMETER_VALUE_MAX_BYTES);
    return OK;
}

enum err parameter_set(struct core *core, struct vhost *vhost, struct bytes component,
                       struct bytes name, struct bytes value, bool *out_created)
{
    enum err err = check_sizes(component, name, value);
    if (!err)
        err = core_catalog_can_change(core);
    if (err)
        return err;
    struct parameter *p = parameter_find(core, vhost, component, name);
    *out_created = !p;
    if (p) {
        bytes_free(p->value);
        p->value = bytes_dup(value);
    } else {
        p = parameter_restore(core, vhost, component, name, value);
    }
    catalog_put(core, &p->entry, CATALOG_PARAMETER);
    return OK;
}

static void drop(struct core *core, struct parameter *p)
{
    catalog_remove(core, &p->entry);
    map_remove(&core->internal->parameters, p->key);
    parameter_free(p);
}

enum err parameter_delete(struct core *core, struct parameter *p)
{
    enum err err = core_catalog_can_change(core);
    if (!err)
        drop(core, p);
    return err;
}

void parameter_each(const struct core *core, void (*each)(void *ctx, const struct parameter *),
                    void *ctx)
{
    size_t position = 0;
    const struct parameter *p;
    while ((p = map_next(&core->internal->parameters, &position)))
        each(ctx, p);
}

/* A map must not change while it is walked. */
static struct parameter *find_of(const struct vhost *vhost)
{
    size_t position = 0;
    struct parameter *p;
    while ((p = map_next(&vhost->core->internal->parameters, &position)))
        if (p->vhost == vhost)
            return p;
    return NULL;
}

void parameters_drop(struct vhost *vhost)
{
    struct parameter *p;
    while ((p = find_of(vhost)))
        drop(vhost->core, p);
}

void parameters_free(struct core *core)
{
    size_t position = 0;
    struct parameter *p;
    while ((p = map_next(&core->internal->parameters, &position)))
        parameter_free(p);
    map_reset(&core->internal->parameters);
}
