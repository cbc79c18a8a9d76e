/* The state machine of groups, with simulated time and disk. */
#include "broker/test_groups.h"

static bool is_done(struct test_core *t, struct ticket ticket)
{
    return store_is_done(t->core->store, ticket, STAGE_COMMITTED);
}

static enum group_state state_of(struct test_core *t, const char *group)
{
    const struct group *g = test_group(t, group);
    expect_not_null(g);
    return group_view(g).state;
}

/* Two members in a stable group; `a` leads. */
static void settle_two(struct test_core *t, struct test_member *a, struct test_member *b)
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

/* ---- names ---- */

TEST(group_belongs_to_the_partition_that_clients_compute)
{
    expect_int(group_shard_of(BYTES_LITERAL(""), 50), 0);
    expect_int(group_shard_of(BYTES_LITERAL("abc"), 50), 96354 % 50);
    expect_int(group_shard_of(BYTES_LITERAL("polygenelubricants"), 50), 0); /* INT_MIN */
    expect_int(group_shard_of(BYTES_LITERAL("\xc3\xa9"), 50), 0xe9 % 50);
    expect_int(group_shard_of(BYTES_LITERAL("\xe2\x82\xac"), 50), 0x20ac % 50);
    expect_int(group_shard_of(BYTES_LITERAL("\xf0\x9f\x98\x80"), 50), (31 * 0xd83d + 0xde00) % 50);
    expect_int(group_shard_of(BYTES_LITERAL("\xff"), 50), 0xfffd % 50);
    expect_int(group_shard_of(BYTES_LITERAL("\xe2\x82"), 50), (31 * 0xfffd + 0xfffd) % 50);
}

/* ---- the first generation ---- */

TEST(first_member_leads_when_the_delay_is_over)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_join(&a);
    test_pass(&t, 90);
    expect_false(a.is_joined);
    expect_int(state_of(&t, "g"), GROUP_PREPARING);
    test_pass(&t, 20);
    expect_true(a.is_joined);
    expect_int(a.join_error, GROUP_OK);
    expect_int(a.generation, 1);
    expect_string(a.protocol, "range");
    expect_true(test_is_leader(&a));
    expect_int(a.member_count, 1);
    expect_true(bytes_has_prefix(bytes_from_string(a.id), "client-"));
    expect_int(state_of(&t, "g"), GROUP_COMPLETING);
    test_core_end(&t);
}

TEST(members_that_start_together_share_the_first_generation)
{
    struct test_core t;
    struct test_member a, b, c;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_member(&t, &c, "g");
    test_join(&a);
    test_pass(&t, 90);
    test_join(&b);
    test_pass(&t, 90); /* the delay begins anew */
    test_join(&c);
    test_pass(&t, 50);
    expect_false(a.is_joined);
    test_pass(&t, 150);
    expect_int(a.generation, 1);
    expect_int(b.generation, 1);
    expect_int(c.generation, 1);
    expect_int(a.member_count, 3);
    expect_int(b.member_count, 0);
    test_core_end(&t);
}

TEST(first_generation_waits_no_longer_than_the_rebalance_timeout)
{
    struct test_core t;
    struct test_member members[8];
    test_core_init(&t);
    for (int i = 0; i < 8; i++) {
        test_member(&t, &members[i], "g");
        members[i].rebalance_ms = 250;
    }
    int i = 0;
    for (; i < 8 && !members[0].is_joined; i++) {
        test_join(&members[i]);
        test_pass(&t, 90);
    }
    expect_true(members[0].is_joined);
    expect_true(i >= 3 && i < 6);
    test_core_end(&t);
}

TEST(generation_is_told_when_it_is_durable)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    t.core->internal->groups->config.initial_delay_ms = 0;
    test_member(&t, &a, "g");
    test_join(&a);
    test_core_turn(&t);
    expect_true(a.is_joined);
    expect_false(is_done(&t, a.join_ticket));
    test_core_settle(&t);
    expect_true(is_done(&t, a.join_ticket));
    test_sync(&a, NULL);
    expect_true(a.is_synced);
    expect_false(is_done(&t, a.sync_ticket));
    test_core_settle(&t);
    expect_true(is_done(&t, a.sync_ticket));
    test_core_end(&t);
}

