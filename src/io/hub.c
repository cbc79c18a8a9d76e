/* The core's side of all connections: reports in, orders out. */
#include "io/hub.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/say.h"
#include "io/clock.h"
#include "io/io_internal.h"
#include "io/listener.h"
#include "io/reactor_internal.h"
#include "io/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { THREADS_MAX = 64 };

struct hub {
    struct hub_config config;
    void *core;
    struct reactor *reactors; /* at least one; with 0 threads it is run by the hub's calls */
    int reactor_count;
    int next_reactor; /* for the next connection */
    struct rbuf_pool *rbufs;
    struct block_pool blocks;
    atomic_bool gate;         /* read by the reactors */
    int64_t gate_told_ns;     /* when the links were last told that silence is our own doing */
    atomic_size_t send_bytes; /* handed to reactors and not yet given back; the core writes it */
    struct list conns;
    struct list changed; /* with something to order */
    uint32_t open_count;
    uint64_t next_id;
    int64_t now_ns;
    bool is_stopped;

    int64_t slept_ns; /* in all, with threads */
    int64_t slept_before_ns, weighed_at_ns;
    bool is_busy;

    /* with threads: where the core itself sleeps */
    int epoll;
    struct waker waker;
};

static bool is_inline(const struct hub *h)
{
    return h->config.threads == 0;
}

static struct waker *core_waker(struct hub *h)
{
    return is_inline(h) ? &h->reactors[0].waker : &h->waker;
}

void hub_wake(void *hub)
{
    waker_wake(core_waker(hub));
}

static struct conn *conn_of(struct link_base *base)
{
    return container_of(base, struct conn, base);
}

/* ---- life of a connection in the core ---- */

static void on_changed(struct link_base *base)
{
    struct conn *c = conn_of(base);
    list_push_back(&c->hub->changed, &c->changed);
}

static void free_conn_if_unused(struct conn *c)
{
    if (!c->is_freed || c->base.owner.count > 0)
        return;
    list_remove(&c->all);
    list_remove(&c->changed);
    free(c->broken_text);
    free(c);
}

/* Told to the reactor in steps of a quarter of the budget, so that not every input costs an order.
 */
static void on_input_freed(struct input_owner *owner, size_t bytes)
{
    struct conn *c = container_of(owner, struct conn, base.owner);
    c->freed_bytes += bytes;
    if (c->is_freed)
        free_conn_if_unused(c);
    else if (c->base.link.session && c->freed_bytes > c->hub->config.inflight_bytes / 4)
        link_base_note_change(&c->base);
}

static void open_conn(struct hub *h, struct conn *c)
{
    c->base.pool = &h->blocks;
    c->base.changed = on_changed;
    c->base.owner.freed = on_input_freed;
    c->reactor = &h->reactors[h->next_reactor];
    h->next_reactor = (h->next_reactor + 1) % h->reactor_count;
    list_push_back(&h->conns, &c->all);
    link_base_note_change(&c->base);
    if (h->open_count >= h->config.max_connections) {
        say_warn("net", "too many connections, refusing one: limit=%u peer=%s",
                 h->config.max_connections, c->base.link.peer.host);
        c->must_forget = true;
        return;
    }
    h->open_count++;
    c->must_adopt = true;
    c->base.link.id = ++h->next_id;
    c->base.link.last_input_ns = c->base.link.last_output_ns = h->now_ns;
    metrics_add(METRIC_connections_opened, 1);
    c->base.link.session = c->base.link.protocol->core->open(h->core, &c->base.link);
    check(c->base.link.session);
}

static void end_session(struct hub *h, struct conn *c)
{
    c->base.link.closing = true;
    link_base_discard(&c->base);
    if (!c->base.link.session)
        return;
    c->base.link.protocol->core->gone(c->base.link.session);
    c->base.link.session = NULL;
    h->open_count--;
    metrics_add(METRIC_connections_closed, 1);
    c->must_forget = true;
    link_base_note_change(&c->base);
}

/* ---- reports ---- */

static void take_inputs(struct conn *c, struct input *first)
{
    struct link *link = &c->base.link;
    while (first) {
        struct input *input = first;
        first = input->next;
        input->next = NULL;
        input_owner_add(&c->base.owner, input);
        if (link->closing)
            input_free(input);
        else
            link->protocol->core->input(link->session, input);
    }
}

