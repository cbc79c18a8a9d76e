/* Committed offsets: when they count, when they go, and that they never go back. */
#include <stdio.h>

#include "broker/coordinator_messages.h"
#include "broker/test_groups.h"
#include "log/batch.h"

static void commit_ok(struct test_core *t, const char *group, const char *topic, int64_t offset)
{
    expect_int(test_commit(t, group, NULL, topic, offset, NULL), GROUP_OK);
    test_core_settle(t);
    expect_int(test_offset(t, group, topic), offset);
}

TEST(group_state_is_never_ahead_of_the_log_as_recovered)
{
    struct test_core t;
    struct ticket ticket;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    expect_int(test_commit(&t, "g", NULL, "orders", 5, NULL), GROUP_OK);
    test_core_settle(&t);
    expect_int(test_commit(&t, "g", NULL, "orders", 6, &ticket), GROUP_OK);
    test_core_turn(&t);
    expect_false(store_is_done(t.core->store, ticket, STAGE_COMMITTED));
    expect_int(test_offset(&t, "g", "orders"), 5);
    test_crash_and_load(&t); /* what was not synced is lost */
    expect_int(test_offset(&t, "g", "orders"), 5);
    test_core_end(&t);
}

TEST(offset_counts_when_it_is_committed)
{
    struct test_core t;
    struct ticket ticket;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    expect_int(test_commit(&t, "g", NULL, "orders", 5, &ticket), GROUP_OK);
    expect_false(store_is_done(t.core->store, ticket, STAGE_COMMITTED));
    expect_int(test_offset(&t, "g", "orders"), -1);
    test_core_settle(&t);
    expect_true(store_is_done(t.core->store, ticket, STAGE_COMMITTED));
    expect_int(test_offset(&t, "g", "orders"), 5);
    expect_int(test_commit(&t, "g", NULL, "orders", 4, NULL), GROUP_OK);
    expect_int(test_offset(&t, "g", "orders"), 5);
    test_core_settle(&t);
    expect_int(test_offset(&t, "g", "orders"), 4); /* a group may go back if it wants */
    test_crash_and_load(&t);
    expect_int(test_offset(&t, "g", "orders"), 4);
    const struct offset_value *value =
        offsets_find(test_group(&t, "g"), BYTES_LITERAL("orders"), 0);
    expect_int(value->leader_epoch, 3);
    expect_int(value->expire_ms, -1);
    expect_int(value->commit_ms, t.wall_ms);
    test_core_end(&t);
}

TEST(offset_of_somebody_else_is_refused)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    test_member(&t, &a, "g");
    snprintf(a.id, sizeof a.id, "me");
    a.generation = 4;
    expect_int(test_commit(&t, "g", &a, "orders", 1, NULL), GROUP_ILLEGAL_GENERATION);
    expect_null(test_group(&t, "g"));
    test_member(&t, &a, "g");
    test_settle_alone(&a);
    expect_int(test_commit(&t, "g", NULL, "orders", 1, NULL), GROUP_UNKNOWN_MEMBER);
    b = a;
    snprintf(b.id, sizeof b.id, "other");
    expect_int(test_commit(&t, "g", &b, "orders", 1, NULL), GROUP_UNKNOWN_MEMBER);
    b = a;
    b.generation = 0;
    expect_int(test_commit(&t, "g", &b, "orders", 1, NULL), GROUP_ILLEGAL_GENERATION);
    expect_int(test_commit(&t, "g", &a, "orders", 1, NULL), GROUP_OK);
    test_join(&a); /* the leader again: a generation that is not synced */
    test_core_settle(&t);
    expect_int(test_commit(&t, "g", &a, "orders", 2, NULL), GROUP_REBALANCING);
    expect_int(test_leave(&a), GROUP_OK);
    expect_int(test_commit(&t, "g", NULL, "orders", 3, NULL), GROUP_OK); /* nobody is in it */
    test_core_settle(&t);
    expect_int(test_offset(&t, "g", "orders"), 3);
    test_core_end(&t);
}

TEST(commit_is_a_sign_of_life)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    test_member(&t, &a, "g");
    test_settle_alone(&a);
    for (int i = 0; i < 5; i++) {
        test_pass(&t, TEST_SESSION_MS - 100);
        expect_int(test_commit(&t, "g", &a, "orders", i, NULL), GROUP_OK);
    }
    expect_int(test_heartbeat(&a), GROUP_OK);
    test_core_end(&t);
}

