/*
 * Any bytes as requests to the management API, on a core with a simulated disk. Input: slices; a
 * slice is the target, a line feed and the body. Its kind: bits 0-2 the method, bit 3 the operator on
 * the control socket instead of guest, bit 4 the body is a form with parts, bit 5 the client goes away
 * in the middle, bit 6 the wrong password.
 *
 * Every call that is not given up is answered, with a status of HTTP, and the answer can be written;
 * what was made survives a stop in good order: the core opens again (tried with every eighth size).
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/say.h"
#include "broker/queue.h"
#include "io/sim_disk.h"
#include "io/sim_jobs.h"
#include "manage/manage.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slices.h"

enum { TURNS_MAX = 200, WALL_MS = 1700000 };

struct world {
    struct disk *disk;
    struct jobs *jobs;
    struct core *core;
    struct manage *manage;
    int64_t now_ns;
};

/* A core that opens waits for its reads. */
static bool run_and_poll(struct jobs *jobs)
{
    bool any = sim_jobs_waiting_count(jobs) + sim_jobs_ended_count(jobs) > 0;

    sim_jobs_drain(jobs);
    return any;
}

static void begin_turn(struct world *w)
{
    w->now_ns += 100 * 1000000;
    core_turn_begin(w->core, w->now_ns, INT64_C(1000) * WALL_MS + w->now_ns / 1000000);
}

static void turn(struct world *w)
{
    core_turn_end(w->core);
    sim_jobs_drain(w->jobs);
    begin_turn(w);
}

static void open_world(struct world *w)
{
    struct core_config config = {.default_partitions = 2,
                                 .topic_message_max_bytes = 1048588,
                                 .message_max_bytes = 1 << 20,
                                 .random_seed = 1,
                                 .node_id = 1};
    static const struct manage_listener listeners[] = {{"amqp", "127.0.0.1", 5672}};
    static const size_t listener_count = 1;

    store_config_default(&config.store);
    w->jobs = sim_jobs_new();
    w->jobs->poll = run_and_poll;
    check(core_open(&config, w->disk, w->jobs, &w->core) == OK);
    w->manage = manage_new(&(struct manage_config){.core = w->core,
                                                   .product = "Pabal",
                                                   .version = "0",
                                                   .rabbitmq_version = "4.2.0",
                                                   .node = "pabal@fuzz",
                                                   .data_dir = "",
                                                   .listeners = listeners,
                                                   .listener_count = &listener_count});
    begin_turn(w);
}

static void close_world(struct world *w)
{
    manage_free(w->manage);
    core_turn_end(w->core);
    sim_jobs_drain(w->jobs);
    core_close(w->core);
    sim_jobs_free(w->jobs);
}

static void is_done(struct manage_call *call, void *ctx)
{
    check(call->answer.status >= 200 && call->answer.status < 600);
    *(bool *)ctx = true;
}

static void take_answer(struct manage_call *call)
{
    struct text body = {0};

    manage_answer_body(call, &body);
    check(!call->answer.json || body.size > 0);
    text_reset(&body);
}

static void ask(struct world *w, uint8_t kind, struct bytes text)
{
    static const char *const methods[] = {"GET",    "PUT",  "POST",    "DELETE",
                                          "DELETE", "HEAD", "OPTIONS", "BREW"};
    const uint8_t *end = text.size ? memchr(text.data, '\n', text.size) : NULL;
    size_t size = end ? (size_t)(end - text.data) : text.size;
    struct manage_request request = {.method = bytes_from_string(methods[kind & 7]),
                                     .target = bytes_of(text.data, size),
                                     .user = BYTES_LITERAL("guest"),
                                     .password = bytes_from_string(kind & 64 ? "guess" : "guest"),
                                     .has_login = true,
                                     .peer_is_loopback = true,
                                     .is_trusted = kind & 8};
    bool done = false;

    if (end)
        request.body = bytes_of(end + 1, text.size - size - 1);
    if (kind & 16)
        request.content_type = BYTES_LITERAL("multipart/form-data; boundary=--b");
    struct manage_call *call = manage_call_new(&request);
    manage_call_start(w->manage, call, is_done, &done);
    for (int turns = 0; !done && !(kind & 32) && turns < TURNS_MAX; turns++)
        turn(w);
    if (done)
        take_answer(call);
    else
        manage_call_cancel(call);
    check(done || kind & 32);
    manage_call_free(call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(bytes_of(data, size));
    struct world w = {.disk = sim_disk_new(), .now_ns = 1};
    struct slice p;

    say_set_level(SAY_ERROR + 1);
    open_world(&w);
    for (int asked = 0; asked < 64 && slice_next(&in, &p); asked++)
        ask(&w, p.kind, slice_rest(&p));
    close_world(&w);
    if (size % 8 == 0) { /* it takes longer than the calls */
        open_world(&w);
        close_world(&w);
    }
    disk_free(w.disk);
    return 0;
}
