/*
 * What the machine itself takes for the least that a broker must do, as JSON: the processor time of
 * receiving and of sending a byte in large pieces, of answering a lone request, of copying, of
 * checking and of writing a byte to the page cache. A broker's cost beside the sum of its parts is
 * its distance from the floor.
 *
 *   floor FOLDER     takes about a second; the folder is where the broker's data would lie
 *
 * A server process (a fork) and a client in one thread each, over loopback.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"

enum {
    PIECE_BYTES = 64 * 1024,
    STREAM_PIECES = 4 * 1024, /* 256 MiB */
    LONE_BYTES = 128,
    LONE_CONNS = 16,
    LONE_REQUESTS = 64 * 1000,
    COPY_BYTES = 1024 * 1024, /* from and to the second level cache, as fresh messages are */
    COPY_ROUNDS = 1000,
    FILE_PIECES = 2048, /* 128 MiB */
};

static uint8_t piece[PIECE_BYTES];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double cpu_ns(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t))
        die("clock_gettime");
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void all_of(ssize_t done, size_t wanted, const char *what)
{
    if (done != (ssize_t)wanted)
        die(what);
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (listener < 0 || bind(listener, (struct sockaddr *)address, size) ||
        listen(listener, LONE_CONNS) || getsockname(listener, (struct sockaddr *)address, &size))
        die("listen");
    return listener;
}

static int dial(const struct sockaddr_in *address)
{
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);

    if (s < 0 || connect(s, (const struct sockaddr *)address, sizeof *address) ||
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
        die("connect");
    return s;
}

/* Receive until the end, or send STREAM_PIECES. */
static void drain_stream(int s)
{
    ssize_t got;

    while ((got = recv(s, piece, sizeof piece, 0)) > 0)
        continue;
    if (got < 0)
        die("recv");
}

static void fill_stream(int s)
{
    for (int i = 0; i < STREAM_PIECES; i++)
        all_of(send(s, piece, sizeof piece, 0), sizeof piece, "send");
}

/* Answer requests of LONE_BYTES on many connections, one recv and one send for each. */
static void answer(const int *conns)
{
    struct epoll_event events[LONE_CONNS];
    int set = epoll_create1(0), open = LONE_CONNS;

    for (int i = 0; i < LONE_CONNS; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.fd = conns[i]};
        if (epoll_ctl(set, EPOLL_CTL_ADD, conns[i], &e))
            die("epoll_ctl");
    }
    while (open) {
        int ready = epoll_wait(set, events, LONE_CONNS, -1);
        for (int i = 0; i < ready; i++) {
            ssize_t got = recv(events[i].data.fd, piece, LONE_BYTES, 0);
            if (got <= 0) {
                epoll_ctl(set, EPOLL_CTL_DEL, events[i].data.fd, NULL);
                open--;
            } else {
                all_of(send(events[i].data.fd, piece, (size_t)got, 0), (size_t)got, "send");
            }
        }
    }
    close(set);
}

static void ask(const int *conns)
{
    for (int i = 0; i < LONE_REQUESTS; i += LONE_CONNS) {
        for (int c = 0; c < LONE_CONNS; c++)
            all_of(send(conns[c], piece, LONE_BYTES, 0), LONE_BYTES, "send");
        for (int c = 0; c < LONE_CONNS; c++)
            all_of(recv(conns[c], piece, LONE_BYTES, MSG_WAITALL), LONE_BYTES, "recv");
    }
}

static void serve_stream(int listener, bool receives)
{
    int s = accept(listener, NULL, NULL);

    if (s < 0)
        die("accept");
    if (receives)
        drain_stream(s);
    else
        fill_stream(s);
    close(s);
}

static void serve_lone(int listener)
{
    int conns[LONE_CONNS];

    for (int i = 0; i < LONE_CONNS; i++)
        if ((conns[i] = accept(listener, NULL, NULL)) < 0)
            die("accept");
    answer(conns);
}

enum shape { RECEIVE, SEND, LONE };

static void be_client(const struct sockaddr_in *address, enum shape shape)
{
    int conns[LONE_CONNS], count = shape == LONE ? LONE_CONNS : 1;

    for (int i = 0; i < count; i++)
        conns[i] = dial(address);
    if (shape == RECEIVE)
        fill_stream(conns[0]);
    else if (shape == SEND)
        drain_stream(conns[0]);
    else
        ask(conns);
    for (int i = 0; i < count; i++)
        close(conns[i]);
}

/* The processor time of the serving side, ns. */
static double server_ns(enum shape shape)
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address), status;

    pid_t client = fork();
    if (client < 0)
        die("fork");
    if (client == 0) {
        be_client(&address, shape);
        _exit(0);
    }
    double before = cpu_ns();
    if (shape == LONE)
        serve_lone(listener);
    else
        serve_stream(listener, shape == RECEIVE);
    double taken = cpu_ns() - before;
    close(listener);
    if (waitpid(client, &status, 0) < 0 || status != 0)
        die("client");
    return taken;
}

static double copy_ns(void)
{
    uint8_t *from = malloc(COPY_BYTES), *to = malloc(COPY_BYTES);

    if (!from || !to)
        die("malloc");
    memset(from, 1, COPY_BYTES);
    memset(to, 2, COPY_BYTES);
    double before = cpu_ns();
    for (int i = 0; i < COPY_ROUNDS; i++) {
        memcpy(to, from, COPY_BYTES);
        from[i] = to[COPY_BYTES - 1 - i]; /* each copy is of something else */
    }
    double taken = cpu_ns() - before;
    free(from);
    free(to);
    return taken / COPY_ROUNDS / COPY_BYTES;
}

static double checksum_ns(void)
{
    double before = cpu_ns();

    for (int i = 0; i < STREAM_PIECES; i++)
        piece[0] = (uint8_t)crc32c(piece, sizeof piece);
    return (cpu_ns() - before) / STREAM_PIECES / PIECE_BYTES;
}

static double write_ns(const char *folder)
{
    int file = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (file < 0)
        die(folder);
    double before = cpu_ns();
    for (int i = 0; i < FILE_PIECES; i++)
        all_of(pwrite(file, piece, sizeof piece, (off_t)i * PIECE_BYTES), sizeof piece, "pwrite");
    double taken = cpu_ns() - before;
    close(file);
    return taken / FILE_PIECES / PIECE_BYTES;
}

int main(int argc, char **argv)
{
    const double stream_bytes = (double)STREAM_PIECES * PIECE_BYTES;

    if (argc != 2) {
        fprintf(stderr, "usage: floor FOLDER\n");
        return 2;
    }
    printf("{\"receive_ns_byte\": %.5f, ", server_ns(RECEIVE) / stream_bytes);
    printf("\"send_ns_byte\": %.5f, ", server_ns(SEND) / stream_bytes);
    printf("\"lone_ns\": %.1f, ", server_ns(LONE) / LONE_REQUESTS);
    printf("\"copy_ns_byte\": %.5f, ", copy_ns());
    printf("\"checksum_ns_byte\": %.5f, ", checksum_ns());
    printf("\"write_ns_byte\": %.5f}\n", write_ns(argv[1]));
    return 0;
}
