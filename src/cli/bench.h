/*
 * The load generator's common half: the plan (what to do, for how long, at which rate), the
 * schedule, the counting and the report. One thread drives all connections as state machines, so
 * that one core of client loads several cores of broker.
 *
 * Open loop: with a rate, every message has a time at which it should be sent, whatever the server
 * does, and its latency counts from that time: a stall of the server is seen by every message that
 * it delayed, not by one. Without a rate the connections are kept as full as their windows allow,
 * and latency counts from the moment of sending.
 *
 * Time runs: warm-up (not counted), measurement, then a drain in which nothing is sent and what is
 * under way comes back.
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/histogram.h"
#include "cli/cli.h"
#include "io/stream.h"

/* Which count is the result: what ends a run by number of messages, and whose rate is told. */
enum bench_goal { BENCH_SENT, BENCH_CONFIRMED, BENCH_RECEIVED };

struct bench_plan {
    const char *scenario; /* for the report */
    enum bench_goal goal;
    int64_t duration_ns, warmup_ns, drain_ns;
    int64_t settle_ns;     /* idle before that, with all connections open */
    int64_t copies;        /* how often each message is received; 0 as 1 */
    int64_t message_count; /* stop when so many have come back; 0: by time */
    int64_t rate;          /* messages a second, all connections together; 0: as fast as it goes */
    int64_t size_bytes;    /* of a message's value */
    int64_t interval_ns;   /* of progress lines on stderr; 0: none */
    bool says_marks;       /* "open" and "done" on stderr, for who measures the server meanwhile */
};

#define BENCH_FLAGS(plan)                                                                          \
    {"duration", FLAG_DURATION, "TIME", "how long to measure [10s]", &(plan).duration_ns},         \
        {"warmup", FLAG_DURATION, "TIME", "how long before that [2s]", &(plan).warmup_ns},         \
        {"settle", FLAG_DURATION, "TIME", "be idle before, all connections open [0]",              \
         &(plan).settle_ns},                                                                       \
        {"marks", FLAG_BOOL, "", "say `open` and `done` on stderr, around the load",               \
         &(plan).says_marks},                                                                      \
        {"messages", FLAG_INT, "N", "stop after N messages, without warm-up",                      \
         &(plan).message_count},                                                                   \
        {"rate", FLAG_INT, "N", "messages a second; 0 as fast as it goes [0]", &(plan).rate},      \
        {"size", FLAG_SIZE, "BYTES", "of a message [100]", &(plan).size_bytes},                    \
    {                                                                                              \
        "interval", FLAG_DURATION, "TIME", "of progress lines; 0 for none [0]",                    \
            &(plan).interval_ns                                                                    \
    }

enum { BENCH_STAMP_BYTES = 8 }; /* a value begins with the time when it should have been sent */

/* When a connection's messages are due. */
struct schedule {
    int64_t start_ns;
    double step_ns; /* 0: always due */
    uint64_t next;  /* the message that is sent next */
};

struct bench_stats {
    uint64_t sent;      /* handed to the socket's buffer */
    uint64_t confirmed; /* answered: confirms, produce responses */
    uint64_t received;  /* consumed */
    uint64_t refused;   /* nacked, returned, failed */
};

struct bench {
    struct bench_plan plan;
    struct stream_set *set;
    int64_t now_ns; /* once a turn */
    int64_t start_ns, measure_ns, end_ns;
    struct bench_stats all, measured;                  /* everything; within the measurement */
    struct histogram confirm_latency, receive_latency; /* ns */
    int64_t last_ns;                                   /* when the last message came back */
    uint64_t seen_count; /* what had been counted at seen_ns, to notice a stall */
    int64_t seen_ns;
    int64_t drain_end_ns;
    int64_t next_pass_ns; /* with many connections: when all are looked at again */
    bool is_sending;
    struct bench_stats progress;
    int64_t progress_ns;
};

/* A connection's side of the loop. */
struct bench_conn {
    struct bench *bench;
    struct stream *stream;
    struct schedule schedule;
    struct text out; /* to be sent, from out_at on */
    size_t out_at;
    uint8_t *in; /* received and not yet consumed: [in_at, in_size) */
    size_t in_at, in_size, in_capacity;
    /* Append what the window and the schedule allow. */
    void (*fill)(struct bench_conn *);
    /* Consume whole messages from the front of `in`; returns how many bytes. */
    enum err (*take)(struct bench_conn *, struct bytes in, size_t *consumed);
    /* Is anything under way that the drain has to wait for? */
    bool (*is_idle)(const struct bench_conn *);
    int64_t hold_ns; /* how long a due message may wait for others to go with it */
    bool is_full;    /* fill() sends nothing before something comes back */
    bool is_hungry;  /* the socket took all of the last fill(): ask again at once */
    bool is_sender;  /* sends messages by the schedule; the others' fill() only asks for more */
};

void bench_plan_init(struct bench_plan *plan);
/* `plan` as the flags left it. */
void bench_init(struct bench *b, const struct bench_plan *plan);
void bench_reset(struct bench *b);

/* Take over the stream. */
void bench_conn_init(struct bench_conn *c, struct bench *b, struct stream *stream);
void bench_conn_reset(struct bench_conn *c);

/* Run the plan over the connections. With a few, each turn looks at all of them; with many, a turn
 * looks at those from which something came, and a tick at all. */
must_use enum err bench_run(struct bench *b, struct bench_conn **conns, size_t count);

/* How many messages are due now, at most `most`. */
uint64_t bench_due(const struct bench_conn *c, uint64_t most);
/* The time of the next message; the second one steps on. */
int64_t bench_peek_stamp(const struct bench_conn *c);
int64_t bench_next_stamp(struct bench_conn *c);

void bench_count_sent(struct bench *b, uint64_t n);
void bench_count_refused(struct bench *b, uint64_t n);
/* `n` messages whose stamps are `stamp_ns` and every `step_ns` after it; 0: not known, only
 * counted. */
void bench_count_confirmed(struct bench *b, uint64_t n, int64_t stamp_ns, double step_ns);
void bench_count_received(struct bench *b, uint64_t n, int64_t stamp_ns);

/* One line of a table, or JSON. */
void bench_report(const struct bench *b, bool as_json);

#endif