static void take_sent(struct hub *h, struct conn *c, const struct report *report)
{
    struct link *link = &c->base.link;
    size_t gone_bytes = report->sent_bytes + report->dropped_bytes;
    bool was_above = link_pending_bytes(link) > LINK_LOW_WATER_BYTES;
    link->bytes_out += report->sent_bytes;
    if (gone_bytes > 0) {
        size_t left = atomic_load_explicit(&h->send_bytes, memory_order_relaxed);
        atomic_store_explicit(&h->send_bytes, left - gone_bytes, memory_order_relaxed);
    }
    block_pool_take_back(&h->blocks, report->blocks);
    if (report->sent_bytes > 0) {
        link->sends++;
        if (link->session && link->protocol->core->sent)
            link->protocol->core->sent(link->session);
    }
    if (was_above && link_pending_bytes(link) <= LINK_LOW_WATER_BYTES && !link->closing &&
        link->protocol->core->drained)
        link->protocol->core->drained(link->session);
}

static void take_broken(struct conn *c)
{
    struct link *link = &c->base.link;
    if (link->closing)
        return;
    link->protocol->core->broken(link->session, c->broken_code, c->broken_text);
    link_close(link);
}

static void take_report(struct hub *h, const struct report *report)
{
    struct conn *c = report->conn;
    if (report->flags & REPORT_OPENED)
        open_conn(h, c);
    if (report->received_bytes > 0) {
        c->base.link.bytes_in += report->received_bytes;
        c->base.link.receives++;
        c->base.link.last_input_ns = h->now_ns;
    }
    take_sent(h, c, report);
    take_inputs(c, report->inputs);
    if (report->flags & REPORT_BROKEN)
        take_broken(c);
    if (report->flags & REPORT_ENDED)
        link_close(&c->base.link);
    if (report->flags & REPORT_GONE)
        end_session(h, c);
    if (report->flags & REPORT_FREED) {
        c->is_freed = true;
        free_conn_if_unused(c);
    }
}

void hub_dispatch(struct hub *h, int64_t now_ns)
{
    h->now_ns = now_ns;
    for (int i = 0; i < h->reactor_count; i++) {
        struct reactor *r = &h->reactors[i];
        const struct report *report;
        while ((report = ring_get(&r->reports)))
            take_report(h, report);
        ring_release(&r->reports);
        if (is_inline(h))
            r->reports_urgent = false;
    }
}

/* ---- orders ---- */

static unsigned order_flags(struct conn *c)
{
    struct link_base *base = &c->base;
    unsigned flags = 0;
    if (c->must_adopt)
        flags |= ORDER_ADOPT;
    if (base->paused)
        flags |= ORDER_PAUSE;
    if (base->gated)
        flags |= ORDER_GATED;
    if (base->link.closing)
        flags |= ORDER_CLOSE;
    if (c->must_forget)
        flags |= ORDER_FORGET;
    if (link_pending_bytes(&base->link) > LINK_LOW_WATER_BYTES)
        flags |= ORDER_TELL_DRAINED;
    return flags;
}

static void give_order(struct hub *h, struct conn *c, struct order *order)
{
    struct link_base *base = &c->base;
    *order = (struct order){.conn = c,
                            .blocks = base->out,
                            .bytes = base->out_bytes,
                            .freed_bytes = c->freed_bytes,
                            .flags = order_flags(c)};
    if (base->out_bytes > 0) {
        base->link.last_output_ns = h->now_ns;
        size_t bytes = atomic_load_explicit(&h->send_bytes, memory_order_relaxed);
        atomic_store_explicit(&h->send_bytes, bytes + base->out_bytes, memory_order_relaxed);
    }
    base->out = (struct block_list){0};
    base->out_bytes = 0;
    base->reserved = NULL;
    base->is_changed = false;
    c->freed_bytes = 0;
    c->must_adopt = false;
    block_pool_take_back(base->pool, base->discarded.first);
    base->discarded = (struct block_list){0};
}

/* A connection whose ring is full stays changed and gathers on. */
static void give_orders(struct hub *h)
{
    list_each_safe (node, &h->changed) {
        struct conn *c = container_of(node, struct conn, changed);
        struct order *order = ring_put(&c->reactor->orders);
        if (!order)
            continue;
        list_remove(&c->changed);
        give_order(h, c, order);
        c->reactor->orders_given = true;
    }
    for (int i = 0; i < h->reactor_count; i++) {
        struct reactor *r = &h->reactors[i];
        if (!r->orders_given)
            continue;
        r->orders_given = false;
        ring_publish(&r->orders);
        if (!r->is_inline)
            waker_wake(&r->waker);
    }
}

void hub_flush(struct hub *h)
{
    give_orders(h);
    if (!is_inline(h))
        return;
    reactor_take_orders(&h->reactors[0]);
    reactor_report(&h->reactors[0]);
}

/* ---- sleeping ---- */

