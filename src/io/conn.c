/* One connection on its reactor: reading and parsing, sending, ending. */
#include "base/check.h"
#include "base/mem.h"
#include "base/say.h"
#include "io/reactor_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    /* The front of a smaller frame is copied before it is read on; a larger one gets a buffer. */
    SMALL_FRAME_BYTES = 32 * 1024,
    EXACT_FRAME_BYTES = 512 * 1024, /* up to here a frame's buffer is made for it at once */
    GROWTH_MIN_BYTES = 64 * 1024,
    FRONT_BYTES = 4096,     /* read of what is probably a large frame before its size is known */
    PARTS_MAX = 64,         /* of one send */
    COPY_BYTES = 64 * 1024, /* of a file that cannot be sent without copying */
};

struct conn *conn_new(struct hub *hub, int fd, const struct protocol *protocol,
                      const struct endpoint *local, const struct endpoint *peer)
{
    struct conn *c = xzalloc(sizeof *c);
    c->hub = hub;
    c->base.link.protocol = protocol;
    c->base.link.local = *local;
    c->base.link.peer = *peer;
    c->watch.kind = WATCH_CONN;
    c->fd = fd;
    c->report.conn = c;
    c->last_input = &c->report.inputs;
    return c;
}

void conn_note_report(struct reactor *r, struct conn *c, unsigned flags)
{
    c->report.flags |= flags;
    if (!list_is_linked(&c->reporting))
        list_push_back(&r->reporting, &c->reporting);
}

/* ---- what epoll is asked for ---- */

static bool may_read(const struct reactor *r, const struct conn *c)
{
    if (c->state == CONN_LINGERING)
        return true; /* to throw away, and to see the end */
    return c->state == CONN_OPEN && !c->is_ended && !c->is_broken && !c->is_paused &&
           c->inflight_bytes <= r->inflight_bytes && !list_is_linked(&c->starved);
}

void conn_watch(struct reactor *r, struct conn *c)
{
    if (c->state == CONN_CLOSED || c->state == CONN_NEW)
        return;
    uint32_t wanted = (may_read(r, c) ? EPOLLIN : 0u) | (c->is_blocked ? EPOLLOUT : 0u);
    if (wanted == c->watched)
        return;
    struct epoll_event event = {.events = wanted, .data.ptr = &c->watch};
    int failed = epoll_ctl(r->epoll, EPOLL_CTL_MOD, c->fd, &event);
    check(!failed);
    c->watched = wanted;
}

/* ---- the end ---- */

static void report_blocks(struct conn *c, struct block *first)
{
    while (first) {
        struct block *next = first->next;
        first->next = c->report.blocks;
        c->report.blocks = first;
        first = next;
    }
}

static void drop_queue(struct conn *c)
{
    c->report.dropped_bytes += c->queue_bytes;
    report_blocks(c, c->queue.first);
    c->queue = (struct block_list){0};
    c->queue_bytes = 0;
    c->first_sent_bytes = 0;
}

static void stop_parsing(struct conn *c)
{
    if (c->framing)
        c->base.link.protocol->framing->close(c->framing);
    c->framing = NULL;
    rbuf_unref(c->partial);
    c->partial = NULL;
}

/* Close the socket, whatever is left to send. */
void conn_end(struct reactor *r, struct conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    bool told = c->state == CONN_LINGERING || c->state == CONN_NEW;
    close(c->fd);
    c->fd = -1;
    c->state = CONN_CLOSED;
    stop_parsing(c);
    drop_queue(c);
    list_remove(&c->starved);
    list_remove(&c->ending);
    list_remove(&c->sending);
    conn_note_report(r, c, (told ? 0 : REPORT_GONE) | (c->is_forgotten ? REPORT_FREED : 0));
}

/* Everything was sent. Closing at once while bytes of the peer are unread would make the kernel
 * send a reset, which can destroy the last answer on its way; so only our side is shut, and the
 * socket is closed when the peer's side is, or after the grace. */
