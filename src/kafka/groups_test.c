/* Groups and offsets through the protocol: waiting, order, commits, connections that go. What is
 * answered in which case, golden_test.c compares with Kafka. */
#include "broker/group.h"
#include "kafka/errors.h"
#include "kafka/test_broker.h"

enum { SESSION_MS = 10000 };

struct member {
    struct test_client *client;
    struct bytes id;
    int32_t generation;
};

static struct kafka_join_group_request *join(struct test_broker *b, const struct member *m)
{
    struct kafka_join_group_request *in = wire_new(&kafka_join_group_request_schema, &b->arena, 1);
    in->group_id = BYTES_LITERAL("work");
    in->member_id = m->id;
    in->session_timeout_ms = SESSION_MS;
    in->rebalance_timeout_ms = 5 * SESSION_MS;
    in->protocol_type = BYTES_LITERAL("consumer");
    in->protocols.items = wire_new(&kafka_join_group_request_protocol_schema, &b->arena, 1);
    in->protocols.count = 1;
    in->protocols.items[0].name = BYTES_LITERAL("range");
    in->protocols.items[0].metadata = BYTES_LITERAL("topics");
    return in;
}

static struct kafka_sync_group_request *sync_of(struct test_broker *b, const struct member *m,
                                                const struct member *other)
{
    struct kafka_sync_group_request *in = wire_new(&kafka_sync_group_request_schema, &b->arena, 1);
    in->group_id = BYTES_LITERAL("work");
    in->member_id = m->id;
    in->generation_id = m->generation;
    in->protocol_type = BYTES_LITERAL("consumer");
    in->protocol_name = BYTES_LITERAL("range");
    in->assignments.items = wire_new(&kafka_sync_group_request_assignment_schema, &b->arena, 2);
    in->assignments.count = other ? 2 : 0;
    in->assignments.items[0].member_id = m->id;
    in->assignments.items[0].assignment = BYTES_LITERAL("left");
    in->assignments.items[1].member_id = other ? other->id : BYTES_NULL;
    in->assignments.items[1].assignment = BYTES_LITERAL("right");
    return in;
}

static struct kafka_heartbeat_request *heartbeat(struct test_broker *b, const struct member *m)
{
    struct kafka_heartbeat_request *in = wire_new(&kafka_heartbeat_request_schema, &b->arena, 1);
    in->group_id = BYTES_LITERAL("work");
    in->member_id = m->id;
    in->generation_id = m->generation;
    return in;
}

static struct kafka_offset_commit_request *commit(struct test_broker *b, const struct member *m,
                                                  int32_t partition, int64_t offset)
{
    struct kafka_offset_commit_request *in =
        wire_new(&kafka_offset_commit_request_schema, &b->arena, 1);
    in->group_id = BYTES_LITERAL("work");
    in->generation_id_or_member_epoch = m ? m->generation : -1;
    in->member_id = m ? m->id : BYTES_NULL;
    in->topics.items = wire_new(&kafka_offset_commit_request_topic_schema, &b->arena, 1);
    in->topics.count = 1;
    in->topics.items[0].name = BYTES_LITERAL("orders");
    in->topics.items[0].partitions.items =
        wire_new(&kafka_offset_commit_request_partition_schema, &b->arena, 1);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0].partition_index = partition;
    in->topics.items[0].partitions.items[0].committed_offset = offset;
    return in;
}

static struct kafka_offset_fetch_request *fetch_all(struct test_broker *b)
{
    struct kafka_offset_fetch_request *in =
        wire_new(&kafka_offset_fetch_request_schema, &b->arena, 1);
    in->group_id = BYTES_LITERAL("work");
    return in;
}

static int commit_error(const struct kafka_offset_commit_response *reply)
{
    expect_not_null(reply);
    return reply->topics.items[0].partitions.items[0].error_code;
}

