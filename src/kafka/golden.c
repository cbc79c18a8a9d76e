#include "kafka/golden.h"

#include <stdlib.h>

#include "kafka/golden_internal.h"

enum { PAST_MS = 1000 };
static const int64_t now_ms = GOLDEN_NOW_MS; /* any time that is not in the future will do */
static const int64_t future_ms = 4102444800000;

static const struct {
    const char *step, *why;
} differences[] = {
    {"CreateTopics v7, 3 replicas",
     "Kafka refuses; here there is one node, and 3 are lowered to 1"},
    {"IncrementalAlterConfigs v1, operation 9", "Kafka says UNKNOWN_SERVER_ERROR"},
    {"ElectLeaders v0, all", "Kafka names every topic, with no partition"},
    {"ElectLeaders v1, all", "Kafka names every topic, with no partition"},
    {"ElectLeaders v2, all", "Kafka names every topic, with no partition"},
    {"Produce v12, records null", "Kafka closes the connection"},
    {"Produce v12, transactional batch", "Kafka has transactions, and refuses for want of rights"},
    {"Produce v12, codec 5", "Kafka says UNKNOWN_SERVER_ERROR"},
    {"Fetch v12, part of 200 bytes", "Kafka cuts the last batch"},
    {"Fetch v13, part of 200 bytes", "Kafka cuts the last batch"},
    {"Fetch v12, part of -5 bytes", "Kafka says UNKNOWN_SERVER_ERROR"},
    {"Fetch v12, -5 bytes", "Kafka says UNKNOWN_SERVER_ERROR"},
    {"InitProducerId v5, a transactional id", "Kafka has transactions"},
    {"DeleteGroups v2, that nobody could join", "Kafka keeps a group whose only join it refused"},
};

const char *golden_difference(struct bytes step)
{
    for (size_t i = 0; i < sizeof differences / sizeof differences[0]; i++)
        if (bytes_equal_string(step, differences[i].step))
            return differences[i].why;
    return NULL;
}

/* ---- asking and writing down ---- */

static const char *const hidden[] = {"error_message", "batch_index_error_message",
                                     "topic_id",      "leader_epoch",
                                     "epoch",         "host",
                                     "port",          "cluster_id"};

static bool is_hidden(struct bytes line)
{
    while (line.size > 0 && (*line.data == ' ' || *line.data == '-'))
        line = bytes_of(line.data + 1, line.size - 1);
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        size_t size = strlen(hidden[i]);
        if (line.size > size && line.data[size] == ':' && bytes_has_prefix(line, hidden[i]))
            return true;
    }
    return false;
}

/* Member ids end in a number that is drawn by lot: 8, 4, 4, 4 and 12 digits. */
static bool is_drawn(struct bytes b)
{
    enum { SIZE = 36 };
    for (size_t i = 0; i < SIZE; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (i >= b.size || is_dash != (b.data[i] == '-') ||
            (!is_dash && !memchr("0123456789abcdef", b.data[i], 16)))
            return false;
    }
    return true;
}

static void append_line(struct text *out, struct bytes line)
{
    for (size_t i = 0; i < line.size;) {
        bool drawn = is_drawn(bytes_of(line.data + i, line.size - i));
        text_append(out, drawn ? BYTES_LITERAL("*") : bytes_of(line.data + i, 1));
        i += drawn ? 36 : 1;
    }
}

static void append_lines(struct text *out, struct bytes dump)
{
    while (dump.size > 0) {
        const uint8_t *end = memchr(dump.data, '\n', dump.size);
        size_t size = end ? (size_t)(end - dump.data) + 1 : dump.size;
        struct bytes line = bytes_of(dump.data, size);
        const uint8_t *colon = is_hidden(line) ? memchr(line.data, ':', line.size) : NULL;
        if (colon) {
            text_append(out, bytes_of(line.data, (size_t)(colon - line.data)));
            text_append_string(out, ": *\n");
        } else {
            append_line(out, line);
        }
        dump = bytes_of(dump.data + size, dump.size - size);
    }
}

/* Every broker has its own leader epochs, in the batches too. */
static void hide_epochs(struct bytes records)
{
    while (records.size >= BATCH_HEADER_BYTES) {
        uint8_t *raw = (uint8_t *)(uintptr_t)records.data;
        size_t size = BATCH_PREFIX_BYTES + (size_t)get_u32(raw + 8);
        put_u32(raw + 12, 0);
        if (size > records.size)
            return;
        records = bytes_of(records.data + size, records.size - size);
    }
}

