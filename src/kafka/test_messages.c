#include "kafka/test_messages.h"

#include <stdarg.h>

#include "base/crc32c.h"

void put_frame(struct text *out, struct bytes content)
{
    text_put_u32(out, (uint32_t)content.size);
    text_append(out, content);
}

void put_request(struct text *out, int key, int version, int32_t correlation_id, const void *body)
{
    const struct wire_api *api = wire_api_find(kafka_apis, KAFKA_API_COUNT, key);
    struct text content = {0};
    struct kafka_request_header header = {
        .request_api_key = (int16_t)key,
        .request_api_version = (int16_t)version,
        .correlation_id = correlation_id,
        .client_id = BYTES_LITERAL("test"),
    };
    expect_ok(wire_encode(&kafka_request_header_schema, wire_request_header_version(api, version),
                          &header, &content));
    expect_ok(wire_encode(api->request, version, body, &content));
    put_frame(out, text_bytes(&content));
    text_reset(&content);
}

struct bytes make_batch(struct arena *arena, int64_t timestamp_ms, ...)
{
    struct batch_builder builder = {0};
    batch_builder_begin(&builder, 0);
    va_list values;
    va_start(values, timestamp_ms);
    const char *value;
    while ((value = va_arg(values, const char *)))
        batch_builder_add(&builder, timestamp_ms, BYTES_NULL, bytes_from_string(value), BYTES_NULL,
                          0);
    va_end(values);
    struct bytes copy = arena_copy(arena, batch_builder_end(&builder));
    batch_builder_reset(&builder);
    return copy;
}

void batch_sign(struct bytes batch)
{
    uint8_t *raw = (uint8_t *)(uintptr_t)batch.data;
    put_u32(raw + 17, crc32c(raw + BATCH_CRC_FROM, batch.size - BATCH_CRC_FROM));
}

void batch_of_producer(struct bytes batch, int64_t id, int16_t epoch, int32_t sequence)
{
    uint8_t *raw = (uint8_t *)(uintptr_t)batch.data;
    put_u64(raw + 43, (uint64_t)id);
    put_u16(raw + 51, (uint16_t)epoch);
    put_u32(raw + 53, (uint32_t)sequence);
    batch_sign(batch);
}

struct kafka_produce_request *make_produce(struct arena *arena, const char *topic,
                                           int32_t partition, int16_t acks, struct bytes records)
{
    struct kafka_produce_request *in = wire_new(&kafka_produce_request_schema, arena, 1);
    in->acks = acks;
    in->timeout_ms = 30000;
    in->topic_data.items = wire_new(&kafka_produce_request_topic_schema, arena, 1);
    in->topic_data.count = 1;
    struct kafka_produce_request_topic *data = in->topic_data.items;
    data->name = bytes_from_string(topic);
    data->partition_data.items = wire_new(&kafka_produce_request_partition_schema, arena, 1);
    data->partition_data.count = 1;
    data->partition_data.items[0].index = partition;
    data->partition_data.items[0].records = records;
    return in;
}
