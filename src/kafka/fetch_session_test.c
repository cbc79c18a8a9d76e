#include "kafka/fetch_session.h"

#include "kafka/connection.h"
#include "kafka/errors.h"
#include "kafka/test_broker.h"

enum { VERSION = 13, LONG_AGO_MS = (FETCH_SESSION_STALE_S + 1) * 1000 };

/* A broker with a topic, and a client in the middle of a session. */
struct scene {
    struct test_broker b;
    struct topic *topic;
    struct test_client *c;
    int32_t id, epoch;
};

static void scene_open(struct scene *s, int32_t partitions)
{
    memset(s, 0, sizeof *s);
    broker_open(&s->b);
    s->topic = broker_topic(&s->b, "orders", partitions);
    s->c = broker_client(&s->b);
}

/* Names partitions [from, to), all at `offset`; does not wait. */
static struct kafka_fetch_request *ask(struct test_broker *b, const struct topic *topic,
                                       int32_t from, int32_t to, int64_t offset)
{
    struct kafka_fetch_request *in = wire_new(&kafka_fetch_request_schema, &b->arena, 1);
    in->max_bytes = 50 << 20;
    in->topics.items = wire_new(&kafka_fetch_request_topic_schema, &b->arena, 1);
    in->topics.count = from < to;
    struct kafka_fetch_request_topic *asked = in->topics.items;
    asked->topic = topic->name;
    memcpy(&asked->topic_id, topic->id, sizeof topic->id);
    asked->partitions.items =
        wire_new(&kafka_fetch_request_partition_schema, &b->arena, (size_t)(to - from));
    asked->partitions.count = to - from;
    for (int32_t i = from; i < to; i++) {
        asked->partitions.items[i - from].partition = i;
        asked->partitions.items[i - from].fetch_offset = offset;
        asked->partitions.items[i - from].partition_max_bytes = 1 << 20;
    }
    return in;
}

static struct kafka_fetch_request *ask_nothing(struct scene *s)
{
    return ask(&s->b, s->topic, 0, 0, 0);
}

static void name_session(struct scene *s, struct kafka_fetch_request *in)
{
    in->session_id = s->id;
    in->session_epoch = ++s->epoch;
}

static struct kafka_fetch_response *next(struct scene *s, struct kafka_fetch_request *in)
{
    name_session(s, in);
    return client_call(s->c, KAFKA_FETCH, VERSION, in);
}

static struct kafka_fetch_response *open_session(struct scene *s, int32_t partitions)
{
    struct kafka_fetch_request *in = ask(&s->b, s->topic, 0, partitions, 0);
    in->session_epoch = 0;
    struct kafka_fetch_response *reply = client_call(s->c, KAFKA_FETCH, VERSION, in);
    s->id = reply->session_id;
    s->epoch = 0;
    return reply;
}

static void forget(struct scene *s, struct kafka_fetch_request *in, int32_t from, int32_t to)
{
    in->forgotten_topics_data.items =
        wire_new(&kafka_fetch_request_forgotten_topic_schema, &s->b.arena, 1);
    in->forgotten_topics_data.count = 1;
    struct kafka_fetch_request_forgotten_topic *out = in->forgotten_topics_data.items;
    out->topic = s->topic->name;
    memcpy(&out->topic_id, s->topic->id, sizeof s->topic->id);
    out->partitions.items = arena_zalloc(&s->b.arena, (size_t)(to - from), sizeof(int32_t));
    out->partitions.count = to - from;
    for (int32_t i = from; i < to; i++)
        out->partitions.items[i - from] = i;
}

/* Which partitions an answer tells of, in its order: "0 3 1". */
static const char *told(struct scene *s, const struct kafka_fetch_response *reply)
{
    const char *list = "";
    expect_not_null(reply);
    expect_int(reply->error_code, KAFKA_NONE);
    for (int32_t i = 0; i < reply->responses.count; i++)
        for (int32_t j = 0; j < reply->responses.items[i].partitions.count; j++)
            list = arena_printf(&s->b.arena, "%s%s%d", list, *list ? " " : "",
                                reply->responses.items[i].partitions.items[j].partition_index);
    return list;
}

