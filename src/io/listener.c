/* Binding, listening, and numeric addresses. */
#include "io/listener.h"

#include "base/number.h"
#include "io/io_internal.h"
#include "io/unix_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct parts {
    char host[256];
    char port[6];
};

static enum err split(const char *address, struct parts *out)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address)
        return err_set(E_INVALID, "an address is HOST:PORT or [v6]:PORT");
    struct bytes host = bytes_of(address, (size_t)(colon - address));
    if (host.data[0] == '[' && host.size > 2 && host.data[host.size - 1] == ']')
        host = bytes_of(host.data + 1, host.size - 2);
    else if (memchr(host.data, ':', host.size))
        return err_set(E_INVALID, "a v6 address goes into brackets");
    int64_t port;
    if (!number_parse_i64(bytes_from_string(colon + 1), &port) || port < 0 || port > 65535)
        return err_set(E_INVALID, "a port is a number from 0 to 65535");
    if (host.size >= sizeof out->host)
        return err_set(E_INVALID, "the host's name is too long");
    memcpy(out->host, host.data, host.size);
    out->host[host.size] = 0;
    snprintf(out->port, sizeof out->port, "%d", (int)port);
    return OK;
}

static uint16_t port_of(const struct sockaddr_storage *s)
{
    if (s->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)s)->sin6_port);
    return s->ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)s)->sin_port) : 0;
}

static enum err bind_and_listen(int fd, const struct addrinfo *info, uint16_t *out_port)
{
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    if (info->ai_family == AF_INET6) /* "[::]" also takes v4, whatever the system's default is */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, info->ai_addr, info->ai_addrlen))
        return io_error("bind");
    if (listen(fd, SOMAXCONN))
        return io_error("listen");
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &size))
        return io_error("getsockname");
    *out_port = port_of(&bound);
    return OK;
}

/* A socket that an earlier process left is replaced: whoever owns the directory has locked it.
 * Nobody can connect between bind and listen, so the mode is in force in time. */
static enum err bind_unix(int fd, const struct sockaddr_un *path)
{
    (void)unlink(path->sun_path); /* if it cannot go away, bind says why */
    if (bind(fd, (const struct sockaddr *)path, sizeof *path))
        return io_error("bind");
    if (chmod(path->sun_path, 0600))
        return io_error("chmod");
    return listen(fd, SOMAXCONN) ? io_error("listen") : OK;
}

static enum err open_unix(const char *path, int *out_fd, uint16_t *out_port)
{
    struct unix_address address;
    int fd = -1;
    enum err err = unix_address_open(path, &address);
    if (!err) {
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        err = fd < 0 ? io_error("socket") : bind_unix(fd, &address.socket);
        unix_address_close(&address);
    }
    if (err) {
        if (fd >= 0)
            close(fd);
        return err_wrap(err, "listen on %s", path);
    }
    *out_fd = fd;
    *out_port = 0;
    return OK;
}

enum err listener_open(const char *address, int *out_fd, uint16_t *out_port)
{
    if (strchr(address, '/'))
        return open_unix(address, out_fd, out_port);
    struct parts parts;
    enum err err = split(address, &parts);
    if (err)
        return err_wrap(err, "listen on %s", address);

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *info;
    int failed = getaddrinfo(parts.host, parts.port, &hints, &info);
    if (failed)
        return err_set(E_INVALID, "listen on %s: %s", address, gai_strerror(failed));

    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    err = fd < 0 ? io_error("socket") : bind_and_listen(fd, info, out_port);
    freeaddrinfo(info);
    if (err) {
        if (fd >= 0)
            close(fd);
        return err_wrap(err, "listen on %s", address);
    }
    *out_fd = fd;
    return OK;
}

void listener_close(int fd)
{
    close(fd);
}

static bool is_loopback(const struct in_addr *v4)
{
    return ntohl(v4->s_addr) >> 24 == 127;
}

static void describe(const struct sockaddr_storage *s, struct endpoint *out)
{
    *out = (struct endpoint){.port = port_of(s)};
    if (s->ss_family == AF_UNIX) {
        snprintf(out->host, sizeof out->host, "local");
        out->loopback = true;
    } else if (s->ss_family == AF_INET) {
        const struct in_addr *v4 = &((const struct sockaddr_in *)s)->sin_addr;
        inet_ntop(AF_INET, v4, out->host, sizeof out->host);
        out->loopback = is_loopback(v4);
    } else if (s->ss_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)s)->sin6_addr;
        struct in_addr v4;
        memcpy(&v4, v6->s6_addr + 12, sizeof v4);
        bool is_v4 = IN6_IS_ADDR_V4MAPPED(v6);
        inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? (const void *)&v4 : (const void *)v6,
                  out->host, sizeof out->host);
        out->loopback = is_v4 ? is_loopback(&v4) : IN6_IS_ADDR_LOOPBACK(v6);
    }
}

void listener_hang_up(int accepted)
{
    shutdown(accepted, SHUT_RDWR);
}

void listener_describe(const struct sockaddr *address, struct endpoint *out)
{
    struct sockaddr_storage s = {.ss_family = address->sa_family};
    if (address->sa_family == AF_INET)
        memcpy(&s, address, sizeof(struct sockaddr_in));
    else if (address->sa_family == AF_INET6)
        memcpy(&s, address, sizeof(struct sockaddr_in6));
    describe(&s, out);
}

/* Between two sockets of one host there is nothing to share fairly and no queue to keep short. Where the system's
 * choice is BBR, its pacing takes a timer's interrupt for every 64 KiB: most of what sending costs there. */
static void send_unpaced(int fd)
{
    static const char never_paces[] = "reno"; /* which every Linux has and allows everybody */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, never_paces,
                     sizeof never_paces - 1); /* only slower without */
}

int listener_accept(int fd, struct endpoint *local, struct endpoint *peer)
{
    /* The peer may be gone before one could ask the socket for its name. */
    struct sockaddr_storage s = {0};
    socklen_t size = sizeof s;
    int accepted = accept4(fd, (struct sockaddr *)&s, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0)
        return -1;
    describe(&s, peer);
    s = (struct sockaddr_storage){0};
    size = sizeof s;
    getsockname(accepted, (struct sockaddr *)&s, &size);
    describe(&s, local);
    if (s.ss_family != AF_UNIX && strcmp(local->host, peer->host) == 0)
        send_unpaced(accepted);
    return accepted;
}