/* Session ids are drawn by lot. */
static void hide_in_fetch(struct golden *g, struct kafka_fetch_response *reply)
{
    if (reply->session_id != 0)
        g->session_id = reply->session_id;
    reply->session_id = reply->session_id != 0;
    for (int32_t i = 0; i < reply->responses.count; i++)
        for (int32_t j = 0; j < reply->responses.items[i].partitions.count; j++)
            hide_epochs(reply->responses.items[i].partitions.items[j].records);
}

/* There are more configs than Kafka's here, and other defaults. */
static void hide_in_create(struct kafka_create_topics_response *reply)
{
    for (int32_t i = 0; i < reply->topics.count; i++)
        reply->topics.items[i].configs.count = 0;
}

static int compare_listed(const void *left, const void *right)
{
    const struct kafka_list_groups_response_group *a = left, *b = right;
    size_t size = a->group_id.size < b->group_id.size ? a->group_id.size : b->group_id.size;
    int order = memcmp(a->group_id.data, b->group_id.data, size);
    return order ? order
                 : (a->group_id.size > b->group_id.size) - (a->group_id.size < b->group_id.size);
}

/* Groups are in no order. */
static void sort_groups(struct kafka_list_groups_response *reply)
{
    if (reply->groups.count > 1)
        qsort(reply->groups.items, (size_t)reply->groups.count, sizeof *reply->groups.items,
              compare_listed);
}

/* Which one it is depends on who was there before. */
static void hide_producer_id(struct kafka_init_producer_id_response *reply)
{
    if (reply->producer_id > 0)
        reply->producer_id = 0;
}

static void *decode(struct golden *g, const struct wire_api *api, int version, struct bytes answer)
{
    struct reader in = reader_of(arena_copy(&g->arena, answer));
    struct kafka_response_header header;
    void *reply = wire_new(api->response, &g->arena, 1);
    expect_ok(wire_decode(&kafka_response_header_schema, wire_response_header_version(api, version),
                          &in, &g->arena, &header));
    expect_int(header.correlation_id, g->correlation_id);
    expect_ok(wire_decode(api->response, version, &in, &g->arena, reply));
    expect_int(reader_left(&in), 0);
    if (api->key == KAFKA_FETCH)
        hide_in_fetch(g, reply);
    if (api->key == KAFKA_LIST_GROUPS)
        sort_groups(reply);
    if (api->key == KAFKA_CREATE_TOPICS)
        hide_in_create(reply);
    golden_hide_admin(api->key, reply);
    if (api->key == KAFKA_INIT_PRODUCER_ID)
        hide_producer_id(reply);
    return reply;
}

/* The answer, decoded; NULL when the connection was closed. */
void *golden_step(struct golden *g, int key, int version, const char *what, const void *body)
{
    const struct wire_api *api = wire_api_find(kafka_apis, KAFKA_API_COUNT, key);
    struct text request = {0}, dump = {0};
    put_request(&request, key, version, ++g->correlation_id, body);
    struct bytes answer = g->ask(g, text_bytes(&request));
    text_reset(&request);
    text_printf(&g->text, "=== %s v%d, %s\n", api->name, version, what);
    if (!answer.data) {
        text_append_string(&g->text, "closed\n");
        return NULL;
    }
    void *reply = decode(g, api, version, answer);
    wire_dump(api->response, version, reply, &dump);
    append_lines(&g->text, text_bytes(&dump));
    text_reset(&dump);
    return reply;
}

/* ---- topics ---- */

struct kafka_create_topics_request *golden_create(struct golden *g, const char *name,
                                                  int32_t partitions, int16_t replicas)
{
    struct kafka_create_topics_request *in =
        wire_new(&kafka_create_topics_request_schema, &g->arena, 1);
    in->timeout_ms = 5000;
    in->topics.items = wire_new(&kafka_create_topics_request_topic_schema, &g->arena, 2);
    in->topics.count = 1;
    for (int i = 0; i < 2; i++) { /* the second for who asks twice */
        in->topics.items[i].name = bytes_from_string(name);
        in->topics.items[i].num_partitions = partitions;
        in->topics.items[i].replication_factor = replicas;
    }
    return in;
}