TEST(note_that_is_too_long_is_refused_alone)
{
    struct test_core t;
    struct ticket ticket;
    static const char note[4097];
    test_core_init(&t);
    test_topic(&t, "orders", 2);
    struct offset_commit c = {.group_id = BYTES_LITERAL("g"), .generation = -1, .retention_ms = -1};
    struct offset_value value = {.offset = 1, .metadata = bytes_of(note, 4097)};
    expect_int(offsets_begin(test_groups(&t), &c), GROUP_OK);
    expect_int(offsets_add(&c, BYTES_LITERAL("orders"), 0, &value), GROUP_OFFSET_TEXT_TOO_LONG);
    expect_int(offsets_end(&c, &ticket), GROUP_OK);
    expect_null(test_group(&t, "g")); /* nothing was committed: there is no group */
    value.metadata.size = 4096;
    expect_int(offsets_begin(test_groups(&t), &c), GROUP_OK);
    expect_int(offsets_add(&c, BYTES_LITERAL("orders"), 1, &value), GROUP_OK);
    expect_int(offsets_end(&c, &ticket), GROUP_OK);
    test_core_settle(&t);
    test_crash_and_load(&t);
    const struct offset_value *got = offsets_find(test_group(&t, "g"), BYTES_LITERAL("orders"), 1);
    expect_bytes(got->metadata, value.metadata);
    test_core_end(&t);
}

/* ---- removing ---- */

static enum group_error remove_one(struct test_core *t, const char *group, const char *topic)
{
    struct offset_removal removal;
    struct ticket ticket;
    enum group_error error =
        offsets_remove_begin(test_groups(t), bytes_from_string(group), &removal);
    if (error)
        return error;
    error = offsets_remove(&removal, bytes_from_string(topic), 0);
    expect_int(offsets_remove_end(&removal, &ticket), GROUP_OK);
    test_core_settle(t);
    expect_true(store_is_done(t->core->store, ticket, STAGE_COMMITTED));
    return error;
}

TEST(offset_that_is_removed_stays_removed)
{
    struct test_core t;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    test_topic(&t, "bills", 1);
    expect_int(remove_one(&t, "", "orders"), GROUP_INVALID_ID);
    expect_int(remove_one(&t, "g", "orders"), GROUP_NOT_FOUND);
    commit_ok(&t, "g", "orders", 5);
    commit_ok(&t, "g", "bills", 6);
    expect_int(remove_one(&t, "g", "nothing"), GROUP_OK);
    expect_int(remove_one(&t, "g", "orders"), GROUP_OK);
    expect_int(test_offset(&t, "g", "orders"), -1);
    test_crash_and_load(&t);
    expect_int(test_offset(&t, "g", "orders"), -1);
    expect_int(test_offset(&t, "g", "bills"), 6);
    test_core_end(&t);
}

TEST(offset_of_a_topic_in_use_is_not_removed)
{
    struct test_core t;
    struct test_member a, b;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    test_topic(&t, "bills", 1);
    test_member(&t, &a, "g");
    test_settle_alone(&a);
    expect_int(test_commit(&t, "g", &a, "orders", 5, NULL), GROUP_OK);
    expect_int(test_commit(&t, "g", &a, "bills", 5, NULL), GROUP_OK);
    expect_int(remove_one(&t, "g", "orders"), GROUP_SUBSCRIBED);
    expect_int(remove_one(&t, "g", "bills"), GROUP_OK);
    expect_int(test_offset(&t, "g", "orders"), 5);
    expect_int(test_offset(&t, "g", "bills"), -1);
    test_member(&t, &b, "connectors");
    b.type = "connect";
    test_settle_alone(&b);
    expect_int(remove_one(&t, "connectors", "orders"), GROUP_NOT_EMPTY);
    test_core_end(&t);
}

TEST(subscription_that_nobody_understands_protects_all_offsets)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_topic(&t, "bills", 1);
    test_member(&t, &a, "g");
    a.protocols[0].metadata = BYTES_LITERAL("\0\0\0\0\0\7\0\6orders");
    test_settle_alone(&a);
    expect_int(test_commit(&t, "g", &a, "bills", 5, NULL), GROUP_OK);
    expect_int(remove_one(&t, "g", "bills"), GROUP_SUBSCRIBED);
    test_core_end(&t);
}

