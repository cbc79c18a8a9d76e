#include "server/management.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "http/http.h"
#include "io/process.h"
#include "server/server.h"
#include "server/settings.h"

void management_add_listener(struct management *m, const char *protocol, const char *address,
                             uint16_t port)
{
    size_t host_size = (size_t)(strrchr(address, ':') - address);

    check(m->listener_count < MANAGEMENT_LISTENERS_MAX);
    struct manage_listener *l = &m->listeners[m->listener_count++];
    *l = (struct manage_listener){.protocol = protocol, .port = port};
    snprintf(l->host, sizeof l->host, "%.*s", (int)host_size, address);
}

static enum err listen_on(struct server *s, enum option_id id, const char *protocol,
                          bool metrics_only, struct http **out, struct text *ready)
{
    const char *address = config_text(s->config, id);
    struct http_config config = {
        .manage = s->management.manage,
        .hub = s->hub,
        .max_connections = (uint32_t)config_number(s->config, OPT_HTTP_MAX_CONNECTIONS),
        .body_max_bytes = (size_t)config_number(s->config, OPT_HTTP_BODY_MAX_BYTES),
        .idle_timeout_s =
            (uint32_t)(config_number(s->config, OPT_HTTP_IDLE_TIMEOUT) / OPTION_SECOND),
        .metrics_only = metrics_only};
    uint16_t port;

    if (config_is_word(s->config, id))
        return OK;
    enum err err = http_open(&config, address, out, &port);
    if (err)
        return err_wrap(err, "%s", option_get(id)->name);
    management_add_listener(&s->management, protocol, address, port);
    size_t host_size = (size_t)(strrchr(address, ':') - address);
    text_printf(ready, " %s=%.*s:%u", metrics_only ? "metrics" : "http", (int)host_size, address,
                (unsigned)port);
    return OK;
}

static void name_node(struct server *s)
{
    struct management *m = &s->management;
    char host[256];

    if (strcmp(config_text(s->config, OPT_NODE_NAME), "auto") != 0) {
        snprintf(m->node, sizeof m->node, "%s", config_text(s->config, OPT_NODE_NAME));
        return;
    }
    process_host_name(host, sizeof host);
    snprintf(m->node, sizeof m->node, "pabal@%s", host);
}

enum err management_open(struct server *s, const struct settings *settings, struct text *ready)
{
    struct management *m = &s->management;

    name_node(s);
    struct manage_config config = {.core = s->core,
                                   .hub = s->hub,
                                   .disk = s->disk,
                                   .product = config_text(s->config, OPT_AMQP_PRODUCT),
                                   .version = PABAL_VERSION,
                                   .rabbitmq_version = config_text(s->config, OPT_AMQP_VERSION),
                                   .node = m->node,
                                   .data_dir = config_text(s->config, OPT_DATA_DIR),
                                   .started_wall_ms = s->started_wall_ms,
                                   .file_limit = settings->file_limit,
                                   .max_connections = settings->hub.max_connections,
                                   .listeners = m->listeners,
                                   .listener_count = &m->listener_count};
    m->manage = manage_new(&config);
    enum err err = listen_on(s, OPT_LISTENER_HTTP, "http", false, &m->http, ready);
    if (!err)
        err = listen_on(s, OPT_LISTENER_METRICS, "http/prometheus", true, &m->metrics, ready);
    return err;
}

void management_dispatch(struct management *m)
{
    if (m->http)
        http_dispatch(m->http);
    if (m->metrics)
        http_dispatch(m->metrics);
}

void management_stop_listening(struct management *m)
{
    if (m->http)
        http_stop_listening(m->http);
    if (m->metrics)
        http_stop_listening(m->metrics);
}

bool management_is_idle(const struct management *m)
{
    return (!m->http || http_is_idle(m->http)) && (!m->metrics || http_is_idle(m->metrics));
}

void management_close(struct management *m)
{
    http_close(m->http);
    http_close(m->metrics);
    manage_free(m->manage);
    *m = (struct management){0};
}
