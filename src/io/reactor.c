/* The reactor's turn: events, orders, sends, reports. */
#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/say.h"
#include "io/clock.h"
#include "io/io_internal.h"
#include "io/listener.h"
#include "io/reactor_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 16, /* asked for at once: the others come first the next time */
    ROUNDS_MAX = 16, /* of asking, in one turn */
    RETRY_MS = 1,    /* when a ring was full, or memory used up */
};

/* ---- life ---- */

enum err reactor_init(struct reactor *r)
{
    r->waker.fd = r->epoll = r->reserve_fd = -1;
    list_init(&r->reporting);
    list_init(&r->sending);
    list_init(&r->starved);
    list_init(&r->ending);
    ring_init(&r->orders, REACTOR_RING_SLOTS, sizeof(struct order));
    ring_init(&r->reports, REACTOR_RING_SLOTS, sizeof(struct report));
    r->now_ns = clock_now_ns();

    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (r->epoll < 0)
        return io_error("epoll_create1");
    enum err err = waker_init(&r->waker);
    if (err)
        return err;
    r->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r->waker_watch.kind = WATCH_WAKER;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &r->waker_watch};
    return epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->waker.fd, &event) ? io_error("epoll_ctl") : OK;
}

void reactor_reset(struct reactor *r)
{
    reactor_close_listeners(r);
    waker_reset(&r->waker);
    if (r->epoll >= 0)
        close(r->epoll);
    if (r->reserve_fd >= 0)
        close(r->reserve_fd);
    rbuf_unref(r->shared);
    ring_reset(&r->orders);
    ring_reset(&r->reports);
}

/* ---- listeners ---- */

void reactor_close_listeners(struct reactor *r)
{
    while (r->listeners) {
        struct listener *l = r->listeners;
        r->listeners = l->next;
        close(l->fd); /* which takes it out of epoll */
        free(l);
    }
}

/* Out of descriptors, a waiting connection would make epoll report it for ever. So one descriptor
 * is kept in reserve, to accept and close what cannot be served. */
static bool refuse_one(struct reactor *r, struct listener *l)
{
    close(r->reserve_fd);
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        say_warn("net", "no file descriptor left, refusing a connection: listener=%s",
                 l->protocol->name);
        close(fd);
    }
    r->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