TEST(new_member_is_first_told_its_id)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_member(&t, &a, "g");
    a.takes_id_first = true;
    test_join(&a);
    expect_int(a.join_error, GROUP_MEMBER_ID_REQUIRED);
    expect_true(a.id[0] != 0);
    expect_int(test_heartbeat(&a), GROUP_UNKNOWN_MEMBER);
    test_join(&a);
    expect_false(a.is_joined);
    test_pass(&t, 200);
    expect_int(a.join_error, GROUP_OK);
    test_core_end(&t);
}

TEST(member_that_does_not_come_back_with_its_id_is_forgotten)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_member(&t, &a, "g");
    a.takes_id_first = true;
    test_join(&a);
    test_pass(&t, TEST_SESSION_MS + 1);
    expect_null(test_group(&t, "g")); /* and nothing is left of the group */
    test_join(&a);
    expect_int(a.join_error, GROUP_UNKNOWN_MEMBER);
    a.id[0] = 0;
    test_join(&a);
    expect_int(test_leave(&a), GROUP_OK); /* before it has joined */
    expect_null(test_group(&t, "g"));
    test_core_end(&t);
}

/* ---- rebalances ---- */

TEST(member_that_comes_makes_the_others_join_again)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_settle_alone(&a);
    expect_int(state_of(&t, "g"), GROUP_STABLE);
    expect_int(test_heartbeat(&a), GROUP_OK);
    test_join(&b);
    expect_int(test_heartbeat(&a), GROUP_REBALANCING);
    test_pass(&t, 1000);
    expect_false(b.is_joined);
    test_join(&a);
    expect_true(a.is_joined && b.is_joined);
    expect_int(a.generation, 2);
    expect_int(b.generation, 2);
    expect_true(test_is_leader(&a)); /* it stays the leader */
    expect_string(b.leader, a.id);
    expect_int(test_heartbeat(&a), GROUP_OK); /* also before it syncs */
    test_core_end(&t);
}

TEST(member_that_does_not_join_in_time_is_dropped)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_settle_alone(&a);
    a.session_ms = 1000000;
    test_join(&b);
    for (int i = 0; i < TEST_REBALANCE_MS / 5000; i++) {
        expect_false(b.is_joined);
        expect_int(test_heartbeat(&a), GROUP_REBALANCING);
        test_pass(&t, 5000);
    }
    expect_true(b.is_joined);
    expect_int(b.generation, 2);
    expect_true(test_is_leader(&b));
    expect_int(b.member_count, 1);
    expect_int(test_heartbeat(&a), GROUP_UNKNOWN_MEMBER);
    test_core_end(&t);
}

TEST(silent_member_is_dropped_and_the_others_join_again)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    settle_two(&t, &a, &b);
    expect_string(a.assignment, "mine");
    expect_string(b.assignment, "yours");
    for (int i = 0; i < 10; i++) {
        test_pass(&t, 900);
        expect_int(test_heartbeat(&b), GROUP_OK);
    }
    test_pass(&t, 1100);
    expect_int(test_heartbeat(&b), GROUP_REBALANCING);
    expect_int(test_heartbeat(&a), GROUP_UNKNOWN_MEMBER);
    test_join(&b);
    expect_int(b.generation, 2);
    expect_true(test_is_leader(&b));
    test_core_end(&t);
}

TEST(member_that_waits_to_join_is_alive)
{
    struct test_core t;
    struct test_member a, b, c;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_member(&t, &c, "g");
    settle_two(&t, &a, &b);
    test_join(&c);
    test_join(&a);
    for (int i = 0; i < 5; i++) { /* longer than the session of a */
        test_pass(&t, 5000);
        expect_int(test_heartbeat(&b), GROUP_REBALANCING);
    }
    test_join(&b);
    expect_int(a.join_error, GROUP_OK);
    expect_int(a.member_count, 3);
    test_core_end(&t);
}

TEST(new_member_does_not_wait_for_ever)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    a.rebalance_ms = 1000000;
    test_settle_alone(&a);
    test_join(&b);
    for (int i = 0; i < 60; i++) {
        expect_false(b.is_joined);
        test_pass(&t, 5001);
        expect_int(test_heartbeat(&a), GROUP_REBALANCING);
    }
    expect_int(b.join_error, GROUP_UNKNOWN_MEMBER);
    test_core_end(&t);
}