static void finish_draining(struct reactor *r, struct conn *c)
{
    if (c->is_ended || shutdown(c->fd, SHUT_WR)) {
        conn_end(r, c);
        return;
    }
    c->state = CONN_LINGERING;
    c->is_blocked = false;
    stop_parsing(c);
    list_remove(&c->starved);
    conn_note_report(r, c, REPORT_GONE);
    conn_watch(r, c);
}

static void start_draining(struct reactor *r, struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    c->state = CONN_DRAINING;
    c->end_deadline_ns = r->now_ns + REACTOR_GRACE_NS;
    list_push_back(&r->ending, &c->ending);
}

static void linger(struct reactor *r, struct conn *c)
{
    char scratch[4096];
    ssize_t n = recv(c->fd, scratch, sizeof scratch, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        conn_end(r, c);
}

/* ---- parsing ---- */

static void note_broken(struct reactor *r, struct conn *c, enum err code)
{
    c->is_broken = true;
    c->broken_code = code;
    c->broken_text = xstrdup(err_text());
    rbuf_unref(c->partial);
    c->partial = NULL;
    conn_note_report(r, c, REPORT_BROKEN);
}

static void take_inputs(struct conn *c, struct input *first)
{
    for (struct input *input = first; input; input = input->next) {
        c->inflight_bytes += input->size_bytes;
        *c->last_input = input;
        c->last_input = &input->next;
    }
}

/* How much room the unfinished frame gets: what it needs when that is usual, else in proportion to
 * what has arrived, not to what the peer claims that will. */
static size_t partial_capacity(const struct conn *c, size_t have)
{
    size_t grown = have * 2 > GROWTH_MIN_BYTES ? have * 2 : GROWTH_MIN_BYTES;
    size_t most = c->need < EXACT_FRAME_BYTES ? EXACT_FRAME_BYTES : grown;
    return c->need > have && c->need < most ? c->need : grown;
}

static bool is_large(const struct conn *c, size_t have)
{
    return c->need > SMALL_FRAME_BYTES || have > SMALL_FRAME_BYTES;
}

static enum err keep_partial(struct reactor *r, struct conn *c, struct bytes rest, size_t need)
{
    size_t max = c->base.link.protocol->buffer_max_bytes;
    if (need > max || rest.size > max)
        return err_set(E_TOO_LARGE, "a frame of %zu bytes, over the limit of %zu",
                       need > rest.size ? need : rest.size, max);
    c->need = need > rest.size ? need : 0;
    if (rest.size == 0)
        return OK;
    bool large = is_large(c, rest.size);
    c->partial = rbuf_new(r->rbufs, large ? partial_capacity(c, rest.size) : rest.size);
    memcpy(c->partial->bytes, rest.data, rest.size);
    rbuf_add_used(c->partial, rest.size);
    return OK;
}

static void parse(struct reactor *r, struct conn *c, struct rbuf *b, struct bytes in)
{
    struct input_list list;
    input_list_init(&list);
    size_t consumed = 0, need = 0;
    enum err err =
        c->base.link.protocol->framing->parse(c->framing, b, in, &list, &consumed, &need);
    check(consumed <= in.size);
    take_inputs(c, list.first);
    if (!err)
        err = keep_partial(r, c, bytes_of(in.data + consumed, in.size - consumed), need);
    if (err)
        note_broken(r, c, err);
}

/* ---- reading ---- */

/* Returns the bytes received; 0 when there is nothing more for now, or nothing more at all. */
static size_t receive(struct reactor *r, struct conn *c, uint8_t *out, size_t room)
{
    ssize_t n = recv(c->fd, out, room, 0);
    if (n > 0) {
        c->report.received_bytes += (uint64_t)n;
        conn_note_report(r, c, 0);
        return (size_t)n;
    }
    if (n == 0) {
        c->is_ended = true;
        conn_note_report(r, c, REPORT_ENDED);
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_end(r, c);
    }
    return 0;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Read on into the buffer that holds the front of a large frame: it was made for it. True when
 * there may be more to read. */
static bool read_partial(struct reactor *r, struct conn *c, size_t *left)
{
    struct rbuf *b = c->partial;
    if (b->used == b->capacity)
        b = c->partial = rbuf_grow(b, partial_capacity(c, b->used));
    size_t room = smaller(b->capacity - b->used, *left);
    size_t n = receive(r, c, b->bytes + b->used, room);
    if (n == 0)
        return false;
    *left -= n;
    rbuf_add_used(b, n);
    if (b->used >= c->need) {
        c->partial = NULL;
        c->expects_large = true;
        parse(r, c, b, bytes_of(b->bytes, b->used));
        rbuf_unref(b);
    }
    return n == room;
}

/* The reactor's buffer with room behind what inputs still borrow. */
static struct rbuf *shared_with_room(struct reactor *r)
{
    struct rbuf *b = r->shared;
    if (b && !rbuf_is_shared(b))
        b->used = 0;
    if (b && b->capacity - b->used >= RBUF_USUAL_BYTES / 2)
        return b;
    rbuf_unref(b);
    return r->shared = rbuf_new(r->rbufs, RBUF_USUAL_BYTES);
}

/* Read into the buffer that all connections share, behind what is there of a small frame. Behind a
 * large frame comes often another one: of that only the front is read here, because what belongs to
 * it would have to be copied into its own buffer. */
static bool read_shared(struct reactor *r, struct conn *c, size_t *left)
{
    struct rbuf *b = shared_with_room(r);
    struct rbuf *front = c->partial;
    size_t front_bytes = front ? front->used : 0;
    uint8_t *at = b->bytes + b->used;
    size_t room = smaller(b->capacity - b->used - front_bytes, *left);
    if (c->expects_large)
        room = smaller(room, FRONT_BYTES);
    c->expects_large = false;
    size_t n = receive(r, c, at + front_bytes, room);
    if (n == 0)
        return false;
    *left -= n;
    if (front)
        memcpy(at, front->bytes, front_bytes);
    c->partial = NULL;
    rbuf_unref(front);
    rbuf_add_used(b, front_bytes + n);
    parse(r, c, b, bytes_of(at, front_bytes + n));
    return n == room;
}

/* Over the budget only who is in the middle of a frame is read: it must end before its memory can
 * be given back. Far over it, not even those. */
static bool has_memory(struct reactor *r, struct conn *c)
{
    size_t used =
        rbuf_pool_bytes(r->rbufs) + atomic_load_explicit(r->send_bytes, memory_order_relaxed);
    if (used <= r->memory_bytes)
        return true;
    if (c->partial && used / 2 <= r->memory_bytes)
        return true;
    if (c->partial) {
        note_broken(r, c, err_set(E_NO_MEMORY, "the memory for connections is used up"));
        return false;
    }
    list_push_back(&r->starved, &c->starved);
    return false;
}

/* Whoever meets the shut gate is looked at again with those that starve. */
static bool is_gated(struct reactor *r, struct conn *c)
{
    if (!c->is_gated || !atomic_load_explicit(r->gate, memory_order_relaxed) ||
        c->state != CONN_OPEN)
        return false;
    list_push_back(&r->starved, &c->starved);
    return true;
}

static void read_some(struct reactor *r, struct conn *c, size_t *budget)
{
    size_t quantum = smaller(*budget, REACTOR_READ_BYTES);
    size_t left = quantum;
    bool more = true;
    while (more && left > 0 && may_read(r, c) && !is_gated(r, c) && has_memory(r, c))
        more = c->partial && is_large(c, c->partial->used) ? read_partial(r, c, &left)
                                                           : read_shared(r, c, &left);
    *budget -= quantum - left;
}

/* ---- sending ---- */

/* What lies in memory, at most `most` bytes and up to the next block of a file; *size of it. */
static int gather(const struct conn *c, size_t most, struct iovec *parts, size_t *size)
{
    int count = 0;
    size_t skip = c->first_sent_bytes;
    *size = 0;
    for (struct block *b = c->queue.first; b && !b->file && count < PARTS_MAX && *size < most;
         b = b->next, skip = 0) {
        size_t part = smaller(b->size - skip, most - *size);
        if (part > 0)
            parts[count++] = (struct iovec){(void *)(uintptr_t)(b->data + skip), part};
        *size += part;
    }
    return count;
}

/* Bytes taken by the socket; -1 with errno. */
static ssize_t send_bytes(struct conn *c, size_t most)
{
    struct iovec parts[PARTS_MAX];
    size_t size;
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)gather(c, most, parts, &size)};
    int flags = MSG_NOSIGNAL | (size < c->queue_bytes ? MSG_MORE : 0);
    return message.msg_iovlen ? sendmsg(c->fd, &message, flags) : 0;
}

