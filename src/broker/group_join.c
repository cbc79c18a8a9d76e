/* The phases of a group: members join, a generation begins, the leader assigns. */
#include "base/check.h"
#include "base/say.h"
#include "broker/group_internal.h"

static void start_phase(struct group *group, int64_t delay_ms)
{
    struct core *core = group->groups->core;
    timer_start(&core->timers, &group->phase, core->now_ns + delay_ms * 1000000);
}

static void stop_phase(struct group *group)
{
    timer_stop(&group->groups->core->timers, &group->phase);
}

/* The longest that any member asks for. */
static int64_t rebalance_timeout_ms(const struct group *group)
{
    int64_t longest = 0;
    list_each (node, &group->joined) {
        const struct group_member *m = container_of(node, struct group_member, node);
        if (m->rebalance_timeout_ms > longest)
            longest = m->rebalance_timeout_ms;
    }
    return longest;
}

/* ---- the join phase begins ---- */

bool group_has_all_joined(const struct group *group)
{
    return group->joined_count == group->joining_count && group->pending_count == 0;
}

static void refuse_syncs(struct group *group, enum group_error error)
{
    list_each (node, &group->joined) {
        struct group_member *m = container_of(node, struct group_member, node);
        group_member_set_assignment(m, BYTES_NULL);
        if (m->sync)
            group_member_touch(m, m->session_timeout_ms);
        group_member_answer_sync(m, &(struct group_synced){.error = error});
    }
}

static void clear_unsynced(struct group *group)
{
    list_each (node, &group->joined)
        group_member_set_unsynced(container_of(node, struct group_member, node), false);
}

static void prepare_rebalance(struct group *group, const char *why)
{
    say_info("group", "rebalance begins: %s group=%.*s generation=%d members=%u", why,
             BYTES_FORMAT(group->id), group->generation, group->joined_count);
    if (group->state == GROUP_COMPLETING)
        refuse_syncs(group, GROUP_REBALANCING);
    clear_unsynced(group);
    stop_phase(group);
    bool is_first = group->state == GROUP_EMPTY;
    group_set_state(group, GROUP_PREPARING);
    if (is_first) {
        int64_t delay_ms = group->groups->config.initial_delay_ms;
        int64_t timeout_ms = rebalance_timeout_ms(group);
        group->new_member_added = false;
        group->phase_delay_ms = delay_ms;
        group->phase_left_ms = timeout_ms > delay_ms ? timeout_ms - delay_ms : 0;
        start_phase(group, delay_ms);
    } else if (group_has_all_joined(group)) {
        group_complete_join(group);
    } else {
        start_phase(group, rebalance_timeout_ms(group));
    }
}

void group_complete_join_if_all(struct group *group)
{
    /* The first rebalance takes its time, so that those who start together are in it together. */
    if (group->state == GROUP_PREPARING && group->previous_state != GROUP_EMPTY &&
        group_has_all_joined(group))
        group_complete_join(group);
}

void group_rebalance_or_complete(struct group *group, const char *why)
{
    if (group->state == GROUP_PREPARING)
        group_complete_join_if_all(group);
    else
        prepare_rebalance(group, why);
}

/* ---- the join phase ends ---- */

static void drop_absent(struct group *group)
{
    list_each_safe (node, &group->joined) {
        struct group_member *m = container_of(node, struct group_member, node);
        if (m->is_joining || m->instance_id.data)
            continue;
        say_info("group", "member is removed: it has not joined in time group=%.*s member=%.*s",
                 BYTES_FORMAT(group->id), BYTES_FORMAT(m->id));
        group_member_remove(m);
    }
}

/* The leader stays if it has joined. False: nobody has. */
static bool elect_leader(struct group *group)
{
    if (group->leader && group->leader->is_joining)
        return true;
    list_each (node, &group->joined) {
        struct group_member *m = container_of(node, struct group_member, node);
        if (!m->is_joining)
            continue;
        group->leader = m;
        return true;
    }
    return false;
}

static bool all_support(const struct group *group, struct bytes name)
{
    for (size_t i = 0; i < group->supported.count; i++)
        if (bytes_equal(group->supported.items[i].name, name))
            return group->supported.items[i].count == group->joined_count;
    return false;
}