TEST(offsets_go_with_their_topic)
{
    struct test_core t;
    test_core_init(&t);
    struct topic *topic = test_topic(&t, "orders", 1);
    test_topic(&t, "bills", 1);
    commit_ok(&t, "g", "orders", 5);
    commit_ok(&t, "h", "orders", 7);
    commit_ok(&t, "h", "bills", 8);
    topic_delete(t.core, topic);
    test_topic(&t, "orders", 1);
    test_core_settle(&t);
    expect_int(test_offset(&t, "g", "orders"), -1);
    expect_int(test_offset(&t, "h", "orders"), -1);
    test_crash_and_load(&t);
    expect_int(test_offset(&t, "g", "orders"), -1);
    expect_int(test_offset(&t, "h", "orders"), -1);
    expect_int(test_offset(&t, "h", "bills"), 8);
    test_core_end(&t);
}

TEST(offsets_go_with_a_topic_that_is_deleted_while_they_are_loaded)
{
    struct test_core t;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    test_topic(&t, "bills", 1);
    commit_ok(&t, "g", "orders", 5);
    commit_ok(&t, "g", "bills", 6);
    test_core_crash(&t);
    expect_int(groups_look(test_groups(&t), BYTES_LITERAL("g")), GROUP_LOADING);
    topic_delete(t.core, topic_find(t.core, BYTES_LITERAL("orders")));
    test_topic(&t, "orders", 1);
    test_core_settle(&t);
    expect_int(test_offset(&t, "g", "orders"), -1);
    expect_int(test_offset(&t, "g", "bills"), 6);
    test_crash_and_load(&t);
    expect_int(test_offset(&t, "g", "orders"), -1);
    test_core_end(&t);
}

/* ---- expiring ---- */

enum { DAY_MS = 86400000 };

TEST(offsets_expire_when_the_group_has_been_empty_for_long)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    test_member(&t, &a, "g");
    a.session_ms = 1800000;
    test_settle_alone(&a);
    expect_int(test_commit(&t, "g", &a, "orders", 5, NULL), GROUP_OK);
    for (int i = 0; i < 10 * DAY_MS / 1500000; i++) { /* in use for ten days */
        test_pass(&t, 1500000);
        expect_int(test_heartbeat(&a), GROUP_OK);
    }
    expect_int(test_offset(&t, "g", "orders"), 5);
    expect_int(test_leave(&a), GROUP_OK);
    test_pass(&t, 7LL * DAY_MS - 700000);
    expect_int(test_offset(&t, "g", "orders"), 5);
    test_pass(&t, 700000);
    test_pass(&t, 700000);
    expect_null(test_group(&t, "g"));
    test_crash_and_load(&t);
    expect_null(test_group(&t, "g"));
    test_core_end(&t);
}

TEST(offsets_from_outside_expire_each_by_its_own_time)
{
    struct test_core t;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    test_topic(&t, "bills", 1);
    commit_ok(&t, "g", "orders", 5);
    test_pass(&t, 5LL * DAY_MS);
    commit_ok(&t, "g", "bills", 6);
    test_pass(&t, 3LL * DAY_MS);
    expect_int(test_offset(&t, "g", "orders"), -1);
    expect_int(test_offset(&t, "g", "bills"), 6);
    test_pass(&t, 5LL * DAY_MS);
    expect_null(test_group(&t, "g"));
    test_core_end(&t);
}

TEST(offset_expires_when_its_commit_said)
{
    struct test_core t;
    struct ticket ticket;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    struct offset_commit c = {
        .group_id = BYTES_LITERAL("g"), .generation = -1, .retention_ms = 2000000};
    struct offset_value value = {.offset = 1};
    expect_int(offsets_begin(test_groups(&t), &c), GROUP_OK);
    expect_int(offsets_add(&c, BYTES_LITERAL("orders"), 0, &value), GROUP_OK);
    expect_int(offsets_end(&c, &ticket), GROUP_OK);
    test_core_settle(&t);
    test_crash_and_load(&t); /* its record says when */
    test_pass(&t, 1300000);
    expect_int(test_offset(&t, "g", "orders"), 1);
    test_pass(&t, 1300000);
    expect_int(test_offset(&t, "g", "orders"), -1);
    test_core_end(&t);
}

