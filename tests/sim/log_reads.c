#include "tests/sim/log_reads.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>

enum { READ_BYTES_MAX = 20000 };

struct sim_read {
    struct log_read read;
    struct log_reads *reads;
    const struct model_log *model;
    const struct log *log;
};

static void on_read(struct log_read *read)
{
    struct sim_read *r = container_of(read, struct sim_read, read);
    if (!read->err && !r->reads->wrong)
        r->reads->wrong = model_check_answer(r->model, r->log->start, read);
    log_read_end(read);
    free(r);
}

static void start_read(struct log_reads *reads, const struct model_log *model, struct log *log,
                       int64_t from, size_t max_bytes)
{
    struct sim_read *r = xzalloc(sizeof *r);
    r->reads = reads;
    r->model = model;
    r->log = log;
    r->read.kind = READ_FROM;
    r->read.from = from;
    r->read.limit = log->hw;
    r->read.max_bytes = max_bytes;
    r->read.may_come_again = true;
    r->read.done = on_read;
    log_read(log, &r->read);
}

/* At the end of its last batch, or of a hole behind it. */
static bool ends_right(const struct log_stretch *s, int64_t end, int64_t limit)
{
    uint8_t header[BATCH_HEADER_BYTES];
    struct batch next;
    bool is_next = file_read(s->file, s->position + s->size, header, sizeof header) == OK &&
                   batch_header_get(header, &next) == OK;
    return s->end == end ||
           (s->end > end && s->end <= limit && is_next && next.base_offset >= s->end);
}

/* Whole intact batches in a row, from the one that holds `from` up to below `limit`. */
static const char *check_stretch(const struct log_reads *r, int64_t from, int64_t limit)
{
    struct bytes left = text_bytes(&r->bytes);
    int64_t end = INT64_MIN;
    while (left.size > 0) {
        struct batch b;
        if (batch_parse(left, &b) != OK || !batch_is_intact(&b))
            return "a stretch has a damaged batch";
        if (b.base_offset < end || b.base_offset >= limit)
            return "a stretch has a batch that does not belong there";
        if (end == INT64_MIN && batch_last_offset(&b) < from)
            return "a stretch begins too early";
        end = batch_last_offset(&b) + 1;
        left = bytes_of(left.data + b.raw.size, left.size - b.raw.size);
    }
    return ends_right(&r->held, end, limit) ? NULL : "a stretch does not end where it says";
}

static enum err get(const struct log_stretch *s, struct text *out)
{
    out->size = 0;
    enum err err = file_read(s->file, s->position, text_reserve(out, s->size), s->size);
    out->size = err ? 0 : s->size;
    return err;
}

const char *log_reads_step(struct log_reads *r, const struct model_log *model, struct log *log,
                           struct random *random)
{
    int64_t from = log->start + (int64_t)random_below(random, (uint64_t)(log->hw - log->start));
    size_t max_bytes = 1 + random_below(random, READ_BYTES_MAX);
    const char *wrong = NULL;
    struct log_stretch s;
    if (log_stretch(log, from, log->hw, max_bytes, &s) != OK) {
        start_read(r, model, log, from, max_bytes);
        return r->wrong;
    }
    wrong = log_reads_end(r);
    r->held = s;
    if (!wrong && get(&s, &r->bytes))
        wrong = "a stretch cannot be read";
    return wrong ? wrong : check_stretch(r, from, log->hw);
}

const char *log_reads_end(struct log_reads *r)
{
    struct text now = {0};
    bool is_same = true;
    if (r->held.holder)
        is_same = get(&r->held, &now) == OK && bytes_equal(text_bytes(&now), text_bytes(&r->bytes));
    log_stretch_end(r->held.holder);
    r->held = (struct log_stretch){0};
    text_reset(&now);
    text_reset(&r->bytes);
    if (r->wrong)
        return r->wrong;
    return is_same ? NULL : "a stretch changed while it was sent";
}
