/*
 * Stretches: what a reader of history gets as a place in a file instead of as bytes, so that nobody
 * has to copy it. All in the core, and nothing here waits for the disk.
 *
 * Only what was read and checked before in this run is given out so: each run of neighbouring batches
 * that log_read() has found intact is remembered, with the segment's open file, and grows as its
 * readers go on. A mark for every 8 KiB says where batches begin; between two marks their headers are
 * looked at. The runs used last are kept, up to a number of them and of marks.
 *
 * What was given out and has not ended yet is still to be read: meanwhile none of the log's files is made
 * shorter (`lent`, see space.c and compact.c). What a socket has already may be read from the file's pages
 * long after that; file_step_below() leaves such pages whole.
 */
#include "log/read_internal.h"

#include <stdlib.h>

enum {
    RUNS_MAX = 64,
    MARKS_MAX = 256 * KIB, /* of all runs: 4 MiB, for 2 GiB and more of batches */
    MARK_EVERY_BYTES = 8 * KIB,
    HEADERS_BYTES = 4 * KIB,                       /* read at once to look at headers */
    LOOK_BYTES = MARK_EVERY_BYTES + HEADERS_BYTES, /* beside a stretch they are read so far */
};

struct mark {
    int64_t offset; /* base offset of a batch */
    uint32_t position;
    uint32_t batches; /* up to the next mark */
};

/* Neighbouring batches of one segment. */
struct run {
    struct list node; /* store->runs, the one used last in front */
    struct log_state *log;
    int64_t base; /* of the segment */
    struct segment_file *file;
    int64_t from, to; /* offsets; the first batch may begin above `from`: a hole */
    uint32_t end;     /* position behind the last batch */
    VEC(struct mark) marks;
};

/* ---- files ---- */

static void close_run(struct job *job)
{
    struct segment_file *f = container_of(job, struct segment_file, job);
    file_close(f->file);
    free(f);
}

static struct segment_file *segment_file_new(struct log_state *l, struct file *file)
{
    struct segment_file *f = xzalloc(sizeof *f);
    f->store = l->store;
    f->log = l;
    f->file = file;
    f->refs = 1;
    f->job.run = close_run;
    return f;
}

/* The last one to close a file without a name frees its space, which may take a while. */
static void release_file(struct segment_file *f)
{
    if (!f || --f->refs > 0)
        return;
    if (f->store->closing)
        close_run(&f->job);
    else
        jobs_submit(f->store->jobs, LANE_SPACE, &f->job);
}

void log_stretch_end(struct segment_file *f)
{
    if (!f)
        return;
    check(f->log->parts->lent > 0);
    log_parts(f->log)->lent--;
    release_file(f);
}

/* ---- runs ---- */

static void run_free(struct store *s, struct run *r)
{
    list_remove(&r->node);
    s->run_count--;
    s->mark_count -= r->marks.count;
    release_file(r->file);
    vec_reset(&r->marks);
    free(r);
}

void stretch_forget(struct log_state *l, int64_t below)
{
    list_each_safe (node, &l->store->runs) {
        struct run *r = container_of(node, struct run, node);
        if (r->log == l && r->to <= below)
            run_free(l->store, r);
    }
}

void stretch_forget_all(struct store *s)
{
    while (!list_is_empty(&s->runs))
        run_free(s, container_of(s->runs.next, struct run, node));
}

static void keep_few(struct store *s)
{
    while (s->run_count > 1 && (s->run_count > RUNS_MAX || s->mark_count > MARKS_MAX))
        run_free(s, container_of(s->runs.prev, struct run, node));
}

static void touch(struct store *s, struct run *r)
{
    list_remove(&r->node);
    list_push_front(&s->runs, &r->node);
}

/* The batch at the run's end joins it. */
static void run_add(struct store *s, struct run *r, const struct log_batch *b)
{
    struct mark *last = r->marks.count ? &vec_last(&r->marks) : NULL;
    if (last && r->end - last->position < MARK_EVERY_BYTES) {
        last->batches++;
    } else {
        vec_push(&r->marks, ((struct mark){b->base_offset, r->end, 1}));
        s->mark_count++;
    }
    r->end += (uint32_t)b->raw.size;
    r->to = log_batch_end(b);
}