static struct kafka_join_group_response *joined(struct member *m, int version, int32_t id)
{
    struct kafka_join_group_response *reply =
        client_receive(m->client, KAFKA_JOIN_GROUP, version, id);
    if (reply && reply->error_code == KAFKA_NONE) {
        m->id = reply->member_id;
        m->generation = reply->generation_id;
    }
    return reply;
}

/* A member alone in a stable group. */
static void settle(struct test_broker *b, struct member *m)
{
    m->client = broker_client(b);
    int32_t id = client_send(m->client, KAFKA_JOIN_GROUP, 3, join(b, m));
    broker_advance(b, 200);
    broker_commit(b);
    expect_int(joined(m, 3, id)->error_code, KAFKA_NONE);
    struct kafka_sync_group_response *reply =
        client_call(m->client, KAFKA_SYNC_GROUP, 3, sync_of(b, m, m));
    expect_int(reply->error_code, KAFKA_NONE);
    expect_true(bytes_equal_string(reply->assignment, "right"));
}

TEST(members_on_two_connections_share_out_in_every_version)
{
    for (int version = 0; version <= 9; version++) {
        struct test_broker b;
        broker_open(&b);
        struct member one = {.client = broker_client(&b)}, two = {.client = broker_client(&b)};
        struct member *both[] = {&one, &two};
        int32_t ids[2];
        for (int i = 0; i < 2 && version >= 4; i++) {
            struct kafka_join_group_response *told =
                client_call(both[i]->client, KAFKA_JOIN_GROUP, version, join(&b, both[i]));
            expect_int(told->error_code, KAFKA_MEMBER_ID_REQUIRED);
            both[i]->id = told->member_id;
        }
        for (int i = 0; i < 2; i++)
            ids[i] = client_send(both[i]->client, KAFKA_JOIN_GROUP, version, join(&b, both[i]));
        for (int i = 0; i < 4; i++)
            broker_advance(&b, 150);
        broker_commit(&b);
        struct kafka_join_group_response *leads = joined(&one, version, ids[0]);
        struct kafka_join_group_response *follows = joined(&two, version, ids[1]);
        expect_int(leads->members.count, 2);
        expect_int(follows->members.count, 0);
        expect_true(bytes_equal(follows->leader, one.id));
        int sync_version = version < 5 ? version : 5;
        int32_t waits =
            client_send(two.client, KAFKA_SYNC_GROUP, sync_version, sync_of(&b, &two, NULL));
        broker_commit(&b);
        expect_null(client_receive(two.client, KAFKA_SYNC_GROUP, sync_version, waits));
        struct kafka_sync_group_response *reply =
            client_call(one.client, KAFKA_SYNC_GROUP, sync_version, sync_of(&b, &one, &two));
        expect_true(bytes_equal_string(reply->assignment, "left"));
        reply = client_receive(two.client, KAFKA_SYNC_GROUP, sync_version, waits);
        expect_true(bytes_equal_string(reply->assignment, "right"));
        broker_close(&b);
    }
}

TEST(joins_and_syncs_are_answered_when_they_are_committed)
{
    struct test_broker b;
    broker_open(&b);
    struct member m = {.client = broker_client(&b)};
    int32_t id = client_send(m.client, KAFKA_JOIN_GROUP, 3, join(&b, &m));
    broker_advance(&b, 200); /* the disk does nothing */
    expect_null(client_receive(m.client, KAFKA_JOIN_GROUP, 3, id));
    broker_commit(&b);
    expect_int(joined(&m, 3, id)->error_code, KAFKA_NONE);
    id = client_send(m.client, KAFKA_SYNC_GROUP, 3, sync_of(&b, &m, &m));
    broker_turn(&b);
    expect_null(client_receive(m.client, KAFKA_SYNC_GROUP, 3, id));
    broker_commit(&b);
    expect_not_null(client_receive(m.client, KAFKA_SYNC_GROUP, 3, id));
    broker_close(&b);
}

