#include "log/store_internal.h"

void compact_go_on(struct store *s, struct log_state *l)
{
    (void)s, (void)l;
}
