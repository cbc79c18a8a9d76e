#include "amqp/test_peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "amqp/amqp_messages.h"
#include "amqp/frame.h"
#include "base/mem.h"
#include "wire/amqp_table.h"

/* ---- the broker ---- */

static void submit(struct jobs *jobs, enum lane lane, struct job *job)
{
    jobs_submit(container_of(jobs, struct test_broker, jobs)->sim, lane, job);
}

static bool run_all(struct jobs *jobs)
{
    sim_jobs_drain(container_of(jobs, struct test_broker, jobs)->sim);
    return true;
}

static void open_core(struct test_broker *b)
{
    b->sim = sim_jobs_new();
    b->jobs = (struct jobs){.submit = submit, .poll = run_all};
    expect_ok(core_open(&b->config, b->disk, &b->jobs, &b->core));
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
    commit(b);
}

void broker_open(struct test_broker *b)
{
    memset(b, 0, sizeof *b);
    store_config_default(&b->config.store);
    b->config.durability = LEVEL_FSYNC;
    b->config.default_partitions = 1;
    b->config.topic_message_max_bytes = 1048588;
    b->config.message_max_bytes = 16 << 20;
    b->config.random_seed = test_seed();
    memcpy(b->config.cluster_id, "AAAAAAAAAAAAAAAAAAAAAA", 23);
    b->disk = sim_disk_new();
    b->now_ns = 1000000000;
    b->wall_ms = 1700000000000;
    open_core(b);
}

static void drop_peers(struct test_broker *b)
{
    for (size_t i = 0; i < b->peer_count; i++) {
        sim_link_free(b->peers[i].link);
        text_reset(&b->peers[i].lines);
        text_reset(&b->peers[i].content);
    }
    b->peer_count = 0;
}

void broker_close(struct test_broker *b)
{
    drop_peers(b);
    core_turn_end(b->core);
    core_close(b->core);
    sim_jobs_free(b->sim);
    disk_free(b->disk);
}

void broker_crash(struct test_broker *b)
{
    sim_disk_crash(b->disk);
    drop_peers(b);
    sim_jobs_drain(b->sim); /* all fail */
    core_turn_end(b->core);
    sim_jobs_drain(b->sim);
    core_abandon(b->core);
    sim_jobs_free(b->sim);
    sim_disk_restart(b->disk, SIM_LOSE, test_seed());
    open_core(b);
}

void turn(struct test_broker *b)
{
    core_turn_end(b->core);
    for (size_t i = 0; i < b->peer_count; i++)
        sim_link_turn(b->peers[i].link);
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
}

void commit(struct test_broker *b)
{
    turn(b);
    b->now_ns += 5000000; /* so long may a settle wait for company */
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
    for (int i = 0; i < 8; i++) {
        sim_jobs_drain(b->sim);
        turn(b);
    }
}

void advance(struct test_broker *b, int64_t ms)
{
    turn(b);
    b->now_ns += ms * 1000000;
    b->wall_ms += ms;
    for (size_t i = 0; i < b->peer_count; i++)
        sim_link_set_now(b->peers[i].link, b->now_ns);
    core_turn_begin(b->core, b->now_ns, b->wall_ms);
    turn(b);
}

/* ---- peers ---- */

struct peer *peer_new(struct test_broker *b)
{
    expect_true(b->peer_count < PEERS_MAX);
    struct peer *p = &b->peers[b->peer_count++];
    *p = (struct peer){.broker = b, .frame_max = AMQP_FRAME_MAX_BYTES};
    p->link = sim_link_new(&amqp_protocol, b->core, NULL);
    sim_link_set_now(p->link, b->now_ns);
    return p;
}

struct peer *peer_connect_with(struct test_broker *b, uint32_t frame_max, uint16_t heartbeat_s)
{
    struct peer *p = peer_new(b);

    say_bytes(p, bytes_of("AMQP\0\0\x09\x01", 8));
    say(p, "0 connection.start_ok mechanism=PLAIN response=^guest^guest locale=en_US "
           "client_properties=capabilities:F:authentication_failure_close/consumer_cancel_notify");
    say(p, "0 connection.tune_ok channel_max=2047 frame_max=%u heartbeat=%u", frame_max,
        heartbeat_s);
    say(p, "0 connection.open virtual_host=/");
    say(p, "1 channel.open");
    p->frame_max = frame_max;
    const char *said = heard(p);
    expect_not_null(strstr(said, "1 channel.open_ok"));
    return p;
}

