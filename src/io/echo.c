/* The echo protocol's two halves. */
#include "io/echo_internal.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct echo_input {
    struct input input;
    struct bytes frame;
};

struct session {
    struct echo *echo;
    struct link *link;
    struct input *held;
    uint32_t to_generate;
};

/* ---- framing ---- */

enum { BORROW_MIN_BYTES = 1024 };

static void *echo_open_framing(const struct endpoint *local, const struct endpoint *peer)
{
    check(local->port != 0);
    check(peer->host[0]);
    return xzalloc(1);
}

static void echo_close_framing(void *framing)
{
    free(framing);
}

static void push_frame(struct rbuf *rbuf, struct bytes frame, struct input_list *out)
{
    struct echo_input *e = input_new(sizeof *e, 64 * 1024);
    if (frame.size >= BORROW_MIN_BYTES) {
        rbuf_ref(rbuf);
        e->input.rbuf = rbuf;
        e->input.size_bytes = (uint32_t)frame.size;
        e->frame = frame;
    } else {
        e->frame = arena_copy(&e->input.arena, frame);
    }
    input_push(out, &e->input);
}

static enum err echo_parse(void *framing, struct rbuf *rbuf, struct bytes in,
                           struct input_list *out, size_t *consumed, size_t *need)
{
    check(framing);
    size_t at = 0;
    while (in.size - at >= 4) {
        size_t size = 4 + (size_t)get_u32(in.data + at);
        if (size > in.size - at) {
            *need = size;
            break;
        }
        if (size > 4 && in.data[at + 4] == 'b')
            return err_set(E_MALFORMED, "a frame that says so");
        push_frame(rbuf, bytes_of(in.data + at, size), out);
        at += size;
        *consumed = at;
    }
    return OK;
}

/* ---- core ---- */

static void *echo_open(void *core, struct link *link)
{
    struct session *s = xzalloc(sizeof *s);
    s->echo = core;
    s->link = link;
    s->echo->open_count++;
    s->echo->newest = link;
    s->echo->newest_id = link->id;
    return s;
}

static void generate(struct session *s)
{
    while (s->to_generate > 0 && link_pending_bytes(s->link) <= LINK_LOW_WATER_BYTES) {
        uint32_t n = s->to_generate < 5000 ? s->to_generate : 5000;
        memset(link_reserve(s->link, n + 10), 'x', n);
        link_shrink(s->link, 10);
        s->to_generate -= n;
    }
}

static void release_input(void *ctx)
{
    struct echo_input *e = ctx;
    input_free(&e->input);
}

struct counted_release {
    struct echo *echo;
    struct input *input;
};

static void count_release(void *ctx)
{
    struct counted_release *c = ctx;
    c->echo->release_count++;
    release_input(c->input);
    free(c);
}

static void answer_by_reference(struct session *s, struct echo_input *e)
{
    struct counted_release *c = xmalloc(sizeof *c);
    *c = (struct counted_release){s->echo, &e->input};
    link_write_ref(s->link, e->frame, count_release, c);
}

static void echo_input(void *session, struct input *input)
{
    struct session *s = session;
    struct echo_input *e = (struct echo_input *)input;
    struct bytes frame = e->frame;
    s->echo->input_count++;
    s->echo->input_bytes += frame.size;
    input_free(s->held);
    s->held = NULL;
    char first = frame.size > 4 ? (char)frame.data[4] : 0;
    if (first == 'r') {
        answer_by_reference(s, e);
        return;
    }
    if (first == 'g' && frame.size >= 9) {
        s->to_generate += get_u32(frame.data + 5);
        generate(s);
    } else if (first != 'n') {
        link_write(s->link, frame);
    }
    if (first == 'p')
        link_pause_input(s->link, true);
    if (first == 'c')
        link_close(s->link);
    if (first == 'h')
        s->held = input;
    else
        input_free(input);
}

static void echo_broken(void *session, enum err code, const char *text)
{
    struct session *s = session;
    s->echo->broken_count++;
    s->echo->broken_code = code;
    snprintf(s->echo->broken_text, sizeof s->echo->broken_text, "%s", text);
    link_write(s->link, BYTES_LITERAL("broken"));
    link_close(s->link);
}

static void echo_gone(void *session)
{
    struct session *s = session;
    s->echo->gone_count++;
    s->echo->gone_at = s->link->bytes_out;
    if (s->echo->newest == s->link)
        s->echo->newest = NULL;
    input_free(s->held);
    free(s);
}

static void echo_sent(void *session)
{
    const struct session *s = session;
    s->echo->sent_to = s->link->bytes_out;
}

static void echo_drained(void *session)
{
    struct session *s = session;
    s->echo->drained_count++;
    generate(s);
}

static const struct framing echo_framing = {
    .open = echo_open_framing,
    .close = echo_close_framing,
    .parse = echo_parse,
};

static const struct core_half echo_core = {
    .open = echo_open,
    .input = echo_input,
    .broken = echo_broken,
    .gone = echo_gone,
    .sent = echo_sent,
    .drained = echo_drained,
};

const struct protocol echo_protocol = {
    .name = "echo",
    .framing = &echo_framing,
    .core = &echo_core,
    .buffer_max_bytes = ECHO_FRAME_MAX_BYTES,
};

void echo_put(struct text *out, struct bytes body)
{
    text_put_u32(out, (uint32_t)body.size);
    text_append(out, body);
}
