#include "kafka/fetch.h"

#include "base/check.h"
#include "kafka/connection.h"
#include "kafka/handlers.h"
#include "wire/wire.h"

/* Batches are sent from where they lie when that saves more than it costs: below this size a copy
 * is cheaper than another piece for the socket. */
enum { REF_MIN_BYTES = 4096, STAMP_BYTES = 16 };

static void release_chunk(void *chunk)
{
    chunk_unref(chunk);
}

/* Takes the reference to `chunk`. */
static void write_run(struct link *link, struct bytes run, struct chunk *chunk)
{
    if (run.size >= REF_MIN_BYTES) {
        link_write_ref(link, run, release_chunk, chunk);
    } else {
        link_write(link, run);
        chunk_unref(chunk);
    }
}

static void release_file(void *file)
{
    log_stretch_end(file);
}

void fetch_piece_release(struct fetch_piece *p)
{
    chunk_unref(p->chunk);
    if (!p->chunk)
        log_stretch_end(p->stretch.holder);
}

/* A batch that is stored once for several logs has another's numbers in its first bytes. */
static void write_piece(struct link *link, const struct fetch_piece *p)
{
    uint8_t head[STAMP_BYTES];
    if (!p->chunk) {
        const struct log_stretch *s = &p->stretch;
        link_write_file(link, s->file, s->position, s->size, release_file, s->holder);
        return;
    }
    if (p->is_stamped) {
        write_run(link, p->raw, p->chunk);
        return;
    }
    memcpy(head, p->raw.data, sizeof head);
    batch_stamp(head, p->base_offset, p->epoch);
    link_write(link, bytes_of(head, sizeof head));
    write_run(link, bytes_of(p->raw.data + STAMP_BYTES, p->raw.size - STAMP_BYTES), p->chunk);
}

static size_t records_bytes(const struct fetch *f)
{
    size_t sum = 0;
    for (size_t i = 0; i < f->pieces.count; i++)
        sum += f->pieces.items[i].raw.size + f->pieces.items[i].stretch.size;
    return sum;
}

/* The answer's bytes with the records of each partition in their places. */
static void write_pieces(struct fetch *f, struct bytes head, const struct wire_cuts *cuts)
{
    struct link *link = f->request->connection->link;
    const struct fetch_piece *piece = f->pieces.items;
    size_t written = 0;
    for (size_t i = 0; i < cuts->count; i++) { /* cuts and answers are in the same order */
        const struct wire_cut *cut = &cuts->items[i];
        check(&f->answers[i].records == cut->records);
        if (f->piece_counts[i] == 0)
            continue;
        link_write(link, bytes_of(head.data + written, cut->position - written));
        written = cut->position;
        for (uint32_t left = f->piece_counts[i]; left > 0; left--)
            write_piece(link, piece++);
    }
    link_write(link, bytes_of(head.data + written, head.size - written));
}

void fetch_write(struct request *r)
{
    struct fetch *f = r->work;
    struct text text = {0};
    struct wire_cuts cuts;
    text_append_zeros(&text, 8 + (size_t)wire_response_header_version(r->wire, r->version));
    enum err err =
        wire_encode_cut(r->wire->response, r->version, r->reply, &text, &r->arena, &cuts);
    if (err) {
        request_fail(r, "answer of fetch: %s", err_text());
        text_reset(&text);
        return;
    }
    put_u32(text.data, (uint32_t)(text.size - 4 + records_bytes(f)));
    put_u32(text.data + 4, (uint32_t)r->correlation_id);
    write_pieces(f, text_bytes(&text), &cuts);
    vec_reset(&f->pieces); /* the references were given to the link */
    text_reset(&text);
}