struct peer *peer_connect(struct test_broker *b)
{
    return peer_connect_with(b, AMQP_FRAME_MAX_BYTES, 0);
}

void peer_close(struct peer *p)
{
    sim_link_end(p->link);
    turn(p->broker);
}

/* ---- saying ---- */

static const struct wire_method *method_by_name(const char *name)
{
    for (size_t i = 0; i < AMQP_METHOD_COUNT; i++)
        if (strcmp(amqp_methods[i].name, name) == 0)
            return &amqp_methods[i];
    fail_msg("no method %s", name);
    return NULL;
}

static const struct wire_field *field_by_name(const struct wire_schema *schema, const char *name)
{
    for (uint16_t i = 0; i < schema->field_count; i++)
        if (strcmp(schema->fields[i].name, name) == 0)
            return &schema->fields[i];
    fail_msg("%s has no field %s", schema->name, name);
    return NULL;
}

/* One entry: key:tag:value. Of a nested table the value is names of true bits, of an array it is
 * strings, with '/' between. */
static void put_entry(struct text *out, char *entry)
{
    char *save, *key = strtok_r(entry, ":", &save), *tag = strtok_r(NULL, ":", &save);
    char *value = save ? save : "";
    struct amqp_value v = {.tag = tag[0]};

    if (tag[0] == 'S') {
        v.bytes = bytes_from_string(value);
    } else if (tag[0] == 'F') {
        struct text nested = {0};
        for (char *name = strtok_r(value, "/", &save); name; name = strtok_r(NULL, "/", &save))
            amqp_table_put_bool(&nested, name, true);
        amqp_table_put_table(out, key, text_bytes(&nested));
        text_reset(&nested);
        return;
    } else if (tag[0] == 'A') {
        struct text items = {0};
        for (char *item = strtok_r(value, "/", &save); item; item = strtok_r(NULL, "/", &save)) {
            text_put_u8(&items, 'S');
            text_put_u32(&items, (uint32_t)strlen(item));
            text_append_string(&items, item);
        }
        v.bytes = text_bytes(&items);
        amqp_table_put(out, key, &v);
        text_reset(&items);
        return;
    } else {
        v.number = strtoll(value, NULL, 10);
        v.real = strtod(value, NULL);
    }
    amqp_table_put(out, key, &v);
}

/* Strings and tables live in `memory` until the line is encoded. */
static void set_field(const struct wire_schema *schema, void *in, char *word, struct arena *memory)
{
    char *value = strchr(word, '=');
    struct text table = {0};

    if (value)
        *value++ = '\0';
    const struct wire_field *f = field_by_name(schema, word);
    char *at = (char *)in + f->offset;
    unsigned long long number = value ? strtoull(value, NULL, 10) : 1;
    size_t size = value ? strlen(value) : 0;
    for (size_t i = 0; i < size; i++)
        if (value[i] == '^')
            value[i] = '\0'; /* how a line says NUL */
    switch (f->type) {
    case WIRE_BIT: *(bool *)at = number; break;
    case WIRE_OCTET: *(uint8_t *)at = (uint8_t)number; break;
    case WIRE_SHORT: *(uint16_t *)at = (uint16_t)number; break;
    case WIRE_LONG: *(uint32_t *)at = (uint32_t)number; break;
    case WIRE_LONGLONG:
    case WIRE_TIMESTAMP: *(uint64_t *)at = number; break;
    case WIRE_SHORTSTR:
    case WIRE_LONGSTR:
        *(struct bytes *)(void *)at = arena_copy(memory, bytes_of(value, size));
        break;
    case WIRE_TABLE: {
        char *save;
        for (char *e = strtok_r(value, ",", &save); e; e = strtok_r(NULL, ",", &save))
            put_entry(&table, e);
        *(struct bytes *)(void *)at = arena_copy(memory, text_bytes(&table));
        text_reset(&table);
        break;
    }
    default: fail_msg("a type that no method has");
    }
    if (schema->has_flags)
        *(uint16_t *)in |= (uint16_t)(1u << f->tag);
}

