/* Members sync: the leader tells what each member is to do, the members take it. */
#include "base/check.h"
#include "base/say.h"
#include "broker/group_internal.h"

static void refuse(struct group_sync *sync, enum group_error error)
{
    sync->done(sync, &(struct group_synced){.error = error});
}

static bool contradicts(struct bytes said, struct bytes is)
{
    return said.data && !bytes_equal(said, is);
}

static enum group_error check_sync(struct groups *groups, const struct group_sync *sync)
{
    if (!group_id_is_legal(sync->group_id))
        return GROUP_INVALID_ID;
    enum group_error error = groups_look(groups, sync->group_id);
    if (error)
        return error;
    const struct group *group = group_get(groups, sync->group_id);
    if (!group)
        return GROUP_UNKNOWN_MEMBER;
    error = group_check_member(group, sync->member_id, sync->instance_id);
    if (error)
        return error;
    if (sync->generation != group->generation)
        return GROUP_ILLEGAL_GENERATION;
    if (contradicts(sync->protocol_type, group->protocol_type) ||
        contradicts(sync->protocol_name, group->protocol))
        return GROUP_INCONSISTENT_PROTOCOL;
    return group->state == GROUP_PREPARING ? GROUP_REBALANCING : GROUP_OK;
}

static void answer_synced(struct group *group, struct group_member *m)
{
    group_member_answer_sync(m, &(struct group_synced){.group = group,
                                                       .assignment = m->assignment,
                                                       .ticket = group->ticket});
}

/* Who is not named gets nothing; who is not a member is not listened to. */
static void set_assignments(struct group *group, const struct group_sync *sync)
{
    list_each (node, &group->joined)
        group_member_set_assignment(container_of(node, struct group_member, node), BYTES_NULL);
    for (size_t i = 0; i < sync->assignment_count; i++) {
        struct group_member *m = group_member_get(group, sync->assignments[i].member_id);
        if (m && !m->is_pending)
            group_member_set_assignment(m, sync->assignments[i].assignment);
    }
}

static void assign_failed(struct group *group, enum err err)
{
    say_warn("group", "assignments were not written: %s group=%.*s", err_text(),
             BYTES_FORMAT(group->id));
    list_each (node, &group->joined) {
        struct group_member *m = container_of(node, struct group_member, node);
        group_member_set_assignment(m, BYTES_NULL);
        group_member_answer_sync(m, &(struct group_synced){.error = group_error_of(err)});
    }
    group_rebalance_or_complete(group, "assignments could not be written");
}

static void assign(struct group *group, const struct group_sync *sync)
{
    set_assignments(group, sync);
    enum err err = group_log_write(group);
    if (err) {
        assign_failed(group, err);
        return;
    }
    group_set_state(group, GROUP_STABLE);
    list_each (node, &group->joined) {
        struct group_member *m = container_of(node, struct group_member, node);
        if (m->sync)
            group_member_touch(m, m->session_timeout_ms);
        answer_synced(group, m);
    }
}

void group_sync(struct groups *groups, struct group_sync *sync)
{
    enum group_error error = check_sync(groups, sync);
    sync->member = NULL;
    if (error) {
        refuse(sync, error);
        return;
    }
    struct group *group = group_get(groups, sync->group_id);
    struct group_member *m = group_member_get(group, sync->member_id);
    group_member_answer_sync(m, &(struct group_synced){.error = GROUP_REBALANCING});
    group_member_set_unsynced(m, false);
    m->sync = sync;
    sync->member = m;
    if (group->state == GROUP_STABLE)
        answer_synced(group, m);
    else if (m == group->leader)
        assign(group, sync);
}

void group_sync_cancel(struct group_sync *sync)
{
    struct group_member *m = sync->member;
    sync->member = NULL;
    if (!m)
        return;
    m->sync = NULL;
    group_member_touch(m, m->session_timeout_ms); /* nothing excuses its silence any more */
}
