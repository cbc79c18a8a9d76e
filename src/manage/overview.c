/* The broker as a whole, and who is asking. */
#include "broker/user.h"
#include "manage/json.h"
#include "manage/routes.h"

/* "administrator,monitoring" as an array. */
static json_t *json_of_tags(struct bytes tags)
{
    json_t *out = json_array();

    while (tags.size) {
        const uint8_t *end = memchr(tags.data, ',', tags.size);
        size_t size = end ? (size_t)(end - tags.data) : tags.size;
        json_array_append_new(out, manage_json(bytes_of(tags.data, size)));
        size += end ? 1 : 0;
        tags = bytes_of(tags.data + size, tags.size - size);
    }
    return out;
}

static void whoami(struct manage_call *call)
{
    json_t *out = json_object();

    json_object_set_new(out, "name", manage_json(manage_user_name(call)));
    json_object_set_new(
        out, "tags", json_of_tags(call->user ? call->user->tags : BYTES_LITERAL("administrator")));
    json_object_set_new(out, "is_internal_user", json_true());
    manage_answer(call, 200, out);
}

static void version(struct manage_call *call)
{
    manage_answer(call, 200, json_string(manage_config(call->manage)->rabbitmq_version));
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "whoami", MANAGE_LOGIN, whoami},
    {MANAGE_GET, "version", MANAGE_LOGIN, version},
};

const struct manage_routes manage_overview_routes = {routes, sizeof routes / sizeof routes[0]};
