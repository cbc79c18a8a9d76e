/*
 * Write down how a real broker answers: golden_record HOST:PORT > golden/kafka_4.1.txt, or, about
 * groups, golden_record HOST:PORT groups > golden/kafka_4.1_groups.txt, or, about idempotent producers,
 * golden_record HOST:PORT producers > golden/kafka_4.1_producers.txt. The broker must have node id 1,
 * no topics and no initial rebalance delay; about groups its coordinator must have worked before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "io/clock.h"
#include "io/stream.h"
#include "kafka/golden.h"
#include "tests/test.h"

enum { PATIENCE_S = 10 };

static const char *address;
static struct stream *stream;

static int64_t deadline(void)
{
    return clock_now_ns() + PATIENCE_S * INT64_C(1000000000);
}

static void dial(void)
{
    stream_close(stream);
    if (stream_dial(address, PATIENCE_S * INT64_C(1000000000), &stream) != OK) {
        fprintf(stderr, "%s: %s\n", address, err_text());
        exit(1);
    }
}

static bool receive(uint8_t *out, size_t size)
{
    size_t part;
    for (size_t got = 0; got < size; got += part)
        if (stream_receive(stream, out + got, size - got, deadline(), &part) != OK)
            return false;
    return true;
}

static struct bytes ask(struct golden *g, struct bytes request)
{
    uint8_t head[4];
    /* What was altered or created is in force there a moment after it was answered. */
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
    enum err err = stream_send(stream, request, deadline());
    if (!err && receive(head, sizeof head)) {
        size_t size = get_u32(head);
        uint8_t *answer = arena_alloc(&g->arena, size);
        if (answer && receive(answer, size))
            return bytes_of(answer, size);
    }
    dial(); /* it was closed: go on with the next question */
    return BYTES_NULL;
}

/* golden.c says what it expects by these. */
void test_expect_err(enum err actual, enum err wanted, const char *call, const char *file, int line)
{
    (void)call, (void)file, (void)line;
    check(actual == wanted);
}

int main(int argc, char **argv)
{
    struct golden g = {.ask = ask};
    bool groups = argc == 3 && strcmp(argv[2], "groups") == 0;
    bool producers = argc == 3 && strcmp(argv[2], "producers") == 0;
    if (argc != 2 && !groups && !producers) {
        fprintf(stderr, "usage: golden_record HOST:PORT [groups|producers]\n");
        return 2;
    }
    address = argv[1];
    arena_init(&g.arena, 1 << 30);
    dial();
    if (groups)
        golden_run_groups(&g);
    else if (producers)
        golden_run_producers(&g);
    else
        golden_run(&g);
    fwrite(g.text.data, 1, g.text.size, stdout);
    stream_close(stream);
    text_reset(&g.text);
    arena_reset(&g.arena);
    return 0;
}