TEST(offsets_of_topics_that_no_member_wants_expire)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    test_topic(&t, "bills", 1);
    test_groups(&t)->config.retention_ms = 1000000;
    test_member(&t, &a, "g");
    a.session_ms = 1800000;
    test_settle_alone(&a);
    expect_int(test_commit(&t, "g", &a, "orders", 5, NULL), GROUP_OK);
    expect_int(test_commit(&t, "g", &a, "bills", 6, NULL), GROUP_OK);
    test_pass(&t, 1700000);
    expect_int(test_heartbeat(&a), GROUP_OK);
    expect_int(test_offset(&t, "g", "orders"), 5);
    expect_int(test_offset(&t, "g", "bills"), -1);
    test_core_end(&t);
}

TEST(offsets_of_other_protocols_do_not_expire_while_there_are_members)
{
    struct test_core t;
    struct test_member a;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    test_groups(&t)->config.retention_ms = 1000000;
    test_member(&t, &a, "g");
    a.type = "connect";
    a.session_ms = 1800000;
    test_settle_alone(&a);
    expect_int(test_commit(&t, "g", &a, "orders", 5, NULL), GROUP_OK);
    test_pass(&t, 1700000);
    expect_int(test_offset(&t, "g", "orders"), 5);
    test_core_end(&t);
}

TEST(many_groups_expire_in_slices)
{
    struct test_core t;
    char name[32];
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "g%d", i);
        expect_int(test_commit(&t, name, NULL, "orders", i, NULL), GROUP_OK);
    }
    test_core_settle(&t);
    test_pass(&t, 6LL * DAY_MS);
    expect_int(group_count(test_groups(&t)), 1000);
    test_pass(&t, 2LL * DAY_MS);
    expect_int(group_count(test_groups(&t)), 0);
    expect_int(test_groups(&t)->bytes, 0);
    test_core_end(&t);
}

/* ---- what others have written ---- */

static void append_record(struct test_core *t, const char *group, struct bytes key,
                          struct bytes value)
{
    struct batch_builder builder = {0};
    struct ticket ticket;
    int32_t shard = group_shard_of(bytes_from_string(group), 50);
    struct log *log = test_groups(t)->shards[shard].partition->log;
    batch_builder_begin(&builder, 0);
    batch_builder_add(&builder, t->wall_ms, key, value, BYTES_NULL, 0);
    expect_ok(log_append(log, batch_builder_end(&builder), &ticket));
    batch_builder_reset(&builder);
    test_core_settle(t);
}

static struct bytes record_of(struct text *out, const struct wire_schema *schema, int version,
                              const void *in)
{
    out->size = 0;
    text_put_u16(out, (uint16_t)version);
    expect_ok(wire_encode(schema, version, in, out));
    return text_bytes(out);
}

TEST(records_of_every_version_are_read)
{
    struct test_core t;
    struct text key = {0}, value = {0};
    test_core_init(&t);
    test_topic(&t, "orders", 10);
    expect_ok(groups_make_topic(test_groups(&t)));
    test_core_settle(&t);
    for (int version = 0; version <= 4; version++) {
        struct coordinator_offset_commit_key k = {BYTES_LITERAL("g"), BYTES_LITERAL("orders"),
                                                  version};
        struct coordinator_offset_commit_value v = {.offset = 100 + version,
                                                    .leader_epoch = 9,
                                                    .commit_timestamp = t.wall_ms,
                                                    .expire_timestamp = t.wall_ms + 77};
        append_record(&t, "g",
                      record_of(&key, &coordinator_offset_commit_key_schema, version % 2, &k),
                      record_of(&value, &coordinator_offset_commit_value_schema, version, &v));
        char name[8] = {'m', (char)('0' + version), 0};
        struct coordinator_group_metadata_key gk = {bytes_from_string(name)};
        struct coordinator_group_member m = {.member_id = BYTES_LITERAL("me"),
                                             .client_id = BYTES_LITERAL("c"),
                                             .client_host = BYTES_LITERAL("/::1"),
                                             .rebalance_timeout = 1000,
                                             .session_timeout = 10000,
                                             .assignment = BYTES_LITERAL("a")};
        struct coordinator_group_metadata_value gv = {.protocol_type = BYTES_LITERAL("consumer"),
                                                      .generation = 40 + version,
                                                      .protocol = BYTES_LITERAL("range"),
                                                      .leader = BYTES_LITERAL("me"),
                                                      .current_state_timestamp = t.wall_ms};
        gv.members.items = &m;
        gv.members.count = 1;
        append_record(&t, name, record_of(&key, &coordinator_group_metadata_key_schema, 2, &gk),
                      record_of(&value, &coordinator_group_metadata_value_schema, version, &gv));
    }
    test_crash_and_load(&t);
    for (int version = 0; version <= 4; version++) {
        const struct offset_value *v =
            offsets_find(test_group(&t, "g"), BYTES_LITERAL("orders"), version);
        expect_int(v->offset, 100 + version);
        expect_int(v->leader_epoch, version >= 3 ? 9 : -1);
        expect_int(v->expire_ms, version == 1 ? t.wall_ms + 77 : -1);
        char name[8] = {'m', (char)('0' + version), 0};
        struct group_view view = group_view(test_group(&t, name));
        expect_int(view.generation, 40 + version);
        expect_int(view.state, GROUP_STABLE);
        expect_int(view.member_count, 1);
    }
    text_reset(&key);
    text_reset(&value);
    test_core_end(&t);
}