TEST(lost_connection_does_not_lose_the_member)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_settle_alone(&a);
    test_join(&b);
    group_join_cancel(&b.join);
    test_join(&a);
    expect_int(a.member_count, 2);
    test_sync(&a, NULL);
    expect_int(a.sync_error, GROUP_OK);
    expect_false(b.is_joined);
    test_pass(&t, TEST_SESSION_MS - 1000);
    expect_int(test_heartbeat(&a), GROUP_OK);
    test_pass(&t, 1001); /* now its session is over, and only now */
    expect_int(test_heartbeat(&a), GROUP_REBALANCING);
    test_core_end(&t);
}

TEST(newer_join_of_a_member_takes_the_place_of_an_older_one)
{
    struct test_core t;
    struct test_member a, b, again;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_settle_alone(&a);
    b.takes_id_first = true;
    test_join(&b);
    test_join(&b);
    again = b;
    again.join = (struct group_join){0};
    test_join(&again);
    expect_int(b.join_error, GROUP_REBALANCING);
    test_join(&a);
    expect_int(again.join_error, GROUP_OK);
    expect_int(a.member_count, 2);
    test_core_end(&t);
}

TEST(follower_that_joins_again_unchanged_disturbs_nobody)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    settle_two(&t, &a, &b);
    test_join(&b);
    expect_true(b.is_joined);
    expect_int(b.generation, 1);
    expect_int(test_heartbeat(&a), GROUP_OK);
    b.protocols[0].metadata = BYTES_LITERAL("changed");
    test_join(&b);
    expect_false(b.is_joined);
    expect_int(test_heartbeat(&a), GROUP_REBALANCING);
    test_core_end(&t);
}

TEST(leader_that_joins_again_begins_a_rebalance)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    settle_two(&t, &a, &b);
    test_join(&a);
    expect_false(a.is_joined);
    expect_int(test_heartbeat(&b), GROUP_REBALANCING);
    test_join(&b);
    expect_int(a.generation, 2);
    test_join(&a); /* its answer was lost: the same again, and no rebalance */
    expect_int(a.generation, 2);
    expect_int(a.member_count, 2);
    expect_int(state_of(&t, "g"), GROUP_COMPLETING);
    test_core_end(&t);
}

TEST(group_is_empty_when_the_last_member_leaves)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    settle_two(&t, &a, &b);
    expect_int(test_leave(&a), GROUP_OK);
    expect_int(test_leave(&a), GROUP_UNKNOWN_MEMBER);
    expect_int(test_heartbeat(&b), GROUP_REBALANCING);
    expect_int(test_leave(&b), GROUP_OK);
    expect_int(state_of(&t, "g"), GROUP_EMPTY);
    expect_int(group_view(test_group(&t, "g")).generation, 2);
    test_crash_and_load(&t); /* that was not awaited: one or the other */
    test_core_end(&t);
}

/* ---- syncing ---- */

TEST(sync_is_refused_when_it_does_not_fit)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_sync(&a, NULL);
    expect_int(a.sync_error, GROUP_UNKNOWN_MEMBER); /* no such group */
    test_settle_alone(&a);
    b.generation = 1;
    test_sync(&b, NULL);
    expect_int(b.sync_error, GROUP_UNKNOWN_MEMBER);
    a.generation = 7;
    test_sync(&a, NULL);
    expect_int(a.sync_error, GROUP_ILLEGAL_GENERATION);
    a.generation = 1;
    test_join(&b);
    test_sync(&a, NULL);
    expect_int(a.sync_error, GROUP_REBALANCING);
    test_core_end(&t);
}

