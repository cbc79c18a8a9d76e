/* Questions about idempotent producers, and those that move or tell the ends of logs. They have a
 * record of their own: golden/kafka_4.1_producers.txt. */
#include "kafka/golden_internal.h"

/* ---- ids ---- */

static void init(struct golden *g, int version, const char *what, const char *transactional_id,
                 int64_t id, int16_t epoch)
{
    struct kafka_init_producer_id_request in = {
        .transactional_id = transactional_id ? bytes_from_string(transactional_id) : BYTES_NULL,
        .transaction_timeout_ms = 60000,
        .producer_id = id,
        .producer_epoch = epoch,
    };
    golden_step(g, KAFKA_INIT_PRODUCER_ID, version, what, &in);
}

static void run_init(struct golden *g)
{
    for (int version = 0; version <= 5; version++)
        init(g, version, "a new one", NULL, -1, -1);
    for (int version = 3; version <= 5; version++)
        init(g, version, "of one that has an id", NULL, 2, 0);
    init(g, 5, "an id without an epoch", NULL, 2, -1);
    init(g, 5, "an epoch without an id", NULL, -1, 2);
    init(g, 5, "an empty transactional id", "", -1, -1);
    init(g, 5, "a transactional id", "payments", -1, -1);
}

/* ---- producing ---- */

static void produce(struct golden *g, int version, const char *what, int64_t id, int16_t epoch,
                    int32_t sequence)
{
    struct bytes batch = make_batch(&g->arena, GOLDEN_NOW_MS, "a", "b", NULL);
    batch_of_producer(batch, id, epoch, sequence);
    struct kafka_produce_request *in = make_produce(&g->arena, "orders", 0, -1, batch);
    golden_step(g, KAFKA_PRODUCE, version, what, in);
}

static void run_produce(struct golden *g)
{
    produce(g, 12, "the first batch", 0, 0, 0);
    produce(g, 12, "the second", 0, 0, 2);
    for (int version = 3; version <= 12; version++)
        produce(g, version, "the first again", 0, 0, 0);
    produce(g, 12, "a gap", 0, 0, 6);
    produce(g, 12, "an overlap", 0, 0, 3);
    for (int i = 0; i < 4; i++)
        produce(g, 9, "one more", 0, 0, 4 + 2 * i);
    produce(g, 12, "the second again, the fifth from the end", 0, 0, 2);
    produce(g, 12, "the first again, too old to be known", 0, 0, 0);
    produce(g, 12, "the next epoch, not from 0", 0, 1, 12);
    produce(g, 12, "the next epoch", 0, 1, 0);
    produce(g, 12, "the epoch before, next batch", 0, 0, 12);
    produce(g, 12, "the epoch before, again", 0, 0, 10);
    produce(g, 12, "an unknown producer from 70", 1, 0, 70);
    produce(g, 12, "an unknown producer, epoch 5 from 9", 2, 5, 9);
    produce(g, 12, "no sequence", 0, 1, -1);
    produce(g, 12, "the largest sequence within", 3, 0, INT32_MAX);
    produce(g, 12, "behind the largest sequence", 3, 0, 1);
    produce(g, 12, "the largest sequence again", 3, 0, INT32_MAX);
    produce(g, 12, "a sequence, but no producer", -1, -1, 5);
}

static void describe(struct golden *g, const char *what, const char *name, int32_t partition)
{
    struct kafka_describe_producers_request_topic topic = {.name = bytes_from_string(name)};
    struct kafka_describe_producers_request in = {.topics = {.items = &topic, .count = 1}};
    topic.partition_indexes.items = &partition;
    topic.partition_indexes.count = 1;
    golden_step(g, KAFKA_DESCRIBE_PRODUCERS, 0, what, &in);
}

static void run_describe(struct golden *g)
{
    describe(g, "nobody has written", "empty", 0);
    struct bytes batch = make_batch(&g->arena, GOLDEN_NOW_MS, "a", "b", NULL);
    batch_of_producer(batch, 4, 6, 0);
    golden_step(g, KAFKA_PRODUCE, 12, "somebody writes",
                make_produce(&g->arena, "empty", 0, -1, batch));
    describe(g, "somebody has written", "empty", 0);
    describe(g, "unknown partition", "empty", 1);
    describe(g, "unknown topic", "nobody", 0);
    describe(g, "spaces in the name", "no body", 0);
}

/* ---- the ends of logs ---- */

static void delete_records(struct golden *g, int version, const char *what, const char *name,
                           int32_t partition, int64_t offset)
{
    struct kafka_delete_records_request_partition part = {partition, offset};
    struct kafka_delete_records_request_topic topic = {.name = bytes_from_string(name)};
    struct kafka_delete_records_request in = {.timeout_ms = 5000};
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    in.topics.items = &topic;
    in.topics.count = 1;
    golden_step(g, KAFKA_DELETE_RECORDS, version, what, &in);
}

