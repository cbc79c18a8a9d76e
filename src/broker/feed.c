#include "broker/feed.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "log/batch.h"

enum { FEEDS_KEPT = 64 };

struct feeds {
    struct list holding; /* answers of reads, least recently used first */
    struct list spare;   /* feeds to be used again */
    size_t spare_count;
    size_t held_bytes;
    size_t ahead_bytes; /* of all reads ahead: what was asked for, or what has come */
};

/* A read and its answer. It outlives its feed when that goes away first. */
struct feed_read {
    struct log_read read;
    struct feed *feed;   /* NULL: nobody waits */
    bool goes_on;        /* where the one before had ended */
    struct list holding; /* linked: done */
    size_t bytes;        /* counted in feeds->held_bytes */
    size_t ahead_bytes;  /* counted in feeds->ahead_bytes */
};

struct feed {
    struct feeds *feeds;
    struct log *log;
    void (*arrived)(void *ctx);
    void *ctx;

    struct feed_read *read;  /* under way, or its answer */
    struct feed_read *ahead; /* the same, of what comes behind it; begun when that is used */
    size_t read_at;          /* the batch of the answer that was used last */
    int64_t read_end;        /* where the last answer ended */
    struct list spare;       /* feeds->spare */

    bool has_batch; /* the batch being decoded, in this turn */
    struct log_batch batch;
    int64_t batch_end;
    uint32_t batch_crc;
    struct record_reader reader;
    struct record record;
    bool has_record;

    int64_t resume_base; /* where the last turn stopped decoding; -1: nowhere */
    uint32_t resume_crc; /* the store may have left out what is settled meanwhile */
    int64_t resume_offset;
    size_t resume_position;
    int32_t resume_left;
};

/* ---- life ---- */

static bool is_under_way(const struct feed_read *r)
{
    return !list_is_linked(&r->holding);
}

struct feeds *feeds_new(void)
{
    struct feeds *feeds = xzalloc(sizeof *feeds);
    list_init(&feeds->holding);
    list_init(&feeds->spare);
    return feeds;
}

void feeds_free(struct feeds *feeds)
{
    if (!feeds)
        return;
    check(list_is_empty(&feeds->holding));
    struct list *node;
    while ((node = list_pop_front(&feeds->spare)))
        free(container_of(node, struct feed, spare));
    free(feeds);
}

struct feed *feed_new(struct feeds *feeds, struct log *log, void (*arrived)(void *ctx), void *ctx)
{
    struct list *node = list_pop_front(&feeds->spare);
    struct feed *f = node ? container_of(node, struct feed, spare) : xmalloc(sizeof *f);
    feeds->spare_count -= node != NULL;
    memset(f, 0, sizeof *f);
    f->feeds = feeds;
    f->log = log;
    f->arrived = arrived;
    f->ctx = ctx;
    f->resume_base = -1;
    f->read_end = -1;
    return f;
}

static void count_ahead(struct feeds *feeds, struct feed_read *r, size_t bytes)
{
    feeds->ahead_bytes += bytes - r->ahead_bytes;
    r->ahead_bytes = bytes;
}

/* What was read ahead counts no more as such. */
static struct feed_read *take_ahead(struct feed *f)
{
    struct feed_read *r = f->ahead;
    f->ahead = NULL;
    if (r)
        count_ahead(f->feeds, r, 0);
    return r;
}

/* Free an answer, or leave a read to end by itself. Accepts NULL. */
static void let_go(struct feeds *feeds, struct feed_read *r)
{
    if (!r)
        return;
    r->feed = NULL;
    if (is_under_way(r))
        return;
    list_remove(&r->holding);
    feeds->held_bytes -= r->bytes;
    log_read_end(&r->read);
    free(r);
}

static void drop_answer(struct feed *f)
{
    let_go(f->feeds, f->read);
    f->read = NULL;
}

static void drop_ahead(struct feed *f)
{
    let_go(f->feeds, take_ahead(f));
}

static void drop_oldest(struct feeds *feeds)
{
    struct feed_read *r = container_of(feeds->holding.next, struct feed_read, holding);
    if (r->feed->ahead == r)
        drop_ahead(r->feed);
    else
        drop_answer(r->feed);
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    drop_answer(f);
    drop_ahead(f);
    if (f->feeds->spare_count == FEEDS_KEPT) {
        free(f);
        return;
    }
    f->feeds->spare_count++;
    list_push_front(&f->feeds->spare, &f->spare);
}

