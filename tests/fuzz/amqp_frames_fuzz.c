/*
 * Any bytes as what an AMQP client sends, through the framing half and the core half, on a core with a
 * simulated disk. Input: pieces of a u8 kind, a u16 size and that many bytes. Kind 0 is sent as it is;
 * kinds 1, 2, 3 and 8 become frames of that type, on the channel that the upper four bits say, so that
 * damage goes deeper than the framing. An odd first byte of the input begins logged in, with a channel
 * and a queue. Kind 255 makes the disk low, or gives it room again, so that publishes are held and the
 * link is paused. Whatever arrives, what is answered is whole frames with contents in order, and when the
 * connection is gone nothing of it is left.
 */
#include <string.h>

#include "amqp/amqp.h"
#include "amqp/amqp_messages.h"
#include "amqp/frame.h"
#include "base/check.h"
#include "base/say.h"
#include "broker/queue.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "io/sim_link.h"
#include "tests/fuzz/fuzz.h"
#include "wire/reader.h"

enum { MESSAGE_MAX_BYTES = 1 << 20, DISK_KIND = 255, DISK_LOW_BYTES = 1 << 20 };

struct world {
    struct disk *disk;
    struct jobs *jobs;
    struct core *core;
    struct sim_link *link;
    int64_t now_ns;
    bool is_disk_low;
};

static void turn(struct world *w)
{
    sim_jobs_drain(w->jobs);
    core_turn_end(w->core);
    sim_link_turn(w->link);
    w->now_ns += 100 * 1000000;
    core_turn_begin(w->core, w->now_ns, 1700000000000 + w->now_ns / 1000000);
}

static void open_world(struct world *w)
{
    struct core_config config = {.default_partitions = 1,
                                 .topic_message_max_bytes = 1048588,
                                 .message_max_bytes = MESSAGE_MAX_BYTES,
                                 .random_seed = 1};
    struct amqp_config amqp;

    amqp_config_default(&amqp);
    amqp.message_max_bytes = MESSAGE_MAX_BYTES;
    amqp_configure(&amqp);
    store_config_default(&config.store);
    w->disk = sim_disk_new();
    w->jobs = sim_jobs_new();
    w->now_ns = 1;
    check(core_open(&config, w->disk, w->jobs, &w->core) == OK);
    core_turn_begin(w->core, w->now_ns, 1700000000000);
    queue_create(vhost_find(w->core, BYTES_LITERAL("/")),
                 &(struct queue_spec){.name = BYTES_LITERAL("q"), .durable = true});
    w->link = sim_link_new(&amqp_protocol, w->core, NULL);
    turn(w);
}

static void close_world(struct world *w)
{
    sim_link_end(w->link);
    turn(w);
    check(sim_link_unfreed_count(w->link) == 0);
    sim_link_free(w->link);
    for (int i = 0; i < 4; i++) {
        core_turn_end(w->core);
        sim_jobs_drain(w->jobs);
        core_turn_begin(w->core, w->now_ns, 1700000000000);
    }
    core_turn_end(w->core);
    sim_jobs_drain(w->jobs);
    core_abandon(w->core);
    sim_jobs_free(w->jobs);
    disk_free(w->disk);
}

static void feed_frame(struct world *w, enum frame_type type, uint16_t channel,
                       struct bytes payload)
{
    struct text text = {0};

    uint8_t *p = text_reserve(&text, payload.size + FRAME_EMPTY_BYTES);
    p = frame_put_head(p, type, channel, payload.size);
    if (payload.size)
        memcpy(p, payload.data, payload.size);
    frame_put_end(p + payload.size);
    sim_link_feed(w->link, bytes_of(text.data, payload.size + FRAME_EMPTY_BYTES));
    text_reset(&text);
}

static void feed_method(struct world *w, uint16_t channel, const struct wire_schema *schema,
                        uint32_t id, const void *arguments)
{
    struct text text = {0};

    text_put_u32(&text, id);
    check(amqp_wire_encode(schema, arguments, &text) == OK);
    feed_frame(w, FRAME_METHOD, channel, text_bytes(&text));
    text_reset(&text);
}

