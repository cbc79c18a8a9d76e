#include "io/mailbox.h"

#include <stddef.h>

void mailbox_init(struct mailbox *m, void (*wake)(void *ctx), void *ctx)
{
    atomic_init(&m->newest, NULL);
    m->wake = wake;
    m->ctx = ctx;
}

static struct mail closed; /* its address stands for a closed mailbox */

/* A stack, because one exchange takes all of it. Who finds it empty wakes the loop. */
bool mailbox_post(struct mailbox *m, struct mail *mail)
{
    struct mail *newest = atomic_load_explicit(&m->newest, memory_order_relaxed);

    do {
        if (newest == &closed)
            return false;
        mail->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&m->newest, &newest, mail, memory_order_release,
                                                    memory_order_relaxed));
    if (!newest)
        m->wake(m->ctx);
    return true;
}

static struct mail *oldest_first(struct mail *mail)
{
    struct mail *first = NULL, *next;

    for (; mail && mail != &closed; mail = next) {
        next = mail->next;
        mail->next = first;
        first = mail;
    }
    return first;
}

struct mail *mailbox_take(struct mailbox *m)
{
    struct mail *newest = atomic_load_explicit(&m->newest, memory_order_relaxed);

    if (!newest || newest == &closed)
        return NULL;
    return oldest_first(atomic_exchange_explicit(&m->newest, NULL, memory_order_acquire));
}

struct mail *mailbox_close(struct mailbox *m)
{
    return oldest_first(atomic_exchange_explicit(&m->newest, &closed, memory_order_acquire));
}