TEST(sync_of_another_protocol_is_refused)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_settle_alone(&a);
    a.is_synced = false;
    a.sync.protocol_type = BYTES_LITERAL("connect");
    group_sync(test_groups(&t), &a.sync);
    expect_int(a.sync_error, GROUP_INCONSISTENT_PROTOCOL);
    a.is_synced = false;
    a.sync.protocol_type = BYTES_LITERAL("consumer");
    a.sync.protocol_name = BYTES_LITERAL("sticky");
    group_sync(test_groups(&t), &a.sync);
    expect_int(a.sync_error, GROUP_INCONSISTENT_PROTOCOL);
    a.is_synced = false;
    a.sync.protocol_name = BYTES_LITERAL("range");
    group_sync(test_groups(&t), &a.sync);
    expect_int(a.sync_error, GROUP_OK);
    expect_string(a.assignment, "mine");
    test_core_end(&t);
}

TEST(members_that_do_not_sync_are_dropped)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    a.session_ms = b.session_ms = 1000000;
    test_join(&a);
    test_join(&b);
    test_pass(&t, 300);
    test_sync(&b, NULL);
    test_pass(&t, TEST_REBALANCE_MS);
    expect_int(b.sync_error, GROUP_REBALANCING); /* the leader never came */
    expect_int(test_heartbeat(&a), GROUP_UNKNOWN_MEMBER);
    expect_int(test_heartbeat(&b), GROUP_REBALANCING);
    test_join(&b);
    expect_true(test_is_leader(&b));
    test_core_end(&t);
}

TEST(follower_that_never_syncs_is_dropped_from_a_stable_group)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    a.session_ms = b.session_ms = 1000000;
    test_join(&a);
    test_join(&b);
    test_pass(&t, 300);
    test_sync(&a, &b);
    expect_int(state_of(&t, "g"), GROUP_STABLE);
    test_pass(&t, TEST_REBALANCE_MS);
    expect_int(test_heartbeat(&b), GROUP_UNKNOWN_MEMBER);
    expect_int(test_heartbeat(&a), GROUP_REBALANCING);
    test_core_end(&t);
}

TEST(member_that_leaves_while_the_others_sync_sends_them_back)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_join(&a);
    test_join(&b);
    test_pass(&t, 300);
    test_sync(&b, NULL);
    expect_int(test_leave(&a), GROUP_OK);
    expect_int(b.sync_error, GROUP_REBALANCING);
    test_core_end(&t);
}

TEST(waiting_sync_ends_with_its_member)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_join(&a);
    test_join(&b);
    test_pass(&t, 300);
    test_sync(&b, NULL);
    expect_int(test_leave(&b), GROUP_OK);
    expect_int(b.sync_error, GROUP_UNKNOWN_MEMBER);
    test_core_end(&t);
}

TEST(follower_whose_connection_is_lost_while_it_syncs_is_not_immortal)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_join(&a);
    test_join(&b);
    test_pass(&t, 300);
    test_sync(&b, NULL);
    for (int i = 0; i < 4; i++) { /* who waits is alive */
        test_pass(&t, 5000);
        expect_int(test_heartbeat(&a), GROUP_OK);
    }
    group_sync_cancel(&b.sync);
    test_pass(&t, 5000);
    expect_int(test_heartbeat(&a), GROUP_OK);
    test_pass(&t, 5001);
    expect_int(test_heartbeat(&a), GROUP_REBALANCING);
    test_core_end(&t);
}

/* ---- what is refused ---- */

TEST(join_is_refused_when_it_makes_no_sense)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "");
    test_join(&a);
    expect_int(a.join_error, GROUP_INVALID_ID);
    a.group = "g";
    a.session_ms = 5999;
    test_join(&a);
    expect_int(a.join_error, GROUP_INVALID_SESSION_TIMEOUT);
    a.session_ms = 1800001;
    test_join(&a);
    expect_int(a.join_error, GROUP_INVALID_SESSION_TIMEOUT);
    a.session_ms = TEST_SESSION_MS;
    a.protocol_count = 0;
    test_join(&a);
    expect_int(a.join_error, GROUP_INCONSISTENT_PROTOCOL);
    a.protocol_count = 1;
    a.type = "";
    test_join(&a);
    expect_int(a.join_error, GROUP_INCONSISTENT_PROTOCOL);
    expect_null(test_group(&t, "g")); /* nobody made it */
    a.type = "consumer";
    static const char large[(1 << 20) + 1];
    a.protocols[0].metadata = bytes_of(large, sizeof large);
    test_join(&a);
    expect_int(a.join_error, GROUP_INVALID_REQUEST);
    test_member(&t, &a, "g");
    test_settle_alone(&a);
    test_member(&t, &b, "g");
    b.type = "connect";
    test_join(&b);
    expect_int(b.join_error, GROUP_INCONSISTENT_PROTOCOL);
    b.type = "consumer";
    b.protocols[0].name = BYTES_LITERAL("sticky");
    test_join(&b);
    expect_int(b.join_error, GROUP_INCONSISTENT_PROTOCOL);
    expect_int(test_heartbeat(&a), GROUP_OK);
    test_core_end(&t);
}