TEST(records_that_make_no_sense_are_skipped)
{
    static const struct {
        struct bytes key, value;
    } odd[] = {
        {BYTES_LITERAL(""), BYTES_LITERAL("")},
        {BYTES_LITERAL("\0"), BYTES_LITERAL("x")},
        {BYTES_LITERAL("\0\x03\0\1g"), BYTES_LITERAL("a group of another kind")},
        {BYTES_LITERAL("\0\1\0\1g"), BYTES_LITERAL("x")},
        {BYTES_LITERAL("\0\1\0\1g\0\6orders\0\0\0\0"), BYTES_LITERAL("\0\x63")},
        {BYTES_LITERAL("\0\1\0\1g\0\6orders\0\0\0\0"), BYTES_LITERAL("\0\3\0\0")},
        {BYTES_LITERAL("\0\1\0\1g\0\6orders\0\0\0\0 and more"), BYTES_LITERAL("\0\3\0\0")},
        {BYTES_LITERAL("\0\2\0\1g"), BYTES_LITERAL("\0\3")},
        {BYTES_LITERAL("\0\2\0\1g"), BYTES_LITERAL("")},
        {BYTES_LITERAL("\xff\xff\0\1g"), BYTES_LITERAL("")},
    };
    struct test_core t;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    commit_ok(&t, "g", "orders", 5);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        append_record(&t, "g", odd[i].key, odd[i].value);
    append_record(&t, "g", BYTES_NULL, BYTES_LITERAL("without a key"));
    test_crash_and_load(&t);
    expect_int(test_offset(&t, "g", "orders"), 5);
    expect_int(test_groups(&t)->load_skipped, sizeof odd / sizeof odd[0] + 1);
    commit_ok(&t, "g", "orders", 6);
    test_core_end(&t);
}

TEST(long_history_is_loaded_in_slices)
{
    struct test_core t;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    for (int i = 0; i < 5000; i++) {
        expect_int(test_commit(&t, "g", NULL, "orders", i, NULL), GROUP_OK);
        if (i % 100 == 0)
            test_core_settle(&t);
    }
    test_core_settle(&t);
    test_crash_and_load(&t);
    expect_int(test_offset(&t, "g", "orders"), 4999);
    test_core_end(&t);
}

static void commit_with_note(struct test_core *t, const char *group, int64_t offset)
{
    static const char note[4000];
    struct ticket ticket;
    struct offset_commit c = {
        .group_id = bytes_from_string(group), .generation = -1, .retention_ms = -1};
    struct offset_value value = {.offset = offset, .metadata = bytes_of(note, sizeof note)};
    expect_int(offsets_begin(test_groups(t), &c), GROUP_OK);
    expect_int(offsets_add(&c, BYTES_LITERAL("orders"), 0, &value), GROUP_OK);
    expect_int(offsets_end(&c, &ticket), GROUP_OK);
}

static uint64_t groups_topic_bytes(struct test_core *t)
{
    struct groups *groups = test_groups(t);
    uint64_t bytes = 0;
    for (int32_t i = 0; i < groups->shard_count; i++)
        bytes += log_size_bytes(groups->shards[i].partition->log);
    return bytes;
}