static void log_in(struct world *w)
{
    sim_link_feed(w->link, BYTES_LITERAL("AMQP\0\0\x09\x01"));
    feed_method(w, 0, &amqp_connection_start_ok_schema, AMQP_CONNECTION_START_OK,
                &(struct amqp_connection_start_ok){.mechanism = BYTES_LITERAL("PLAIN"),
                                                   .response = BYTES_LITERAL("\0guest\0guest")});
    feed_method(w, 0, &amqp_connection_tune_ok_schema, AMQP_CONNECTION_TUNE_OK,
                &(struct amqp_connection_tune_ok){
                    .channel_max = 16, .frame_max = AMQP_FRAME_MIN_BYTES, .heartbeat = 60});
    feed_method(w, 0, &amqp_connection_open_schema, AMQP_CONNECTION_OPEN,
                &(struct amqp_connection_open){.virtual_host = BYTES_LITERAL("/")});
    feed_method(w, 1, &amqp_channel_open_schema, AMQP_CHANNEL_OPEN, &(struct amqp_channel_open){0});
    turn(w);
}

/* Less than its reserve is left, or much more; the store looks within a second. */
static void change_disk(struct world *w)
{
    uint64_t large = UINT64_C(1) << 40, left;

    w->is_disk_low = !w->is_disk_low;
    sim_disk_set_capacity(w->disk, large);
    check(disk_free_bytes(w->disk, &left) == OK);
    sim_disk_set_capacity(w->disk, large - left + (w->is_disk_low ? DISK_LOW_BYTES : large));
    for (int i = 0; i < 12; i++)
        turn(w);
}

static void feed_piece(struct world *w, struct reader *in)
{
    uint8_t kind = reader_u8(in);
    size_t size = reader_u16(in);
    struct bytes piece = reader_bytes(in, size < reader_left(in) ? size : reader_left(in));

    if (kind == DISK_KIND)
        change_disk(w);
    else if (kind & 15)
        feed_frame(w, (enum frame_type)(kind & 15), kind >> 4, piece);
    else if (piece.size > 0)
        sim_link_feed(w->link, piece);
}

/* Methods with contents are followed by their header and exactly their body. */
static void check_answers(struct bytes output)
{
    struct reader out = reader_of(output);
    uint64_t body_left = 0;
    bool wants_header = false;

    if (bytes_has_prefix(output, "AMQP"))
        reader_take(&out, 8);
    while (reader_left(&out) > 0) {
        uint8_t type = reader_u8(&out);
        reader_u16(&out);
        struct reader payload = reader_of(reader_bytes(&out, reader_u32(&out)));
        check(reader_u8(&out) == FRAME_END);
        check((type == FRAME_HEADER) == wants_header);
        check((type == FRAME_BODY) == (body_left > 0));
        wants_header = false;
        if (type == FRAME_METHOD) {
            const struct wire_method *method =
                wire_method_find(amqp_methods, AMQP_METHOD_COUNT, reader_u32(&payload));
            check(method && method->from & WIRE_FROM_SERVER);
            wants_header = method->has_content;
        } else if (type == FRAME_HEADER) {
            reader_u32(&payload);
            body_left = reader_u64(&payload);
        } else if (type == FRAME_BODY) {
            check(reader_left(&payload) <= body_left);
            body_left -= reader_left(&payload);
        }
    }
    check(!out.bad && !wants_header && body_left == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {0};
    struct reader in = reader_of(bytes_of(data, size));

    say_set_level(SAY_ERROR);
    open_world(&w);
    if (reader_u8(&in) & 1)
        log_in(&w);
    while (reader_left(&in) > 0 && !sim_link_is_gone(w.link)) {
        feed_piece(&w, &in);
        turn(&w);
    }
    for (int i = 0; i < 3; i++)
        turn(&w);
    check_answers(sim_link_output(w.link));
    close_world(&w);
    return 0;
}