static ssize_t send_copy(struct conn *c, struct file *file, uint64_t position, size_t size)
{
    uint8_t *copy = xmalloc(COPY_BYTES);
    ssize_t n = -1;
    size = smaller(size, COPY_BYTES);
    if (file_read(file, position, copy, size) == OK)
        n = send(c->fd, copy, size, MSG_NOSIGNAL);
    else
        errno = EIO;
    free(copy);
    return n;
}

/* Of a file. There are file systems that can only be read from. */
static ssize_t send_file(struct conn *c, const struct block *b, size_t most)
{
    int fd = file_descriptor(b->file);
    uint64_t position = b->position + c->first_sent_bytes;
    size_t left = smaller(b->size - c->first_sent_bytes, most);
    off_t at = (off_t)position;
    if (left == 0)
        return 0;
    ssize_t n = fd < 0 ? -1 : sendfile(c->fd, fd, &at, left);
    if (n < 0 && (fd < 0 || errno == EINVAL || errno == ENOSYS))
        n = send_copy(c, b->file, position, left);
    if (n == 0)
        errno = EIO; /* it ends before */
    return n > 0 ? n : -1;
}

/* The answer is cut off in its middle: it cannot go on with anything else. */
static void file_fails(const struct conn *c)
{
    say_error("net", "a file cannot be sent, closing a connection: peer=%s:%u",
              c->base.link.peer.host, c->base.link.peer.port);
}