TEST(compacted_history_says_the_same)
{
    struct test_core t;
    struct config_set set = {0};
    struct ticket ticket;
    test_core_init(&t);
    test_topic(&t, "orders", 1);
    expect_ok(groups_make_topic(test_groups(&t)));
    config_set_put(&set, "cleanup.policy", "compact");
    config_set_put(&set, "segment.bytes", "1048576");
    config_set_put(&set, "min.cleanable.dirty.ratio", "0.01");
    expect_ok(topic_alter(t.core, test_groups(&t)->topic, &set, false));
    for (int i = 0; i < 2000; i++) {
        commit_with_note(&t, i % 2 ? "a" : "b", i);
        if (i % 20 == 0)
            test_core_settle(&t);
    }
    commit_with_note(&t, "c", 1);
    test_core_settle(&t);
    expect_int(group_delete(test_groups(&t), BYTES_LITERAL("c"), &ticket), GROUP_OK);
    uint64_t before = groups_topic_bytes(&t);
    expect_true(before > 6 << 20);
    for (int i = 0; i < 200 && groups_topic_bytes(&t) > before / 2; i++)
        test_pass(&t, 60000);
    expect_true(groups_topic_bytes(&t) <= before / 2);
    test_crash_and_load(&t);
    expect_int(test_offset(&t, "a", "orders"), 1999);
    expect_int(test_offset(&t, "b", "orders"), 1998);
    expect_null(test_group(&t, "c"));
    config_set_reset(&set);
    test_core_end(&t);
}

/* ---- crashes ---- */

enum { CRASH_GROUPS = 5, CRASH_TOPICS = 3 };

struct model {
    int64_t answered[CRASH_GROUPS][CRASH_TOPICS]; /* the newest that was told to be committed */
    int64_t newest[CRASH_GROUPS][CRASH_TOPICS];   /* the newest that was tried */
    struct ticket tickets[CRASH_GROUPS][CRASH_TOPICS];
    int64_t waiting[CRASH_GROUPS][CRASH_TOPICS]; /* what the ticket is for */
};

static const char *const crash_groups[CRASH_GROUPS] = {"a", "b", "c", "d", "e"};
static const char *const crash_topics[CRASH_TOPICS] = {"x", "y", "z"};

static void note_answers(struct test_core *t, struct model *m)
{
    for (int g = 0; g < CRASH_GROUPS; g++)
        for (int i = 0; i < CRASH_TOPICS; i++)
            if (store_is_done(t->core->store, m->tickets[g][i], STAGE_COMMITTED))
                m->answered[g][i] = m->waiting[g][i];
}

/* What is read was tried, and is no older than what was answered. */
static void compare(struct test_core *t, const struct model *m)
{
    for (int g = 0; g < CRASH_GROUPS; g++)
        for (int i = 0; i < CRASH_TOPICS; i++) {
            int64_t got = test_offset(t, crash_groups[g], crash_topics[i]);
            expect_true(got >= m->answered[g][i]);
            expect_true(got <= m->newest[g][i]);
        }
}

TEST(offsets_that_were_answered_survive_every_crash)
{
    struct test_core t;
    struct model m;
    test_core_init(&t);
    memset(&m, 0, sizeof m);
    memset(m.answered, 0xff, sizeof m.answered);
    memset(m.newest, 0xff, sizeof m.newest);
    memset(m.waiting, 0xff, sizeof m.waiting);
    for (int i = 0; i < CRASH_TOPICS; i++)
        test_topic(&t, crash_topics[i], 1);
    test_core_settle(&t);
    for (int round = 0; round < 300; round++) {
        int g = (int)random_below(&t.random, CRASH_GROUPS);
        int i = (int)random_below(&t.random, CRASH_TOPICS);
        int64_t offset = m.newest[g][i] + 1;
        if (test_commit(&t, crash_groups[g], NULL, crash_topics[i], offset, &m.tickets[g][i]) ==
            GROUP_OK)
            m.newest[g][i] = m.waiting[g][i] = offset;
        if (random_below(&t.random, 3) == 0)
            test_core_turn(&t);
        if (random_below(&t.random, 3) == 0)
            sim_jobs_step(t.sim, &t.random);
        note_answers(&t, &m);
        if (random_below(&t.random, 12) == 0) {
            test_crash_and_load(&t);
            compare(&t, &m);
            for (g = 0; g < CRASH_GROUPS; g++)
                for (i = 0; i < CRASH_TOPICS; i++) /* what was found is what there is */
                    m.waiting[g][i] = m.newest[g][i] = m.answered[g][i] =
                        test_offset(&t, crash_groups[g], crash_topics[i]);
            memset(m.tickets, 0, sizeof m.tickets);
        }
    }
    test_core_end(&t);
}