static void wait_for_threads(struct hub *h, int64_t deadline_ns)
{
    struct epoll_event event;
    int64_t now_ns = clock_now_ns();
    if (!list_is_empty(&h->changed) && deadline_ns > now_ns + 1000000)
        deadline_ns = now_ns + 1000000; /* a ring was full */
    int timeout = 0;
    if (deadline_ns == INT64_MAX)
        timeout = -1;
    else if (deadline_ns > now_ns)
        timeout = (int)((deadline_ns - now_ns + 999999) / 1000000 & 0x3fffffff);
    if (timeout != 0 && waker_sleep(&h->waker)) {
        epoll_wait(h->epoll, &event, 1, timeout);
        h->slept_ns += clock_now_ns() - now_ns;
    }
    waker_awake(&h->waker);
}

/* Has the core less than that to spare? Looked at anew after each window. */
static void weigh(struct hub *h, int64_t slept_ns, int64_t now_ns)
{
    enum { WINDOW_NS = 20000000, SPARE_PERCENT = 40 };
    int64_t passed_ns = now_ns - h->weighed_at_ns;
    if (passed_ns < WINDOW_NS)
        return;
    h->is_busy = (slept_ns - h->slept_before_ns) * 100 < passed_ns * SPARE_PERCENT;
    h->slept_before_ns = slept_ns;
    h->weighed_at_ns = now_ns;
}

bool hub_is_busy(const struct hub *h)
{
    return h->is_busy;
}

void hub_wait(struct hub *h, int64_t deadline_ns)
{
    if (!is_inline(h)) {
        wait_for_threads(h, deadline_ns);
        weigh(h, h->slept_ns, clock_now_ns());
        return;
    }
    struct reactor *r = &h->reactors[0];
    if (r->reports_urgent || !list_is_empty(&h->changed) || !list_is_empty(&r->reporting))
        deadline_ns = 0;
    reactor_poll(r, deadline_ns);
    weigh(h, r->slept_ns, r->now_ns);
    reactor_report(r);
}

enum err hub_watch(struct hub *h, int fd)
{
    struct reactor *r = &h->reactors[0];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &r->waker_watch};
    int epoll = is_inline(h) ? r->epoll : h->epoll;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? io_error("epoll_ctl") : OK;
}

/* ---- the hub ---- */

static enum err make_core_sleeper(struct hub *h)
{
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (h->epoll < 0)
        return io_error("epoll_create1");
    enum err err = waker_init(&h->waker);
    if (err)
        return err;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    return epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->waker.fd, &event) ? io_error("epoll_ctl") : OK;
}

static enum err make_reactor(struct hub *h, struct reactor *r)
{
    r->hub = h;
    r->is_inline = is_inline(h);
    r->rbufs = h->rbufs;
    r->send_bytes = &h->send_bytes;
    r->gate = &h->gate;
    r->memory_bytes = h->config.memory_bytes;
    r->inflight_bytes = h->config.inflight_bytes;
    r->wake_core = hub_wake;
    return reactor_init(r);
}

static void start_threads(struct hub *h)
{
    for (int i = 0; i < h->config.threads; i++) {
        char name[16];
        snprintf(name, sizeof name, "io-%d", i);
        thread_start(&h->reactors[i].thread, name, reactor_run, &h->reactors[i]);
        h->reactors[i].is_started = true;
    }
}

enum err hub_new(const struct hub_config *config, void *core, struct hub **out)
{
    check(config->threads >= 0);
    check(config->threads <= THREADS_MAX);
    struct hub *h = xzalloc(sizeof *h);
    h->config = *config;
    h->core = core;
    h->epoll = h->waker.fd = -1;
    h->rbufs = rbuf_pool_new();
    list_init(&h->conns);
    list_init(&h->changed);
    h->now_ns = h->weighed_at_ns = clock_now_ns();
    int count = config->threads ? config->threads : 1;
    h->reactors = aligned_alloc(CACHE_LINE_BYTES, (size_t)count * sizeof *h->reactors);
    check(h->reactors);
    memset(h->reactors, 0, (size_t)count * sizeof *h->reactors);

    enum err err = is_inline(h) ? OK : make_core_sleeper(h);
    for (int i = 0; i < count && !err; i++) {
        err = make_reactor(h, &h->reactors[i]);
        h->reactor_count++;
    }
    if (err) {
        hub_free(h);
        return err_wrap(err, "start the hub");
    }
    start_threads(h);
    *out = h;
    return OK;
}

void hub_set_core(struct hub *h, void *core)
{
    check(!h->reactors[0].listeners);
    h->core = core;
}

