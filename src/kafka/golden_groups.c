/* Questions about groups and their offsets. They have a record of their own: golden/kafka_4.1_groups.txt.
 * There is one connection, so a group has one member at a time, or waits would not end. */
#include "kafka/golden_internal.h"

enum { SESSION_MS = 600000 };

struct member {
    const char *group, *instance;
    struct bytes id;
    int32_t generation;
};

static struct bytes text_or_null(const char *s)
{
    return s ? bytes_from_string(s) : BYTES_NULL;
}

static int at_most(int version, int max)
{
    return version < max ? version : max;
}

/* What a consumer says about itself: version 0, one topic, no user data. */
#define SUBSCRIPTION BYTES_LITERAL("\0\0\0\0\0\1\0\6orders\xff\xff\xff\xff")

/* ---- making requests ---- */

static struct kafka_join_group_request *join(struct golden *g, const struct member *m)
{
    struct kafka_join_group_request *in = wire_new(&kafka_join_group_request_schema, &g->arena, 1);
    in->group_id = bytes_from_string(m->group);
    in->member_id = m->id;
    in->group_instance_id = text_or_null(m->instance);
    in->session_timeout_ms = SESSION_MS;
    in->rebalance_timeout_ms = SESSION_MS;
    in->protocol_type = BYTES_LITERAL("consumer");
    in->protocols.items = wire_new(&kafka_join_group_request_protocol_schema, &g->arena, 2);
    in->protocols.count = 2;
    in->protocols.items[0].name = BYTES_LITERAL("range");
    in->protocols.items[1].name = BYTES_LITERAL("roundrobin");
    in->protocols.items[0].metadata = in->protocols.items[1].metadata = SUBSCRIPTION;
    return in;
}

static void do_join(struct golden *g, int version, const char *what, struct member *m)
{
    struct kafka_join_group_response *reply =
        golden_step(g, KAFKA_JOIN_GROUP, version, what, join(g, m));
    if (reply->member_id.size > 0)
        m->id = reply->member_id;
    if (reply->generation_id >= 0)
        m->generation = reply->generation_id;
}

static struct kafka_sync_group_request *sync_of(struct golden *g, const struct member *m)
{
    struct kafka_sync_group_request *in = wire_new(&kafka_sync_group_request_schema, &g->arena, 1);
    in->group_id = bytes_from_string(m->group);
    in->member_id = m->id;
    in->group_instance_id = text_or_null(m->instance);
    in->generation_id = m->generation;
    in->protocol_type = BYTES_LITERAL("consumer");
    in->protocol_name = BYTES_LITERAL("range");
    in->assignments.items = wire_new(&kafka_sync_group_request_assignment_schema, &g->arena, 1);
    in->assignments.count = 1;
    in->assignments.items[0].member_id = m->id;
    in->assignments.items[0].assignment = BYTES_LITERAL("assigned");
    return in;
}

static struct kafka_heartbeat_request *heartbeat(struct golden *g, const struct member *m)
{
    struct kafka_heartbeat_request *in = wire_new(&kafka_heartbeat_request_schema, &g->arena, 1);
    in->group_id = bytes_from_string(m->group);
    in->member_id = m->id;
    in->group_instance_id = text_or_null(m->instance);
    in->generation_id = m->generation;
    return in;
}

static struct kafka_leave_group_request *leave(struct golden *g, const struct member *m)
{
    struct kafka_leave_group_request *in =
        wire_new(&kafka_leave_group_request_schema, &g->arena, 1);
    in->group_id = bytes_from_string(m->group);
    in->member_id = m->id;
    in->members.items = wire_new(&kafka_leave_group_request_member_schema, &g->arena, 3);
    in->members.count = 1;
    in->members.items[0].member_id = m->id;
    in->members.items[0].group_instance_id = text_or_null(m->instance);
    return in;
}

