#include "io/stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/unix_address.h"

struct stream {
    int fd;
    void *ctx;
    bool read, write; /* what the set watches */
};

struct stream_set {
    int fd;
};

enum { EVENTS_MAX = 256 };

static struct timespec time_left(int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns - clock_now_ns();

    if (left_ns < 0)
        left_ns = 0;
    return (struct timespec){left_ns / 1000000000, left_ns % 1000000000};
}

static enum err wait_for(int fd, short what, int64_t deadline_ns)
{
    struct pollfd poll = {.fd = fd, .events = what};
    int ready;

    do {
        struct timespec left = time_left(deadline_ns);
        ready = ppoll(&poll, 1, deadline_ns == INT64_MAX ? NULL : &left, NULL);
    } while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return err_set(E_IO, "poll: %s", strerror(errno));
    return ready ? OK : err_set(E_TIMEOUT, "no answer in time");
}

static enum err connect_error(int code, const char *address)
{
    enum err err = code == ECONNREFUSED ? E_CLOSED : code == ENOENT ? E_NOT_FOUND : E_IO;

    return err_set(err, "connect to %s: %s", address, strerror(code));
}

static enum err connect_fd(int fd, const struct sockaddr *to, socklen_t size, const char *address,
                           int64_t deadline_ns)
{
    int code = 0;
    socklen_t code_size = sizeof code;

    if (connect(fd, to, size) == 0)
        return OK;
    if (errno != EINPROGRESS)
        return connect_error(errno, address);
    enum err err = wait_for(fd, POLLOUT, deadline_ns);
    if (err)
        return err_wrap(err, "connect to %s", address);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &code_size))
        code = errno;
    return code ? connect_error(code, address) : OK;
}

static enum err open_fd(const struct sockaddr *to, socklen_t size, const char *address,
                        int64_t deadline_ns, int *out)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set(E_IO, "socket: %s", strerror(errno));
    int on = 1;
    if (to->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only slower without */
    enum err err = connect_fd(fd, to, size, address, deadline_ns);
    if (err)
        close(fd);
    else
        *out = fd;
    return err;
}

static enum err dial_unix(const char *path, int64_t deadline_ns, int *out)
{
    struct unix_address to;

    enum err err = unix_address_open(path, &to);
    if (err)
        return err_wrap(err, "connect to %s", path);
    err = open_fd((const struct sockaddr *)&to.socket, sizeof to.socket, path, deadline_ns, out);
    unix_address_close(&to);
    return err;
}

/* "HOST:PORT" and "[v6]:PORT" into two strings. */
static bool split_address(const char *address, char *host, size_t host_capacity, char *port,
                          size_t port_capacity)
{
    const char *colon = strrchr(address, ':');

    if (!colon || strlen(colon + 1) == 0 || strlen(colon + 1) >= port_capacity)
        return false;
    size_t size = (size_t)(colon - address);
    if (size > 2 && address[0] == '[' && colon[-1] == ']') {
        address++;
        size -= 2;
    }
    if (size == 0 || size >= host_capacity)
        return false;
    memcpy(host, address, size);
    host[size] = 0;
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return true;
}

static enum err dial_tcp(const char *address, int64_t deadline_ns, int *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[256], port[8];

    if (!split_address(address, host, sizeof host, port, sizeof port))
        return err_set(E_INVALID, "\"%s\" is not HOST:PORT", address);
    int code = getaddrinfo(host, port, &hints, &found);
    if (code)
        return err_set(E_NOT_FOUND, "%s: %s", address, gai_strerror(code));
    enum err err = E_NOT_FOUND;
    for (struct addrinfo *at = found; at && err; at = at->ai_next)
        err = open_fd(at->ai_addr, at->ai_addrlen, address, deadline_ns, out);
    freeaddrinfo(found);
    return err;
}

enum err stream_dial(const char *address, int64_t timeout_ns, struct stream **out)
{
    int64_t deadline_ns = clock_now_ns() + timeout_ns;
    int fd = -1;

