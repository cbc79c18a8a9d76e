#include "broker/test_groups.h"

#include <stdio.h>

static void copy(char *out, size_t size, struct bytes b)
{
    expect_true(b.size < size);
    memcpy(out, b.size ? b.data : (const uint8_t *)"", b.size);
    out[b.size] = 0;
}

struct groups *test_groups(struct test_core *t)
{
    return core_groups(t->core);
}

const struct group *test_group(struct test_core *t, const char *id)
{
    return group_find(test_groups(t), bytes_from_string(id));
}

void test_member(struct test_core *t, struct test_member *m, const char *group)
{
    *m = (struct test_member){
        .t = t,
        .group = group,
        .type = "consumer",
        .session_ms = TEST_SESSION_MS,
        .rebalance_ms = TEST_REBALANCE_MS,
        .protocol_count = 1,
    };
    m->protocols[0].name = BYTES_LITERAL("range");
    m->protocols[0].metadata = BYTES_LITERAL("\0\0\0\0\0\1\0\6orders\xff\xff\xff\xff");
}

static void count_member(void *ctx, const struct group_member_view *view)
{
    struct test_member *m = ctx;
    expect_true(view->metadata.data != NULL);
    m->member_count++;
}

static void joined(struct group_join *join, const struct group_joined *result)
{
    struct test_member *m = container_of(join, struct test_member, join);
    expect_false(m->is_joined);
    m->is_joined = true;
    m->join_error = result->error;
    m->join_ticket = result->ticket;
    m->member_count = 0;
    if (result->member_id.size > 0)
        copy(m->id, sizeof m->id, result->member_id);
    if (result->error)
        return;
    struct group_view view = group_view(result->group);
    m->generation = view.generation;
    m->skip_assignment = result->skip_assignment;
    copy(m->leader, sizeof m->leader, result->leader);
    copy(m->protocol, sizeof m->protocol, view.protocol);
    if (result->has_members)
        group_each_member(result->group, count_member, m);
}

void test_join(struct test_member *m)
{
    group_join_cancel(&m->join);
    m->is_joined = false;
    m->join = (struct group_join){
        .group_id = bytes_from_string(m->group),
        .member_id = bytes_from_string(m->id),
        .instance_id = m->instance ? bytes_from_string(m->instance) : BYTES_NULL,
        .client_id = BYTES_LITERAL("client"),
        .client_host = BYTES_LITERAL("/127.0.0.1"),
        .protocol_type = bytes_from_string(m->type),
        .protocols = m->protocols,
        .protocol_count = m->protocol_count,
        .session_timeout_ms = m->session_ms,
        .rebalance_timeout_ms = m->rebalance_ms,
        .can_return_with_id = m->takes_id_first,
        .can_skip_assignment = m->skips,
        .done = joined,
    };
    group_join(test_groups(m->t), &m->join);
}

bool test_is_leader(const struct test_member *m)
{
    return strcmp(m->leader, m->id) == 0;
}

static void synced(struct group_sync *sync, const struct group_synced *result)
{
    struct test_member *m = container_of(sync, struct test_member, sync);
    expect_false(m->is_synced);
    m->is_synced = true;
    m->sync_error = result->error;
    m->sync_ticket = result->ticket;
    copy(m->assignment, sizeof m->assignment, result->assignment);
}

void test_sync(struct test_member *m, const struct test_member *other)
{
    struct group_assignment assignments[] = {
        {bytes_from_string(m->id), BYTES_LITERAL("mine")},
        {bytes_from_string(other ? other->id : "nobody"), BYTES_LITERAL("yours")},
    };
    group_sync_cancel(&m->sync);
    m->is_synced = false;
    m->sync = (struct group_sync){
        .group_id = bytes_from_string(m->group),
        .member_id = bytes_from_string(m->id),
        .instance_id = m->instance ? bytes_from_string(m->instance) : BYTES_NULL,
        .generation = m->generation,
        .assignments = assignments,
        .assignment_count = test_is_leader(m) ? 2 : 0,
        .done = synced,
    };
    group_sync(test_groups(m->t), &m->sync);
}