TEST(group_has_no_more_members_than_it_may)
{
    struct test_core t;
    struct test_member a, b, c;
    test_core_init(&t);
    test_groups(&t)->config.size_max = 2;
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_member(&t, &c, "g");
    settle_two(&t, &a, &b);
    test_join(&c);
    expect_int(c.join_error, GROUP_FULL);
    test_join(&a); /* who is in may join again */
    test_join(&c);
    expect_false(c.is_joined && c.join_error == GROUP_FULL);
    test_join(&b); /* too late: c has taken the last place of the next generation */
    expect_int(b.join_error, GROUP_FULL);
    expect_int(a.generation, 2);
    expect_int(c.generation, 2);
    test_core_end(&t);
}

TEST(groups_take_no_more_memory_than_they_may)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_settle_alone(&a);
    test_groups(&t)->config.memory_max_bytes = test_groups(&t)->bytes + 100;
    test_member(&t, &b, "other");
    test_join(&b);
    expect_int(b.join_error, GROUP_NOT_AVAILABLE);
    expect_int(test_commit(&t, "simple", NULL, "orders", 1, NULL), GROUP_NOT_AVAILABLE);
    test_join(&a); /* a member of old may go on */
    expect_int(a.join_error, GROUP_OK);
    test_groups(&t)->config.memory_max_bytes += 2000;
    test_join(&b);
    expect_false(b.is_joined);
    test_core_end(&t);
}

TEST(nothing_begins_on_a_failed_disk)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "new");
    test_settle_alone(&a);
    sim_disk_fail(t.disk, SIM_SYNC, 1, E_IO);
    expect_int(test_commit(&t, "simple", NULL, "orders", 1, NULL), GROUP_OK);
    test_core_settle(&t);
    expect_true(store_is_frozen(t.core->store));
    expect_int(test_heartbeat(&a), GROUP_OK);
    test_join(&a);
    expect_int(a.join_error, GROUP_NOT_AVAILABLE);
    test_join(&b);
    test_pass(&t, 200);
    expect_int(b.join_error, GROUP_NOT_AVAILABLE);
    expect_int(test_commit(&t, "simple", NULL, "orders", 2, NULL), GROUP_NOT_AVAILABLE);
    expect_int(test_offset(&t, "simple", "orders"), -1);
    struct ticket ticket;
    expect_int(group_delete(test_groups(&t), BYTES_LITERAL("simple"), &ticket),
               GROUP_NOT_AVAILABLE);
    test_core_end(&t);
}

TEST(assignments_that_cannot_be_written_are_not_given)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_join(&a);
    test_pass(&t, 200);
    sim_disk_fail(t.disk, SIM_SYNC, 1, E_IO);
    expect_int(test_commit(&t, "simple", NULL, "orders", 1, NULL), GROUP_OK);
    test_core_settle(&t);
    test_sync(&a, NULL);
    expect_int(a.sync_error, GROUP_NOT_AVAILABLE);
    expect_int(state_of(&t, "g"), GROUP_PREPARING);
    test_core_end(&t);
}

/* ---- protocols ---- */

TEST(most_members_choose_the_protocol)
{
    struct test_core t;
    struct test_member m[3];
    test_core_init(&t);
    for (int i = 0; i < 3; i++) {
        test_member(&t, &m[i], "g");
        m[i].protocol_count = 2;
        m[i].protocols[i != 0].name = BYTES_LITERAL("range");
        m[i].protocols[i == 0].name = BYTES_LITERAL("sticky");
        m[i].protocols[1].metadata = m[i].protocols[0].metadata;
        test_join(&m[i]);
    }
    test_pass(&t, 300);
    expect_string(m[0].protocol, "sticky");
    expect_string(m[2].protocol, "sticky");
    test_core_end(&t);
}

