#include "kafka/test_broker.h"

void broker_config(struct core_config *config)
{
    memset(config, 0, sizeof *config);
    store_config_default(&config->store);
    config->durability = LEVEL_FSYNC;
    config->auto_create_topics = true;
    config->default_partitions = 1;
    config->topic_message_max_bytes = 1048588;
    config->message_max_bytes = 16 << 20;
    config->random_seed = test_seed();
    config->node_id = 7;
    memcpy(config->cluster_id, "AAAAAAAAAAAAAAAAAAAAAA", 23);
}

void broker_open_with(struct test_broker *b, const struct core_config *config)
{
    memset(b, 0, sizeof *b);
    arena_init(&b->arena, 512 << 20);
    b->disk = sim_disk_new();
    b->jobs = sim_jobs_new();
    b->now_ns = 1000000000;
    b->wall_ms = 1700000000000;
    expect_ok(core_open(config, b->disk, b->jobs, &b->core));
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
    broker_commit(b);
}

void broker_open(struct test_broker *b)
{
    struct core_config config;
    broker_config(&config);
    broker_open_with(b, &config);
}

void broker_close(struct test_broker *b)
{
    for (size_t i = 0; i < b->client_count; i++)
        sim_link_free(b->clients[i].link);
    core_turn_end(b->core);
    sim_jobs_drain(b->jobs); /* what is under way ends first: it works on the store's memory */
    core_abandon(b->core);
    sim_jobs_free(b->jobs);
    disk_free(b->disk);
    arena_reset(&b->arena);
}

void broker_turn(struct test_broker *b)
{
    core_turn_end(b->core);
    for (size_t i = 0; i < b->client_count; i++)
        sim_link_turn(b->clients[i].link);
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
}

bool broker_step(struct test_broker *b)
{
    bool worked = sim_jobs_step(b->jobs, &b->core->random);
    broker_turn(b);
    return worked;
}

static bool is_busy(const struct test_broker *b)
{
    return core_next_due(b->core) <= b->now_ns || sim_jobs_waiting_count(b->jobs) > 0;
}

void broker_commit(struct test_broker *b)
{
    broker_turn(b);
    for (int i = 0; i < 16 || (i < 1000 && is_busy(b)); i++) {
        sim_jobs_drain(b->jobs);
        broker_turn(b);
    }
    expect_int(sim_jobs_waiting_count(b->jobs), 0);
}

void broker_advance(struct test_broker *b, int64_t ms)
{
    broker_turn(b);
    b->now_ns += ms * 1000000;
    b->wall_ms += ms;
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
    broker_turn(b);
}

struct topic *broker_topic(struct test_broker *b, const char *name, int32_t partitions)
{
    struct topic_spec spec = {.name = bytes_from_string(name), .partition_count = partitions};
    struct topic *topic = NULL;
    expect_ok(topic_create(b->core, &spec, &topic));
    broker_commit(b);
    return topic;
}

void broker_append_batch(struct test_broker *b, struct partition *p, const struct batch *batch)
{
    int64_t base_offset, append_time;
    struct ticket ticket;
    expect_ok(partition_append(b->core, p, batch, &base_offset, &append_time, &ticket));
    broker_commit(b);
    expect_int(p->log->hw, base_offset + batch->last_offset_delta + 1);
}

void broker_append(struct test_broker *b, struct partition *p, const char *value)
{
    struct batch batch;
    expect_ok(batch_parse(make_batch(&b->arena, b->wall_ms, value, NULL), &batch));
    broker_append_batch(b, p, &batch);
}

/* ---- clients ---- */

struct test_client *broker_client_of(struct test_broker *b, const struct protocol *protocol)
{
    struct test_client *c = &b->clients[b->client_count++];
    *c = (struct test_client){.broker = b, .correlation_id = 100};
    c->link = sim_link_new(protocol, b->core, NULL);
    return c;
}

struct test_client *broker_client(struct test_broker *b)
{
    return broker_client_of(b, &kafka_protocol);
}

int32_t client_send(struct test_client *c, int key, int version, const void *body)
{
    struct text frame = {0};
    put_request(&frame, key, version, ++c->correlation_id, body);
    expect_true(sim_link_feed(c->link, text_bytes(&frame)));
    text_reset(&frame);
    return c->correlation_id;
}

void *client_receive(struct test_client *c, int key, int version, int32_t correlation_id)
{
    struct bytes output = sim_link_output(c->link);
    struct bytes unread = bytes_of(output.data + c->read_bytes, output.size - c->read_bytes);
    if (unread.size < 4 || unread.size - 4 < get_u32(unread.data))
        return NULL;
    uint32_t size = get_u32(unread.data);
    struct reader in = reader_of(arena_copy(&c->broker->arena, bytes_of(unread.data + 4, size)));
    c->read_bytes += 4 + size;

    const struct wire_api *api = wire_api_find(kafka_apis, KAFKA_API_COUNT, key);
    struct kafka_response_header header;
    void *body = wire_new(api->response, &c->broker->arena, 1);
    expect_ok(wire_decode(&kafka_response_header_schema, wire_response_header_version(api, version),
                          &in, &c->broker->arena, &header));
    expect_ok(wire_decode(api->response, version, &in, &c->broker->arena, body));
    expect_int(header.correlation_id, correlation_id);
    expect_int(reader_left(&in), 0);
    return body;
}

void *client_call(struct test_client *c, int key, int version, const void *body)
{
    int32_t id = client_send(c, key, version, body);
    broker_commit(c->broker);
    void *reply = client_receive(c, key, version, id);
    expect_not_null(reply);
    return reply;
}

bool client_is_closed(struct test_client *c)
{
    broker_turn(c->broker);
    return sim_link_is_gone(c->link);
}