enum group_error test_heartbeat(struct test_member *m)
{
    struct group_identity who = {bytes_from_string(m->group), bytes_from_string(m->id),
                                 m->instance ? bytes_from_string(m->instance) : BYTES_NULL};
    return group_heartbeat(test_groups(m->t), &who, m->generation);
}

enum group_error test_leave(struct test_member *m)
{
    struct group_leaver leaver = {
        .member_id = bytes_from_string(m->id),
        .instance_id = m->instance ? bytes_from_string(m->instance) : BYTES_NULL,
    };
    struct ticket ticket;
    enum group_error error =
        group_leave(test_groups(m->t), bytes_from_string(m->group), &leaver, 1, &ticket);
    return error ? error : leaver.error;
}

static void move_clock(struct test_core *t, int64_t now_ns, int64_t wall_ms)
{
    core_turn_end(t->core);
    t->now_ns = now_ns;
    t->wall_ms = wall_ms;
    core_turn_begin(t->core, t->now_ns, t->wall_ms);
    test_core_settle(t);
}

void test_pass(struct test_core *t, int64_t ms)
{
    test_core_turn(t);
    int64_t start_ns = t->now_ns, end_ns = start_ns + ms * 1000000, start_ms = t->wall_ms;
    while (timers_next(&t->core->timers) < end_ns) {
        int64_t due_ns = timers_next(&t->core->timers);
        int64_t now_ns = due_ns > t->now_ns ? due_ns : t->now_ns + 1;
        move_clock(t, now_ns, start_ms + (now_ns - start_ns) / 1000000);
    }
    if (end_ns > t->now_ns)
        move_clock(t, end_ns, start_ms + ms);
}

void test_settle_alone(struct test_member *m)
{
    test_join(m);
    test_pass(m->t, 200);
    expect_true(m->is_joined);
    expect_int(m->join_error, GROUP_OK);
    test_sync(m, NULL);
    expect_true(m->is_synced);
    expect_int(m->sync_error, GROUP_OK);
    test_core_settle(m->t);
}

void test_crash_and_load(struct test_core *t)
{
    test_core_crash(t);
    test_core_settle(t);
    expect_true(groups_are_loaded(test_groups(t)));
}

enum group_error test_commit(struct test_core *t, const char *group, const struct test_member *m,
                             const char *topic, int64_t offset, struct ticket *out)
{
    struct ticket ignored;
    struct offset_commit c = {
        .group_id = bytes_from_string(group),
        .member_id = m ? bytes_from_string(m->id) : BYTES_NULL,
        .instance_id = m && m->instance ? bytes_from_string(m->instance) : BYTES_NULL,
        .generation = m ? m->generation : -1,
        .retention_ms = -1,
    };
    struct offset_value value = {.offset = offset, .leader_epoch = 3};
    enum group_error error = offsets_begin(test_groups(t), &c);
    if (error)
        return error;
    expect_int(offsets_add(&c, bytes_from_string(topic), 0, &value), GROUP_OK);
    return offsets_end(&c, out ? out : &ignored);
}

int64_t test_offset(struct test_core *t, const char *group, const char *topic)
{
    const struct group *g = test_group(t, group);
    const struct offset_value *value = g ? offsets_find(g, bytes_from_string(topic), 0) : NULL;
    return value ? value->offset : -1;
}

bool test_is_done(struct test_core *t, struct ticket ticket)
{
    return store_is_done(t->core->store, ticket, STAGE_COMMITTED);
}

enum group_state test_state(struct test_core *t, const char *group)
{
    const struct group *g = test_group(t, group);
    expect_not_null(g);
    return group_view(g).state;
}

void test_settle_two(struct test_core *t, struct test_member *a, struct test_member *b)
{
    test_join(a);
    test_join(b);
    test_pass(t, 300);
    expect_int(a->join_error, GROUP_OK);
    expect_int(b->join_error, GROUP_OK);
    expect_true(test_is_leader(a));
    test_sync(b, NULL);
    expect_false(b->is_synced);
    test_sync(a, b);
    expect_true(a->is_synced && b->is_synced);
    test_core_settle(t);
}
