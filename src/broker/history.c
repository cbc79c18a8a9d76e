#include "broker/history.h"

#include "base/mem.h"
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
    struct message *m = fifo_at(&h->messages, 0);
    h->size_bytes -= size_of(m);
    free((void *)m->exchange.data);
    fifo_drop(&h->messages);
}

void history_add(struct history *h, const struct message *m, int64_t length)
{
    struct amqp_value no_store;
    if (amqp_table_find(message_headers(m), "x-recent-history-no-store", &no_store) &&
        no_store.tag == 't' && no_store.number)
        return;
    if (size_of(m) > HISTORY_MAX_BYTES)
        return;
    fifo_push(&h->messages, copy_of(m));
    h->size_bytes += size_of(m);
    while (h->messages.count > length || h->size_bytes > HISTORY_MAX_BYTES)
        drop_oldest(h);
}

void history_reset(struct history *h)
{
    while (h->messages.count)
        drop_oldest(h);
    fifo_reset(&h->messages);
}