static struct kafka_offset_commit_request *commit(struct golden *g, const struct member *m,
                                                  const char *topic, int32_t partition,
                                                  int64_t offset)
{
    struct kafka_offset_commit_request *in =
        wire_new(&kafka_offset_commit_request_schema, &g->arena, 1);
    in->group_id = bytes_from_string(m->group);
    in->member_id = m->id;
    in->group_instance_id = text_or_null(m->instance);
    in->generation_id_or_member_epoch = m->generation;
    in->topics.items = wire_new(&kafka_offset_commit_request_topic_schema, &g->arena, 1);
    in->topics.count = 1;
    in->topics.items[0].name = bytes_from_string(topic);
    in->topics.items[0].partitions.items =
        wire_new(&kafka_offset_commit_request_partition_schema, &g->arena, 1);
    in->topics.items[0].partitions.count = 1;
    in->topics.items[0].partitions.items[0].partition_index = partition;
    in->topics.items[0].partitions.items[0].committed_offset = offset;
    in->topics.items[0].partitions.items[0].committed_leader_epoch = 7;
    in->topics.items[0].partitions.items[0].committed_metadata = BYTES_LITERAL("note");
    return in;
}

static struct kafka_offset_fetch_request *fetch_offsets(struct golden *g, const char *group,
                                                        const char *topic)
{
    struct kafka_offset_fetch_request *in =
        wire_new(&kafka_offset_fetch_request_schema, &g->arena, 1);
    int32_t *partitions = arena_alloc(&g->arena, 2 * sizeof *partitions);
    partitions[0] = 0;
    partitions[1] = 5;
    in->group_id = bytes_from_string(group);
    in->groups.items = wire_new(&kafka_offset_fetch_request_group_schema, &g->arena, 2);
    in->groups.count = 1;
    in->groups.items[0].group_id = in->group_id;
    if (!topic)
        return in;
    in->topics.items = wire_new(&kafka_offset_fetch_request_topic_schema, &g->arena, 1);
    in->groups.items[0].topics.items =
        wire_new(&kafka_offset_fetch_request_group_topic_schema, &g->arena, 1);
    in->topics.count = in->groups.items[0].topics.count = 1;
    in->topics.items[0].name = in->groups.items[0].topics.items[0].name = bytes_from_string(topic);
    in->topics.items[0].partition_indexes.items = partitions;
    in->topics.items[0].partition_indexes.count = 2;
    in->groups.items[0].topics.items[0].partition_indexes.items = partitions;
    in->groups.items[0].topics.items[0].partition_indexes.count = 2;
    return in;
}

static void describe(struct golden *g, int version, const char *what, const char *group)
{
    struct bytes id = bytes_from_string(group);
    struct kafka_describe_groups_request in = {.include_authorized_operations = version >= 4};
    in.groups.items = &id;
    in.groups.count = 1;
    golden_step(g, KAFKA_DESCRIBE_GROUPS, version, what, &in);
}

static void list(struct golden *g, int version, const char *what, const char *state,
                 const char *type)
{
    struct bytes states = text_or_null(state), types = text_or_null(type);
    struct kafka_list_groups_request in = {0};
    in.states_filter.items = &states;
    in.states_filter.count = state != NULL;
    in.types_filter.items = &types;
    in.types_filter.count = type != NULL;
    golden_step(g, KAFKA_LIST_GROUPS, version, what, &in);
}

static void delete_group(struct golden *g, int version, const char *what, const char *group)
{
    struct bytes ids[] = {bytes_from_string(group), bytes_from_string(group)};
    struct kafka_delete_groups_request in = {0};
    in.groups_names.items = ids;
    in.groups_names.count = 1;
    golden_step(g, KAFKA_DELETE_GROUPS, version, what, &in);
}

static void delete_offset(struct golden *g, const char *what, const char *group, const char *topic,
                          int32_t partition)
{
    struct kafka_offset_delete_request_partition part = {partition};
    struct kafka_offset_delete_request_topic one = {.name = bytes_from_string(topic)};
    struct kafka_offset_delete_request in = {.group_id = bytes_from_string(group)};
    one.partitions.items = &part;
    one.partitions.count = 1;
    in.topics.items = &one;
    in.topics.count = 1;
    golden_step(g, KAFKA_OFFSET_DELETE, 0, what, &in);
}