bool feed_is_reading(const struct feed *f)
{
    return f->read && is_under_way(f->read);
}

bool feed_is_idle(const struct feed *f)
{
    return !f->read && !f->ahead;
}

/* ---- reading from files ---- */

static void read_done(struct log_read *read)
{
    struct feed_read *r = container_of(read, struct feed_read, read);
    struct feed *f = r->feed;
    if (!f) {
        log_read_end(read);
        free(r);
        return;
    }
    for (size_t i = 0; i < read->count; i++)
        r->bytes += read->batches[i].raw.size;
    f->feeds->held_bytes += r->bytes;
    list_push_back(&f->feeds->holding, &r->holding);
    if (r == f->ahead)
        count_ahead(f->feeds, r, r->bytes); /* a large batch is read whole */
    else
        f->arrived(f->ctx);
}

static struct feed_read *begin_read(struct feed *f, int64_t offset, int64_t limit)
{
    struct feed_read *r = xzalloc(sizeof *r);
    r->feed = f;
    r->goes_on = offset == f->read_end;
    r->read.kind = READ_FROM;
    r->read.from = offset;
    r->read.limit = limit;
    r->read.max_bytes = r->goes_on ? FEED_READ_MAX_BYTES : FEED_READ_MIN_BYTES;
    r->read.done = read_done;
    log_read(f->log, &r->read);
    return r;
}

static enum err start_read(struct feed *f, int64_t offset, int64_t limit)
{
    drop_ahead(f);
    f->read_at = 0;
    f->read = begin_read(f, offset, limit);
    return E_COLD;
}

/* What comes next is read from files while this answer is used. */
static void read_ahead(struct feed *f, int64_t limit)
{
    const struct log_read *read = &f->read->read;
    const struct log_batch *last = &read->batches[read->count - 1];
    struct log_batch b;
    size_t count;
    int64_t next = log_batch_end(last);
    bool wanted = !f->ahead && next < limit && f->feeds->ahead_bytes < FEED_AHEAD_BYTES;
    if (!wanted || log_peek(f->log, next, limit, 1, &b, 1, &count) != E_COLD)
        return;
    f->read_end = next;
    f->ahead = begin_read(f, next, limit);
    count_ahead(f->feeds, f->ahead, f->ahead->read.max_bytes);
}

/* ---- finding the batch ---- */

static bool parse_end(const struct log_batch *lb, struct batch *b)
{
    return batch_parse(lb->raw, b) == OK;
}

/* The batch of the read's answer that holds `offset` or is next above it. E_COLD: not there. An
 * answer that does not hold it is dropped. An empty one says nothing of what came behind its limit. */
static enum err find_in_answer(struct feed *f, int64_t offset, int64_t limit, struct log_batch *out)
{
    const struct log_read *read = &f->read->read;
    struct batch b;
    if (read->err) { /* told by the store; which records it is about nobody can say */
        f->read_end = -1;
        drop_answer(f);
        return E_IO;
    }
    bool behind = read->count > 0 && read->from <= offset;
    if (behind && offset < read->batches[f->read_at].base_offset)
        f->read_at = 0; /* a record that came back */
    for (size_t i = f->read_at; behind && i < read->count; i++) {
        const struct log_batch *lb = &read->batches[i];
        if (!parse_end(lb, &b))
            break;
        f->read_end = lb->base_offset + b.last_offset_delta + 1;
        if (offset >= f->read_end)
            continue;
        f->read_at = i;
        *out = *lb;
        list_remove(&f->read->holding);
        list_push_back(&f->feeds->holding, &f->read->holding);
        if (f->read->goes_on || i > 0 || read->count == 1)
            read_ahead(f, limit);
        return OK;
    }
    bool empty = read->count == 0 && read->from == offset && read->limit >= limit;
    drop_answer(f);
    return empty ? E_NOT_FOUND : E_COLD;
}