TEST(leaving_is_answered_when_it_is_committed)
{
    struct test_broker b;
    broker_open(&b);
    struct member m = {0};
    settle(&b, &m);
    struct kafka_leave_group_request in = {.group_id = BYTES_LITERAL("work"), .member_id = m.id};
    int32_t id = client_send(m.client, KAFKA_LEAVE_GROUP, 1, &in);
    broker_turn(&b);
    expect_null(client_receive(m.client, KAFKA_LEAVE_GROUP, 1, id));
    broker_commit(&b);
    struct kafka_leave_group_response *reply = client_receive(m.client, KAFKA_LEAVE_GROUP, 1, id);
    expect_int(reply->error_code, KAFKA_NONE);
    broker_close(&b);
}

TEST(requests_behind_a_waiting_join_wait)
{
    struct test_broker b;
    broker_open(&b);
    struct member m = {.client = broker_client(&b)};
    int32_t id = client_send(m.client, KAFKA_JOIN_GROUP, 3, join(&b, &m));
    int32_t next = client_send(m.client, KAFKA_HEARTBEAT, 3, heartbeat(&b, &m));
    broker_commit(&b);
    expect_null(client_receive(m.client, KAFKA_JOIN_GROUP, 3, id));
    broker_advance(&b, 200);
    broker_commit(&b);
    expect_not_null(joined(&m, 3, id));
    struct kafka_heartbeat_response *reply = client_receive(m.client, KAFKA_HEARTBEAT, 3, next);
    expect_int(reply->error_code, KAFKA_UNKNOWN_MEMBER_ID); /* it did not know its id yet */
    broker_close(&b);
}

TEST(connection_may_go_while_it_waits)
{
    struct test_broker b;
    broker_open(&b);
    struct member one = {0}, two = {.client = broker_client(&b)};
    settle(&b, &one);
    client_send(two.client, KAFKA_JOIN_GROUP, 3, join(&b, &two));
    broker_commit(&b);
    sim_link_end(two.client->link);
    broker_turn(&b);
    int32_t id = client_send(one.client, KAFKA_JOIN_GROUP, 3, join(&b, &one));
    broker_commit(&b);
    struct kafka_join_group_response *reply = joined(&one, 3, id);
    expect_int(reply->members.count, 2); /* it may come back until its session ends */
    id = client_send(one.client, KAFKA_SYNC_GROUP, 3, sync_of(&b, &one, &one));
    sim_link_end(one.client->link);
    broker_commit(&b);
    broker_advance(&b, 3 * SESSION_MS);
    broker_advance(&b, 3 * SESSION_MS);
    broker_commit(&b);
    const struct group *group = group_find(core_groups(b.core), BYTES_LITERAL("work"));
    expect_int(group_view(group).state, GROUP_EMPTY);
    broker_close(&b);
}

TEST(offset_commit_is_answered_when_it_is_committed)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 2);
    struct test_client *c = broker_client(&b), *other = broker_client(&b);
    for (int version = 2; version <= 9; version++) {
        int32_t id = client_send(c, KAFKA_OFFSET_COMMIT, version, commit(&b, NULL, 1, version));
        int32_t asks = client_send(other, KAFKA_OFFSET_FETCH, 5, fetch_all(&b));
        broker_turn(&b);
        expect_null(client_receive(c, KAFKA_OFFSET_COMMIT, version, id));
        expect_null(client_receive(other, KAFKA_OFFSET_FETCH, 5, asks)); /* it came later */
        broker_commit(&b);
        expect_int(commit_error(client_receive(c, KAFKA_OFFSET_COMMIT, version, id)), KAFKA_NONE);
        struct kafka_offset_fetch_response *reply =
            client_receive(other, KAFKA_OFFSET_FETCH, 5, asks);
        expect_int(reply->topics.items[0].partitions.items[0].committed_offset, version);
    }
    broker_close(&b);
}