/* ---- finding ---- */

static void run_find(struct golden *g)
{
    struct bytes keys[] = {BYTES_LITERAL("one"), BYTES_LITERAL("two")};
    struct kafka_find_coordinator_request in = {.key = BYTES_LITERAL("one")};
    in.coordinator_keys.items = keys;
    in.coordinator_keys.count = 2;
    for (int version = 0; version <= 6; version++)
        golden_step(g, KAFKA_FIND_COORDINATOR, version, "of groups", &in);
    in.coordinator_keys.count = 0;
    golden_step(g, KAFKA_FIND_COORDINATOR, 4, "of nothing", &in);
    keys[0] = in.key = BYTES_LITERAL("");
    in.coordinator_keys.count = 1;
    golden_step(g, KAFKA_FIND_COORDINATOR, 2, "of a group without a name", &in);
    golden_step(g, KAFKA_FIND_COORDINATOR, 4, "of a group without a name", &in);
    in.key_type = 9;
    golden_step(g, KAFKA_FIND_COORDINATOR, 3, "of an unknown type", &in);
    golden_step(g, KAFKA_FIND_COORDINATOR, 4, "of an unknown type", &in);
}

/* ---- a member's life, in every version ---- */

static void live(struct golden *g, int version)
{
    struct member m = {.group = arena_printf(&g->arena, "group-%d", version), .id = {0}};
    do_join(g, version, "a new member", &m);
    if (version >= 4)
        do_join(g, version, "with the id", &m);
    golden_step(g, KAFKA_SYNC_GROUP, at_most(version, 5), "the leader", sync_of(g, &m));
    golden_step(g, KAFKA_SYNC_GROUP, at_most(version, 5), "the leader again", sync_of(g, &m));
    golden_step(g, KAFKA_HEARTBEAT, at_most(version, 4), "a member", heartbeat(g, &m));
    describe(g, at_most(version, 6), "stable", m.group);
    list(g, at_most(version, 5), "all", NULL, NULL);
    int commit_version = 2 + at_most(version, 7);
    struct kafka_offset_commit_request *c = commit(g, &m, "orders", 0, 40 + version);
    golden_step(g, KAFKA_OFFSET_COMMIT, commit_version, "of a member", c);
    int fetch_version = 1 + at_most(version, 8);
    golden_step(g, KAFKA_OFFSET_FETCH, fetch_version, "one and none",
                fetch_offsets(g, m.group, "orders"));
    if (fetch_version >= 2)
        golden_step(g, KAFKA_OFFSET_FETCH, fetch_version, "all", fetch_offsets(g, m.group, NULL));
    do_join(g, version, "the leader again", &m);
    golden_step(g, KAFKA_OFFSET_COMMIT, commit_version, "while it syncs",
                commit(g, &m, "orders", 0, 50));
    golden_step(g, KAFKA_LEAVE_GROUP, at_most(version, 5), "a member", leave(g, &m));
    golden_step(g, KAFKA_LEAVE_GROUP, at_most(version, 5), "once more", leave(g, &m));
    describe(g, at_most(version, 6), "empty", m.group);
    delete_group(g, at_most(version, 2), "an empty group", m.group);
    delete_group(g, at_most(version, 2), "it again", m.group);
    describe(g, at_most(version, 6), "gone", m.group);
    golden_step(g, KAFKA_OFFSET_FETCH, fetch_version, "of a group that is gone",
                fetch_offsets(g, m.group, "orders"));
}

/* ---- what is refused ---- */

static void refused_join(struct golden *g, int version, const char *what, struct member m,
                         void (*change)(struct kafka_join_group_request *in))
{
    struct kafka_join_group_request *in = join(g, &m);
    if (change)
        change(in);
    golden_step(g, KAFKA_JOIN_GROUP, version, what, in);
}

static void without_protocols(struct kafka_join_group_request *in)
{
    in->protocols.count = 0;
}

static void without_type(struct kafka_join_group_request *in)
{
    in->protocol_type = BYTES_LITERAL("");
}