static void drop_sent(struct conn *c, size_t n)
{
    c->queue_bytes -= n;
    c->report.sent_bytes += n;
    n += c->first_sent_bytes;
    while (c->queue.first && n >= c->queue.first->size) {
        struct block *b = block_list_pop(&c->queue);
        n -= b->size;
        b->next = c->report.blocks;
        c->report.blocks = b;
    }
    c->first_sent_bytes = n;
}

/* Its share of what the turn may send: all that is left, unless others wait. */
static void send_some(struct reactor *r, struct conn *c)
{
    size_t most = list_is_empty(&r->sending) ? SIZE_MAX : REACTOR_SEND_BYTES;
    size_t share = smaller(most, r->send_left), left = share;
    c->is_blocked = false;
    while (c->queue.first && !c->is_blocked && left > 0) {
        const struct block *first = c->queue.first;
        ssize_t n = first->file ? send_file(c, first, left) : send_bytes(c, left);
        if (n >= 0) {
            drop_sent(c, (size_t)n);
            left -= (size_t)n;
        } else if (errno == EAGAIN) {
            c->is_blocked = true;
        } else if (errno != EINTR) {
            if (first->file && errno == EIO)
                file_fails(c);
            conn_end(r, c);
            return;
        }
    }
    r->send_left -= share - left;
    if (c->report.sent_bytes > 0 || c->report.blocks)
        conn_note_report(r, c, 0);
}

