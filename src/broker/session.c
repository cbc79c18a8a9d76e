/* Sessions: every connection of every protocol, for management and for what dies with them. */
#include "broker/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "broker/core_internal.h"
#include "broker/user.h"
#include "broker/vhost.h"
#include "io/link.h"

void session_add(struct core *core, struct session *session)
{
    check(!list_is_linked(&session->node));
    session->core = core;
    session->opened_wall_ms = core->wall_ms;
    list_init(&session->exclusive_queues);
    list_push_back(&core->internal->sessions, &session->node);
    if (session->link)
        idmap_put(&core->internal->session_ids, session->link->id, session);
}

void session_log_in(struct session *session, struct user *user)
{
    check(!session->account);
    session->account = user_ref(user);
    session->user = xasprintf("%.*s", BYTES_FORMAT(user->name));
    list_push_back(&user->sessions, &session->of_user);
}

void session_enter(struct session *session, struct vhost *vhost)
{
    check(session->account);
    check(!session->place);
    session->place = vhost_ref(vhost);
    session->vhost = xasprintf("%.*s", BYTES_FORMAT(vhost->name));
    list_push_back(&vhost->sessions, &session->of_vhost);
    vhost->session_count++;
    session->account->session_count++;
}

/* It no longer counts as one of its user's and vhost's. */
static void leave(struct session *session)
{
    list_remove(&session->of_user);
    if (!list_is_linked(&session->of_vhost))
        return;
    list_remove(&session->of_vhost);
    session->place->session_count--;
    session->account->session_count--;
}

void session_evict(struct session *session, const char *reason)
{
    leave(session);
    if (session->close)
        session->close(session, reason);
}

void session_remove(struct session *session)
{
    if (list_is_linked(&session->node)) { /* queue_delete_exclusive() comes first */
        check(list_is_empty(&session->exclusive_queues));
        if (session->link)
            idmap_remove(&session->core->internal->session_ids, session->link->id);
    }
    list_remove(&session->node);
    rates_free(session->rates);
    leave(session);
    vhost_unref(session->place);
    user_unref(session->account);
    session->place = NULL;
    session->account = NULL;
    free(session->user);
    free(session->vhost);
    free(session->client);
    session->rates = NULL;
    session->user = session->vhost = session->client = NULL;
}

void session_each(struct core *core, void (*each)(void *ctx, struct session *), void *ctx)
{
    list_each_safe (node, &core->internal->sessions)
        each(ctx, container_of(node, struct session, node));
}

struct session *session_find(struct core *core, uint64_t link_id)
{
    return idmap_get(&core->internal->session_ids, link_id);
}

/* Ids grow from link to link. */
struct session *session_after(struct core *core, uint64_t link_id)
{
    const struct session *known = session_find(core, link_id);
    const struct list *sessions = &core->internal->sessions;
    const struct list *node = known ? known->node.next : sessions->next;
    for (; node != sessions; node = node->next) {
        struct session *session = container_of(node, struct session, node);
        if (session->link->id > link_id)
            return session;
    }
    return NULL;
}

/* An IPv6 address stands in brackets. */
static int put_endpoint(const struct endpoint *e, char *out, size_t size)
{
    bool is_v6 = strchr(e->host, ':');
    return snprintf(out, size, "%s%s%s:%u", is_v6 ? "[" : "", e->host, is_v6 ? "]" : "",
                    (unsigned)e->port);
}

void session_put_name(const struct session *session, char out[SESSION_NAME_MAX])
{
    static_assert(SESSION_NAME_MAX >= 2 * (sizeof session->link->peer.host + 8) + 5,
                  "a name has room for both ends");
    int size = put_endpoint(&session->link->peer, out, SESSION_NAME_MAX);
    size += snprintf(out + size, SESSION_NAME_MAX - (size_t)size, " -> ");
    (void)put_endpoint(&session->link->local, out + size, SESSION_NAME_MAX - (size_t)size);
}

struct session *session_find_name(struct core *core, struct bytes name)
{
    char own[SESSION_NAME_MAX];
    size_t bracket = bytes_has_prefix(name, "[");
    struct bytes host = bytes_of(name.data + bracket, name.size - bracket);
    list_each (node, &core->internal->sessions) {
        struct session *session = container_of(node, struct session, node);
        if (!bytes_has_prefix(host, session->link->peer.host)) /* most have another address */
            continue;
        session_put_name(session, own);
        if (bytes_equal_string(name, own))
            return session;
    }
    return NULL;
}

void session_close(struct session *session, const char *reason)
{
    session->close(session, reason);
}

/* ---- descriptions ---- */

const char *session_state_name(enum session_state state)
{
    switch (state) {
    case SESSION_STARTING: return "starting";
    case SESSION_RUNNING: return "running";
    case SESSION_FLOW: return "flow";
    case SESSION_BLOCKING: return "blocking";
    case SESSION_BLOCKED: return "blocked";
    case SESSION_CLOSING: return "closing";
    }
    check(false);
}

void session_describe(const struct session *session, struct session_description *out)
{
    *out = (struct session_description){.protocol = session->protocol, .state = SESSION_RUNNING};
    if (session->view)
        session->view->describe(session, out);
}

void session_each_channel(struct session *session, channel_fn *each, void *ctx)
{
    if (session->view && session->view->each_channel)
        session->view->each_channel(session, each, ctx);
}

bool session_describe_channel(struct session *session, uint16_t number,
                              struct channel_description *out)
{
    return session->view && session->view->describe_channel &&
           session->view->describe_channel(session, number, out);
}

void session_each_consumer(struct session *session, uint16_t channel, consumer_fn *each, void *ctx)
{
    if (session->view && session->view->each_consumer)
        session->view->each_consumer(session, channel, each, ctx);
}