static void with_other_type(struct kafka_join_group_request *in)
{
    in->protocol_type = BYTES_LITERAL("connect");
}

static void with_other_protocol(struct kafka_join_group_request *in)
{
    in->protocols.items[0].name = BYTES_LITERAL("other");
    in->protocols.count = 1;
}

static void with_short_session(struct kafka_join_group_request *in)
{
    in->session_timeout_ms = 5999;
}

static void with_long_session(struct kafka_join_group_request *in)
{
    in->session_timeout_ms = 1800001;
}

static void run_refused_joins(struct golden *g)
{
    struct member nobody = {.group = "nobody"};
    static const int versions[] = {0, 3, 4, 5, 7, 9};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        int v = versions[i];
        refused_join(g, v, "no group", (struct member){.group = ""}, NULL);
        refused_join(g, v, "a short session", nobody, with_short_session);
        refused_join(g, v, "a long session", nobody, with_long_session);
        refused_join(g, v, "no protocols", nobody, without_protocols);
        refused_join(g, v, "no type", nobody, without_type);
        refused_join(g, v, "a member of an unknown group",
                     (struct member){.group = "unknown", .id = BYTES_LITERAL("me")}, NULL);
    }
    delete_group(g, 2, "that nobody could join", "nobody");
}

static void run_refused_in(struct golden *g, struct member m)
{
    struct member other = m;
    other.id = BYTES_LITERAL("somebody");
    refused_join(g, 9, "an unknown member", other, NULL);
    refused_join(g, 9, "of another type", m, with_other_type);
    refused_join(g, 9, "with another protocol", m, with_other_protocol);
    refused_join(g, 3, "a new one of another type", (struct member){.group = m.group},
                 with_other_type);
    golden_step(g, KAFKA_SYNC_GROUP, 5, "an unknown member", sync_of(g, &other));
    golden_step(g, KAFKA_HEARTBEAT, 4, "an unknown member", heartbeat(g, &other));
    golden_step(g, KAFKA_LEAVE_GROUP, 5, "an unknown member", leave(g, &other));
    golden_step(g, KAFKA_LEAVE_GROUP, 2, "an unknown member", leave(g, &other));
    golden_step(g, KAFKA_OFFSET_COMMIT, 9, "an unknown member", commit(g, &other, "orders", 0, 1));
    other = m;
    other.generation += 5;
    golden_step(g, KAFKA_SYNC_GROUP, 5, "another generation", sync_of(g, &other));
    golden_step(g, KAFKA_HEARTBEAT, 4, "another generation", heartbeat(g, &other));
    golden_step(g, KAFKA_OFFSET_COMMIT, 9, "another generation", commit(g, &other, "orders", 0, 1));
    struct kafka_sync_group_request *sync = sync_of(g, &m);
    sync->protocol_type = BYTES_LITERAL("connect");
    golden_step(g, KAFKA_SYNC_GROUP, 5, "another type", sync);
    sync->protocol_type = BYTES_LITERAL("consumer");
    sync->protocol_name = BYTES_LITERAL("roundrobin");
    golden_step(g, KAFKA_SYNC_GROUP, 5, "another protocol", sync);
    sync->protocol_name = BYTES_NULL;
    golden_step(g, KAFKA_SYNC_GROUP, 5, "no protocol", sync);
    sync->protocol_name = BYTES_LITERAL("range");
    sync->protocol_type = BYTES_NULL;
    golden_step(g, KAFKA_SYNC_GROUP, 5, "no type", sync);
    struct member simple = {.group = m.group, .generation = -1};
    golden_step(g, KAFKA_OFFSET_COMMIT, 9, "from outside, with members",
                commit(g, &simple, "orders", 0, 1));
    delete_group(g, 2, "a group with members", m.group);
    delete_offset(g, "subscribed", m.group, "orders", 0);
    delete_offset(g, "not subscribed", m.group, "empty", 0);
}