/* Each member votes for the first of its protocols that all can do. */
static struct bytes select_protocol(const struct group *group)
{
    struct bytes best = BYTES_NULL;
    uint32_t best_votes = 0;
    for (size_t i = 0; i < group->supported.count; i++) {
        struct bytes candidate = group->supported.items[i].name;
        uint32_t votes = 0;
        if (group->supported.items[i].count != group->joined_count)
            continue;
        list_each (node, &group->joined) {
            const struct group_member *m = container_of(node, struct group_member, node);
            size_t k = 0;
            while (!all_support(group, m->protocols[k].name))
                k++;
            votes += bytes_equal(m->protocols[k].name, candidate);
        }
        if (votes > best_votes)
            best = candidate, best_votes = votes;
    }
    check(best.data);
    return best;
}

static void become_empty(struct group *group)
{
    group_drop(&group->protocol);
    group_set_state(group, GROUP_EMPTY);
    say_info("group", "group is empty group=%.*s generation=%d", BYTES_FORMAT(group->id),
             group->generation);
    if (group_log_write(group))
        say_warn("group", "that the group is empty was not written: %s group=%.*s", err_text(),
                 BYTES_FORMAT(group->id));
}

static void answer_joined(struct group *group, struct group_member *m)
{
    struct group_joined joined = {
        .member_id = m->id,
        .group = group,
        .leader = group->leader->id,
        .has_members = m == group->leader,
        .ticket = group->ticket,
    };
    group_member_set_joining(m, false);
    group_member_answer_join(m, &joined);
}

static void join_failed(struct group *group, enum group_error error)
{
    list_each (node, &group->joined) {
        struct group_member *m = container_of(node, struct group_member, node);
        group_member_set_joining(m, false);
        group_member_touch(m, m->session_timeout_ms);
        group_member_answer_join(m, &(struct group_joined){.error = error});
    }
    group_set_state(group, GROUP_PREPARING);
    start_phase(group, rebalance_timeout_ms(group));
}

static void begin_generation(struct group *group)
{
    struct bytes protocol = group_copy(select_protocol(group));
    group_drop(&group->protocol);
    group->protocol = protocol;
    list_each (node, &group->joined)
        group_member_set_assignment(container_of(node, struct group_member, node), BYTES_NULL);
    enum err err = group_log_write(group);
    if (err) {
        say_warn("group", "generation cannot begin: %s group=%.*s", err_text(),
                 BYTES_FORMAT(group->id));
        join_failed(group, group_error_of(err));
        return;
    }
    group_set_state(group, GROUP_COMPLETING);
    say_info("group", "generation begins group=%.*s generation=%d members=%u protocol=%.*s",
             BYTES_FORMAT(group->id), group->generation, group->joined_count,
             BYTES_FORMAT(group->protocol));
    list_each (node, &group->joined) {
        struct group_member *m = container_of(node, struct group_member, node);
        m->is_new = false;
        group_member_set_unsynced(m, true);
        group_member_touch(m, m->session_timeout_ms);
    }
    list_each (node, &group->joined)
        answer_joined(group, container_of(node, struct group_member, node));
    start_phase(group, rebalance_timeout_ms(group)); /* for who does not sync */
}

/* The number of the generation is written down before anybody hears of it, so that it never goes
 * back. */
void group_complete_join(struct group *group)
{
    check(group->state == GROUP_PREPARING);
    stop_phase(group);
    drop_absent(group);
    if (!elect_leader(group) && group->joined_count > 0) { /* static members, all away */
        start_phase(group, rebalance_timeout_ms(group));
        return;
    }
    group->generation = group->generation == INT32_MAX ? 1 : group->generation + 1;
    if (group->joined_count == 0)
        become_empty(group);
    else
        begin_generation(group);
}

/* ---- timers ---- */

static void first_rebalance_fired(struct group *group)
{
    if (!group->new_member_added || group->phase_left_ms == 0) {
        group_complete_join(group);
        return;
    }
    int64_t delay_ms = group->groups->config.initial_delay_ms;
    int64_t last_ms = group->phase_delay_ms;
    group->new_member_added = false;
    group->phase_delay_ms = delay_ms < group->phase_left_ms ? delay_ms : group->phase_left_ms;
    group->phase_left_ms = group->phase_left_ms > last_ms ? group->phase_left_ms - last_ms : 0;
    start_phase(group, group->phase_delay_ms);
}

