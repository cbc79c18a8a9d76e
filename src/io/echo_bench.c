/*
 * What the hub costs for a message: an echo server and, in a process of its own, a client with C
 * connections and D messages in flight on each.
 *
 *   echo_bench [THREADS [CONNECTIONS [DEPTH [BODY_BYTES [SECONDS]]]]]
 *
 * Server on one processor, client on the other, unless there are I/O threads. Prints messages a
 * second, the server's processor time a message, and the round trip of a window of D messages.
 */
#include "base/check.h"
#include "base/histogram.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/echo_internal.h"
#include "io/hub.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct options {
    int threads, connections, depth, body_bytes, seconds;
};

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* ---- the client ---- */

struct peer {
    int fd;
    size_t received; /* of the window */
    int64_t sent_ns;
};

static void send_window(struct peer *p, const struct text *window)
{
    ssize_t n = send(p->fd, window->data, window->size, MSG_NOSIGNAL);
    check(n == (ssize_t)window->size);
    p->received = 0;
    p->sent_ns = clock_now_ns();
}

static void receive(struct peer *p, const struct text *window, struct histogram *times)
{
    static uint8_t scratch[256 * 1024];
    ssize_t n = recv(p->fd, scratch, sizeof scratch, 0);
    check(n > 0);
    p->received += (size_t)n;
    if (p->received < window->size)
        return;
    histogram_add(times, clock_now_ns() - p->sent_ns);
    send_window(p, window);
}

static void run_client(const struct options *o, uint16_t port)
{
    struct peer *peers = xzalloc((size_t)o->connections * sizeof *peers);
    struct histogram *times = xzalloc(sizeof *times);
    histogram_init(times);
    struct text window = {0};
    for (int i = 0; i < o->depth; i++) {
        text_put_u32(&window, (uint32_t)o->body_bytes);
        text_append_zeros(&window, (size_t)o->body_bytes);
    }
    int epoll = epoll_create1(0);
    for (int i = 0; i < o->connections; i++) {
        int on = 1;
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        peers[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        check(!connect(peers[i].fd, (struct sockaddr *)&to, sizeof to));
        setsockopt(peers[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, peers[i].fd, &event);
        send_window(&peers[i], &window);
    }
    int64_t end_ns = clock_now_ns() + (int64_t)o->seconds * 1000000000;
    while (clock_now_ns() < end_ns) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, 1000);
        for (int i = 0; i < count; i++)
            receive(events[i].data.ptr, &window, times);
    }
    printf("round trip us p50 %.1f p99 %.1f p99.9 %.1f\n",
           (double)histogram_quantile(times, 0.5) / 1000,
           (double)histogram_quantile(times, 0.99) / 1000,
           (double)histogram_quantile(times, 0.999) / 1000);
}

/* ---- the server ---- */

struct cpu {
    double user_ns, system_ns;
};

static struct cpu cpu_used(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (struct cpu){(double)u.ru_utime.tv_sec * 1e9 + (double)u.ru_utime.tv_usec * 1e3,
                        (double)u.ru_stime.tv_sec * 1e9 + (double)u.ru_stime.tv_usec * 1e3};
}

static void run_server(const struct options *o, struct hub *hub, const struct echo *echo)
{
    int64_t start_ns = clock_now_ns();
    struct cpu start = cpu_used();
    uint64_t turns = 0;
    while (echo->gone_count < o->connections) {
        hub_wait(hub, start_ns + (int64_t)(o->seconds + 5) * 1000000000);
        hub_dispatch(hub, clock_now_ns());
        hub_flush(hub);
        turns++;
    }
    double seconds = (double)(clock_now_ns() - start_ns) / 1e9;
    double count = (double)echo->input_count;
    struct cpu end = cpu_used();
    printf("threads %d, %d x %d, %d B: %.0f messages/s, CPU %.0f ns each (user %.0f, system %.0f), "
           "%.1f messages a turn\n",
           o->threads, o->connections, o->depth, o->body_bytes, count / seconds,
           (end.user_ns + end.system_ns - start.user_ns - start.system_ns) / count,
           (end.user_ns - start.user_ns) / count, (end.system_ns - start.system_ns) / count,
           count / (double)turns);
}

static int argument(int argc, char **argv, int i, int usual)
{
    return i < argc ? (int)strtol(argv[i], NULL, 10) : usual;
}

int main(int argc, char **argv)
{
    struct options o = {.threads = argument(argc, argv, 1, 0),
                        .connections = argument(argc, argv, 2, 16),
                        .depth = argument(argc, argv, 3, 16),
                        .body_bytes = argument(argc, argv, 4, 124),
                        .seconds = argument(argc, argv, 5, 3)};
    struct echo echo = {0};
    struct hub_config config = {.threads = o.threads,
                                .max_connections = 100000,
                                .inflight_bytes = 4 << 20,
                                .memory_bytes = 256 << 20};
    int port_pipe[2];
    check(!pipe(port_pipe));
    pid_t client = fork();
    if (client == 0) {
        uint16_t port;
        if (!o.threads)
            pin(1);
        check(read(port_pipe[0], &port, sizeof port) == sizeof port);
        run_client(&o, port);
        return 0;
    }
    if (!o.threads)
        pin(0);
    struct hub *hub;
    uint16_t port;
    enum err err = hub_new(&config, &echo, &hub);
    if (!err)
        err = hub_listen(hub, "127.0.0.1:0", &echo_protocol, &port);
    check(!err);
    check(write(port_pipe[1], &port, sizeof port) == sizeof port);
    run_server(&o, hub, &echo);
    hub_free(hub);
    waitpid(client, NULL, 0);
    return 0;
}