static void run_refused(struct golden *g)
{
    struct member none = {.group = ""}, unknown = {.group = "unknown", .id = BYTES_LITERAL("me")};
    golden_step(g, KAFKA_SYNC_GROUP, 5, "no group", sync_of(g, &none));
    golden_step(g, KAFKA_SYNC_GROUP, 0, "an unknown group", sync_of(g, &unknown));
    golden_step(g, KAFKA_SYNC_GROUP, 5, "an unknown group", sync_of(g, &unknown));
    golden_step(g, KAFKA_HEARTBEAT, 4, "no group", heartbeat(g, &none));
    golden_step(g, KAFKA_HEARTBEAT, 4, "an unknown group", heartbeat(g, &unknown));
    golden_step(g, KAFKA_LEAVE_GROUP, 5, "no group", leave(g, &none));
    golden_step(g, KAFKA_LEAVE_GROUP, 2, "an unknown group", leave(g, &unknown));
    golden_step(g, KAFKA_LEAVE_GROUP, 5, "an unknown group", leave(g, &unknown));
    unknown.generation = 3;
    golden_step(g, KAFKA_OFFSET_COMMIT, 8, "an unknown group", commit(g, &unknown, "orders", 0, 1));
    golden_step(g, KAFKA_OFFSET_COMMIT, 9, "an unknown group", commit(g, &unknown, "orders", 0, 1));
    golden_step(g, KAFKA_OFFSET_COMMIT, 9, "an unknown topic", commit(g, &unknown, "nobody", 0, 1));
    describe(g, 5, "no group", "");
    describe(g, 6, "no group", "");
    delete_group(g, 2, "no group", "");
    delete_offset(g, "no group", "", "orders", 0);
    delete_offset(g, "an unknown group", "unknown", "orders", 0);
}

/* ---- static members ---- */

static void run_static(struct golden *g)
{
    struct member m = {.group = "static", .instance = "pod-1"};
    do_join(g, 5, "a static member", &m);
    golden_step(g, KAFKA_SYNC_GROUP, 5, "a static member", sync_of(g, &m));
    struct member old = m;
    m.id = BYTES_NULL;
    do_join(g, 5, "a static member comes back", &m);
    golden_step(g, KAFKA_SYNC_GROUP, 5, "a static member that came back", sync_of(g, &m));
    golden_step(g, KAFKA_HEARTBEAT, 4, "the old one", heartbeat(g, &old));
    golden_step(g, KAFKA_SYNC_GROUP, 5, "the old one", sync_of(g, &old));
    golden_step(g, KAFKA_OFFSET_COMMIT, 8, "the old one", commit(g, &old, "orders", 0, 1));
    refused_join(g, 9, "the old one", old, NULL);
    golden_step(g, KAFKA_LEAVE_GROUP, 5, "the old one", leave(g, &old));
    m.id = BYTES_NULL;
    do_join(g, 9, "a static leader comes back", &m);
    describe(g, 5, "with a static member", m.group);
    struct kafka_leave_group_request *in = leave(g, &m);
    in->members.count = 3;
    in->members.items[0].group_instance_id = BYTES_LITERAL("pod-2");
    in->members.items[1].group_instance_id = BYTES_LITERAL("pod-1");
    golden_step(g, KAFKA_LEAVE_GROUP, 3, "three, one of them by its instance", in);
    describe(g, 5, "without it", m.group);
}

/* ---- offsets ---- */

