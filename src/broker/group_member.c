/* The members of a group: what they bring, their sessions, heartbeats and leaving. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"
#include "broker/group_internal.h"

static void session_fired(struct timer *timer, int64_t now_ns);

/* ---- making and removing ---- */

struct group_member *group_member_get(const struct group *group, struct bytes id)
{
    return map_get(&group->members, id);
}

/* What the client or the instance is called, and a random number: Kafka's form. Names are cut at
 * 255 bytes here. */
struct bytes group_member_new_id(struct group *group, struct bytes client_id, struct bytes instance,
                                 char *scratch, size_t scratch_size)
{
    enum { NAME_MAX_BYTES = 255 };
    uint8_t u[16];
    struct bytes name = instance.data ? instance : client_id;
    if (name.size > NAME_MAX_BYTES)
        name.size = NAME_MAX_BYTES;
    while (name.size > 0 && !bytes_are_utf8(name))
        name.size--;
    random_fill(&group->groups->core->random, u, sizeof u);
    u[6] = (uint8_t)((u[6] & 0x0f) | 0x40); /* RFC 9562 version 4 */
    u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
    int size = snprintf(scratch, scratch_size,
                        "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                        BYTES_FORMAT(name), u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8],
                        u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    check(size > 0 && (size_t)size < scratch_size);
    return bytes_of(scratch, (size_t)size);
}

struct group_member *group_member_make(struct group *group, struct bytes id,
                                       struct bytes instance_id)
{
    struct group_member *m = xzalloc(sizeof *m);
    m->group = group;
    m->id = group_copy(id);
    m->instance_id = group_copy(instance_id);
    m->session.fire = session_fired;
    m->is_pending = true;
    group->groups->bytes += MEMBER_FIXED_BYTES;
    map_put(&group->members, m->id, m);
    list_push_back(&group->pending, &m->node);
    group->pending_count++;
    return m;
}

void group_member_enter(struct group_member *m)
{
    struct group *group = m->group;
    check(m->is_pending);
    list_remove(&m->node);
    group->pending_count--;
    m->is_pending = false;
    list_push_back(&group->joined, &m->node);
    group->joined_count++;
    if (m->instance_id.data)
        map_put(&group->instances, m->instance_id, m);
    if (!group->leader)
        group->leader = m;
}

static void leave_joined(struct group_member *m)
{
    struct group *group = m->group;
    group_member_set_joining(m, false);
    group_member_set_unsynced(m, false);
    group_member_set_protocols(m, NULL, 0);
    if (m->instance_id.data)
        map_remove(&group->instances, m->instance_id);
    list_remove(&m->node);
    group->joined_count--;
    if (group->leader == m)
        group->leader = list_is_empty(&group->joined)
                            ? NULL
                            : container_of(group->joined.next, struct group_member, node);
}

void group_member_remove(struct group_member *m)
{
    struct group *group = m->group;
    group_member_answer_join(m, &(struct group_joined){.error = GROUP_UNKNOWN_MEMBER});
    group_member_answer_sync(m, &(struct group_synced){.error = GROUP_UNKNOWN_MEMBER});
    timer_stop(&group->groups->core->timers, &m->session);
    map_remove(&group->members, m->id);
    if (m->is_pending) {
        list_remove(&m->node);
        group->pending_count--;
    } else {
        leave_joined(m);
    }
    group_member_set_assignment(m, BYTES_NULL);
    group->groups->bytes -= MEMBER_FIXED_BYTES;
    group_drop(&m->id);
    group_drop(&m->instance_id);
    group_drop(&m->client_id);
    group_drop(&m->client_host);
    free(m);
}

void group_member_rename(struct group_member *m, struct bytes id)
{
    map_remove(&m->group->members, m->id);
    group_drop(&m->id);
    m->id = group_copy(id);
    map_put(&m->group->members, m->id, m);
}

/* ---- what a member brings ---- */

static struct group_support *find_support(struct group *group, struct bytes name)
{
    for (size_t i = 0; i < group->supported.count; i++)
        if (bytes_equal(group->supported.items[i].name, name))
            return &group->supported.items[i];
    return NULL;
}

static void add_support(struct group *group, struct bytes name)
{
    struct group_support *s = find_support(group, name);
    if (s)
        s->count++;
    else
        vec_push(&group->supported, ((struct group_support){group_copy(name), 1}));
}

static void drop_support(struct group *group, struct bytes name)
{
    struct group_support *s = find_support(group, name);
    check(s && s->count > 0);
    if (--s->count > 0)
        return;
    group_drop(&s->name);
    vec_remove(&group->supported, (size_t)(s - group->supported.items));
}

/* A name that comes twice counts once, or a group would take it for agreed. */
static bool is_repeated(const struct group_protocol *protocols, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (bytes_equal(protocols[j].name, protocols[i].name))
            return true;
    return false;
}

static struct bytes put_copy(uint8_t **at, struct bytes b)
{
    struct bytes copy = bytes_of(*at, b.size);
    if (b.size > 0)
        memcpy(*at, b.data, b.size);
    *at += b.size;
    return copy;
}

void group_member_set_protocols(struct group_member *m, const struct group_protocol *protocols,
                                size_t count)
{
    struct group *group = m->group;
    for (size_t i = 0; i < m->protocol_count; i++)
        drop_support(group, m->protocols[i].name);
    group->groups->bytes -= m->protocol_bytes;
    free(m->protocols);
    m->protocols = NULL;
    m->protocol_count = m->protocol_bytes = 0;
    if (count == 0)
        return;

    size_t bytes = count * sizeof *protocols;
    for (size_t i = 0; i < count; i++)
        bytes += protocols[i].name.size + protocols[i].metadata.size;
    m->protocols = xmalloc(bytes);
    m->protocol_bytes = bytes;
    group->groups->bytes += bytes;
    uint8_t *at = (uint8_t *)(m->protocols + count);
    for (size_t i = 0; i < count; i++) {
        if (is_repeated(protocols, i))
            continue;
        struct group_protocol *p = &m->protocols[m->protocol_count++];
        p->name = put_copy(&at, protocols[i].name);
        p->metadata = put_copy(&at, protocols[i].metadata);
        add_support(group, p->name);
    }
}

void group_member_set_assignment(struct group_member *m, struct bytes assignment)
{
    m->group->groups->bytes -= m->assignment.size;
    group_drop(&m->assignment);
    m->assignment = group_copy(assignment);
    m->group->groups->bytes += m->assignment.size;
}

struct bytes group_member_metadata(const struct group_member *m, struct bytes protocol)
{
    for (size_t i = 0; i < m->protocol_count; i++)
        if (protocol.data && bytes_equal(m->protocols[i].name, protocol))
            return m->protocols[i].metadata;
    return BYTES_NULL;
}

/* ---- what it does ---- */

void group_member_set_joining(struct group_member *m, bool is_joining)
{
    m->group->joining_count += (uint32_t)is_joining - (uint32_t)m->is_joining;
    m->is_joining = is_joining;
}

void group_member_set_unsynced(struct group_member *m, bool is_unsynced)
{
    m->group->unsynced_count += (uint32_t)is_unsynced - (uint32_t)m->is_unsynced;
    m->is_unsynced = is_unsynced;
}

void group_member_answer_join(struct group_member *m, const struct group_joined *joined)
{
    struct group_join *join = m->join;
    m->join = NULL;
    if (!join)
        return;
    join->member = NULL;
    join->done(join, joined);
}

void group_member_answer_sync(struct group_member *m, const struct group_synced *synced)
{
    struct group_sync *sync = m->sync;
    m->sync = NULL;
    if (!sync)
        return;
    sync->member = NULL;
    sync->done(sync, synced);
}

enum group_error group_check_member(const struct group *group, struct bytes member_id,
                                    struct bytes instance_id)
{
    if (instance_id.data) {
        const struct group_member *holder = map_get(&group->instances, instance_id);
        if (!holder)
            return GROUP_UNKNOWN_MEMBER;
        if (!bytes_equal(holder->id, member_id))
            return GROUP_FENCED_INSTANCE;
    }
    const struct group_member *m = group_member_get(group, member_id);
    return m && !m->is_pending ? GROUP_OK : GROUP_UNKNOWN_MEMBER;
}

/* ---- sessions ---- */

/* A heartbeat only notes the time: the timer looks again when it fires too early. */
void group_member_touch(struct group_member *m, int64_t timeout_ms)
{
    struct core *core = m->group->groups->core;
    m->session_due_ns = core->now_ns + timeout_ms * 1000000;
    if (!timer_is_running(&m->session) || m->session.due_ns > m->session_due_ns)
        timer_start(&core->timers, &m->session, m->session_due_ns);
}

/* Who waits for the others is alive, except that a new member does not wait for ever. */
static bool is_excused(const struct group_member *m)
{
    return !m->is_pending && !m->is_new && (m->is_joining || m->sync);
}

static void session_fired(struct timer *timer, int64_t now_ns)
{
    struct group_member *m = container_of(timer, struct group_member, session);
    struct group *group = m->group;
    if (m->session_due_ns > now_ns) {
        timer_start(&group->groups->core->timers, timer, m->session_due_ns);
        return;
    }
    if (is_excused(m))
        return;
    bool was_pending = m->is_pending;
    say_info("group", "member is removed: it has been silent for too long group=%.*s member=%.*s",
             BYTES_FORMAT(group->id), BYTES_FORMAT(m->id));
    group_member_remove(m);
    if (group->state == GROUP_PREPARING) {
        if (group_has_all_joined(group))
            group_complete_join(group);
    } else if (!was_pending && group->state != GROUP_EMPTY) {
        group_rebalance_or_complete(group, "a member has been silent for too long");
    }
    group_remove_if_blank(group);
}

enum group_error group_heartbeat(struct groups *groups, const struct group_identity *who,
                                 int32_t generation)
{
    if (!group_id_is_legal(who->group_id))
        return GROUP_INVALID_ID;
    if (groups_look(groups, who->group_id) == GROUP_LOADING)
        return GROUP_OK; /* the member stays calm; its session begins when all is read */
    struct group *group = group_get(groups, who->group_id);
    if (!group)
        return GROUP_UNKNOWN_MEMBER;
    enum group_error error = group_check_member(group, who->member_id, who->instance_id);
    if (error)
        return error;
    if (generation != group->generation)
        return GROUP_ILLEGAL_GENERATION;
    struct group_member *m = group_member_get(group, who->member_id);
    group_member_touch(m, m->session_timeout_ms);
    return group->state == GROUP_PREPARING ? GROUP_REBALANCING : GROUP_OK;
}

/* ---- leaving ---- */

static void leave_one(struct group *group, struct group_leaver *leaver)
{
    struct group_member *m = group_member_get(group, leaver->member_id);
    if (leaver->member_id.size == 0) {
        m = leaver->instance_id.data ? map_get(&group->instances, leaver->instance_id) : NULL;
        leaver->error = m ? GROUP_OK : GROUP_UNKNOWN_MEMBER;
    } else if (!m || !m->is_pending) {
        leaver->error = group_check_member(group, leaver->member_id, leaver->instance_id);
    } else {
        leaver->error = GROUP_OK;
    }
    if (leaver->error)
        return;
    say_info("group", "member leaves group=%.*s member=%.*s reason=%.*s", BYTES_FORMAT(group->id),
             BYTES_FORMAT(m->id), BYTES_FORMAT(leaver->reason));
    group_member_remove(m);
}

enum group_error group_leave(struct groups *groups, struct bytes group_id,
                             struct group_leaver *leavers, size_t count, struct ticket *out)
{
    *out = (struct ticket){0};
    if (!group_id_is_legal(group_id))
        return GROUP_INVALID_ID;
    enum group_error error = groups_look(groups, group_id);
    if (error)
        return error;
    struct group *group = group_get(groups, group_id);
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        leavers[i].error = GROUP_UNKNOWN_MEMBER;
        if (group)
            leave_one(group, &leavers[i]);
        any |= leavers[i].error == GROUP_OK;
    }
    if (!any)
        return GROUP_OK;
    if (group->state == GROUP_PREPARING)
        group_complete_join_if_all(group);
    else if (group->state != GROUP_EMPTY)
        group_rebalance_or_complete(group, "members have left");
    *out = group->ticket;
    group_remove_if_blank(group);
    return GROUP_OK;
}
