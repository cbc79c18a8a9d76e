/* Sessions: every connection of every protocol, for management and for what dies with them. */
#include <stdlib.h>

#include "base/check.h"
#include "broker/core_internal.h"

void session_add(struct core *core, struct session *session)
{
    check(!list_is_linked(&session->node));
    session->opened_wall_ms = core->wall_ms;
    list_init(&session->exclusive_queues);
    list_push_back(&core->internal->sessions, &session->node);
}

void session_remove(struct session *session)
{
    if (list_is_linked(&session->node)) /* queue_delete_exclusive() comes first */
        check(list_is_empty(&session->exclusive_queues));
    list_remove(&session->node);
    free(session->user);
    free(session->vhost);
    free(session->client);
    session->user = session->vhost = session->client = NULL;
}

void session_each(struct core *core, void (*each)(void *ctx, struct session *), void *ctx)
{
    list_each_safe (node, &core->internal->sessions)
        each(ctx, container_of(node, struct session, node));
}