TEST(protocol_that_somebody_cannot_do_is_not_chosen)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    a.protocol_count = 2;
    a.protocols[1] = a.protocols[0];
    a.protocols[0].name = BYTES_LITERAL("sticky");
    test_join(&a);
    test_join(&b);
    test_pass(&t, 300);
    expect_string(a.protocol, "range");
    test_core_end(&t);
}

TEST(protocol_named_twice_counts_once)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    a.protocol_count = 2;
    a.protocols[1] = a.protocols[0];
    b.protocols[0].name = BYTES_LITERAL("sticky");
    test_settle_alone(&a);
    test_join(&b);
    expect_int(b.join_error, GROUP_INCONSISTENT_PROTOCOL);
    expect_int(test_leave(&a), GROUP_OK);
    test_core_end(&t);
}

/* ---- static members ---- */

TEST(static_member_comes_back_without_a_rebalance)
{
    struct test_core t;
    struct test_member a, b, old;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    a.instance = "pod-a";
    b.instance = "pod-b";
    settle_two(&t, &a, &b);
    old = b;
    b.id[0] = 0;
    test_join(&b);
    expect_true(b.is_joined);
    expect_int(b.join_error, GROUP_OK);
    expect_int(b.generation, 1);
    expect_false(is_done(&t, b.join_ticket)); /* its new name is written first */
    test_sync(&b, NULL);
    expect_string(b.assignment, "yours");
    expect_int(test_heartbeat(&a), GROUP_OK);
    expect_int(test_heartbeat(&old), GROUP_FENCED_INSTANCE);
    test_core_settle(&t);
    test_crash_and_load(&t);
    expect_int(test_heartbeat(&b), GROUP_OK);
    expect_int(test_heartbeat(&old), GROUP_FENCED_INSTANCE);
    test_core_end(&t);
}

TEST(static_leader_comes_back_and_need_not_assign)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    a.instance = "pod-a";
    settle_two(&t, &a, &b);
    char old_id[600];
    memcpy(old_id, a.id, sizeof old_id);
    a.id[0] = 0;
    test_join(&a); /* a client that cannot be told to skip: it must not think that it leads */
    expect_string(a.leader, old_id);
    expect_int(a.member_count, 0);
    a.id[0] = 0;
    a.skips = true;
    test_join(&a);
    expect_true(test_is_leader(&a));
    expect_true(a.skip_assignment);
    expect_int(a.member_count, 2);
    expect_int(test_heartbeat(&b), GROUP_OK);
    test_core_end(&t);
}

TEST(static_member_that_changes_the_protocol_begins_a_rebalance)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_member(&t, &a, "g");
    a.instance = "pod-a";
    test_settle_alone(&a);
    a.id[0] = 0;
    a.protocol_count = 2;
    a.protocols[1] = a.protocols[0];
    a.protocols[0].name = BYTES_LITERAL("sticky");
    test_join(&a);
    expect_int(a.generation, 2);
    expect_string(a.protocol, "sticky");
    test_core_end(&t);
}

TEST(waiting_requests_of_a_replaced_static_member_are_fenced)
{
    struct test_core t;
    struct test_member a, b, again;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    b.instance = "pod-b";
    test_settle_alone(&a);
    test_join(&b);
    again = b;
    again.join = (struct group_join){0};
    again.id[0] = 0;
    test_join(&again);
    expect_int(b.join_error, GROUP_FENCED_INSTANCE);
    expect_false(again.is_joined);
    test_join(&a);
    expect_int(again.join_error, GROUP_OK);
    test_sync(&again, NULL);
    b = again;
    b.sync = (struct group_sync){0};
    b.id[0] = 0;
    test_join(&b); /* while the others sync: they start over */
    expect_int(again.sync_error, GROUP_FENCED_INSTANCE);
    expect_int(test_heartbeat(&a), GROUP_REBALANCING);
    test_core_end(&t);
}

