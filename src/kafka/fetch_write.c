#include "kafka/fetch.h"

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

/* A batch that is stored once for several logs has another's numbers in its first bytes. */
static bool is_stamped(const struct log_batch *b)
{
    return get_u64(b->raw.data) == (uint64_t)b->base_offset &&
           get_u32(b->raw.data + 12) == (uint32_t)b->epoch;
}

static void write_stamped(struct link *link, const struct log_batch *b)
{
    uint8_t head[STAMP_BYTES];
    memcpy(head, b->raw.data, sizeof head);
    batch_stamp(head, b->base_offset, b->epoch);
    link_write(link, bytes_of(head, sizeof head));
    write_run(link, bytes_of(b->raw.data + STAMP_BYTES, b->raw.size - STAMP_BYTES), b->chunk);
}

/* Neighbours in one chunk leave as one piece. */
static void write_batches(struct link *link, const struct log_batch *batches, size_t count)
{
    for (size_t i = 0; i < count;) {
        const struct log_batch *first = &batches[i++];
        if (!is_stamped(first)) {
            write_stamped(link, first);
            continue;
        }
        struct bytes run = first->raw;
        while (i < count && batches[i].chunk == first->chunk && is_stamped(&batches[i]) &&
               batches[i].raw.data == run.data + run.size) {
            run.size += batches[i].raw.size;
            chunk_unref(batches[i++].chunk);
        }
        write_run(link, run, first->chunk);
    }
}

static size_t records_bytes(const struct fetch *f)
{
    size_t sum = 0;
    for (size_t i = 0; i < f->batches.count; i++)
        sum += f->batches.items[i].raw.size;
    return sum;
}

/* The answer's bytes with the batches of each part in their places. */
static void write_pieces(struct fetch *f, struct bytes head, const struct wire_cuts *cuts)
{
    struct link *link = f->request->connection->link;
    const struct fetch_part *part = f->parts;
    const struct log_batch *batches = f->batches.items;
    size_t written = 0;
    for (size_t i = 0; i < cuts->count; i++) {
        const struct wire_cut *cut = &cuts->items[i];
        while (&part->answer->records != cut->records)
            part++; /* parts and cuts are in the same order */
        if (part->span_count == 0)
            continue;
        link_write(link, bytes_of(head.data + written, cut->position - written));
        written = cut->position;
        write_batches(link, batches, part->span_count);
        batches += part->span_count;
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
    vec_reset(&f->batches); /* the references were given to the link */
    text_reset(&text);
}