static void put_frame(struct text *out, enum frame_type type, uint16_t channel,
                      struct bytes payload)
{
    uint8_t *p = text_reserve(out, payload.size + FRAME_EMPTY_BYTES);
    uint8_t *at = frame_put_head(p, type, channel, payload.size);
    if (payload.size)
        memcpy(at, payload.data, payload.size);
    frame_put_end(at + payload.size);
    text_advance(out, payload.size + FRAME_EMPTY_BYTES);
}

static void put_content(struct text *out, uint16_t channel, char *properties, struct bytes body,
                        uint32_t frame_max, struct arena *memory)
{
    struct amqp_basic_properties in = {0};
    struct text header = {0};
    char *save;

    for (char *w = strtok_r(properties, " ", &save); w; w = strtok_r(NULL, " ", &save))
        set_field(&amqp_basic_properties_schema, &in, w, memory);
    text_put_u16(&header, CLASS_BASIC);
    text_put_u16(&header, 0);
    text_put_u64(&header, body.size);
    expect_ok(amqp_wire_encode(&amqp_basic_properties_schema, &in, &header));
    put_frame(out, FRAME_HEADER, channel, text_bytes(&header));
    text_reset(&header);
    while (body.size) {
        size_t size = body.size < frame_max - 8 ? body.size : frame_max - 8;
        put_frame(out, FRAME_BODY, channel, bytes_of(body.data, size));
        body = bytes_of(body.data + size, body.size - size);
    }
}

void put_method(struct text *out, uint16_t channel, uint32_t method_id, const void *arguments)
{
    const struct wire_method *method = wire_method_find(amqp_methods, AMQP_METHOD_COUNT, method_id);
    struct text payload = {0};

    text_put_u32(&payload, method_id);
    expect_ok(amqp_wire_encode(method->schema, arguments, &payload));
    put_frame(out, FRAME_METHOD, channel, text_bytes(&payload));
    text_reset(&payload);
}

void put_line(struct text *out, const char *line, uint32_t frame_max)
{
    struct arena memory;
    char *copy = xstrdup(line), *save, *properties = NULL, *body = NULL;

    arena_init(&memory, 64 << 20);
    if ((properties = strstr(copy, " | ")) != NULL) {
        *properties = '\0';
        properties += 3;
        if ((body = strstr(properties, "| ")) != NULL) {
            *body = '\0';
            body += 2;
        }
    }
    uint16_t channel = (uint16_t)strtoul(strtok_r(copy, " ", &save), NULL, 10);
    const struct wire_method *method = method_by_name(strtok_r(NULL, " ", &save));
    void *in = arena_zalloc(&memory, 1, method->schema->size);
    for (char *w = strtok_r(NULL, " ", &save); w; w = strtok_r(NULL, " ", &save))
        set_field(method->schema, in, w, &memory);
    put_method(out, channel, method->id, in);
    if (method->has_content)
        put_content(out, channel, properties ? properties : (char[]){0},
                    bytes_from_string(body ? body : ""), frame_max, &memory);
    arena_reset(&memory);
    free(copy);
}

void say_bytes(struct peer *p, struct bytes b)
{
    sim_link_feed(p->link, b);
}

void say(struct peer *p, const char *format, ...)
{
    struct text out = {0};
    char *line;
    va_list args;

    va_start(args, format);
    expect_true(vasprintf(&line, format, args) >= 0);
    va_end(args);
    put_line(&out, line, p->frame_max);
    say_bytes(p, text_bytes(&out));
    text_reset(&out);
    free(line);
}

/* ---- hearing ---- */

static void dump_field(const struct wire_field *f, const void *in, struct text *out)
{
    const char *at = (const char *)in + f->offset;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    if (strncmp(f->name, "reserved", 8) == 0)
        return;
    text_printf(out, " %s=", f->name);
    switch (f->type) {
    case WIRE_BIT: text_append_string(out, *(const bool *)at ? "true" : "false"); break;
    case WIRE_OCTET: text_printf(out, "%u", *(const uint8_t *)at); break;
    case WIRE_SHORT:
        memcpy(&u16, at, sizeof u16);
        text_printf(out, "%u", u16);
        break;
    case WIRE_LONG:
        memcpy(&u32, at, sizeof u32);
        text_printf(out, "%u", u32);
        break;
    case WIRE_LONGLONG:
    case WIRE_TIMESTAMP:
        memcpy(&u64, at, sizeof u64);
        text_printf(out, "%llu", (unsigned long long)u64);
        break;
    case WIRE_SHORTSTR:
    case WIRE_LONGSTR: text_append(out, *(const struct bytes *)(const void *)at); break;
    case WIRE_TABLE: amqp_table_dump(*(const struct bytes *)(const void *)at, out); break;
    default: fail_msg("a type that no method has");
    }
}