TEST(static_member_keeps_its_place_until_its_session_ends)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    a.instance = "pod-a";
    a.session_ms = 100000;
    a.rebalance_ms = b.rebalance_ms = 20000;
    test_settle_alone(&a);
    test_join(&b);
    test_pass(&t, 20000); /* b does not wait longer than this */
    expect_int(b.join_error, GROUP_OK);
    expect_int(b.member_count, 2); /* a is still one of them */
    expect_true(test_is_leader(&b));
    test_core_end(&t);
}

TEST(static_members_that_are_all_away_are_waited_for)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    a.instance = "pod-a";
    a.session_ms = 1000000;
    test_settle_alone(&a);
    b.takes_id_first = true;
    test_join(&b);
    test_join(&b);
    expect_int(test_leave(&b), GROUP_OK);
    expect_int(b.join_error, GROUP_UNKNOWN_MEMBER);
    test_pass(&t, TEST_REBALANCE_MS);
    expect_int(state_of(&t, "g"), GROUP_PREPARING);
    expect_int(test_heartbeat(&a), GROUP_REBALANCING);
    test_join(&a);
    expect_int(a.join_error, GROUP_OK);
    test_core_end(&t);
}

TEST(several_members_leave_at_once)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    a.instance = "pod-a";
    settle_two(&t, &a, &b);
    struct ticket ticket;
    struct group_leaver leavers[] = {
        {.instance_id = BYTES_LITERAL("pod-a")},
        {.member_id = bytes_from_string(b.id)},
        {.instance_id = BYTES_LITERAL("pod-x")},
        {.member_id = BYTES_LITERAL("nobody")},
        {.member_id = BYTES_NULL},
    };
    expect_int(group_leave(test_groups(&t), BYTES_LITERAL("g"), leavers, 5, &ticket), GROUP_OK);
    expect_int(leavers[0].error, GROUP_OK);
    expect_int(leavers[1].error, GROUP_OK);
    expect_int(leavers[2].error, GROUP_UNKNOWN_MEMBER);
    expect_int(leavers[3].error, GROUP_UNKNOWN_MEMBER);
    expect_int(leavers[4].error, GROUP_UNKNOWN_MEMBER);
    expect_false(is_done(&t, ticket));
    expect_int(state_of(&t, "g"), GROUP_EMPTY);
    expect_int(group_leave(test_groups(&t), BYTES_LITERAL(""), leavers, 1, &ticket),
               GROUP_INVALID_ID);
    test_core_end(&t);
}

TEST(member_with_a_wrong_instance_is_refused)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    a.instance = "pod-a";
    test_settle_alone(&a);
    b = a;
    b.instance = "pod-b";
    expect_int(test_heartbeat(&b), GROUP_UNKNOWN_MEMBER);
    b = a;
    b.id[0] = 'X';
    expect_int(test_heartbeat(&b), GROUP_FENCED_INSTANCE);
    expect_int(test_leave(&b), GROUP_FENCED_INSTANCE);
    expect_int(test_commit(&t, "g", &b, "orders", 1, NULL), GROUP_FENCED_INSTANCE);
    b.join = (struct group_join){0};
    test_join(&b);
    expect_int(b.join_error, GROUP_FENCED_INSTANCE);
    test_core_end(&t);
}

/* ---- starting again ---- */

TEST(stable_group_goes_on_after_a_crash)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    settle_two(&t, &a, &b);
    test_core_crash(&t);
    expect_int(groups_look(test_groups(&t), BYTES_LITERAL("g")), GROUP_LOADING);
    expect_int(test_heartbeat(&a), GROUP_OK); /* stay calm */
    test_sync(&a, NULL);
    expect_int(a.sync_error, GROUP_LOADING);
    a.join = (struct group_join){0};
    test_join(&a);
    expect_int(a.join_error, GROUP_LOADING);
    expect_int(test_leave(&a), GROUP_LOADING);
    expect_int(test_commit(&t, "g", &a, "orders", 1, NULL), GROUP_LOADING);
    struct ticket ticket;
    expect_int(group_delete(test_groups(&t), BYTES_LITERAL("g"), &ticket), GROUP_LOADING);
    struct offset_removal removal;
    expect_int(offsets_remove_begin(test_groups(&t), BYTES_LITERAL("g"), &removal), GROUP_LOADING);
    test_core_settle(&t);
    expect_int(state_of(&t, "g"), GROUP_STABLE);
    expect_int(test_heartbeat(&a), GROUP_OK);
    test_sync(&b, NULL);
    expect_string(b.assignment, "yours");
    test_join(&b); /* a follower that is as it was */
    expect_int(b.generation, 1);
    test_pass(&t, TEST_SESSION_MS + 1); /* sessions began anew, and end */
    expect_int(state_of(&t, "g"), GROUP_EMPTY);
    test_core_end(&t);
}

