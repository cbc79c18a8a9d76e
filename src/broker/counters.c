#include "broker/counters.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

struct counters *counters_new(void)
{
    return xzalloc(sizeof(struct counters));
}

void counters_free(struct counters *c)
{
    if (!c)
        return;
    rates_free(c->rates);
    free(c);
}

const char *counter_name(enum counter c)
{
    static const char *const names[COUNTERS] = {
#define COUNTER_NAME(name) #name,
        COUNTERS_TABLE(COUNTER_NAME)
#undef COUNTER_NAME
    };
    check(c < COUNTERS);
    return names[c];
}

void counters_add_all(struct counters **at, const struct counters *from)
{
    for (int c = 0; from && c < COUNTERS; c++)
        if (from->count[c])
            counters_add(at, (enum counter)c, from->count[c]);
}
