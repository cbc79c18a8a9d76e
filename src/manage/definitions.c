#include "manage/definitions.h"

#include "base/check.h"
#include "manage/definitions_export.h"
#include "manage/json.h"
#include "manage/node.h"
#include "manage/routes.h"

/* ---- export ---- */

static void free_export(void *state)
{
    definitions_export_free(state);
}

/* RabbitMQ: ?download=NAME makes a browser save it. */
static void name_the_file(struct manage_call *call)
{
    const char *name = manage_query(call, "download");
    struct text value = {0};

    if (!name)
        return;
    text_append_string(&value, "attachment; filename=");
    for (; *name; name++)
        text_put_u8(&value, *name > ' ' && *name < 127 && *name != '"' ? (uint8_t)*name : '_');
    manage_add_header(call, "Content-Disposition", text_bytes(&value));
    text_reset(&value);
}

static void export_more(struct manage_call *call)
{
    json_t *json = definitions_export_some(call->state, call->vhost);

    if (!json) {
        manage_yield(call, export_more);
        return;
    }
    manage_answer_durable(call, 200, json);
    name_the_file(call);
}

static void export(struct manage_call *call)
{
    const struct manage_config *config = manage_config(call->manage);
    json_t *cluster = node_cluster_name(call);
    struct definitions_origin origin = {.version = config->rabbitmq_version,
                                        .product = config->product,
                                        .product_version = config->version,
                                        .cluster = json_string_value(cluster)};

    call->free_state = free_export;
    call->state = definitions_export_new(call->core, call->vhost, &origin);
    json_decref(cluster);
    export_more(call);
}

/* ---- import ---- */

static void free_import(void *state)
{
    definitions_import_free(state);
}

static void check_applied(void *ctx, struct vhost *vhost)
{
    *(bool *)ctx = *(bool *)ctx && policies_are_applied(vhost);
}

static bool all_are_applied(const struct manage_call *call)
{
    bool all = true;

    vhost_each(call->core, check_applied, &all);
    return all;
}

static void answer_imported(struct manage_call *call)
{
    if (all_are_applied(call))
        manage_answer_durable(call, 204, NULL);
    else
        manage_yield(call, answer_imported);
}

static void import_more(struct manage_call *call)
{
    bool done;
    enum err err = definitions_import_some(call->state, call->vhost, &done);

    if (err == E_FROZEN || err == E_NO_SPACE)
        manage_fail(call, err);
    else if (err)
        manage_fail_as(call, 400, "bad_request", err_text());
    else if (done)
        answer_imported(call);
    else
        manage_yield(call, import_more);
}

/* No body is nothing to import (RabbitMQ). Over the control socket it comes as JSON without bytes. */
static void import(struct manage_call *call)
{
    if (call->raw_body.size == 0 && !call->body) {
        manage_answer(call, 204, NULL);
        return;
    }
    call->free_state = free_import;
    call->state = definitions_import_new(call->core, call->body);
    import_more(call);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "definitions", MANAGE_ADMINISTRATOR, export},
    {MANAGE_POST, "definitions", MANAGE_ADMINISTRATOR, import},
    {MANAGE_GET, "definitions/:vhost", MANAGE_ADMINISTRATOR, export},
    {MANAGE_POST, "definitions/:vhost", MANAGE_ADMINISTRATOR, import},
    {MANAGE_GET, "all-configuration", MANAGE_ADMINISTRATOR, export},
    {MANAGE_POST, "all-configuration", MANAGE_ADMINISTRATOR, import},
};

const struct manage_routes manage_definition_routes = {routes, sizeof routes / sizeof routes[0]};
