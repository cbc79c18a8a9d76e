/*
 * Have the conversations of a script with a real broker, and write the script again with what it
 * answered: talk_record HOST:PORT golden/queues.txt > queues.txt. See tools/record-amqp.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "amqp/test_talk.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/process.h"
#include "io/stream.h"
#include "tests/test.h"

enum { QUIET_MS = 80, SILENT_MS = 250, PATIENCE_S = 10 };

struct real_broker {
    struct talk_broker talk;
    const char *address;
    struct stream *streams[TALKERS_MAX];
    bool is_closed[TALKERS_MAX];
    struct text received[TALKERS_MAX];
    struct text declared; /* lines that delete what the conversation has declared */
};

static struct real_broker *real_of(struct talk_broker *talk)
{
    return (struct real_broker *)talk;
}

static int64_t in_s(int seconds)
{
    return clock_now_ns() + seconds * INT64_C(1000000000);
}

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static void dial(struct talk_broker *talk, int client)
{
    struct real_broker *real = real_of(talk);

    stream_close(real->streams[client]);
    real->received[client].size = 0;
    real->is_closed[client] = false;
    if (stream_dial(real->address, PATIENCE_S * INT64_C(1000000000), &real->streams[client])) {
        fprintf(stderr, "%s: %s\n", real->address, err_text());
        exit(1);
    }
}

static void drop(struct talk_broker *talk, int client)
{
    struct real_broker *real = real_of(talk);

    stream_close(real->streams[client]);
    real->streams[client] = NULL;
}

/* Remember how to get rid of what is declared in `frame`s that came from a line. */
static void note_declared(struct real_broker *real, struct bytes b)
{
    static const struct {
        uint8_t class_id;
        const char *delete;
    } classes[] = {{50, "queue.delete queue"}, {40, "exchange.delete exchange"}};

    for (size_t i = 0; i < 2; i++) {
        bool is_declare = b.size > 14 && b.data[0] == 1 && b.data[8] == classes[i].class_id &&
                          b.data[10] == 10 && b.data[13];
        if (is_declare)
            text_printf(&real->declared, "1 %s=%.*s\n", classes[i].delete, b.data[13],
                        (const char *)b.data + 14);
    }
}

static void say(struct talk_broker *talk, int client, struct bytes b)
{
    struct real_broker *real = real_of(talk);

    note_declared(real, b);
    if (real->streams[client] && stream_send(real->streams[client], b, in_s(PATIENCE_S)))
        real->is_closed[client] = true;
}

/* True: something came. */
static bool receive(struct real_broker *real, int client)
{
    uint8_t bytes[65536];
    size_t size = 0;

    if (!real->streams[client] || real->is_closed[client])
        return false;
    if (stream_try_receive(real->streams[client], bytes, sizeof bytes, &size))
        real->is_closed[client] = true;
    text_append(&real->received[client], bytes_of(bytes, size));
    return size > 0 || real->is_closed[client];
}

static void wait_for(struct talk_broker *talk, int ms)
{
    struct real_broker *real = real_of(talk);
    int quiet_ms = -ms, most_ms = SILENT_MS;

    while (quiet_ms < most_ms) {
        bool any = false;
        for (int i = 0; i < TALKERS_MAX; i++)
            any |= receive(real, i);
        if (any)
            most_ms = QUIET_MS;
        if (any && quiet_ms > 0)
            quiet_ms = 0;
        sleep_ms(5);
        quiet_ms += 5;
    }
}

static bool take(struct talk_broker *talk, int client, struct text *out)
{
    struct real_broker *real = real_of(talk);

    text_append(out, text_bytes(&real->received[client]));
    real->received[client].size = 0;
    return !real->is_closed[client];
}

/* On a connection of its own. */
static void delete_declared(struct real_broker *real)
{
    char *lines = xasprintf("%.*s", BYTES_FORMAT(text_bytes(&real->declared))), *save;
    struct text out = {0};

    real->declared.size = 0;
    dial(&real->talk, 0);
    put_line(&out, "0 bytes 414d515000000901", 4096);
    put_line(&out, "0 connection.start_ok mechanism=PLAIN response=^guest^guest locale=en_US",
             4096);
    put_line(&out, "0 connection.tune_ok channel_max=2047 frame_max=131072 heartbeat=0", 4096);
    put_line(&out, "0 connection.open virtual_host=/", 4096);
    int channel = 0;
    for (char *line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *told = xasprintf("%d%s", ++channel, line + 1); /* one each: it may fail */
        char *open = xasprintf("%d channel.open", channel);
        put_line(&out, open, 4096);
        put_line(&out, told, 4096);
        free(told);
        free(open);
    }
    say(&real->talk, 0, text_bytes(&out));
    wait_for(&real->talk, 0);
    drop(&real->talk, 0);
    text_reset(&out);
    free(lines);
}

static void begin(struct talk_broker *talk)
{
    struct real_broker *real = real_of(talk);

    for (int i = 0; i < TALKERS_MAX; i++)
        if (real->streams[i])
            drop(talk, i);
    if (!real->declared.size)
        return;
    sleep_ms(QUIET_MS); /* what connections take with them */
    delete_declared(real);
}

static void write_step(void *ctx, const struct talk_step *step, struct bytes heard)
{
    (void)ctx;
    printf("%.*s%.*s%.*s%.*s%.*s", BYTES_FORMAT(step->title), BYTES_FORMAT(step->said),
           BYTES_FORMAT(heard), BYTES_FORMAT(step->why), BYTES_FORMAT(step->ours));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct real_broker real = {.talk = {.begin = begin,
                                        .dial = dial,
                                        .drop = drop,
                                        .say = say,
                                        .wait = wait_for,
                                        .take = take}};
    struct text script = {0};

    if (argc != 3) {
        fprintf(stderr, "usage: talk_record HOST:PORT SCRIPT\n");
        return 2;
    }
    real.address = argv[1];
    if (process_read_file(argv[2], 4 << 20, &script)) {
        fprintf(stderr, "%s\n", err_text());
        return 1;
    }
    talk(&real.talk, text_bytes(&script), write_step, NULL);
    text_reset(&script);
    return 0;
}