enum err hub_listen(struct hub *h, const char *address, const struct protocol *protocol,
                    uint16_t *out_port)
{
    struct reactor *r = &h->reactors[0];
    int fd;
    enum err err = listener_open(address, &fd, out_port);
    if (err)
        return err;
    struct listener *l = xzalloc(sizeof *l);
    l->watch.kind = WATCH_LISTENER;
    l->protocol = protocol;
    l->fd = fd;
    /* The reactor's thread looks at the list only to close it, after stop_listening. */
    l->next = r->listeners;
    r->listeners = l;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &l->watch};
    if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event))
        return io_error("epoll_ctl"); /* the listener is closed with the others */
    return OK;
}

static void note_input_now(void *now_ns, struct link *link)
{
    link->last_input_ns = *(const int64_t *)now_ns;
}

/* What a peer sent meanwhile lies in the socket, so its silence says nothing: every link is told so
 * once a second, and at the end. */
void hub_gate_input(struct hub *h, bool on)
{
    bool was_on = atomic_load_explicit(&h->gate, memory_order_relaxed);

    if (!on && !was_on)
        return;
    atomic_store_explicit(&h->gate, on, memory_order_relaxed);
    int64_t now_ns = clock_now_ns();
    if (on && now_ns < h->gate_told_ns + 1000000000)
        return;
    h->gate_told_ns = now_ns;
    hub_each_link(h, note_input_now, &now_ns);
}

void hub_stop_listening(struct hub *h)
{
    struct reactor *r = &h->reactors[0];
    atomic_store(&r->stop_listening, true);
    if (r->is_inline)
        reactor_close_listeners(r);
    else
        waker_wake(&r->waker);
}

uint32_t hub_connection_count(const struct hub *h)
{
    return h->open_count;
}

void hub_each_link(struct hub *h, void (*each)(void *ctx, struct link *), void *ctx)
{
    list_each_safe (node, &h->conns) {
        struct conn *c = container_of(node, struct conn, all);
        if (c->base.link.session)
            each(ctx, &c->base.link);
    }
}

/* ---- the end of all ---- */

static void stop_threads(struct hub *h)
{
    for (int i = 0; i < h->reactor_count; i++) {
        struct reactor *r = &h->reactors[i];
        if (!r->is_started)
            continue;
        atomic_store_explicit(&r->stop, true, memory_order_release);
        waker_wake(&r->waker);
        pthread_join(r->thread, NULL);
        r->is_inline = true;
    }
}

/* Bring home what is still in the rings, with no core half called. */
static void drain_reports(struct hub *h, struct reactor *r)
{
    bool all;
    do {
        all = reactor_report(r);
        const struct report *report;
        while ((report = ring_get(&r->reports))) {
            struct conn *c = report->conn;
            block_pool_take_back(&h->blocks, report->blocks);
            input_free_all(report->inputs);
            if (report->flags & REPORT_OPENED)
                list_push_back(&h->conns, &c->all);
        }
        ring_release(&r->reports);
    } while (!all);
}

static void drain_orders(struct hub *h, struct reactor *r)
{
    const struct order *order;
    while ((order = ring_get(&r->orders)))
        block_pool_take_back(&h->blocks, order->blocks.first);
}

/* By popping, since a session that ends may free inputs that held other connections. */
static void free_conns(struct hub *h)
{
    struct list ended;
    struct list *node;
    list_init(&ended);
    while ((node = list_pop_front(&h->conns))) {
        struct conn *c = container_of(node, struct conn, all);
        list_push_back(&ended, node);
        if (c->base.pool)
            end_session(h, c);
        conn_end(c->reactor ? c->reactor : &h->reactors[0], c);
    }
    for (int i = 0; i < h->reactor_count; i++)
        drain_reports(h, &h->reactors[i]);
    while ((node = list_pop_front(&ended))) {
        struct conn *c = container_of(node, struct conn, all);
        list_remove(&c->changed);
        c->is_freed = true;
        c->hub = NULL;
        free_conn_if_unused(c);
    }
}

void hub_stop(struct hub *h)
{
    if (h->is_stopped)
        return;
    h->is_stopped = true;
    stop_threads(h);
    for (int i = 0; i < h->reactor_count; i++) {
        drain_reports(h, &h->reactors[i]);
        drain_orders(h, &h->reactors[i]);
    }
    free_conns(h);
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    hub_stop(h);
    for (int i = 0; i < h->reactor_count; i++)
        reactor_reset(&h->reactors[i]);
    free(h->reactors);
    block_pool_reset(&h->blocks);
    rbuf_pool_free(h->rbufs);
    waker_reset(&h->waker);
    if (h->epoll >= 0)
        close(h->epoll);
    free(h);
}
