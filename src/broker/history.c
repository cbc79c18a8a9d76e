#include "broker/history.h"

#include "wire/amqp_table.h"

static size_t size_of(const struct message *m)
{
    return m->exchange.size + m->routing_key.size + m->properties.size + m->body.size;
}

static struct bytes put(uint8_t **at, struct bytes b)
{
    struct bytes copy = bytes_of(*at, b.size);
    if (b.size)
        memcpy(*at, b.data, b.size);
    *at += b.size;
    return copy;
}

/* In one block, which begins with the exchange's name. */
static struct message copy_of(const struct message *m)
{
    uint8_t *at = xmalloc(size_of(m) + 1);
    struct message copy = {.persistent = m->persistent};
    copy.exchange = put(&at, m->exchange);
    copy.routing_key = put(&at, m->routing_key);
    copy.properties = put(&at, m->properties);
    copy.body = put(&at, m->body);
    return copy;
}

static void drop_oldest(struct history *h)
{
    struct message *m = &h->messages.items[h->first++];
    h->size_bytes -= size_of(m);
    free((void *)m->exchange.data);
    if (h->first <= h->messages.count / 2)
        return;
    h->messages.count -= h->first;
    memmove(h->messages.items, h->messages.items + h->first,
            h->messages.count * sizeof *h->messages.items);
    h->first = 0;
}

void history_add(struct history *h, const struct message *m, int64_t length)
{
    struct amqp_value no_store;
    if (amqp_table_find(message_headers(m), "x-recent-history-no-store", &no_store) &&
        no_store.tag == 't' && no_store.number)
        return;
    if (size_of(m) > HISTORY_MAX_BYTES)
        return;
    vec_push(&h->messages, copy_of(m));
    h->size_bytes += size_of(m);
    while ((int64_t)(h->messages.count - h->first) > length || h->size_bytes > HISTORY_MAX_BYTES)
        drop_oldest(h);
}

void history_reset(struct history *h)
{
    while (h->first < h->messages.count)
        drop_oldest(h);
    vec_reset(&h->messages);
}