static void tell_drained(struct reactor *r, struct conn *c)
{
    if (!c->tells_drained || c->queue_bytes > LINK_LOW_WATER_BYTES)
        return;
    c->tells_drained = false;
    conn_note_report(r, c, REPORT_DRAINED);
}

static void note_sender(struct reactor *r, struct conn *c)
{
    bool sends = c->state == CONN_DRAINING || (c->state == CONN_OPEN && c->queue.first);
    if (sends && !c->is_blocked && !list_is_linked(&c->sending))
        list_push_back(&r->sending, &c->sending); /* or to end, when there is nothing to send */
}

void conn_send(struct reactor *r, struct conn *c)
{
    if (c->state != CONN_OPEN && c->state != CONN_DRAINING)
        return;
    send_some(r, c);
    tell_drained(r, c);
    if (c->state == CONN_DRAINING && !c->queue.first)
        finish_draining(r, c);
    note_sender(r, c);
    conn_watch(r, c);
}

/* ---- events and orders ---- */

void conn_event(struct reactor *r, struct conn *c, uint32_t events, size_t *budget)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->state == CONN_LINGERING) {
        linger(r, c);
        return;
    }
    if (events & EPOLLOUT)
        conn_send(r, c);
    if (events & EPOLLIN && may_read(r, c))
        read_some(r, c, budget);
    else if (events & (EPOLLERR | EPOLLHUP))
        conn_end(r, c);
    conn_watch(r, c);
}

static void adopt(struct reactor *r, struct conn *c)
{
    struct link *link = &c->base.link;
    c->framing = link->protocol->framing->open(&link->local, &link->peer);
    c->state = CONN_OPEN;
    c->watched = EPOLLIN;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &c->watch};
    if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, c->fd, &event)) {
        say_error("net", "cannot watch a connection, closing it: peer=%s", link->peer.host);
        conn_end(r, c);
    }
}

/* A slow reader must not hold a block for each of many small writes: what fits into the last
 * waiting block is copied there. */
static void append(struct reactor *r, struct conn *c, struct block_list *blocks)
{
    struct block *last = c->queue.last, *first = blocks->first;
    if (last && first && last->capacity > 0 && first->capacity > 0 && !first->next &&
        first->size <= last->capacity - last->size) {
        memcpy(last->bytes + last->size, first->bytes, first->size);
        last->size += first->size;
        report_blocks(c, first);
        conn_note_report(r, c, 0);
        return;
    }
    block_list_move(&c->queue, blocks);
}

static void queue_blocks(struct reactor *r, struct conn *c, struct order *order)
{
    if (c->state == CONN_OPEN || c->state == CONN_DRAINING) {
        append(r, c, &order->blocks);
        c->queue_bytes += order->bytes;
        return;
    }
    report_blocks(c, order->blocks.first);
    c->report.dropped_bytes += order->bytes;
    conn_note_report(r, c, 0);
}

static void forget(struct reactor *r, struct conn *c)
{
    c->is_forgotten = true;
    if (c->state == CONN_CLOSED)
        conn_note_report(r, c, REPORT_FREED);
    else if (c->state == CONN_NEW)
        conn_end(r, c); /* it was refused */
}

void conn_order(struct reactor *r, struct conn *c, struct order *order)
{
    if (order->flags & ORDER_ADOPT)
        adopt(r, c);
    c->inflight_bytes -= order->freed_bytes;
    c->is_paused = order->flags & ORDER_PAUSE;
    c->is_gated = order->flags & ORDER_GATED;
    c->tells_drained |= (order->flags & ORDER_TELL_DRAINED) != 0;
    if (order->blocks.first)
        queue_blocks(r, c, order);
    if (order->flags & ORDER_CLOSE)
        start_draining(r, c);
    if (order->flags & ORDER_FORGET)
        forget(r, c);
    tell_drained(r, c);
    note_sender(r, c);
    conn_watch(r, c);
}