static void accept_some(struct reactor *r, struct listener *l)
{
    for (int i = 0; i < REACTOR_ACCEPT_COUNT; i++) {
        struct endpoint local, peer;
        int fd = listener_accept(l->fd, &local, &peer);
        if (fd >= 0) {
            struct conn *c = conn_new(r->hub, fd, l->protocol, &local, &peer);
            conn_note_report(r, c, REPORT_OPENED);
            continue;
        }
        /* EMFILE comes before the look at what waits: it may be nothing. */
        bool full = errno == EMFILE || errno == ENFILE;
        if (full ? !refuse_one(r, l) : errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* ---- time ---- */

static void end_overdue(struct reactor *r)
{
    while (!list_is_empty(&r->ending)) {
        struct conn *c = container_of(r->ending.next, struct conn, ending);
        if (c->end_deadline_ns > r->now_ns)
            return;
        conn_end(r, c);
    }
}

static int timeout_ms(struct reactor *r, int64_t deadline_ns)
{
    if (!list_is_empty(&r->sending))
        return 0;
    if (!list_is_empty(&r->ending)) {
        struct conn *c = container_of(r->ending.next, struct conn, ending);
        deadline_ns = c->end_deadline_ns < deadline_ns ? c->end_deadline_ns : deadline_ns;
    }
    if (!list_is_empty(&r->reporting) || !list_is_empty(&r->starved)) {
        int64_t retry_ns = r->now_ns + RETRY_MS * 1000000;
        deadline_ns = retry_ns < deadline_ns ? retry_ns : deadline_ns;
    }
    if (deadline_ns == INT64_MAX)
        return -1;
    int64_t now_ns = clock_now_ns();
    if (deadline_ns <= now_ns)
        return 0;
    int64_t ms = (deadline_ns - now_ns + 999999) / 1000000;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* ---- events ---- */

static void feed_starved(struct reactor *r)
{
    if (atomic_load_explicit(r->gate, memory_order_relaxed))
        return;
    size_t used =
        rbuf_pool_bytes(r->rbufs) + atomic_load_explicit(r->send_bytes, memory_order_relaxed);
    if (used > r->memory_bytes - r->memory_bytes / 8)
        return;
    struct list *node;
    while ((node = list_pop_front(&r->starved)))
        conn_watch(r, container_of(node, struct conn, starved));
}

static void handle(struct reactor *r, const struct epoll_event *event, size_t *budget)
{
    struct watch *watch = event->data.ptr;
    switch (watch->kind) {
    case WATCH_WAKER: return;
    case WATCH_LISTENER: accept_some(r, container_of(watch, struct listener, watch)); return;
    case WATCH_CONN:
        conn_event(r, container_of(watch, struct conn, watch), event->events, budget);
        return;
    }
    check(false);
}

/* Each event may read an equal share of what those before it have left of the turn's budget: who sends without
 * end keeps nobody from being read. */
static void handle_all(struct reactor *r, const struct epoll_event *events, int count,
                       size_t *budget)
{
    for (int i = 0; i < count; i++) {
        size_t share = *budget / (size_t)(count - i), left = share;
        handle(r, &events[i], &left);
        *budget -= share - left;
    }
}

void reactor_poll(struct reactor *r, int64_t deadline_ns)
{
    /* With reports that the ring did not take, nothing is read: only time can help. */
    bool stuck = !list_is_empty(&r->reporting);
    struct epoll_event events[EVENTS_MAX];
    int timeout = timeout_ms(r, deadline_ns);
    if (timeout != 0 && !waker_sleep(&r->waker))
        timeout = 0;
    int64_t before_ns = timeout != 0 ? clock_now_ns() : INT64_MAX;
    int count =
        stuck ? (poll(NULL, 0, timeout), 0) : epoll_wait(r->epoll, events, EVENTS_MAX, timeout);
    waker_awake(&r->waker);
    r->now_ns = clock_now_ns();
    if (r->now_ns > before_ns)
        r->slept_ns += r->now_ns - before_ns;
    size_t budget = REACTOR_TURN_READ_BYTES;
    r->send_left = REACTOR_TURN_SEND_BYTES;
    handle_all(r, events, count, &budget);
    for (int i = 1; i < ROUNDS_MAX && count == EVENTS_MAX && budget > REACTOR_TURN_READ_BYTES / 2;
         i++) {
        count = epoll_wait(r->epoll, events, EVENTS_MAX, 0);
        handle_all(r, events, count, &budget);
    }
    /* Or what comes in would outrun what goes out. */
    r->send_left += REACTOR_TURN_READ_BYTES - budget;
    end_overdue(r);
    if (!list_is_empty(&r->starved))
        feed_starved(r);
    if (atomic_load_explicit(&r->stop_listening, memory_order_acquire))
        reactor_close_listeners(r);
}

/* ---- orders and reports ---- */

void reactor_take_orders(struct reactor *r)
{
    struct order *order;
    while ((order = ring_get(&r->orders)))
        conn_order(r, order->conn, order);
    ring_release(&r->orders);
    while (r->send_left > 0 && !list_is_empty(&r->sending))
        conn_send(r, container_of(list_pop_front(&r->sending), struct conn, sending));
}

static bool is_urgent(const struct report *report)
{
    if (report->flags || report->inputs)
        return true;
    for (const struct block *b = report->blocks; b; b = b->next)
        if (b->release)
            return true;
    return false;
}

bool reactor_report(struct reactor *r)
{
    bool any = false, urgent = false;
    while (!list_is_empty(&r->reporting)) {
        struct report *slot = ring_put(&r->reports);
        if (!slot)
            break;
        struct conn *c = container_of(list_pop_front(&r->reporting), struct conn, reporting);
        *slot = c->report;
        urgent |= is_urgent(slot);
        any = true;
        c->report = (struct report){.conn = c};
        c->last_input = &c->report.inputs;
    }
    if (any)
        ring_publish(&r->reports);
    r->reports_urgent |= urgent;
    bool all = list_is_empty(&r->reporting);
    if (!r->is_inline && (urgent || !all))
        r->wake_core(r->hub);
    return all;
}

void *reactor_run(void *reactor)
{
    struct reactor *r = reactor;
    metrics_join();
    while (!atomic_load_explicit(&r->stop, memory_order_acquire)) {
        reactor_poll(r, INT64_MAX);
        reactor_take_orders(r);
        reactor_report(r);
    }
    return NULL;
}