/* What was read ahead is next, if the offset may lie in it. */
static void go_on(struct feed *f, int64_t offset)
{
    if (f->read || !f->ahead || offset < f->ahead->read.from)
        return;
    f->read = take_ahead(f);
    f->read_at = 0;
}

static enum err find_batch(struct feed *f, int64_t offset, int64_t limit, struct log_batch *out)
{
    size_t count;
    for (go_on(f, offset); f->read; go_on(f, offset)) {
        if (is_under_way(f->read))
            return E_COLD;
        enum err err = find_in_answer(f, offset, limit, out);
        if (err != E_COLD)
            return err;
    }
    enum err err = log_peek(f->log, offset, limit, 1, out, 1, &count);
    if (err == E_COLD)
        return start_read(f, offset, limit);
    return err ? err : count == 0 ? E_NOT_FOUND : OK;
}

/* ---- decoding ---- */

static void start_decoding(struct feed *f, const struct batch *b)
{
    size_t from = BATCH_HEADER_BYTES;
    bool resumes = f->resume_base == f->batch.base_offset && f->resume_crc == b->crc;
    if (resumes)
        from = f->resume_position;
    record_reader_init(&f->reader, b, f->batch.base_offset,
                       bytes_of(b->raw.data + from, b->raw.size - from));
    if (resumes)
        f->reader.left = f->resume_left;
    f->has_record = false;
}

/* Take up the batch. E_CORRUPT: it is none, or compressed, which nothing in a queue's log is. */
static enum err enter_batch(struct feed *f, int64_t offset, struct record *out)
{
    struct batch b;
    f->has_batch = false;
    if (!parse_end(&f->batch, &b)) {
        out->offset = offset + 1;
        return E_CORRUPT;
    }
    f->batch_end = f->batch.base_offset + b.last_offset_delta + 1;
    f->batch_crc = b.crc;
    if (batch_is_control(&b)) {
        out->offset = f->batch_end;
        return E_AGAIN;
    }
    if (b.attributes & BATCH_CODEC_MASK) {
        out->offset = f->batch_end;
        return E_CORRUPT;
    }
    if (offset < f->resume_offset)
        f->resume_base = -1; /* a record that came back: from the front again */
    start_decoding(f, &b);
    f->has_batch = true;
    return OK;
}

/* Go on to the record at or above `offset`. E_AGAIN: not in this batch. */
static enum err decode_to(struct feed *f, int64_t offset, struct record *out)
{
    while (!f->has_record || f->record.offset < offset) {
        f->has_record = record_reader_next(&f->reader, &f->record);
        if (!f->has_record) {
            f->has_batch = false;
            f->resume_base = -1;
            out->offset = f->batch_end;
            return f->reader.left > 0 ? E_CORRUPT : E_AGAIN;
        }
    }
    *out = f->record;
    return OK;
}

static bool batch_has(const struct feed *f, int64_t offset)
{
    if (!f->has_batch || offset < f->batch.base_offset || offset >= f->batch_end)
        return false;
    return !f->has_record || f->record.offset <= offset;
}

enum err feed_at(struct feed *f, int64_t offset, int64_t limit, struct record *out)
{
    while (offset < limit) {
        enum err err = OK;
        if (!batch_has(f, offset)) {
            feed_rest(f);
            err = find_batch(f, offset, limit, &f->batch);
            if (err) {
                out->offset = offset;
                return err;
            }
            err = enter_batch(f, offset, out);
        }
        if (!err)
            err = decode_to(f, offset, out);
        if (err != E_AGAIN)
            return err;
        offset = out->offset;
    }
    return E_NOT_FOUND;
}

struct chunk *feed_chunk(const struct feed *f)
{
    return f->batch.chunk;
}

/* The record that was given last is done with; the next one begins at the reader's place. */
void feed_rest(struct feed *f)
{
    if (f->has_batch && f->has_record) {
        f->resume_base = f->batch.base_offset;
        f->resume_crc = f->batch_crc;
        f->resume_offset = f->record.offset + 1;
        f->resume_position = (size_t)(f->reader.at - f->batch.raw.data);
        f->resume_left = f->reader.left;
    }
    f->has_batch = f->has_record = false;
    struct feeds *all = f->feeds;
    while (all->held_bytes > FEED_HELD_BYTES)
        drop_oldest(all);
}