static void sync_time_is_up(struct group *group)
{
    if (group->unsynced_count == 0)
        return;
    list_each_safe (node, &group->joined) {
        struct group_member *m = container_of(node, struct group_member, node);
        if (m->is_unsynced)
            group_member_remove(m);
    }
    prepare_rebalance(group, "members have not synced in time");
}

void group_phase_fired(struct timer *timer, int64_t now_ns)
{
    struct group *group = container_of(timer, struct group, phase);
    (void)now_ns;
    switch (group->state) {
    case GROUP_EMPTY: break;
    case GROUP_PREPARING:
        if (group->previous_state == GROUP_EMPTY)
            first_rebalance_fired(group);
        else
            group_complete_join(group);
        break;
    case GROUP_COMPLETING:
    case GROUP_STABLE: sync_time_is_up(group); break;
    }
}

/* A generation whose assignments were never written is still to be synced. */
void group_resume(struct group *group)
{
    bool is_assigned = false;
    if (group->joined_count == 0)
        return;
    list_each (node, &group->joined) {
        struct group_member *m = container_of(node, struct group_member, node);
        is_assigned |= m->assignment.size > 0;
        group_member_touch(m, m->session_timeout_ms);
    }
    group_set_state(group, is_assigned ? GROUP_STABLE : GROUP_COMPLETING);
    if (is_assigned)
        return;
    list_each (node, &group->joined)
        group_member_set_unsynced(container_of(node, struct group_member, node), true);
    start_phase(group, rebalance_timeout_ms(group));
}

/* ---- events: joining ---- */

static void refuse(struct group_join *join, enum group_error error, struct bytes member_id)
{
    join->done(join, &(struct group_joined){.error = error, .member_id = member_id});
}

static enum group_error check_join(const struct groups *groups, const struct group_join *join)
{
    const struct group_config *c = &groups->config;
    size_t metadata = 0;
    bool is_long = join->protocol_type.size > GROUP_ID_MAX_BYTES ||
                   join->instance_id.size > GROUP_ID_MAX_BYTES ||
                   join->client_id.size > GROUP_ID_MAX_BYTES;
    if (!group_id_is_legal(join->group_id))
        return GROUP_INVALID_ID;
    if (join->session_timeout_ms < c->session_min_ms ||
        join->session_timeout_ms > c->session_max_ms)
        return GROUP_INVALID_SESSION_TIMEOUT;
    if (join->protocol_count > GROUP_PROTOCOLS_MAX || is_long)
        return GROUP_INVALID_REQUEST;
    for (size_t i = 0; i < join->protocol_count; i++) {
        metadata += join->protocols[i].metadata.size + join->protocols[i].name.size;
        if (metadata > GROUP_METADATA_MAX_BYTES ||
            join->protocols[i].name.size > GROUP_ID_MAX_BYTES)
            return GROUP_INVALID_REQUEST;
    }
    return GROUP_OK;
}

/* Has the group, or its next generation, a place for this member? */
static bool accepts(const struct group *group, struct bytes member_id)
{
    const struct group_member *m = group_member_get(group, member_id);
    uint32_t most = (uint32_t)group->groups->config.size_max;
    bool is_member = m && !m->is_pending;
    switch (group->state) {
    case GROUP_EMPTY: return true;
    case GROUP_PREPARING: return (is_member && m->is_joining) || group->joining_count < most;
    case GROUP_COMPLETING:
    case GROUP_STABLE: return is_member || group->joined_count < most;
    }
    check(false);
    return false;
}

static bool supports_protocols(const struct group *group, const struct group_join *join)
{
    if (group->joined_count == 0)
        return join->protocol_type.size > 0 && join->protocol_count > 0;
    if (!bytes_equal(group->protocol_type, join->protocol_type))
        return false;
    for (size_t i = 0; i < join->protocol_count; i++)
        if (all_support(group, join->protocols[i].name))
            return true;
    return false;
}

static bool brings_the_same(const struct group_member *m, const struct group_join *join)
{
    if (m->protocol_count != join->protocol_count)
        return false;
    for (size_t i = 0; i < m->protocol_count; i++)
        if (!bytes_equal(m->protocols[i].name, join->protocols[i].name) ||
            !bytes_equal(m->protocols[i].metadata, join->protocols[i].metadata))
            return false;
    return true;
}

