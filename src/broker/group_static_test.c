/* Groups: static members, starting again, deleting. */
#include "broker/test_groups.h"

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
    test_settle_two(&t, &a, &b);
    old = b;
    b.id[0] = 0;
    test_join(&b);
    expect_true(b.is_joined);
    expect_int(b.join_error, GROUP_OK);
    expect_int(b.generation, 1);
    expect_false(test_is_done(&t, b.join_ticket)); /* its new name is written first */
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
    test_settle_two(&t, &a, &b);
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
    expect_int(test_state(&t, "g"), GROUP_PREPARING);
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
    test_settle_two(&t, &a, &b);
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
    expect_false(test_is_done(&t, ticket));
    expect_int(test_state(&t, "g"), GROUP_EMPTY);
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
    test_settle_two(&t, &a, &b);
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
    expect_int(test_state(&t, "g"), GROUP_STABLE);
    expect_int(test_heartbeat(&a), GROUP_OK);
    test_sync(&b, NULL);
    expect_string(b.assignment, "yours");
    test_join(&b); /* a follower that is as it was */
    expect_int(b.generation, 1);
    test_pass(&t, TEST_SESSION_MS + 1); /* sessions began anew, and end */
    expect_int(test_state(&t, "g"), GROUP_EMPTY);
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
    expect_int(test_state(&t, "g"), GROUP_COMPLETING);
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
    expect_int(test_state(&t, "g"), GROUP_EMPTY);
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
    expect_true(test_is_done(&t, ticket));
    expect_null(test_group(&t, "g"));
    test_crash_and_load(&t);
    expect_null(test_group(&t, "g"));
    test_settle_alone(&a); /* a new one under the old name */
    expect_int(a.generation, 1);
    expect_int(test_offset(&t, "g", "orders"), -1);
    test_core_end(&t);
}