    enum err err = strchr(address, '/') ? dial_unix(address, deadline_ns, &fd)
                                        : dial_tcp(address, deadline_ns, &fd);
    if (err)
        return err;
    *out = xzalloc(sizeof **out);
    (*out)->fd = fd;
    return OK;
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
    close(s->fd);
    free(s);
}

enum err stream_try_send(struct stream *s, struct bytes b, size_t *out_size)
{
    ssize_t sent = send(s->fd, b.data, b.size, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return err_set(E_CLOSED, "connection closed: %s", strerror(errno));
    *out_size = sent > 0 ? (size_t)sent : 0;
    return OK;
}

enum err stream_try_receive(struct stream *s, void *out, size_t capacity, size_t *out_size)
{
    ssize_t received = recv(s->fd, out, capacity, 0);

    if (received == 0)
        return err_set(E_CLOSED, "connection closed by the server");
    if (received < 0 && errno != EAGAIN && errno != EINTR)
        return err_set(E_CLOSED, "connection closed: %s", strerror(errno));
    *out_size = received > 0 ? (size_t)received : 0;
    return OK;
}

enum err stream_send(struct stream *s, struct bytes b, int64_t deadline_ns)
{
    while (b.size) {
        size_t sent = 0;
        enum err err = stream_try_send(s, b, &sent);
        if (!err && sent == 0)
            err = wait_for(s->fd, POLLOUT, deadline_ns);
        if (err)
            return err;
        b = bytes_of(b.data + sent, b.size - sent);
    }
    return OK;
}

enum err stream_receive(struct stream *s, void *out, size_t capacity, int64_t deadline_ns,
                        size_t *out_size)
{
    size_t received = 0;
    enum err err = stream_try_receive(s, out, capacity, &received);

    while (!err && received == 0) {
        err = wait_for(s->fd, POLLIN, deadline_ns);
        if (!err)
            err = stream_try_receive(s, out, capacity, &received);
    }
    if (!err)
        *out_size = received;
    return err;
}

/* The kernel may let a sleeper oversleep by its timer slack, 50 us unless told otherwise; the set's
 * deadlines are schedules to be kept. */
struct stream_set *stream_set_new(void)
{
    struct stream_set *set = xzalloc(sizeof *set);

    set->fd = epoll_create1(EPOLL_CLOEXEC);
    check(set->fd >= 0);
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    return set;
}

void stream_set_free(struct stream_set *set)
{
    if (!set)
        return;
    close(set->fd);
    free(set);
}

static struct epoll_event event_of(struct stream *s)
{
    uint32_t events = 0;

    if (s->read)
        events |= (uint32_t)EPOLLIN;
    if (s->write)
        events |= (uint32_t)EPOLLOUT;
    return (struct epoll_event){.events = events, .data.ptr = s};
}

void stream_set_add(struct stream_set *set, struct stream *s, void *ctx)
{
    s->ctx = ctx;
    s->read = true;
    s->write = false;
    struct epoll_event event = event_of(s);
    int failed = epoll_ctl(set->fd, EPOLL_CTL_ADD, s->fd, &event);
    check(!failed);
}

void stream_set_watch(struct stream_set *set, struct stream *s, bool read, bool write)
{
    if (s->read == read && s->write == write)
        return;
    s->read = read;
    s->write = write;
    struct epoll_event event = event_of(s);
    int failed = epoll_ctl(set->fd, EPOLL_CTL_MOD, s->fd, &event);
    check(!failed);
}

size_t stream_set_wait(struct stream_set *set, int64_t deadline_ns, struct stream_event *out,
                       size_t capacity)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec left = time_left(deadline_ns);
    int limit = capacity < EVENTS_MAX ? (int)capacity : EVENTS_MAX;

    int count = epoll_pwait2(set->fd, events, limit, deadline_ns == INT64_MAX ? NULL : &left, NULL);
    for (int i = 0; i < count; i++) {
        struct stream *s = events[i].data.ptr;
        out[i].ctx = s->ctx;
        out[i].readable =
            events[i].events & ((uint32_t)EPOLLIN | (uint32_t)EPOLLHUP | (uint32_t)EPOLLERR);
        out[i].writable = events[i].events & (uint32_t)EPOLLOUT;
    }
    return count > 0 ? (size_t)count : 0;
}