static struct kafka_create_topics_request *create_with(struct golden *g, const char *name,
                                                       const char *config, const char *value)
{
    struct kafka_create_topics_request *in = golden_create(g, name, 1, 1);
    struct kafka_create_topics_request_topic *topic = &in->topics.items[0];
    topic->configs.items = wire_new(&kafka_create_topics_request_config_schema, &g->arena, 1);
    topic->configs.count = 1;
    topic->configs.items[0].name = bytes_from_string(config);
    topic->configs.items[0].value = value ? bytes_from_string(value) : BYTES_NULL;
    return in;
}

static struct kafka_create_topics_request *create_assigned(struct golden *g, int32_t partition,
                                                           int32_t node)
{
    struct kafka_create_topics_request *in = golden_create(g, "new", -1, -1);
    struct kafka_create_topics_request_topic *topic = &in->topics.items[0];
    topic->assignments.items =
        wire_new(&kafka_create_topics_request_assignment_schema, &g->arena, 1);
    topic->assignments.count = 1;
    topic->assignments.items[0].partition_index = partition;
    topic->assignments.items[0].broker_ids.items = arena_alloc(&g->arena, sizeof node);
    topic->assignments.items[0].broker_ids.items[0] = node;
    topic->assignments.items[0].broker_ids.count = 1;
    return in;
}

static void run_create(struct golden *g)
{
    enum { KEY = KAFKA_CREATE_TOPICS };
    golden_step(g, KEY, 7, "spaces in the name", golden_create(g, "no spaces", 1, 1));
    golden_step(g, KEY, 7, "no name", golden_create(g, "", 1, 1));
    golden_step(g, KEY, 7, "two dots", golden_create(g, "..", 1, 1));
    golden_step(g, KEY, 7, "0 partitions", golden_create(g, "new", 0, 1));
    golden_step(g, KEY, 7, "-2 partitions", golden_create(g, "new", -2, 1));
    golden_step(g, KEY, 7, "0 replicas", golden_create(g, "new", 1, 0));
    golden_step(g, KEY, 7, "3 replicas", golden_create(g, "three", 1, 3));
    golden_step(g, KEY, 7, "unknown config", create_with(g, "new", "no.such", "1"));
    golden_step(g, KEY, 7, "value of another type", create_with(g, "new", "retention.ms", "soon"));
    golden_step(g, KEY, 7, "null value", create_with(g, "new", "retention.ms", NULL));
    golden_step(g, KEY, 7, "assigned to another node", create_assigned(g, 0, 9));
    golden_step(g, KEY, 7, "assigned with a gap", create_assigned(g, 1, 1));
    struct kafka_create_topics_request *in = create_assigned(g, 0, 1);
    in->topics.items[0].num_partitions = 1;
    golden_step(g, KEY, 7, "assigned and counted", in);
    in = golden_create(g, "new", 1, 1);
    in->topics.count = 2;
    golden_step(g, KEY, 7, "twice", in);
    in = golden_create(g, "new", 1, 1);
    in->validate_only = true;
    for (int version = 2; version <= 7; version++)
        golden_step(g, KEY, version, "only to validate", in);
    golden_step(g, KEY, 4, "with a config", create_with(g, "orders", "max.message.bytes", "1000"));
    golden_step(g, KEY, 7, "again", golden_create(g, "orders", 1, 1));
    golden_step(g, KEY, 5, "with defaults", golden_create(g, "empty", -1, -1));
}

static struct kafka_metadata_request *metadata(struct golden *g, const char *name)
{
    struct kafka_metadata_request *in = wire_new(&kafka_metadata_request_schema, &g->arena, 1);
    in->topics.items = wire_new(&kafka_metadata_request_topic_schema, &g->arena, 2);
    in->topics.count = 1;
    for (int i = 0; i < 2; i++)
        in->topics.items[i].name = bytes_from_string(name);
    in->allow_auto_topic_creation = false;
    return in;
}