/* The newest request is the one that is answered later; an older one is let go. */
static void take_join(struct group_member *m, struct group_join *join)
{
    group_member_answer_join(
        m, &(struct group_joined){.error = GROUP_REBALANCING, .member_id = m->id});
    m->join = join;
    join->member = m;
    group_member_set_joining(m, true);
}

static void update_member(struct group_member *m, struct group_join *join)
{
    group_member_set_protocols(m, join->protocols, join->protocol_count);
    m->session_timeout_ms = join->session_timeout_ms;
    m->rebalance_timeout_ms =
        join->rebalance_timeout_ms < 0 ? join->session_timeout_ms : join->rebalance_timeout_ms;
}

static void set_client(struct group_member *m, const struct group_join *join)
{
    group_drop(&m->client_id);
    group_drop(&m->client_host);
    m->client_id = group_copy(join->client_id.data ? join->client_id : BYTES_LITERAL(""));
    m->client_host = group_copy(join->client_host.data ? join->client_host : BYTES_LITERAL(""));
}

static void enter_group(struct group *group, struct group_member *m, struct group_join *join)
{
    if (group->joined_count == 0) {
        group_drop(&group->protocol_type);
        group->protocol_type = group_copy(join->protocol_type);
    }
    group_member_enter(m);
    update_member(m, join);
    set_client(m, join);
    m->is_new = true;
    if (group->state == GROUP_PREPARING && group->previous_state == GROUP_EMPTY)
        group->new_member_added = true;
    take_join(m, join);
    group_member_touch(m, GROUP_NEW_MEMBER_JOIN_MS);
    group_rebalance_or_complete(group, "a member joins");
}

/* ---- static members ---- */

static void answer_returned(struct group *group, struct group_member *m, struct group_join *join,
                            struct bytes leader)
{
    bool leads = m == group->leader && join->can_skip_assignment;
    struct group_joined joined = {
        .member_id = m->id,
        .group = group,
        .leader = leader,
        .has_members = leads,
        .skip_assignment = leads,
        .ticket = group->ticket,
    };
    join->done(join, &joined);
}

/* It comes back in a stable group and changes nothing: no rebalance, only its id is new. Before
 * KIP-814 a leader is told its old name, so that it does not assign. */
static void return_quietly(struct group *group, struct group_member *m, struct group_join *join,
                           struct bytes old_leader)
{
    enum err err = group_log_write(group);
    if (err) {
        refuse(join, group_error_of(err), BYTES_LITERAL(""));
        return;
    }
    answer_returned(group, m, join, join->can_skip_assignment ? group->leader->id : old_leader);
}

static void replace_static(struct group *group, struct group_member *m, struct bytes new_id,
                           struct group_join *join)
{
    struct bytes old_leader = group_copy(group->leader->id);
    struct group_joined fenced = {.error = GROUP_FENCED_INSTANCE, .member_id = m->id};
    group_member_answer_join(m, &fenced);
    group_member_answer_sync(m, &(struct group_synced){.error = GROUP_FENCED_INSTANCE});
    group_member_rename(m, new_id);
    update_member(m, join);
    set_client(m, join);
    group_member_touch(m, m->session_timeout_ms);
    if (group->state == GROUP_STABLE && bytes_equal(select_protocol(group), group->protocol)) {
        return_quietly(group, m, join, old_leader);
    } else {
        take_join(m, join);
        group_rebalance_or_complete(group, "a static member has come back");
    }
    group_drop(&old_leader);
}

/* ---- new and known members ---- */

static void ask_to_return(struct group *group, struct group_join *join, struct bytes id)
{
    struct group_member *m = group_member_make(group, id, BYTES_NULL);
    group_member_touch(m, join->session_timeout_ms);
    refuse(join, GROUP_MEMBER_ID_REQUIRED, id);
}

static void join_new(struct group *group, struct group_join *join)
{
    char scratch[512];
    struct bytes id =
        group_member_new_id(group, join->client_id, join->instance_id, scratch, sizeof scratch);
    struct group_member *holder =
        join->instance_id.data ? map_get(&group->instances, join->instance_id) : NULL;
    if (holder)
        replace_static(group, holder, id, join);
    else if (!join->instance_id.data && join->can_return_with_id)
        ask_to_return(group, join, id);
    else
        enter_group(group, group_member_make(group, id, join->instance_id), join);
}