static void dump_fields(const struct wire_schema *schema, const void *in, struct text *out)
{
    uint16_t flags = 0xFFFF;

    if (schema->has_flags)
        memcpy(&flags, in, sizeof flags);
    for (uint16_t i = 0; i < schema->field_count; i++)
        if (!schema->has_flags || (flags >> schema->fields[i].tag & 1))
            dump_field(&schema->fields[i], in, out);
}

static void hear_method(struct peer *p, const struct frame *frame)
{
    uint64_t room[32] = {0};
    struct reader r = reader_of(bytes_of(frame->payload.data + 4, frame->payload.size - 4));
    const struct wire_method *method =
        wire_method_find(amqp_methods, AMQP_METHOD_COUNT, get_u32(frame->payload.data));

    expect_not_null(method);
    expect_true(method->from & WIRE_FROM_SERVER);
    expect_true(sizeof room >= method->schema->size);
    expect_ok(amqp_wire_decode(method->schema, &r, room));
    expect_int(reader_left(&r), 0);
    struct text *out = method->has_content ? &p->content : &p->lines;
    text_printf(out, "%u %s", frame->channel, method->name);
    dump_fields(method->schema, room, out);
    if (!method->has_content)
        text_append_string(out, "\n");
}

static void hear_header(struct peer *p, const struct frame *frame)
{
    struct amqp_basic_properties in = {0};
    struct reader r = reader_of(bytes_of(frame->payload.data + FRAME_CONTENT_HEAD_BYTES,
                                         frame->payload.size - FRAME_CONTENT_HEAD_BYTES));

    expect_true(p->content.size > 0);
    expect_int(get_u16(frame->payload.data), CLASS_BASIC);
    expect_int(get_u16(frame->payload.data + 2), 0);
    p->content_left = get_u64(frame->payload.data + 4);
    expect_ok(amqp_wire_decode(&amqp_basic_properties_schema, &r, &in));
    text_append_string(&p->content, " |");
    dump_fields(&amqp_basic_properties_schema, &in, &p->content);
    text_append_string(&p->content, " | ");
}

static void hear_body(struct peer *p, struct bytes body)
{
    expect_true(body.size <= p->content_left);
    p->content_left -= body.size;
    text_append(&p->content, body);
}

static void hear_frame(struct peer *p, const struct frame *frame)
{
    expect_true(frame->payload.size + FRAME_EMPTY_BYTES <= p->frame_max);
    if (frame->type == FRAME_HEARTBEAT) {
        text_append_string(&p->lines, "heartbeat\n");
        return;
    }
    if (frame->type == FRAME_METHOD)
        hear_method(p, frame);
    else if (frame->type == FRAME_HEADER)
        hear_header(p, frame);
    else
        hear_body(p, frame->payload);
    if (p->content.size && frame->type != FRAME_METHOD && p->content_left == 0) {
        text_append(&p->lines, text_bytes(&p->content));
        text_append_string(&p->lines, "\n");
        p->content.size = 0;
    }
}

const char *heard(struct peer *p)
{
    turn(p->broker);
    struct bytes all = sim_link_output(p->link);
    struct bytes rest = bytes_of(all.data + p->read_bytes, all.size - p->read_bytes);

    p->lines.size = 0;
    if (bytes_has_prefix(rest, "AMQP")) {
        text_append_string(&p->lines, "header\n");
        rest = bytes_of(rest.data + 8, rest.size - 8);
    }
    while (rest.size) {
        expect_true(rest.size >= FRAME_EMPTY_BYTES);
        struct frame frame = frame_read_head(rest.data);
        size_t size = frame.payload.size + FRAME_EMPTY_BYTES;
        expect_true(rest.size >= size);
        expect_int(rest.data[size - 1], FRAME_END);
        hear_frame(p, &frame);
        rest = bytes_of(rest.data + size, rest.size - size);
    }
    p->read_bytes = all.size;
    text_put_u8(&p->lines, 0);
    return text_string(&p->lines);
}
