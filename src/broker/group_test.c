/* The state machine of groups, with simulated time and disk. */
#include "broker/test_groups.h"

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
    expect_int(test_state(&t, "g"), GROUP_PREPARING);
    test_pass(&t, 20);
    expect_true(a.is_joined);
    expect_int(a.join_error, GROUP_OK);
    expect_int(a.generation, 1);
    expect_string(a.protocol, "range");
    expect_true(test_is_leader(&a));
    expect_int(a.member_count, 1);
    expect_true(bytes_has_prefix(bytes_from_string(a.id), "client-"));
    expect_int(test_state(&t, "g"), GROUP_COMPLETING);
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
    expect_false(test_is_done(&t, a.join_ticket));
    test_core_settle(&t);
    expect_true(test_is_done(&t, a.join_ticket));
    test_sync(&a, NULL);
    expect_true(a.is_synced);
    expect_false(test_is_done(&t, a.sync_ticket));
    test_core_settle(&t);
    expect_true(test_is_done(&t, a.sync_ticket));
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
    expect_int(test_state(&t, "g"), GROUP_STABLE);
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
    test_settle_two(&t, &a, &b);
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
    test_settle_two(&t, &a, &b);
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
    test_settle_two(&t, &a, &b);
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
    test_settle_two(&t, &a, &b);
    test_join(&a);
    expect_false(a.is_joined);
    expect_int(test_heartbeat(&b), GROUP_REBALANCING);
    test_join(&b);
    expect_int(a.generation, 2);
    test_join(&a); /* its answer was lost: the same again, and no rebalance */
    expect_int(a.generation, 2);
    expect_int(a.member_count, 2);
    expect_int(test_state(&t, "g"), GROUP_COMPLETING);
    test_core_end(&t);
}

TEST(group_is_empty_when_the_last_member_leaves)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_member(&t, &a, "g");
    test_member(&t, &b, "g");
    test_settle_two(&t, &a, &b);
    expect_int(test_leave(&a), GROUP_OK);
    expect_int(test_leave(&a), GROUP_UNKNOWN_MEMBER);
    expect_int(test_heartbeat(&b), GROUP_REBALANCING);
    expect_int(test_leave(&b), GROUP_OK);
    expect_int(test_state(&t, "g"), GROUP_EMPTY);
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
    expect_int(test_state(&t, "g"), GROUP_STABLE);
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
    test_settle_two(&t, &a, &b);
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
    expect_int(test_state(&t, "g"), GROUP_PREPARING);
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