static void answer_current(struct group *group, struct group_member *m, struct group_join *join,
                           bool has_members)
{
    struct group_joined joined = {
        .member_id = m->id,
        .group = group,
        .leader = group->leader->id,
        .has_members = has_members,
        .ticket = group->ticket,
    };
    join->done(join, &joined);
}

static void join_again(struct group *group, struct group_member *m, struct group_join *join)
{
    bool leads = m == group->leader, same = brings_the_same(m, join);
    switch (group->state) {
    case GROUP_EMPTY: refuse(join, GROUP_UNKNOWN_MEMBER, join->member_id); return;
    case GROUP_PREPARING: break;
    case GROUP_COMPLETING: /* its answer was lost */
        if (!same)
            break;
        answer_current(group, m, join, leads);
        return;
    case GROUP_STABLE:
        if (leads || !same) /* the leader joins again because what there is to share has changed */
            break;
        answer_current(group, m, join, false);
        return;
    }
    update_member(m, join);
    take_join(m, join);
    group_rebalance_or_complete(group, leads ? "the leader joins again" : "a member has changed");
}

static void join_known(struct group *group, struct group_join *join)
{
    struct group_member *m = group_member_get(group, join->member_id);
    if (m && m->is_pending && !join->instance_id.data) {
        enter_group(group, m, join);
        return;
    }
    enum group_error error = group_check_member(group, join->member_id, join->instance_id);
    if (error)
        refuse(join, error, join->member_id);
    else
        join_again(group, m, join);
}

static void join_full(struct group *group, struct group_join *join)
{
    struct group_member *m = group_member_get(group, join->member_id);
    refuse(join, GROUP_FULL, BYTES_LITERAL(""));
    if (m)
        group_member_remove(m);
    group_complete_join_if_all(group);
}

static size_t join_bytes(const struct group_join *join)
{
    size_t bytes = GROUP_FIXED_BYTES + MEMBER_FIXED_BYTES + join->group_id.size;
    for (size_t i = 0; i < join->protocol_count; i++)
        bytes += join->protocols[i].name.size + join->protocols[i].metadata.size;
    return bytes;
}

/* NULL: refused. */
static struct group *group_to_join(struct groups *groups, struct group_join *join)
{
    enum group_error error = check_join(groups, join);
    if (!error && groups_make_topic(groups))
        error = GROUP_NOT_AVAILABLE;
    if (!error)
        error = groups_look(groups, join->group_id);
    struct group *group = error ? NULL : group_get(groups, join->group_id);
    bool is_member = group && group_member_get(group, join->member_id);
    bool has_room = is_member || groups_have_room(groups, join_bytes(join));
    if (!error && ((group && group->is_deleting) || !has_room))
        error = GROUP_NOT_AVAILABLE;
    if (!error && !group && join->member_id.size > 0)
        error = GROUP_UNKNOWN_MEMBER;
    if (error) {
        refuse(join, error, join->member_id);
        return NULL;
    }
    return group ? group : group_make(groups, join->group_id);
}

void group_join(struct groups *groups, struct group_join *join)
{
    struct group *group = group_to_join(groups, join);
    join->member = NULL;
    if (!group)
        return;
    bool is_new = join->member_id.size == 0;
    if (join->reason.size > 0) /* KIP-800 */
        say_debug("group", "a member joins, because: %.*s group=%.*s member=%.*s",
                  BYTES_FORMAT(join->reason), BYTES_FORMAT(group->id),
                  BYTES_FORMAT(join->member_id));
    if (!accepts(group, join->member_id))
        join_full(group, join);
    else if (!supports_protocols(group, join))
        refuse(join, GROUP_INCONSISTENT_PROTOCOL, is_new ? BYTES_LITERAL("") : join->member_id);
    else if (is_new)
        join_new(group, join);
    else
        join_known(group, join);
    group_remove_if_blank(group);
}

void group_join_cancel(struct group_join *join)
{
    if (join->member)
        join->member->join = NULL;
    join->member = NULL;
}