TEST(pipelined_offset_commits_share_a_commit)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    client_call(c, KAFKA_OFFSET_COMMIT, 8, commit(&b, NULL, 0, 1)); /* makes the topic */
    int32_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = client_send(c, KAFKA_OFFSET_COMMIT, 8, commit(&b, NULL, 0, 10 + i));
    int32_t asks = client_send(c, KAFKA_OFFSET_FETCH, 7, fetch_all(&b));
    broker_commit(&b);
    for (int i = 0; i < 3; i++)
        expect_int(commit_error(client_receive(c, KAFKA_OFFSET_COMMIT, 8, ids[i])), KAFKA_NONE);
    struct kafka_offset_fetch_response *reply = client_receive(c, KAFKA_OFFSET_FETCH, 7, asks);
    expect_int(reply->topics.items[0].partitions.items[0].committed_offset, 12);
    broker_close(&b);
}

TEST(failed_disk_is_told_and_what_was_committed_is_still_read)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct member m = {0};
    settle(&b, &m);
    struct test_client *c = broker_client(&b);
    expect_int(commit_error(client_call(m.client, KAFKA_OFFSET_COMMIT, 8, commit(&b, &m, 0, 5))),
               KAFKA_NONE);
    sim_disk_fail(b.disk, SIM_SYNC, 1, E_IO);
    expect_int(commit_error(client_call(m.client, KAFKA_OFFSET_COMMIT, 8, commit(&b, &m, 0, 6))),
               KAFKA_COORDINATOR_NOT_AVAILABLE);
    expect_int(commit_error(client_call(m.client, KAFKA_OFFSET_COMMIT, 8, commit(&b, &m, 0, 7))),
               KAFKA_COORDINATOR_NOT_AVAILABLE);
    struct kafka_offset_fetch_response *offsets =
        client_call(c, KAFKA_OFFSET_FETCH, 5, fetch_all(&b));
    expect_int(offsets->topics.items[0].partitions.items[0].committed_offset, 5);
    struct kafka_join_group_response *reply =
        client_call(m.client, KAFKA_JOIN_GROUP, 3, join(&b, &m));
    expect_int(reply->error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    struct bytes id = BYTES_LITERAL("work");
    struct kafka_describe_groups_request describe = {0};
    describe.groups.items = &id;
    describe.groups.count = 1;
    struct kafka_describe_groups_response *described =
        client_call(c, KAFKA_DESCRIBE_GROUPS, 5, &describe);
    expect_int(described->groups.items[0].error_code, KAFKA_NONE);
    broker_close(&b);
}

TEST(slow_disk_ends_the_patience_of_a_commit)
{
    struct test_broker b;
    broker_open(&b);
    broker_topic(&b, "orders", 1);
    struct test_client *c = broker_client(&b);
    int32_t id = client_send(c, KAFKA_OFFSET_COMMIT, 8, commit(&b, NULL, 0, 5));
    broker_advance(&b, 4900);
    expect_null(client_receive(c, KAFKA_OFFSET_COMMIT, 8, id));
    broker_advance(&b, 200);
    expect_int(commit_error(client_receive(c, KAFKA_OFFSET_COMMIT, 8, id)),
               KAFKA_COORDINATOR_NOT_AVAILABLE);
    id = client_send(c, KAFKA_OFFSET_FETCH, 5, fetch_all(&b));
    broker_advance(&b, 5100);
    struct kafka_offset_fetch_response *reply = client_receive(c, KAFKA_OFFSET_FETCH, 5, id);
    expect_int(reply->error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    broker_commit(&b);
    broker_close(&b);
}

TEST(coordinators_of_transactions_and_share_groups_are_refused)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    for (int8_t type = 1; type <= 3; type++) {
        struct bytes key = BYTES_LITERAL("k");
        struct kafka_find_coordinator_request in = {.key = key, .key_type = type};
        in.coordinator_keys.items = &key;
        in.coordinator_keys.count = 1;
        struct kafka_find_coordinator_response *reply =
            client_call(c, KAFKA_FIND_COORDINATOR, 2, &in);
        expect_int(reply->error_code, KAFKA_INVALID_REQUEST);
        expect_true(reply->error_message.size > 0);
        reply = client_call(c, KAFKA_FIND_COORDINATOR, 6, &in);
        expect_int(reply->coordinators.items[0].error_code, KAFKA_INVALID_REQUEST);
        expect_true(bytes_equal_string(reply->coordinators.items[0].key, "k"));
    }
    broker_close(&b);
}

