/* Questions about fetch sessions, and odd fetches. */
#include "kafka/golden_internal.h"

/* A step of the session: `in` may be NULL for one that names nothing. */
static void next_in_session(struct golden *g, int version, const char *what,
                            struct kafka_fetch_request *in)
{
    bool is_empty = !in;
    if (!in)
        in = golden_fetch(g, 0, 0);
    if (is_empty)
        in->topics.count = 0;
    in->session_id = g->session_id;
    in->session_epoch = ++g->session_epoch;
    golden_step(g, KAFKA_FETCH, version, what, in);
}

static void open_session(struct golden *g, int version, const char *what, int64_t offset)
{
    struct kafka_fetch_request *in = golden_fetch(g, 0, offset);
    in->session_epoch = 0;
    g->session_epoch = 0;
    golden_step(g, KAFKA_FETCH, version, what, in);
}

static struct kafka_fetch_request *forget(struct golden *g, int32_t partition)
{
    struct kafka_fetch_request *in = golden_fetch(g, 0, 0);
    in->topics.count = 0;
    in->forgotten_topics_data.items =
        wire_new(&kafka_fetch_request_forgotten_topic_schema, &g->arena, 1);
    in->forgotten_topics_data.count = 1;
    struct kafka_fetch_request_forgotten_topic *topic = in->forgotten_topics_data.items;
    topic->topic = BYTES_LITERAL("orders");
    memcpy(&topic->topic_id, g->topic_id, sizeof g->topic_id);
    topic->partitions.items = arena_alloc(&g->arena, sizeof partition);
    topic->partitions.items[0] = partition;
    topic->partitions.count = 1;
    return in;
}

static void run_session(struct golden *g, int version, int64_t end)
{
    open_session(g, version, "opening a session", end);
    next_in_session(g, version, "session, nothing new", NULL);
    golden_produce(g, version, "for the session", make_batch(&g->arena, GOLDEN_NOW_MS, "s", NULL));
    next_in_session(g, version, "session, something new", NULL);
    next_in_session(g, version, "session, the same again", NULL);
    next_in_session(g, version, "session, moved on", golden_fetch(g, 0, end + 1));
    next_in_session(g, version, "session, an unknown partition more", golden_fetch(g, 3, 0));
    next_in_session(g, version, "session, with an unknown partition", NULL);
    next_in_session(g, version, "session, forgetting it", forget(g, 3));
    next_in_session(g, version, "session, forgetting what it has not", forget(g, 7));
    next_in_session(g, version, "session, beyond the end", golden_fetch(g, 0, end + 100));
    next_in_session(g, version, "session, still beyond the end", NULL);
    next_in_session(g, version, "session, back at the end", golden_fetch(g, 0, end + 1));
    next_in_session(g, version == 12 ? 13 : 12, "session, in another way to name topics", NULL);
    g->session_epoch = 40;
    next_in_session(g, version, "session, wrong epoch", NULL);
    g->session_epoch = 11;
    next_in_session(g, version, "session, forgetting all", forget(g, 0));
    next_in_session(g, version, "session, after its end", NULL);

    open_session(g, version, "opening one more", end + 1);
    int32_t first = g->session_id;
    struct kafka_fetch_request *in = golden_fetch(g, 0, end + 1);
    in->session_id = first;
    in->session_epoch = 0;
    golden_step(g, KAFKA_FETCH, version, "opening another in its place", in);
    int32_t second = g->session_id;
    g->session_id = first;
    g->session_epoch = 0;
    next_in_session(g, version, "session, replaced", NULL);
    in->session_id = second;
    in->session_epoch = -1;
    golden_step(g, KAFKA_FETCH, version, "closing the other", in);
    g->session_id = second;
    g->session_epoch = 0;
    next_in_session(g, version, "session, closed", NULL);
    in = golden_fetch(g, 0, 0);
    in->topics.count = 0;
    in->session_epoch = 0;
    golden_step(g, KAFKA_FETCH, version, "opening one with nothing", in);
}

static void remember_id(struct golden *g, const struct kafka_create_topics_response *reply)
{
    if (reply && reply->topics.count == 1)
        memcpy(g->topic_id, &reply->topics.items[0].topic_id, sizeof g->topic_id);
}

/* What a session by id is told when its topic is deleted, and made again. */
static void run_session_of_deleted(struct golden *g)
{
    uint8_t orders_id[16];
    memcpy(orders_id, g->topic_id, sizeof orders_id);
    remember_id(
        g, golden_step(g, KAFKA_CREATE_TOPICS, 7, "to be deleted", golden_create(g, "gone", 1, 1)));
    open_session(g, 13, "opening a session of a topic to be deleted", 0);
    struct kafka_delete_topics_request_topic topic = {.name = BYTES_LITERAL("gone")};
    struct kafka_delete_topics_request in = {.timeout_ms = 5000, .topics = {&topic, 1}};
    golden_step(g, KAFKA_DELETE_TOPICS, 6, "that a session fetches", &in);
    next_in_session(g, 13, "session, of a deleted topic", NULL);
    open_session(g, 13, "opening a session of a deleted topic", 0);
    next_in_session(g, 13, "session, of a topic that never was", NULL);
    memcpy(g->topic_id, orders_id, sizeof orders_id);
}

static void run_fetch_oddities(struct golden *g)
{
    struct kafka_fetch_request *in = golden_fetch(g, 0, 5);
    in->replica_id = 5;
    golden_step(g, KAFKA_FETCH, 12, "as another replica", in);
    in = golden_fetch(g, 0, 5);
    in->replica_id = -2;
    golden_step(g, KAFKA_FETCH, 12, "as a debugging consumer", in);
    in = golden_fetch(g, 0, 5);
    in->rack_id = BYTES_LITERAL("rack1");
    golden_step(g, KAFKA_FETCH, 12, "from a rack", in);
    in->max_wait_ms = 0;
    in->min_bytes = 0;
    golden_step(g, KAFKA_FETCH, 12, "without waiting", in);
    in->topics.items[0].partitions.items[0].partition_max_bytes = -5;
    golden_step(g, KAFKA_FETCH, 12, "part of -5 bytes", in);
    in->max_bytes = -5;
    golden_step(g, KAFKA_FETCH, 12, "-5 bytes", in);
}

void golden_run_sessions(struct golden *g)
{
    run_fetch_oddities(g);
    run_session(g, 12, 24);
    run_session(g, 13, 25);
    run_session_of_deleted(g);
}