static const struct kafka_fetch_response_partition *first(const struct kafka_fetch_response *reply)
{
    expect_int(reply->error_code, KAFKA_NONE);
    expect_true(reply->responses.count > 0);
    return &reply->responses.items[0].partitions.items[0];
}

/* ---- what is told ---- */

TEST(a_session_tells_all_at_first_and_then_what_changed)
{
    struct scene s;
    scene_open(&s, 4);
    struct kafka_fetch_response *reply = open_session(&s, 4);
    expect_true(reply->session_id > 0);
    expect_string(told(&s, reply), "0 1 2 3");
    expect_string(told(&s, next(&s, ask_nothing(&s))), "");

    broker_append(&s.b, s.topic->partitions[2], "a");
    reply = next(&s, ask_nothing(&s));
    expect_int(reply->session_id, s.id);
    expect_string(told(&s, reply), "2");
    expect_int(first(reply)->high_watermark, 1);
    expect_true(first(reply)->records.size > 0);
    expect_string(told(&s, next(&s, ask_nothing(&s))), "2"); /* the offset has not moved */
    expect_string(told(&s, next(&s, ask(&s.b, s.topic, 2, 3, 1))), "");
    expect_string(told(&s, next(&s, ask_nothing(&s))), "");
    broker_close(&s.b);
}

TEST(a_session_tells_of_a_start_that_moved)
{
    struct scene s;
    scene_open(&s, 2);
    broker_append(&s.b, s.topic->partitions[0], "a");
    broker_append(&s.b, s.topic->partitions[0], "b");
    open_session(&s, 2);
    expect_string(told(&s, next(&s, ask(&s.b, s.topic, 0, 1, 2))), "");
    struct kafka_delete_records_request_partition partition = {.offset = 1};
    struct kafka_delete_records_request_topic topic = {.name = s.topic->name,
                                                       .partitions = {&partition, 1}};
    struct kafka_delete_records_request in = {.topics = {&topic, 1}, .timeout_ms = 1000};
    client_call(s.c, KAFKA_DELETE_RECORDS, 1, &in);
    struct kafka_fetch_response *reply = next(&s, ask_nothing(&s));
    expect_string(told(&s, reply), "0");
    expect_int(first(reply)->log_start_offset, 1);
    expect_string(told(&s, next(&s, ask_nothing(&s))), "");
    broker_close(&s.b);
}

