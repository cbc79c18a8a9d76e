/*
 * Configs as text: names with values, sorted by name, each name once. What somebody has set on a
 * topic or a broker; what the texts mean is topic_config.h's. Owns its texts.
 */
#ifndef BROKER_CONFIG_SET_H
#define BROKER_CONFIG_SET_H

#include <stdbool.h>
#include <stddef.h>

struct topic_config { /* name and value as text, as Kafka's topic configs */
    char *name, *value;
};

struct config_set { /* a VEC; zeroed is empty */
    struct topic_config *items;
    size_t count, capacity;
};

/* NULL when it is not set. */
const char *config_set_get(const struct config_set *, const char *name);
void config_set_put(struct config_set *, const char *name, const char *value); /* copies both */
void config_set_remove(struct config_set *, const char *name); /* nothing if not set */
void config_set_put_all(struct config_set *, const struct topic_config *, size_t count);
/* `to` becomes what `from` is; `from` is empty. */
void config_set_move(struct config_set *to, struct config_set *from);
void config_set_reset(struct config_set *);

#endif
