/* Queues: list, declare, delete, purge. */
#include <string.h>

#include "broker/access.h"
#include "broker/queue.h"
#include "manage/list.h"
#include "manage/objects.h"
#include "manage/queue_object.h"
#include "manage/routes.h"

/* The queue of the path, or NULL: it is not there, and the call has ended. */
static struct queue *find(struct manage_call *call)
{
    struct queue *queue = queue_find(call->vhost, manage_param(call, "name"));

    if (!queue)
        manage_not_found(call);
    return queue;
}

/* ---- lists ---- */

static void add(struct manage_list *list, const struct queue *queue)
{
    manage_list_add(list, &(struct manage_key){.vhost = queue->vhost->name, .name = queue->name});
}

static struct queue *find_key(struct manage_call *call, const struct manage_key *key)
{
    struct vhost *vhost = vhost_find(call->core, key->vhost);

    return vhost ? queue_find(vhost, key->name) : NULL;
}

static json_t *row(struct manage_call *call, const struct manage_key *key)
{
    struct queue *queue = find_key(call, key);

    return queue ? queue_object(call, queue, false) : NULL;
}

static json_t *detailed_row(struct manage_call *call, const struct manage_key *key)
{
    struct queue *queue = find_key(call, key);

    return queue ? queue_object(call, queue, true) : NULL;
}

static void list_queues(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.add_queue = add, .row = row};
    manage_list(call, &kind);
}

static void list_detailed(struct manage_call *call)
{
    static const struct manage_list_kind kind = {.add_queue = add, .row = detailed_row};
    manage_list(call, &kind);
}

/* ---- one ---- */

static void show(struct manage_call *call)
{
    struct queue *queue = find(call);

    if (queue)
        manage_answer(call, 200, manage_columns(call, queue_object(call, queue, true)));
}

static void get_queue(struct manage_call *call)
{
    struct queue *queue = find(call);

    if (queue)
        manage_wait(call, queue_barrier(queue), show);
}

static enum err read_declaration(const struct manage_call *call, struct queue_declaration *out,
                                 struct text *arguments)
{
    enum err err = manage_body_bool(call, "durable", &out->durable);
    if (!err)
        err = manage_body_bool(call, "auto_delete", &out->auto_delete);
    if (!err)
        err = objects_body_arguments(call, arguments);
    out->arguments = text_bytes(arguments);
    return err;
}

/* A queue of a management user cannot be exclusive: there is no connection that it could end with. */
static void put_queue(struct manage_call *call)
{
    struct queue_declaration in = {.name = manage_param(call, "name")};
    struct declarer by = objects_declarer(call);
    struct text arguments = {0};
    bool was_there = queue_find(call->vhost, in.name);
    struct queue *queue;

    enum err err = read_declaration(call, &in, &arguments);
    if (!err)
        err = declare_queue(call->vhost, &in, &by, &queue);
    text_reset(&arguments);
    if (err)
        objects_fail(call, err);
    else
        manage_answer_durable(call, was_there ? 204 : 201, NULL);
}

static void delete_now(struct manage_call *call)
{
    struct declarer by = objects_declarer(call);
    uint64_t count;

    if (!find(call))
        return;
    enum err err = declare_delete_queue(call->vhost, manage_param(call, "name"), &by,
                                        manage_query_is_true(call, "if-unused"),
                                        manage_query_is_true(call, "if-empty"), &count);
    if (err == E_AGAIN)
        manage_yield(call, delete_now);
    else if (err)
        objects_fail(call, err);
    else
        manage_answer_durable(call, 204, NULL);
}

static void delete_queue(struct manage_call *call)
{
    struct queue *queue = find(call);

    if (queue)
        manage_wait(call, queue_barrier(queue), delete_now);
}

/* ---- purge ---- */

static void answer_purged(struct manage_call *call)
{
    manage_answer(call, 204, NULL);
}

static struct queue *find_readable(struct manage_call *call)
{
    struct declarer by = objects_declarer(call);
    struct queue *queue = find(call);

    if (!queue)
        return NULL;
    enum err err = declare_find_queue(call->vhost, queue->name, &by, &queue);
    if (!err)
        err = access_check(call->user, call->vhost, ACCESS_READ, ACCESS_QUEUE, queue->name);
    if (!err)
        return queue;
    objects_fail(call, err);
    return NULL;
}

static void purge_now(struct manage_call *call)
{
    struct queue *queue = find_readable(call);
    struct ticket ticket;

    if (!queue)
        return;
    queue_purge(queue, &ticket);
    manage_wait(call, ticket, answer_purged);
}

static void purge_queue(struct manage_call *call)
{
    struct queue *queue = find_readable(call);

    if (queue)
        manage_wait(call, queue_barrier(queue), purge_now);
}

/* ---- actions ---- */

static void answer_synced(struct manage_call *call)
{
    manage_answer_durable(call, 204, NULL);
}

static void act(struct manage_call *call);

static void sync_queue(struct manage_call *call)
{
    struct queue *queue = find(call);
    struct ticket ticket;

    if (!queue)
        return;
    if (queue_moving_count(queue) > 0) {
        queue_wait_read(queue, manage_again(call, act));
        return;
    }
    queue_log_changes(queue, &ticket);
    manage_wait(call, ticket, answer_synced);
}

/* Those that RabbitMQ had were for mirrored queues, which it has no longer. Its word for one of them
 * asks here that what was published to the queue, settled and declared so far is durable, and what was
 * rejected is where it belongs. */
static void act(struct manage_call *call)
{
    static const char *const wanted[] = {"action", NULL};
    struct queue *queue = find(call);

    if (!queue || !objects_body_has_all(call, wanted))
        return;
    json_t *action = json_object_get(call->body, "action");
    if (json_is_string(action) && strcmp(json_string_value(action), "sync") == 0)
        manage_wait(call, queue_barrier(queue), sync_queue);
    else
        objects_fail_pair(call, "unknown", action);
}

static const struct manage_route routes[] = {
    {MANAGE_GET, "queues", MANAGE_LOGIN, list_queues},
    {MANAGE_GET, "queues/detailed", MANAGE_LOGIN, list_detailed},
    {MANAGE_GET, "queues/:vhost", MANAGE_LOGIN, list_queues},
    {MANAGE_GET, "queues/:vhost/:name", MANAGE_LOGIN, get_queue},
    {MANAGE_PUT, "queues/:vhost/:name", MANAGE_LOGIN, put_queue},
    {MANAGE_DELETE, "queues/:vhost/:name", MANAGE_LOGIN, delete_queue},
    {MANAGE_DELETE, "queues/:vhost/:name/contents", MANAGE_LOGIN, purge_queue},
    {MANAGE_POST, "queues/:vhost/:name/actions", MANAGE_LOGIN, act},
};

const struct manage_routes manage_queue_routes = {routes, sizeof routes / sizeof routes[0]};
