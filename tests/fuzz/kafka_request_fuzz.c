/*
 * Any bytes as what a Kafka client sends, through the framing half and the core half, on a core with a
 * simulated disk. Input: pieces of a u8 kind, a u16 size and that many bytes; an odd kind puts the size
 * of a frame in front of them, so that damage goes deeper than the framing. Whatever arrives, answers
 * are whole frames, and when the connection is gone nothing of it is left.
 */
#include "base/check.h"
#include "base/say.h"
#include "broker/topic.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "io/sim_link.h"
#include "kafka/kafka.h"
#include "tests/fuzz/fuzz.h"
#include "wire/reader.h"

struct world {
    struct disk *disk;
    struct jobs *jobs;
    struct core *core;
    struct sim_link *link;
    int64_t now_ns;
};

static void turn(struct world *w)
{
    sim_jobs_drain(w->jobs);
    core_turn_end(w->core);
    sim_link_turn(w->link);
    w->now_ns += 100 * 1000000;
    core_turn_begin(w->core, w->now_ns, 1700000000000);
}

static void open_world(struct world *w)
{
    struct core_config config = {.auto_create_topics = true,
                                 .default_partitions = 2,
                                 .topic_message_max_bytes = 1048588,
                                 .message_max_bytes = 1 << 20,
                                 .random_seed = 1,
                                 .node_id = 1};
    store_config_default(&config.store);
    w->disk = sim_disk_new();
    w->jobs = sim_jobs_new();
    w->now_ns = 1;
    check(core_open(&config, w->disk, w->jobs, &w->core) == OK);
    core_turn_begin(w->core, w->now_ns, 1700000000000);
    w->link = sim_link_new(&kafka_protocol, w->core, NULL);
    struct topic *topic;
    struct topic_spec spec = {.name = BYTES_LITERAL("t"), .partition_count = 2};
    check(topic_create(w->core, &spec, &topic) == OK);
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
    core_abandon(w->core);
    sim_jobs_free(w->jobs);
    disk_free(w->disk);
}

static void feed_piece(struct world *w, struct reader *in)
{
    bool is_framed = reader_u8(in) & 1;
    size_t size = reader_u16(in);
    struct bytes piece = reader_bytes(in, size < reader_left(in) ? size : reader_left(in));
    struct text text = {0};
    if (is_framed)
        text_put_u32(&text, (uint32_t)piece.size);
    text_append(&text, piece);
    if (text.size > 0)
        sim_link_feed(w->link, text_bytes(&text));
    text_reset(&text);
}

static void check_answers(struct bytes output)
{
    struct reader out = reader_of(output);
    while (reader_left(&out) > 0)
        check(reader_bytes(&out, reader_u32(&out)).size >= 4);
    check(!out.bad);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;
    say_set_level(SAY_ERROR);
    struct reader in = reader_of(bytes_of(data, size));
    open_world(&w);
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