static void run_delete_records(struct golden *g)
{
    for (int version = 0; version <= 2; version++)
        delete_records(g, version, "up to an offset", "orders", 0, 3 + version);
    delete_records(g, 2, "what is deleted already", "orders", 0, 2);
    delete_records(g, 2, "beyond the end", "orders", 0, 1000);
    delete_records(g, 2, "to -2", "orders", 0, -2);
    delete_records(g, 2, "unknown partition", "orders", 1, 0);
    delete_records(g, 2, "unknown topic", "nobody", 0, 0);
    produce(g, 12, "the next of a producer whose batches are gone", 0, 1, 2);
    delete_records(g, 2, "everything", "orders", 0, -1);
    delete_records(g, 2, "everything again", "orders", 0, -1);
    produce(g, 12, "one that is known and was deleted", 0, 1, 2);
    produce(g, 12, "a gap behind all that was deleted", 0, 1, 20);
}

/* The leader epoch of the log, which every broker counts in its own way. */
static int32_t epoch_of(struct golden *g)
{
    struct kafka_list_offsets_request_partition part = {.current_leader_epoch = -1,
                                                        .timestamp = -1};
    struct kafka_list_offsets_request_topic topic = {.name = BYTES_LITERAL("orders")};
    struct kafka_list_offsets_request in = {.replica_id = -1};
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    in.topics.items = &topic;
    in.topics.count = 1;
    const struct kafka_list_offsets_response *reply =
        golden_step(g, KAFKA_LIST_OFFSETS, 7, "the end and its epoch", &in);
    return reply->topics.items[0].partitions.items[0].leader_epoch;
}

static void epoch_end(struct golden *g, int version, const char *what, const char *name,
                      int32_t current, int32_t epoch)
{
    struct kafka_offset_for_leader_epoch_request_partition part = {0, current, epoch};
    struct kafka_offset_for_leader_epoch_request_topic topic = {.topic = bytes_from_string(name)};
    struct kafka_offset_for_leader_epoch_request in = {.replica_id = -1};
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    in.topics.items = &topic;
    in.topics.count = 1;
    golden_step(g, KAFKA_OFFSET_FOR_LEADER_EPOCH, version, what, &in);
}

static void run_epochs(struct golden *g)
{
    int32_t epoch = epoch_of(g);
    for (int version = 2; version <= 4; version++)
        epoch_end(g, version, "of the newest epoch", "orders", -1, epoch);
    epoch_end(g, 4, "of the newest epoch, of its leader", "orders", epoch, epoch);
    epoch_end(g, 4, "of a later leader", "orders", epoch + 1, epoch);
    epoch_end(g, 4, "of a later epoch", "orders", -1, epoch + 1);
    epoch_end(g, 4, "of no epoch", "orders", -1, -1);
    epoch_end(g, 4, "of an unknown topic", "nobody", -1, epoch);
}

/* ---- topics that look into batches ---- */

static void create_with(struct golden *g, const char *name, const char *config, const char *value)
{
    struct kafka_create_topics_request *in = golden_create(g, name, 1, 1);
    struct kafka_create_topics_request_topic *topic = &in->topics.items[0];
    topic->configs.items = wire_new(&kafka_create_topics_request_config_schema, &g->arena, 1);
    topic->configs.count = 1;
    topic->configs.items[0].name = bytes_from_string(config);
    topic->configs.items[0].value = bytes_from_string(value);
    golden_step(g, KAFKA_CREATE_TOPICS, 5, name, in);
}

static void produce_plain(struct golden *g, const char *what, const char *topic, struct bytes batch)
{
    golden_step(g, KAFKA_PRODUCE, 12, what, make_produce(&g->arena, topic, 0, -1, batch));
}

static void run_looks(struct golden *g)
{
    struct bytes batch = make_batch(&g->arena, GOLDEN_NOW_MS, "a", "b", NULL);
    create_with(g, "compacted", "cleanup.policy", "compact");
    produce_plain(g, "without keys, compacted", "compacted", batch);
    delete_records(g, 2, "of a compacted topic", "compacted", 0, 0);
    create_with(g, "both", "cleanup.policy", "compact,delete");
    produce_plain(g, "without keys, compacted and deleted", "both", batch);
    delete_records(g, 2, "of a compacted and deleted topic", "both", 0, 0);
    create_with(g, "young", "message.timestamp.before.max.ms", "1000");
    produce_plain(g, "too old", "young", batch);
    create_with(g, "zipped", "compression.type", "gzip");
    for (int i = 0; i < 2; i++) {
        batch_of_producer(batch, 9, 0, 0);
        produce_plain(g, "compressed anew", "zipped", batch);
    }
    create_with(g, "replicated", "min.insync.replicas", "2");
    produce_plain(g, "more replicas asked than there are", "replicated", batch);
}

void golden_run_producers(struct golden *g)
{
    golden_step(g, KAFKA_CREATE_TOPICS, 5, "a topic", golden_create(g, "orders", 1, 1));
    golden_step(g, KAFKA_CREATE_TOPICS, 5, "another", golden_create(g, "empty", 1, 1));
    run_init(g);
    run_produce(g);
    run_describe(g);
    run_epochs(g);
    run_delete_records(g);
    run_looks(g);
}
