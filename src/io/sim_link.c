/* Bytes in, bytes out, and the same blocks as a real connection. */
#include "io/sim_link.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/link_internal.h"
#include "io/rbuf.h"

#include <stdlib.h>

struct sim_link {
    struct link_base base;
    struct block_pool blocks;
    void *framing;
    struct text received; /* the front of a frame */
    size_t need;
    struct text output;
    int64_t now_ns;
    bool is_broken, is_ended, is_blocked, is_gone;
};

static void ignore_change(struct link_base *base)
{
    base->is_changed = false;
}

static void ignore_freed(struct input_owner *owner, size_t bytes)
{
    (void)owner, (void)bytes;
}

struct sim_link *sim_link_new(const struct protocol *protocol, void *core,
                              const struct endpoint *peer)
{
    static uint64_t next_id;
    static const struct endpoint local = {.host = "127.0.0.1", .port = 1, .loopback = true};
    struct sim_link *s = xzalloc(sizeof *s);
    struct link *link = &s->base.link;
    s->base.pool = &s->blocks;
    s->base.changed = ignore_change;
    s->base.owner.freed = ignore_freed;
    link->protocol = protocol;
    link->id = ++next_id;
    link->local = local;
    link->peer = peer ? *peer : local;
    s->framing = protocol->framing->open(&link->local, &link->peer);
    link->session = protocol->core->open(core, link);
    check(link->session);
    return s;
}

static void end_session(struct sim_link *s)
{
    if (s->is_gone)
        return;
    s->is_gone = true;
    s->base.link.closing = true;
    link_base_discard(&s->base);
    s->base.link.protocol->core->gone(s->base.link.session);
    s->base.link.session = NULL;
    s->base.link.protocol->framing->close(s->framing);
}

/* Inputs that the core half still holds may be freed after this: their owner must then be gone from
 * them, so a test that frees the link first is told. */
void sim_link_free(struct sim_link *s)
{
    if (!s)
        return;
    end_session(s);
    check(s->base.owner.count == 0);
    block_pool_reset(&s->blocks);
    text_reset(&s->received);
    text_reset(&s->output);
    free(s);
}

struct link *sim_link_link(struct sim_link *s)
{
    return &s->base.link;
}

/* ---- in ---- */

static void deliver(struct sim_link *s, struct input *first)
{
    struct link *link = &s->base.link;
    while (first) {
        struct input *input = first;
        first = input->next;
        input->next = NULL;
        input_owner_add(&s->base.owner, input);
        if (link->closing)
            input_free(input);
        else
            link->protocol->core->input(link->session, input);
    }
}

static void break_link(struct sim_link *s, enum err code)
{
    struct link *link = &s->base.link;
    char *text = xstrdup(err_text());
    s->is_broken = true;
    if (!link->closing) {
        link->protocol->core->broken(link->session, code, text);
        link_close(link);
    }
    free(text);
}

static void parse(struct sim_link *s)
{
    const struct protocol *protocol = s->base.link.protocol;
    struct rbuf *b = rbuf_new(NULL, s->received.size);
    b->used = s->received.size;
    memcpy(b->bytes, s->received.data, b->used);
    struct input_list list;
    input_list_init(&list);
    size_t consumed = 0, need = 0;
    enum err err = protocol->framing->parse(s->framing, b, bytes_of(b->bytes, b->used), &list,
                                            &consumed, &need);
    check(consumed <= b->used);
    size_t rest = b->used - consumed;
    memmove(s->received.data, s->received.data + consumed, rest);
    s->received.size = rest;
    s->need = need > rest ? need : 0;
    if (!err && (need > protocol->buffer_max_bytes || rest > protocol->buffer_max_bytes))
        err = err_set(E_TOO_LARGE, "a frame of %zu bytes, over the limit of %zu",
                      need > rest ? need : rest, protocol->buffer_max_bytes);
    rbuf_unref(b);
    if (!err) {
        deliver(s, list.first);
        return;
    }
    char *text = xstrdup(err_text());
    deliver(s, list.first); /* which may set other errors */
    err = err_set(err, "%s", text);
    free(text);
    break_link(s, err);
}

bool sim_link_feed(struct sim_link *s, struct bytes b)
{
    struct link *link = &s->base.link;
    if (link->closing || s->is_broken || s->is_ended || s->base.paused)
        return false;
    link->bytes_in += b.size;
    link->last_input_ns = s->now_ns;
    text_append(&s->received, b);
    if (s->received.size > 0 && s->received.size >= s->need)
        parse(s);
    return true;
}

bool sim_link_feed_split(struct sim_link *s, struct bytes b, struct random *random)
{
    while (b.size > 0) {
        uint64_t most = random_below(random, 4) ? 16 : b.size;
        size_t n = 1 + random_below(random, most < b.size ? most : b.size);
        if (!sim_link_feed(s, bytes_of(b.data, n)))
            return false;
        b.data += n;
        b.size -= n;
    }
    return true;
}

void sim_link_end(struct sim_link *s)
{
    s->is_ended = true;
    link_close(&s->base.link);
}

void sim_link_break(struct sim_link *s)
{
    end_session(s);
}

void sim_link_block(struct sim_link *s, bool block)
{
    s->is_blocked = block;
}

void sim_link_set_now(struct sim_link *s, int64_t now_ns)
{
    s->now_ns = now_ns;
}

/* ---- out ---- */

/* False: a file ends before its block, which ends a connection. */
static bool put_block(struct sim_link *s, const struct block *b)
{
    if (!b->file) {
        text_append(&s->output, bytes_of(b->data, b->size));
        return true;
    }
    uint8_t *at = text_reserve(&s->output, b->size);
    if (file_read(b->file, b->position, at, b->size) != OK)
        return false;
    s->output.size += b->size;
    return true;
}

static void send_blocks(struct sim_link *s)
{
    struct link_base *base = &s->base;
    struct block_list sent = base->out;
    base->out = (struct block_list){0};
    base->reserved = NULL;
    bool is_whole = true;
    for (const struct block *b = sent.first; b && is_whole; b = b->next)
        is_whole = put_block(s, b);
    if (base->out_bytes > 0)
        base->link.last_output_ns = s->now_ns;
    bool any = base->out_bytes > 0;
    base->link.bytes_out += base->out_bytes;
    base->out_bytes = 0;
    block_pool_take_back(base->pool, sent.first);
    if (!is_whole)
        end_session(s);
    else if (any && base->link.protocol->core->sent)
        base->link.protocol->core->sent(base->link.session);
}

void sim_link_turn(struct sim_link *s)
{
    struct link_base *base = &s->base;
    if (s->is_gone || s->is_blocked)
        return;
    bool was_above = link_pending_bytes(&base->link) > LINK_LOW_WATER_BYTES;
    send_blocks(s);
    if (s->is_gone)
        return;
    struct block *discarded = base->discarded.first;
    base->discarded = (struct block_list){0};
    block_pool_take_back(base->pool, discarded);
    if (base->link.closing) {
        end_session(s);
        return;
    }
    const struct core_half *core = base->link.protocol->core;
    if (was_above && core->drained)
        core->drained(base->link.session);
}

struct bytes sim_link_output(struct sim_link *s)
{
    sim_link_turn(s);
    return text_bytes(&s->output);
}

void sim_link_clear(struct sim_link *s)
{
    s->output.size = 0;
}

bool sim_link_is_gone(const struct sim_link *s)
{
    return s->is_gone;
}

size_t sim_link_unfreed_count(const struct sim_link *s)
{
    return s->base.owner.count;
}
