/* The slots of a ring; its moving parts are inline in the header. */
#include "io/ring.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void ring_init(struct ring *r, size_t slot_count, size_t slot_bytes)
{
    check(slot_count > 0);
    check((slot_count & (slot_count - 1)) == 0);
    memset(r, 0, sizeof *r);
    r->slots = xzalloc(slot_count * slot_bytes);
    r->slot_bytes = slot_bytes;
    r->mask = slot_count - 1;
}

void ring_reset(struct ring *r)
{
    free(r->slots);
    memset(r, 0, sizeof *r);
}