/* The run that this read goes on from, or lies in. */
static struct run *run_at(struct log_state *l, int64_t base, uint64_t position)
{
    list_each (node, &l->store->runs) {
        struct run *r = container_of(node, struct run, node);
        if (r->log == l && r->base == base && r->marks.items[0].position <= position &&
            position <= r->end)
            return r;
    }
    return NULL;
}

static struct run *run_new(const struct log_read_internal *from)
{
    const struct log_batch *first = &from->read->batches[0];
    struct store *s = from->store;
    struct run *r = xzalloc(sizeof *r);
    r->log = from->log;
    r->base = from->segment;
    r->from = from->from < first->base_offset ? from->from : first->base_offset;
    r->end = (uint32_t)from->position;
    list_push_front(&s->runs, &r->node);
    s->run_count++;
    return r;
}

/* The run that the read's batches belong to; NULL: they are of no use to anybody. */
static struct run *run_for(const struct log_read_internal *from)
{
    const struct log_read *read = from->read;
    const struct log_state *l = from->log;
    if (from->err || read->count == 0 || l->deleted ||
        log_batch_end(&read->batches[read->count - 1]) <= l->log.start)
        return NULL;
    struct run *r = run_at(from->log, from->segment, from->position);
    return r ? r : run_new(from);
}

/* The file that the job has read, with the reference to it. */
static struct segment_file *take_file(struct log_read_internal *from)
{
    struct segment_file *f = from->known.holder;
    if (from->segment_file) {
        release_file(f);
        f = segment_file_new(from->log, from->segment_file);
    }
    from->segment_file = NULL;
    from->known.holder = NULL;
    return f;
}

void stretch_note(struct log_read_internal *from)
{
    struct store *s = from->store;
    const struct log_read *read = from->read;
    uint64_t position = from->position;
    struct segment_file *f = take_file(from);
    if (!f)
        return;
    struct run *r = run_for(from);
    if (r && !r->file) {
        r->file = f;
        f->refs++;
    }
    release_file(f);
    for (size_t i = 0; r && i < read->count; i++) {
        if (position == r->end)
            run_add(s, r, &read->batches[i]);
        position += read->batches[i].raw.size;
    }
    if (r)
        touch(s, r);
    keep_few(s);
}

/* ---- looking at headers ---- */

struct headers {
    struct run *run;
    uint64_t at; /* of bytes[0] */
    size_t size;
    uint8_t bytes[HEADERS_BYTES];
};

/* The batch at this position of the run. */
static bool header_at(struct headers *h, uint64_t position, struct batch *out)
{
    if (position < h->at || position + BATCH_HEADER_BYTES > h->at + h->size) {
        uint64_t left = h->run->end - position;
        h->at = position;
        h->size = left < HEADERS_BYTES ? left : HEADERS_BYTES;
        if (file_read(h->run->file->file, position, h->bytes, h->size) != OK)
            return false;
    }
    return position + BATCH_HEADER_BYTES <= h->at + h->size &&
           batch_header_get(h->bytes + (position - h->at), out) == OK;
}

/* ---- places ---- */

/* A batch boundary in a run, from which on (or up to which) is read. */
struct boundary {
    int64_t offset;
    uint64_t position;
};