TEST(a_session_takes_and_forgets_partitions)
{
    struct scene s;
    scene_open(&s, 4);
    for (int i = 0; i < 4; i++)
        broker_append(&s.b, s.topic->partitions[i], "a");
    expect_string(told(&s, open_session(&s, 1)), "0");
    struct kafka_fetch_request *in = ask(&s.b, s.topic, 2, 4, 0);
    forget(&s, in, 0, 2); /* 1 was never asked for */
    expect_string(told(&s, next(&s, in)), "2 3");
    in = ask_nothing(&s);
    forget(&s, in, 3, 4);
    expect_string(told(&s, next(&s, in)), "2");
    in = ask_nothing(&s);
    forget(&s, in, 0, 4);
    expect_int(next(&s, in)->session_id, 0); /* nothing is left: it is over */
    expect_int(next(&s, ask_nothing(&s))->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    expect_int(fetch_session_count(s.b.core), 0);
    broker_close(&s.b);
}

TEST(a_session_begins_with_those_that_had_no_records_yet)
{
    struct scene s;
    scene_open(&s, 3);
    for (int i = 0; i < 3; i++)
        broker_append(&s.b, s.topic->partitions[i], "a");
    open_session(&s, 3);
    static const char *const first_of[] = {"0", "1", "2", "0"};
    struct kafka_fetch_request *in = ask(&s.b, s.topic, 0, 3, 0);
    for (int i = 0; i < 4; i++) {
        in->max_bytes = 1; /* one batch */
        const char *all = told(&s, next(&s, in));
        expect_int(all[0], first_of[i][0]);
        in = ask_nothing(&s);
    }
    broker_close(&s.b);
}

TEST(a_session_repeats_errors_until_they_are_gone)
{
    struct scene s;
    scene_open(&s, 2);
    open_session(&s, 2);
    struct kafka_fetch_response *reply = next(&s, ask(&s.b, s.topic, 1, 2, 7));
    expect_int(first(reply)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    reply = next(&s, ask_nothing(&s));
    expect_string(told(&s, reply), "1");
    expect_int(first(reply)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    reply = next(&s, ask(&s.b, s.topic, 1, 2, 0));
    expect_string(told(&s, reply), "1"); /* once more, because it is well again */
    expect_int(first(reply)->error_code, KAFKA_NONE);
    expect_string(told(&s, next(&s, ask_nothing(&s))), "");
    broker_close(&s.b);
}

TEST(a_session_tells_a_deleted_topic_from_an_unknown_and_a_replaced_one)
{
    struct scene s;
    scene_open(&s, 1);
    open_session(&s, 1);
    struct topic_spec spec = {.name = BYTES_LITERAL("orders"), .partition_count = 1};
    topic_delete(s.b.core, s.topic);
    broker_commit(&s.b);
    struct kafka_fetch_request *nothing = wire_new(&kafka_fetch_request_schema, &s.b.arena, 1);
    struct kafka_fetch_response *reply = next(&s, nothing);
    expect_int(first(reply)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_ok(topic_create(s.b.core, &spec, &s.topic));
    reply = next(&s, nothing);
    expect_int(first(reply)->error_code, KAFKA_INCONSISTENT_TOPIC_ID);
    struct kafka_fetch_request *in = ask(&s.b, s.topic, 0, 1, 0);
    in->topics.items[0].topic_id.data[0] ^= 1;
    forget(&s, in, 0, 0);
    reply = next(&s, in);
    expect_int(reply->responses.count, 2);
    expect_int(reply->responses.items[1].partitions.items[0].error_code, KAFKA_UNKNOWN_TOPIC_ID);
    broker_close(&s.b);
}

TEST(a_session_by_name_finds_a_topic_that_is_made_again)
{
    struct scene s;
    scene_open(&s, 1);
    struct kafka_fetch_request *in = ask(&s.b, s.topic, 0, 1, 0);
    in->session_epoch = 0;
    struct kafka_fetch_response *reply = client_call(s.c, KAFKA_FETCH, 12, in);
    in->topics.count = 0;
    in->session_id = reply->session_id;
    topic_delete(s.b.core, s.topic);
    broker_commit(&s.b);
    for (in->session_epoch = 1; in->session_epoch < 3; in->session_epoch++) {
        reply = client_call(s.c, KAFKA_FETCH, 12, in);
        expect_int(first(reply)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        expect_bytes(reply->responses.items[0].topic, BYTES_LITERAL("orders"));
    }
    s.topic = broker_topic(&s.b, "orders", 1);
    broker_append(&s.b, s.topic->partitions[0], "a");
    reply = client_call(s.c, KAFKA_FETCH, 12, in);
    expect_int(first(reply)->error_code, KAFKA_NONE);
    expect_true(first(reply)->records.size > 0);
    broker_close(&s.b);
}

/* ---- waiting ---- */

TEST(a_session_waits_for_any_of_its_partitions)
{
    enum { PARTITIONS = 1000 };
    struct scene s;
    scene_open(&s, PARTITIONS);
    expect_int(strlen(told(&s, open_session(&s, PARTITIONS))), 3889);
    for (int i = 0; i < 3; i++) {
        struct kafka_fetch_request *in = ask_nothing(&s);
        in->max_wait_ms = 500;
        in->min_bytes = 1;
        name_session(&s, in);
        int32_t id = client_send(s.c, KAFKA_FETCH, VERSION, in);
        broker_commit(&s.b);
        expect_null(client_receive(s.c, KAFKA_FETCH, VERSION, id));
        broker_append(&s.b, s.topic->partitions[700 + i], "a");
        struct kafka_fetch_response *reply = client_receive(s.c, KAFKA_FETCH, VERSION, id);
        expect_string(told(&s, reply), arena_printf(&s.b.arena, "%d", 700 + i));
        expect_string(told(&s, next(&s, ask(&s.b, s.topic, 700 + i, 701 + i, 1))), "");
    }
    broker_close(&s.b);
}

TEST(a_session_that_waits_is_told_when_its_offset_is_deleted)
{
    struct scene s;
    scene_open(&s, 2);
    broker_append(&s.b, s.topic->partitions[0], "a");
    open_session(&s, 2);
    struct kafka_fetch_request *in = ask(&s.b, s.topic, 0, 1, 0);
    in->max_wait_ms = 500;
    in->min_bytes = 10000;
    name_session(&s, in);
    int32_t id = client_send(s.c, KAFKA_FETCH, VERSION, in);
    struct kafka_delete_records_request_partition partition = {.offset = -1};
    struct kafka_delete_records_request_topic topic = {.name = s.topic->name,
                                                       .partitions = {&partition, 1}};
    struct kafka_delete_records_request delete = {.topics = {&topic, 1}, .timeout_ms = 1000};
    client_call(broker_client(&s.b), KAFKA_DELETE_RECORDS, 1, &delete);
    struct kafka_fetch_response *reply = client_receive(s.c, KAFKA_FETCH, VERSION, id);
    expect_int(first(reply)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    broker_close(&s.b);
}

TEST(a_session_that_waits_in_vain_tells_nothing)
{
    struct scene s;
    scene_open(&s, 3);
    open_session(&s, 3);
    struct kafka_fetch_request *in = ask_nothing(&s);
    in->max_wait_ms = 500;
    in->min_bytes = 1000;
    name_session(&s, in);
    int32_t id = client_send(s.c, KAFKA_FETCH, VERSION, in);
    broker_append(&s.b, s.topic->partitions[1], "a"); /* too little, and told at the end */
    expect_null(client_receive(s.c, KAFKA_FETCH, VERSION, id));
    broker_advance(&s.b, 500);
    expect_string(told(&s, client_receive(s.c, KAFKA_FETCH, VERSION, id)), "1");
    broker_close(&s.b);
}

TEST(a_fetch_that_waits_loses_its_session_to_another_connection)
{
    struct scene s;
    scene_open(&s, 1);
    open_session(&s, 1);
    struct test_client *other = broker_client(&s.b);
    struct kafka_fetch_request *in = ask_nothing(&s);
    in->max_wait_ms = 500;
    in->min_bytes = 1;
    name_session(&s, in);
    int32_t id = client_send(s.c, KAFKA_FETCH, VERSION, in);
    name_session(&s, in);
    int32_t other_id = client_send(other, KAFKA_FETCH, VERSION, in);
    broker_turn(&s.b);
    struct kafka_fetch_response *reply = client_receive(s.c, KAFKA_FETCH, VERSION, id);
    expect_int(reply->error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    broker_append(&s.b, s.topic->partitions[0], "a");
    expect_string(told(&s, client_receive(other, KAFKA_FETCH, VERSION, other_id)), "0");
    broker_close(&s.b);
}

TEST(a_fetch_that_waits_goes_on_when_its_session_is_closed)
{
    struct scene s;
    scene_open(&s, 1);
    open_session(&s, 1);
    struct kafka_fetch_request *in = ask_nothing(&s);
    in->max_wait_ms = 500;
    in->min_bytes = 1;
    name_session(&s, in);
    int32_t id = client_send(s.c, KAFKA_FETCH, VERSION, in);
    struct kafka_fetch_request *closing = ask(&s.b, s.topic, 0, 1, 0);
    closing->session_id = s.id;
    closing->session_epoch = -1;
    struct kafka_fetch_response *closed =
        client_call(broker_client(&s.b), KAFKA_FETCH, VERSION, closing);
    expect_int(closed->session_id, 0);
    expect_int(fetch_session_count(s.b.core), 0);
    broker_append(&s.b, s.topic->partitions[0], "a");
    expect_string(told(&s, client_receive(s.c, KAFKA_FETCH, VERSION, id)), "0");
    broker_close(&s.b);
}

TEST(a_session_reads_what_is_no_longer_in_memory)
{
    enum { BATCH_BYTES = 60000, BATCHES = 120 };
    struct core_config config;
    struct scene s = {0};
    broker_config(&config);
    config.store.cache_bytes = 1 << 20;
    broker_open_with(&s.b, &config);
    s.topic = broker_topic(&s.b, "orders", 2);
    s.c = broker_client(&s.b);
    char *value = arena_zalloc(&s.b.arena, 1, BATCH_BYTES + 1);
    memset(value, 'x', BATCH_BYTES);
    for (int i = 0; i < BATCHES; i++)
        broker_append(&s.b, s.topic->partitions[i % 2], value);
    struct kafka_fetch_response *reply = open_session(&s, 2);
    expect_string(told(&s, reply), "0 1");
    for (int64_t offset = 0; offset < BATCHES / 2; offset += 15) {
        reply = next(&s, ask(&s.b, s.topic, 0, 2, offset));
        expect_string(told(&s, reply), "0 1");
        expect_int(get_u64(first(reply)->records.data), offset);
    }
    /* while it reads: one partition is deleted with its topic, and the connection goes away */
    name_session(&s, ask(&s.b, s.topic, 0, 2, 0));
    struct kafka_fetch_request *in = ask(&s.b, s.topic, 0, 2, 0);
    in->session_id = s.id;
    in->session_epoch = s.epoch;
    client_send(s.c, KAFKA_FETCH, VERSION, in);
    broker_turn(&s.b);
    expect_true(sim_jobs_waiting_count(s.b.jobs) > 0);
    topic_delete(s.b.core, s.topic);
    broker_turn(&s.b);
    sim_link_end(s.c->link);
    broker_commit(&s.b);
    expect_int(sim_link_unfreed_count(s.c->link), 0);
    broker_close(&s.b);
}

/* ---- wrong questions ---- */

TEST(a_session_is_refused_with_the_wrong_id_epoch_or_way_to_name_topics)
{
    struct scene s;
    scene_open(&s, 1);
    open_session(&s, 1);
    struct kafka_fetch_request *in = ask_nothing(&s);
    in->session_id = s.id;
    in->session_epoch = 2;
    struct kafka_fetch_response *reply = client_call(s.c, KAFKA_FETCH, VERSION, in);
    expect_int(reply->error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    in->session_epoch = 1;
    reply = client_call(s.c, KAFKA_FETCH, 12, in);
    expect_int(reply->error_code, KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
    static const int32_t wrong_ids[] = {0, -1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof wrong_ids / sizeof wrong_ids[0]; i++) {
        in->session_id = wrong_ids[i];
        reply = client_call(s.c, KAFKA_FETCH, VERSION, in);
        expect_int(reply->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
        expect_int(reply->session_id, 0);
        expect_int(reply->responses.count, 0);
    }
    expect_string(told(&s, next(&s, ask_nothing(&s))), ""); /* it is still there */
    broker_close(&s.b);
}

TEST(a_session_is_replaced_by_a_full_fetch_that_names_it)
{
    struct scene s;
    scene_open(&s, 1);
    open_session(&s, 1);
    int32_t old = s.id;
    struct kafka_fetch_request *in = ask(&s.b, s.topic, 0, 1, 0);
    in->session_id = old;
    in->session_epoch = 0;
    struct kafka_fetch_response *reply = client_call(s.c, KAFKA_FETCH, VERSION, in);
    expect_true(reply->session_id > 0 && reply->session_id != old);
    expect_int(fetch_session_count(s.b.core), 1);
    in->session_id = reply->session_id;
    in->session_epoch = -1;
    reply = client_call(s.c, KAFKA_FETCH, VERSION, in);
    expect_int(reply->session_id, 0);
    expect_string(told(&s, reply), "0");
    expect_int(fetch_session_count(s.b.core), 0);
    broker_close(&s.b);
}

TEST(a_sessions_epoch_goes_from_the_largest_to_1)
{
    struct scene s;
    scene_open(&s, 1);
    open_session(&s, 1);
    fetch_session_find(s.b.core, s.id)->epoch = INT32_MAX;
    s.epoch = INT32_MAX - 1;
    expect_string(told(&s, next(&s, ask_nothing(&s))), "");
    s.epoch = 0;
    expect_string(told(&s, next(&s, ask_nothing(&s))), "");
    broker_close(&s.b);
}

TEST(a_partition_that_is_named_twice_is_one_with_the_later_words)
{
    struct scene s;
    scene_open(&s, 1);
    broker_append(&s.b, s.topic->partitions[0], "a");
    struct kafka_fetch_request *in = ask(&s.b, s.topic, 0, 2, 0);
    in->topics.items[0].partitions.items[1].partition = 0;
    in->topics.items[0].partitions.items[1].fetch_offset = 1;
    in->session_epoch = 0;
    struct kafka_fetch_response *reply = client_call(s.c, KAFKA_FETCH, VERSION, in);
    expect_string(told(&s, reply), "0");
    expect_int(first(reply)->records.size, 0);
    broker_close(&s.b);
}

/* ---- the cache ---- */

static struct kafka_listener few_slots;

static void scene_open_with_slots(struct scene *s, uint32_t slots, int32_t partitions)
{
    struct kafka_config config = {.fetch_session_slots = slots};
    scene_open(s, partitions);
    kafka_listener_init(&few_slots, &config);
    s->c = broker_client_of(&s->b, &few_slots.protocol);
}

TEST(a_full_cache_refuses_what_is_not_larger)
{
    struct scene s;
    scene_open_with_slots(&s, 2, 3);
    expect_true(open_session(&s, 2)->session_id > 0);
    expect_true(open_session(&s, 2)->session_id > 0);
    expect_int(open_session(&s, 2)->session_id, 0);
    expect_int(open_session(&s, 3)->session_id, 0); /* larger, but nothing is old enough */
    expect_int(fetch_session_count(s.b.core), 2);
    broker_close(&s.b);
}

TEST(a_full_cache_gives_up_what_is_old_and_smaller)
{
    struct scene s;
    scene_open_with_slots(&s, 2, 4);
    open_session(&s, 2);
    int32_t small = s.id;
    open_session(&s, 3);
    int32_t large = s.id;
    for (int i = 0; i < 2; i++) { /* both are used all the time */
        broker_advance(&s.b, LONG_AGO_MS / 2);
        s.epoch = i;
        s.id = small;
        expect_string(told(&s, next(&s, ask_nothing(&s))), "");
        s.epoch = i;
        s.id = large;
        expect_string(told(&s, next(&s, ask_nothing(&s))), "");
    }
    broker_advance(&s.b, 1000);
    expect_int(open_session(&s, 2)->session_id, 0);
    expect_true(open_session(&s, 3)->session_id > 0);
    expect_null(fetch_session_find(s.b.core, small));
    expect_not_null(fetch_session_find(s.b.core, large));
    broker_close(&s.b);
}

TEST(a_full_cache_gives_up_what_is_not_used)
{
    struct scene s;
    scene_open_with_slots(&s, 2, 4);
    open_session(&s, 4);
    int32_t unused = s.id;
    open_session(&s, 4);
    broker_advance(&s.b, LONG_AGO_MS / 2);
    expect_string(told(&s, next(&s, ask_nothing(&s))), "");
    broker_advance(&s.b, LONG_AGO_MS / 2 + 1000);
    expect_true(open_session(&s, 1)->session_id > 0);
    expect_null(fetch_session_find(s.b.core, unused));
    broker_close(&s.b);
}

TEST(a_full_cache_gives_up_sessions_whose_connections_are_gone)
{
    struct scene s;
    scene_open_with_slots(&s, 2, 4);
    open_session(&s, 4);
    int32_t orphan = s.id;
    struct test_client *gone = s.c;
    s.c = broker_client_of(&s.b, &few_slots.protocol);
    open_session(&s, 1);
    sim_link_end(gone->link);
    broker_commit(&s.b);
    expect_not_null(fetch_session_find(s.b.core, orphan));
    expect_true(open_session(&s, 1)->session_id > 0);
    expect_null(fetch_session_find(s.b.core, orphan));
    expect_int(open_session(&s, 1)->session_id, 0);
    broker_close(&s.b);
}

TEST(a_session_goes_on_over_another_connection)
{
    struct scene s;
    scene_open(&s, 2);
    open_session(&s, 2);
    sim_link_end(s.c->link);
    broker_append(&s.b, s.topic->partitions[1], "a");
    s.c = broker_client(&s.b);
    expect_string(told(&s, next(&s, ask_nothing(&s))), "1");
    broker_close(&s.b);
}

TEST(idle_sessions_leave_no_watch_behind_on_what_moved)
{
    struct scene s;
    scene_open(&s, 2);
    open_session(&s, 2);
    expect_false(list_is_empty(&s.topic->partitions[0]->watchers));
    broker_append(&s.b, s.topic->partitions[0], "a");
    expect_true(list_is_empty(&s.topic->partitions[0]->watchers));
    expect_false(list_is_empty(&s.topic->partitions[1]->watchers));
    broker_close(&s.b);
}

TEST(all_sessions_together_have_a_bounded_number_of_partitions)
{
    enum { MANY = FETCH_SESSION_PARTS / 2 - 10 };
    struct scene s;
    int32_t newest = 0;
    scene_open(&s, 1);
    for (int i = 0; i < 3; i++) { /* most of the partitions do not exist */
        struct kafka_fetch_response *reply = open_session(&s, MANY);
        expect_int(reply->responses.items[0].partitions.count, MANY);
        expect_int(reply->session_id != 0, i < 2);
        newest = reply->session_id ? reply->session_id : newest;
    }
    s.id = newest;
    s.epoch = 0;
    struct kafka_fetch_request *in = ask(&s.b, s.topic, MANY, MANY + 30, 0);
    expect_int(next(&s, in)->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND); /* it had to go */
    expect_int(fetch_session_count(s.b.core), 1);
    expect_true(open_session(&s, MANY)->session_id > 0);
    broker_close(&s.b);
}

/* ---- against a naive client ---- */

enum { MODEL_PARTITIONS = 6, MODEL_STEPS = 400 };

/* What a client knows of a partition of its session. */
struct known {
    bool is_asked, is_changed; /* changed: the next request has to name it */
    int64_t offset, hw, start;
    bool was_served, was_refused; /* by the newest answer */
};

struct model {
    struct scene s;
    struct random random;
    struct known parts[MODEL_PARTITIONS];
    bool has_session;
};

static void change_something(struct model *m)
{
    int i = (int)random_below(&m->random, MODEL_PARTITIONS);
    struct partition *p = m->s.topic->partitions[i];

    switch (random_below(&m->random, 5)) {
    case 0:
    case 1: broker_append(&m->s.b, p, "a"); return;
    case 2: {
        int64_t to = p->log->start + (int64_t)random_below(&m->random, 2);
        struct ticket ticket;
        if (to <= p->log->start || to > p->log->hw)
            return;
        log_trim(p->log, to, &ticket);
        partition_moved(p);
        broker_commit(&m->s.b);
        return;
    }
    default: /* a member of a group gets another partition, or loses one */
        m->parts[i].is_asked = !m->parts[i].is_asked;
        m->parts[i].is_changed = true;
        m->parts[i].offset = p->log->start;
        m->parts[i].hw = m->parts[i].start = -1;
    }
}

/* The request for what has changed, or for everything. */
static struct kafka_fetch_request *request_of(struct model *m)
{
    struct kafka_fetch_request *in = ask(&m->s.b, m->s.topic, 0, MODEL_PARTITIONS, 0);
    struct kafka_fetch_request_topic *topic = in->topics.items;
    struct kafka_fetch_request *forgets = ask_nothing(&m->s);
    int32_t named = 0, forgotten = 0;

    forget(&m->s, forgets, 0, MODEL_PARTITIONS);
    for (int32_t i = 0; i < MODEL_PARTITIONS; i++) {
        struct known *k = &m->parts[i];
        if (m->has_session && !k->is_changed)
            continue;
        if (k->is_asked) {
            topic->partitions.items[named].partition = i;
            topic->partitions.items[named++].fetch_offset = k->offset;
        } else {
            forgets->forgotten_topics_data.items[0].partitions.items[forgotten++] = i;
        }
        k->is_changed = false;
    }
    topic->partitions.count = named;
    in->topics.count = named > 0;
    if (m->has_session && forgotten > 0) {
        in->forgotten_topics_data = forgets->forgotten_topics_data;
        in->forgotten_topics_data.items[0].partitions.count = forgotten;
    }
    return in;
}

static void take_part(struct model *m, const struct kafka_fetch_response_partition *out)
{
    struct known *k = &m->parts[out->partition_index];

    expect_true(k->is_asked);
    k->hw = out->high_watermark;
    k->start = out->log_start_offset;
    k->was_refused = out->error_code == KAFKA_OFFSET_OUT_OF_RANGE;
    k->was_served = out->records.size > 0;
    if (k->was_refused) {
        k->offset = m->s.topic->partitions[out->partition_index]->log->start;
        k->is_changed = true;
    } else if (k->was_served) {
        expect_int(get_u64(out->records.data), k->offset);
        if (random_below(&m->random, 3) > 0) { /* else it has not worked it off yet */
            k->offset++;
            k->is_changed = true;
        }
    }
}

static void fetch_something(struct model *m)
{
    bool renews = !m->has_session || random_below(&m->random, 20) == 0;
    int64_t offsets[MODEL_PARTITIONS];

    m->has_session = m->has_session && !renews;
    struct kafka_fetch_request *in = request_of(m);
    if (renews) {
        m->s.epoch = -1;
        name_session(&m->s, in);
    } else {
        name_session(&m->s, in);
    }
    for (int i = 0; i < MODEL_PARTITIONS; i++) {
        offsets[i] = m->parts[i].offset;
        m->parts[i].was_served = m->parts[i].was_refused = false;
    }
    struct kafka_fetch_response *reply = client_call(m->s.c, KAFKA_FETCH, VERSION, in);
    expect_int(reply->error_code, KAFKA_NONE);
    m->s.id = reply->session_id;
    m->has_session = reply->session_id != 0;
    for (int32_t t = 0; t < reply->responses.count; t++)
        for (int32_t p = 0; p < reply->responses.items[t].partitions.count; p++)
            take_part(m, &reply->responses.items[t].partitions.items[p]);
    for (int i = 0; i < MODEL_PARTITIONS; i++) {
        const struct known *k = &m->parts[i];
        const struct log *log = m->s.topic->partitions[i]->log;
        if (!k->is_asked)
            continue;
        expect_int(k->was_refused, offsets[i] < log->start);
        expect_int(k->was_served, offsets[i] >= log->start && offsets[i] < log->hw);
        expect_int(k->hw, k->was_refused ? -1 : log->hw);
        expect_int(k->start, k->was_refused ? -1 : log->start);
    }
}

TEST(a_session_tells_a_client_all_that_a_full_fetch_would)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct model m = {0};
        random_init(&m.random, seed);
        scene_open(&m.s, MODEL_PARTITIONS);
        m.parts[0].is_asked = true;
        for (int i = 0; i < MODEL_STEPS; i++) {
            for (uint64_t n = random_below(&m.random, 3); n > 0; n--)
                change_something(&m);
            fetch_something(&m);
        }
        broker_close(&m.s.b);
    }
}