static void run_metadata(struct golden *g)
{
    enum { KEY = KAFKA_METADATA };
    struct kafka_metadata_request *in = metadata(g, "orders");
    for (int version = 0; version <= 13; version++) {
        in->allow_auto_topic_creation = version < 4;
        in->include_topic_authorized_operations = version >= 8;
        in->include_cluster_authorized_operations = version >= 8 && version <= 10;
        struct kafka_metadata_response *reply = golden_step(g, KEY, version, "one topic", in);
        memcpy(g->topic_id, &reply->topics.items[0].topic_id, sizeof g->topic_id);
    }
    golden_step(g, KEY, 12, "unknown topic", metadata(g, "nobody"));
    golden_step(g, KEY, 12, "spaces in the name", metadata(g, "no spaces"));
    in = metadata(g, "orders");
    in->topics.count = 2;
    golden_step(g, KEY, 12, "twice", in);
    in->topics.count = 0;
    golden_step(g, KEY, 1, "no topics", in);
    golden_step(g, KEY, 12, "no topics", in);
    in = metadata(g, "orders");
    in->topics.items[0].name = BYTES_NULL;
    memcpy(&in->topics.items[0].topic_id, g->topic_id, sizeof g->topic_id);
    golden_step(g, KEY, 12, "by id", in);
    in->topics.items[0].topic_id.data[1] ^= 7;
    golden_step(g, KEY, 12, "by unknown id", in);
}

static void run_delete(struct golden *g)
{
    enum { KEY = KAFKA_DELETE_TOPICS };
    struct bytes names[] = {BYTES_LITERAL("empty"), BYTES_LITERAL("nobody"),
                            BYTES_LITERAL("nobody")};
    struct kafka_delete_topics_request_topic topic = {.name = BYTES_LITERAL("orders")};
    struct kafka_delete_topics_request in = {.timeout_ms = 5000};
    in.topic_names.items = names;
    in.topic_names.count = 2;
    in.topics.items = &topic;
    in.topics.count = 1;
    golden_step(g, KEY, 3, "one that is there and one that is not", &in);
    in.topic_names.count = 3;
    golden_step(g, KEY, 5, "twice", &in);
    memcpy(&topic.topic_id, g->topic_id, sizeof g->topic_id);
    golden_step(g, KEY, 6, "by name and by id", &in);
    topic.name = BYTES_NULL;
    golden_step(g, KEY, 6, "by id", &in);
    golden_step(g, KEY, 6, "by id again", &in);
    topic.topic_id = (struct uuid){{0}};
    golden_step(g, KEY, 6, "by nothing", &in);
    topic.name = BYTES_LITERAL("nobody");
    golden_step(g, KEY, 6, "unknown topic", &in);
}

/* ---- data ---- */

void golden_produce(struct golden *g, int version, const char *what, struct bytes records)
{
    struct kafka_produce_request *in =
        make_produce(&g->arena, "orders", 0, version % 2 ? 1 : -1, records);
    memcpy(&in->topic_data.items[0].topic_id, g->topic_id, sizeof g->topic_id);
    golden_step(g, KAFKA_PRODUCE, version, what, in);
}

/* A batch of one record with a byte changed, and the checksum made right again. */
static struct bytes changed(struct golden *g, size_t at, uint8_t value)
{
    struct bytes batch = make_batch(&g->arena, now_ms, "a", NULL);
    ((uint8_t *)(uintptr_t)batch.data)[at] = value;
    batch_sign(batch);
    return batch;
}

