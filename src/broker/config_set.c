#include "broker/config_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"

/* Where the name is or would be. */
static size_t place_of(const struct config_set *set, const char *name, bool *out_found)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(set->items[middle].name, name);
        if (order == 0) {
            *out_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *out_found = false;
    return low;
}

const char *config_set_get(const struct config_set *set, const char *name)
{
    bool found;
    size_t i = place_of(set, name, &found);
    return found ? set->items[i].value : NULL;
}

void config_set_put(struct config_set *set, const char *name, const char *value)
{
    bool found;
    size_t i = place_of(set, name, &found);
    char *copy = xstrdup(value);
    if (found) {
        free(set->items[i].value);
        set->items[i].value = copy;
    } else {
        vec_insert(set, i, ((struct topic_config){xstrdup(name), copy}));
    }
}

void config_set_remove(struct config_set *set, const char *name)
{
    bool found;
    size_t i = place_of(set, name, &found);
    if (!found)
        return;
    free(set->items[i].name);
    free(set->items[i].value);
    vec_remove(set, i);
}

void config_set_put_all(struct config_set *set, const struct topic_config *configs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        config_set_put(set, configs[i].name, configs[i].value);
}

void config_set_move(struct config_set *to, struct config_set *from)
{
    config_set_reset(to);
    *to = *from;
    memset(from, 0, sizeof *from);
}

void config_set_reset(struct config_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->items[i].name);
        free(set->items[i].value);
    }
    vec_reset(set);
}