TEST(coordinator_is_told_when_its_topic_is_durable)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_find_coordinator_request in = {.key = BYTES_LITERAL("work")};
    int32_t id = client_send(c, KAFKA_FIND_COORDINATOR, 0, &in);
    broker_turn(&b);
    expect_null(client_receive(c, KAFKA_FIND_COORDINATOR, 0, id));
    broker_commit(&b);
    struct kafka_find_coordinator_response *reply =
        client_receive(c, KAFKA_FIND_COORDINATOR, 0, id);
    expect_int(reply->error_code, KAFKA_NONE);
    expect_int(reply->node_id, 7);
    broker_close(&b);
}

TEST(clients_read_the_groups_topic_and_nothing_more)
{
    struct test_broker b;
    broker_open(&b);
    struct member m = {0};
    settle(&b, &m);
    struct bytes name = BYTES_LITERAL("__consumer_offsets");
    struct kafka_metadata_request metadata = {0};
    struct kafka_metadata_request_topic asked = {.name = name};
    metadata.topics.items = &asked;
    metadata.topics.count = 1;
    struct kafka_metadata_response *found = client_call(m.client, KAFKA_METADATA, 9, &metadata);
    expect_true(found->topics.items[0].is_internal);
    expect_int(found->topics.items[0].partitions.count, 50);

    struct bytes batch = make_batch(&b.arena, b.wall_ms, "x", NULL);
    struct kafka_produce_response *produced = client_call(
        m.client, KAFKA_PRODUCE, 9, make_produce(&b.arena, "__consumer_offsets", 0, -1, batch));
    expect_int(produced->responses.items[0].partition_responses.items[0].error_code,
               KAFKA_INVALID_TOPIC);

    struct kafka_delete_topics_request deletion = {.timeout_ms = 1000};
    deletion.topic_names.items = &name;
    deletion.topic_names.count = 1;
    struct kafka_delete_topics_response *deleted =
        client_call(m.client, KAFKA_DELETE_TOPICS, 5, &deletion);
    expect_int(deleted->responses.items[0].error_code, KAFKA_INVALID_TOPIC);

    struct kafka_create_topics_request creation = {.timeout_ms = 1000};
    struct kafka_create_topics_request_topic wanted = {
        .name = BYTES_LITERAL("__transaction_state"),
        .num_partitions = 1,
        .replication_factor = 1,
    };
    creation.topics.items = &wanted;
    creation.topics.count = 1;
    struct kafka_create_topics_response *created =
        client_call(m.client, KAFKA_CREATE_TOPICS, 5, &creation);
    expect_int(created->topics.items[0].error_code, KAFKA_INVALID_TOPIC);
    broker_close(&b);
}

TEST(answer_of_very_many_offsets_is_bounded)
{
    struct test_broker b;
    broker_open(&b);
    struct test_client *c = broker_client(&b);
    struct kafka_offset_fetch_request *in = fetch_all(&b);
    enum { COUNT = 2000000 };
    in->topics.items = wire_new(&kafka_offset_fetch_request_topic_schema, &b.arena, 1);
    in->topics.count = 1;
    in->topics.items[0].name = BYTES_LITERAL("orders");
    in->topics.items[0].partition_indexes.items = arena_zalloc(&b.arena, COUNT, sizeof(int32_t));
    in->topics.items[0].partition_indexes.count = COUNT;
    client_send(c, KAFKA_OFFSET_FETCH, 5, in);
    broker_commit(&b);
    expect_true(client_is_closed(c));
    broker_close(&b);
}