static void run_produce(struct golden *g)
{
    struct bytes good = make_batch(&g->arena, now_ms, "a", NULL);
    for (int version = 3; version <= 13; version++)
        golden_produce(g, version, "two records",
                       make_batch(&g->arena, now_ms + version, "a", "b", NULL));
    golden_step(g, KAFKA_PRODUCE, 12, "unknown topic",
                make_produce(&g->arena, "nobody", 0, -1, good));
    golden_step(g, KAFKA_PRODUCE, 13, "unknown id", make_produce(&g->arena, "nobody", 0, -1, good));
    golden_step(g, KAFKA_PRODUCE, 12, "unknown partition",
                make_produce(&g->arena, "orders", 5, -1, good));
    golden_step(g, KAFKA_PRODUCE, 12, "acks 2", make_produce(&g->arena, "orders", 0, 2, good));
    golden_produce(g, 12, "records null", BYTES_NULL);
    golden_produce(g, 12, "records empty", bytes_of("", 0));
    golden_produce(g, 12, "truncated", bytes_of(good.data, good.size - 3));
    struct text two = {0};
    text_append(&two, good);
    text_append(&two, good);
    golden_produce(g, 12, "two batches", text_bytes(&two));
    text_reset(&two);
    struct bytes damaged = changed(g, 0, 0);
    ((uint8_t *)(uintptr_t)damaged.data)[damaged.size - 2] ^= 1;
    golden_produce(g, 12, "wrong checksum", damaged);
    golden_produce(g, 12, "base offset 1", changed(g, 7, 1));
    golden_produce(g, 12, "magic 1", changed(g, 16, 1));
    golden_produce(g, 12, "control batch", changed(g, 22, BATCH_CONTROL));
    golden_produce(g, 12, "transactional batch", changed(g, 22, BATCH_TRANSACTIONAL));
    golden_produce(g, 12, "codec 5", changed(g, 22, 5));
    golden_produce(g, 6, "zstd", changed(g, 22, CODEC_ZSTD));
    golden_produce(g, 12, "2 records of 1", changed(g, 60, 2));
    golden_produce(g, 12, "no records", changed(g, 60, 0));
    char large[3000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    golden_produce(g, 12, "too large", make_batch(&g->arena, now_ms, large, NULL));
    golden_produce(g, 12, "from the future", make_batch(&g->arena, future_ms, "a", NULL));
    golden_produce(g, 12, "from long ago", make_batch(&g->arena, PAST_MS, "a", NULL));
    golden_produce(g, 12, "without a time", make_batch(&g->arena, -1, "a", NULL));
}

struct kafka_fetch_request *golden_fetch(struct golden *g, int32_t partition, int64_t offset)
{
    struct kafka_fetch_request *in = wire_new(&kafka_fetch_request_schema, &g->arena, 1);
    in->max_bytes = 1 << 20;
    in->max_wait_ms = 100;
    in->min_bytes = 1;
    in->session_epoch = -1;
    in->topics.items = wire_new(&kafka_fetch_request_topic_schema, &g->arena, 1);
    in->topics.count = 1;
    struct kafka_fetch_request_topic *topic = in->topics.items;
    topic->topic = BYTES_LITERAL("orders");
    memcpy(&topic->topic_id, g->topic_id, sizeof g->topic_id);
    topic->partitions.items = wire_new(&kafka_fetch_request_partition_schema, &g->arena, 1);
    topic->partitions.count = 1;
    topic->partitions.items[0].partition = partition;
    topic->partitions.items[0].fetch_offset = offset;
    topic->partitions.items[0].partition_max_bytes = 1 << 20;
    return in;
}

static void run_fetch_limits(struct golden *g, int version)
{
    struct kafka_fetch_request *in = golden_fetch(g, 0, 0);
    struct kafka_fetch_request_partition *part = in->topics.items[0].partitions.items;
    in->max_bytes = 10;
    golden_step(g, KAFKA_FETCH, version, "10 bytes", in);
    in->max_bytes = 1 << 20;
    part->partition_max_bytes = 10;
    golden_step(g, KAFKA_FETCH, version, "part of 10 bytes", in);
    part->partition_max_bytes = 200;
    golden_step(g, KAFKA_FETCH, version, "part of 200 bytes", in);
    in = golden_fetch(g, 0, 5);
    in->session_id = 5;
    in->session_epoch = 1;
    golden_step(g, KAFKA_FETCH, version, "unknown session", in);
    in->session_epoch = -1;
    golden_step(g, KAFKA_FETCH, version, "closing a session", in);
    in->session_id = 0;
    in->session_epoch = 3;
    golden_step(g, KAFKA_FETCH, version, "no session, epoch 3", in);
    in = golden_fetch(g, 0, 0);
    in->topics.count = 0;
    golden_step(g, KAFKA_FETCH, version, "nothing", in);
    in = golden_fetch(g, 0, 0);
    in->isolation_level = 1;
    golden_step(g, KAFKA_FETCH, version, "read committed", in);
    in->isolation_level = 0;
    part = in->topics.items[0].partitions.items;
    part->current_leader_epoch = 1000;
    golden_step(g, KAFKA_FETCH, version, "leader of epoch 1000", in);
    part->current_leader_epoch = -1;
    part->last_fetched_epoch = 1000;
    golden_step(g, KAFKA_FETCH, version, "read from epoch 1000", in);
}

static void run_fetch(struct golden *g)
{
    for (int version = 4; version <= 18; version++)
        golden_step(g, KAFKA_FETCH, version, "all", golden_fetch(g, 0, 0));
    for (int version = 12; version <= 13; version++) {
        golden_step(g, KAFKA_FETCH, version, "at the end", golden_fetch(g, 0, 24));
        golden_step(g, KAFKA_FETCH, version, "beyond the end", golden_fetch(g, 0, 240));
        golden_step(g, KAFKA_FETCH, version, "before the start", golden_fetch(g, 0, -1));
        golden_step(g, KAFKA_FETCH, version, "unknown partition", golden_fetch(g, 3, 0));
        struct kafka_fetch_request *in = golden_fetch(g, 0, 0);
        in->topics.items[0].topic = BYTES_LITERAL("nobody");
        in->topics.items[0].topic_id.data[2] ^= 5;
        golden_step(g, KAFKA_FETCH, version, "unknown topic", in);
        run_fetch_limits(g, version);
    }
}

static struct kafka_list_offsets_request *offsets(struct golden *g, const char *topic,
                                                  int32_t partition, int64_t timestamp)
{
    struct kafka_list_offsets_request *in =
        wire_new(&kafka_list_offsets_request_schema, &g->arena, 1);
    in->replica_id = -1;
    in->timeout_ms = 1000;
    in->topics.items = wire_new(&kafka_list_offsets_request_topic_schema, &g->arena, 1);
    in->topics.count = 1;
    in->topics.items[0].name = bytes_from_string(topic);
    in->topics.items[0].partitions.items =
        wire_new(&kafka_list_offsets_request_partition_schema, &g->arena, 2);
    in->topics.items[0].partitions.count = 1;
    for (int i = 0; i < 2; i++) {
        in->topics.items[0].partitions.items[i].partition_index = partition;
        in->topics.items[0].partitions.items[i].timestamp = timestamp;
    }
    return in;
}

static void run_list_offsets(struct golden *g)
{
    enum { KEY = KAFKA_LIST_OFFSETS };
    for (int64_t timestamp = -1; timestamp >= -6; timestamp--) {
        const char *what = arena_printf(&g->arena, "special time %d", (int)timestamp);
        for (int version = timestamp < -2 ? 6 : 1; version <= 10; version++)
            golden_step(g, KEY, version, what, offsets(g, "orders", 0, timestamp));
        what = arena_printf(&g->arena, "special time %d of an empty log", (int)timestamp);
        golden_step(g, KEY, 10, what, offsets(g, "empty", 0, timestamp));
    }
    golden_step(g, KEY, 10, "a time of an empty log", offsets(g, "empty", 0, 0));
    golden_step(g, KEY, 7, "a time", offsets(g, "orders", 0, now_ms + 7));
    golden_step(g, KEY, 7, "a time before all", offsets(g, "orders", 0, 0));
    golden_step(g, KEY, 7, "a time behind all", offsets(g, "orders", 0, now_ms + 1000));
    golden_step(g, KEY, 7, "unknown topic", offsets(g, "nobody", 0, -1));
    golden_step(g, KEY, 7, "unknown partition", offsets(g, "orders", 7, -1));
    struct kafka_list_offsets_request *in = offsets(g, "orders", 0, -1);
    in->topics.items[0].partitions.items[0].current_leader_epoch = 1000;
    golden_step(g, KEY, 7, "leader of epoch 1000", in);
    in->topics.items[0].partitions.items[0].current_leader_epoch = -1;
    in->topics.items[0].partitions.count = 2;
    golden_step(g, KEY, 7, "twice", in);
    in->topics.items[0].partitions.items[0].partition_index = 7;
    in->topics.items[0].partitions.items[1].partition_index = 7;
    golden_step(g, KEY, 7, "an unknown partition twice", in);
    in = offsets(g, "orders", 0, -1);
    in->isolation_level = 1;
    golden_step(g, KEY, 7, "read committed", in);
    in = offsets(g, "orders", 0, -1);
    in->replica_id = 5;
    golden_step(g, KEY, 7, "as another replica", in);
    in = offsets(g, "orders", 0, -1);
    in->topics.count = 0;
    golden_step(g, KEY, 7, "nothing", in);
}

void golden_run(struct golden *g)
{
    struct kafka_api_versions_request versions = {BYTES_LITERAL("-x"), BYTES_LITERAL("1")};
    golden_step(g, KAFKA_API_VERSIONS, 3, "a name that is none", &versions);
    run_create(g);
    run_metadata(g);
    run_produce(g);
    run_fetch(g);
    run_list_offsets(g);
    golden_run_sessions(g);
    golden_run_admin(g);
    run_delete(g);
}