TEST(generation_that_was_told_is_not_given_again_after_a_crash)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_join(&a);
    test_pass(&t, 200);
    expect_int(a.generation, 1);
    test_crash_and_load(&t); /* before it has synced */
    expect_int(state_of(&t, "g"), GROUP_COMPLETING);
    expect_int(test_heartbeat(&a), GROUP_OK);
    a.join = (struct group_join){0};
    test_sync(&a, NULL);
    expect_int(a.sync_error, GROUP_OK);
    expect_string(a.assignment, "mine");
    test_core_settle(&t);
    expect_int(test_leave(&a), GROUP_OK);
    test_core_settle(&t);
    test_crash_and_load(&t);
    a.id[0] = 0;
    test_join(&a);
    test_pass(&t, 200);
    expect_int(a.generation, 3);
    test_core_end(&t);
}

TEST(member_that_has_not_synced_when_the_broker_starts_again_is_waited_for)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_member(&t, &a, "g");
    a.session_ms = 1000000;
    test_join(&a);
    test_pass(&t, 200);
    test_crash_and_load(&t);
    test_pass(&t, TEST_REBALANCE_MS + 1);
    expect_int(test_heartbeat(&a), GROUP_UNKNOWN_MEMBER);
    expect_int(state_of(&t, "g"), GROUP_EMPTY);
    test_core_end(&t);
}

TEST(groups_are_in_their_topic_for_everybody_to_read)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_settle_alone(&a);
    struct topic *topic = topic_find(t.core, BYTES_LITERAL("__consumer_offsets"));
    expect_not_null(topic);
    expect_int(topic->partition_count, 50);
    expect_true(topic_name_is_internal(topic->name));
    int32_t shard = group_shard_of(BYTES_LITERAL("g"), 50);
    expect_int(topic->partitions[shard]->log->hw, 2); /* the generation, its assignments */
    test_core_end(&t);
}

/* ---- deleting ---- */

TEST(group_with_members_is_not_deleted)
{
    struct test_core t;
    struct test_member a;
    struct ticket ticket;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_settle_alone(&a);
    expect_int(group_delete(test_groups(&t), BYTES_LITERAL("g"), &ticket), GROUP_NOT_EMPTY);
    expect_int(group_delete(test_groups(&t), BYTES_LITERAL("other"), &ticket), GROUP_NOT_FOUND);
    test_core_end(&t);
}

TEST(deleted_group_stays_deleted)
{
    struct test_core t;
    struct test_member a;
    struct ticket ticket;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    test_member(&t, &a, "g");
    test_settle_alone(&a);
    expect_int(test_commit(&t, "g", &a, "orders", 5, NULL), GROUP_OK);
    expect_int(test_leave(&a), GROUP_OK);
    test_core_settle(&t);
    expect_int(group_delete(test_groups(&t), BYTES_LITERAL("g"), &ticket), GROUP_OK);
    expect_int(group_delete(test_groups(&t), BYTES_LITERAL("g"), &ticket), GROUP_NOT_FOUND);
    expect_int(test_offset(&t, "g", "orders"), 5); /* until it is committed */
    expect_int(test_commit(&t, "g", NULL, "orders", 6, NULL), GROUP_NOT_AVAILABLE);
    a.id[0] = 0;
    test_join(&a);
    expect_int(a.join_error, GROUP_NOT_AVAILABLE);
    test_core_settle(&t);
    expect_true(is_done(&t, ticket));
    expect_null(test_group(&t, "g"));
    test_crash_and_load(&t);
    expect_null(test_group(&t, "g"));
    test_settle_alone(&a); /* a new one under the old name */
    expect_int(a.generation, 1);
    expect_int(test_offset(&t, "g", "orders"), -1);
    test_core_end(&t);
}