/* How many marks lie at or below it. */
static size_t marks_to(const struct run *r, int64_t offset, uint64_t position)
{
    size_t low = 0, high = r->marks.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct mark *m = &r->marks.items[middle];
        if (m->offset <= offset && m->position <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct boundary mark_at(const struct run *r, size_t i)
{
    if (i == r->marks.count)
        return (struct boundary){r->to, r->end};
    return (struct boundary){r->marks.items[i].offset, r->marks.items[i].position};
}

/* The last mark at or below the offset, or else the run's front; its end for the offset behind it. */
static struct boundary nearest_mark(const struct run *r, int64_t offset)
{
    size_t n = marks_to(r, offset, UINT64_MAX);
    return mark_at(r, offset == r->to ? r->marks.count : n > 0 ? n - 1 : 0);
}

/* The batch that holds `from`, or the next one. */
static bool find_front(struct headers *h, int64_t from, struct boundary *out)
{
    const struct run *r = h->run;
    size_t n = marks_to(r, from, UINT64_MAX);
    struct boundary end = mark_at(r, n);
    *out = mark_at(r, n > 0 ? n - 1 : 0);
    while (out->offset < from && out->position < end.position) {
        struct batch b;
        if (!header_at(h, out->position, &b))
            return false;
        out->offset = b.base_offset;
        if (batch_last_offset(&b) >= from)
            break;
        out->position += b.raw.size;
        out->offset = batch_last_offset(&b) + 1;
    }
    return true;
}

/* The last boundary with nothing but whole batches before it that begin below `limit` and lie below
 * `most`. */
static bool find_back(struct headers *h, const struct boundary *front, int64_t limit, uint64_t most,
                      struct boundary *out)
{
    const struct run *r = h->run;
    if (r->end <= most && r->to <= limit) {
        *out = (struct boundary){r->to, r->end};
        return true;
    }
    size_t n = marks_to(r, limit, most);
    struct boundary end = mark_at(r, n);
    *out = n > 0 && r->marks.items[n - 1].position > front->position ? mark_at(r, n - 1) : *front;
    if (n > 0 && r->marks.items[n - 1].batches == 1 && end.position > most)
        return true; /* that one is too large */
    while (out->position < end.position) {
        struct batch b;
        if (!header_at(h, out->position, &b))
            return false;
        if (b.base_offset >= limit || out->position + b.raw.size > most)
            break;
        out->position += b.raw.size;
        out->offset = batch_last_offset(&b) + 1;
    }
    return true;
}

/* What is read, headers included, must not have to come from the disk. */
static bool is_cached(const struct run *r, const struct boundary *front, uint64_t most)
{
    uint64_t end = most < r->end ? most : r->end;
    return end > front->position &&
           file_is_cached(r->file->file, front->position, end - front->position);
}

static struct run *run_with(struct log_state *l, int64_t offset)
{
    list_each (node, &l->store->runs) {
        struct run *r = container_of(node, struct run, node);
        if (r->log == l && r->from <= offset && offset < r->to)
            return r;
    }
    return NULL;
}

/* The run with the batch that holds `offset`, or else one that ends there. */
static struct run *run_to_read_on(struct log_state *l, int64_t offset)
{
    struct run *with = run_with(l, offset);
    if (with)
        return with;
    list_each (node, &l->store->runs) {
        struct run *r = container_of(node, struct run, node);
        if (r->log == l && r->to == offset)
            return r;
    }
    return NULL;
}

/* Who goes on reading needs neither names nor the index, and the system sees that one file is read in order. */
void stretch_known(struct log_read_internal *from)
{
    bool notes = from->kind == READ_FROM && from->read->may_come_again;
    struct run *r = notes ? run_to_read_on(from->log, from->from) : NULL;
    if (!r)
        return;
    from->known = (struct open_place){r->file, r->base, nearest_mark(r, from->from).position};
    r->file->refs++;
}

/* The first batch is given whatever its size. */
static bool take_one(struct headers *h, const struct boundary *front, int64_t limit,
                     struct boundary *back)
{
    struct batch b;
    if (!header_at(h, front->position, &b) || b.base_offset >= limit ||
        !is_cached(h->run, front, front->position + b.raw.size))
        return false;
    *back = (struct boundary){batch_last_offset(&b) + 1, front->position + b.raw.size};
    return true;
}

static bool find_stretch(struct run *r, int64_t from, int64_t limit, size_t max_bytes,
                         struct boundary *front, struct boundary *back)
{
    struct headers h = {.run = r};
    *front = nearest_mark(r, from);
    if (!is_cached(r, front, front->position + max_bytes + LOOK_BYTES) ||
        !find_front(&h, from, front) ||
        !find_back(&h, front, limit, front->position + max_bytes, back))
        return false;
    return back->position > front->position || take_one(&h, front, limit, back);
}

enum err log_stretch(struct log *log, int64_t from, int64_t limit, size_t max_bytes,
                     struct log_stretch *out)
{
    struct log_state *l = log_state(log);
    struct boundary front, back;
    struct run *r = from >= log->start && from < limit ? run_with(l, from) : NULL;
    if (!r || !find_stretch(r, from, limit, max_bytes, &front, &back))
        return E_COLD;
    *out = (struct log_stretch){r->file, r->file->file, front.position,
                                back.position - front.position, back.offset};
    r->file->refs++;
    log_parts(l)->lent++;
    log_parts(l)->read_late_ns = l->store->now_ns;
    touch(l->store, r);
    return OK;
}