static void run_offsets(struct golden *g)
{
    struct member simple = {.group = "simple", .generation = -1};
    golden_step(g, KAFKA_OFFSET_COMMIT, 2, "from outside", commit(g, &simple, "orders", 0, 7));
    describe(g, 5, "with offsets only", "simple");
    list(g, 5, "with offsets only", NULL, NULL);
    list(g, 5, "in a state", "empty", NULL);
    list(g, 5, "in another state", "Stable", NULL);
    list(g, 4, "in an unknown state", "Happy", NULL);
    list(g, 5, "of a type", NULL, "Classic");
    list(g, 5, "of another type", NULL, "consumer");
    list(g, 5, "of an unknown type", NULL, "odd");
    struct kafka_offset_commit_request *c = commit(g, &simple, "orders", 0, 8);
    char note[4098];
    memset(note, 'n', sizeof note);
    struct bytes *metadata = &c->topics.items[0].partitions.items[0].committed_metadata;
    *metadata = bytes_of(note, 4097);
    golden_step(g, KAFKA_OFFSET_COMMIT, 8, "a note that is too long", c);
    *metadata = BYTES_NULL;
    golden_step(g, KAFKA_OFFSET_COMMIT, 8, "without a note", c);
    golden_step(g, KAFKA_OFFSET_FETCH, 7, "without a note", fetch_offsets(g, "simple", "orders"));
    golden_step(g, KAFKA_OFFSET_COMMIT, 8, "offset -1", commit(g, &simple, "orders", 0, -1));
    golden_step(g, KAFKA_OFFSET_FETCH, 7, "offset -1", fetch_offsets(g, "simple", "orders"));
    golden_step(g, KAFKA_OFFSET_COMMIT, 8, "an unknown partition",
                commit(g, &simple, "orders", 9, 1));
    c->topics.count = 0;
    golden_step(g, KAFKA_OFFSET_COMMIT, 8, "nothing", c);
    struct member none = {.group = "", .generation = -1};
    golden_step(g, KAFKA_OFFSET_COMMIT, 8, "no group", commit(g, &none, "orders", 0, 3));
    golden_step(g, KAFKA_OFFSET_FETCH, 7, "no group", fetch_offsets(g, "", "orders"));
    golden_step(g, KAFKA_OFFSET_FETCH, 1, "an unknown topic", fetch_offsets(g, "simple", "nobody"));
    golden_step(g, KAFKA_OFFSET_FETCH, 9, "an unknown topic", fetch_offsets(g, "simple", "nobody"));
    golden_step(g, KAFKA_OFFSET_FETCH, 9, "all of an unknown group",
                fetch_offsets(g, "unknown", NULL));
    struct kafka_offset_fetch_request *f = fetch_offsets(g, "simple", "orders");
    f->groups.items[1] = f->groups.items[0];
    f->groups.items[1].group_id = BYTES_LITERAL("unknown");
    f->groups.count = 2;
    f->require_stable = true;
    golden_step(g, KAFKA_OFFSET_FETCH, 8, "two groups", f);
    f->groups.count = 0;
    golden_step(g, KAFKA_OFFSET_FETCH, 8, "no groups", f);
    delete_offset(g, "an unknown topic", "simple", "nobody", 0);
    delete_offset(g, "an unknown partition", "simple", "orders", 9);
    delete_offset(g, "that is not there", "simple", "empty", 0);
    delete_offset(g, "that is there", "simple", "orders", 0);
    golden_step(g, KAFKA_OFFSET_FETCH, 7, "deleted", fetch_offsets(g, "simple", NULL));
}

void golden_run_groups(struct golden *g)
{
    golden_step(g, KAFKA_CREATE_TOPICS, 5, "for groups", golden_create(g, "orders", 1, 1));
    golden_step(g, KAFKA_CREATE_TOPICS, 5, "for groups", golden_create(g, "empty", 1, 1));
    run_find(g);
    run_refused_joins(g);
    run_refused(g);
    for (int version = 0; version <= 9; version++)
        live(g, version);
    struct member m = {.group = "work"};
    do_join(g, 4, "to be told an id", &m);
    golden_step(g, KAFKA_HEARTBEAT, 4, "before it has joined", heartbeat(g, &m));
    golden_step(g, KAFKA_LEAVE_GROUP, 5, "before it has joined", leave(g, &m));
    m.id = BYTES_NULL;
    do_join(g, 3, "a member", &m);
    golden_step(g, KAFKA_SYNC_GROUP, 3, "a member", sync_of(g, &m));
    run_refused_in(g, m);
    golden_step(g, KAFKA_LEAVE_GROUP, 1, "a member", leave(g, &m));
    delete_group(g, 2, "that has worked", m.group);
    run_static(g);
    run_offsets(g);
}
