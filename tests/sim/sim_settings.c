#include "tests/sim/sim_settings.h"

enum { KIB = 1024, MIB = 1024 * KIB };

static uint64_t one_of(struct random *random, const uint64_t *values, uint64_t count)
{
    return values[random_below(random, count)];
}
#define ONE_OF(random, ...)                                                                        \
    one_of(random, (const uint64_t[]){__VA_ARGS__},                                                \
           sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

uint64_t sim_settings_draw_failing(struct random *random)
{
    return random_below(random, 3) ? 0 : 4 + random_below(random, 300);
}

void sim_settings_draw(struct store_config *c, struct random *random)
{
    store_config_default(c);
    c->journal_first_bytes = 64 * KIB;
    c->journal_file_bytes = ONE_OF(random, 64 * KIB, 128 * KIB, 256 * KIB);
    c->journal_max_bytes = ONE_OF(random, 192 * KIB, 448 * KIB, 1 * MIB);
    c->carry_bytes = ONE_OF(random, 1, 4 * KIB, 16 * KIB);
    c->materialise_bytes = ONE_OF(random, 4 * KIB, 12 * KIB, 4 * MIB);
    c->part_bytes = ONE_OF(random, 1, 8 * KIB, 16 * MIB);
    c->piece_bytes = ONE_OF(random, 1, 4 * KIB, 1 * MIB);
    c->direct_append_bytes = ONE_OF(random, 1, 3 * KIB, 24 * KIB, 1 * MIB);
    c->direct_commit_bytes = ONE_OF(random, 1, 2 * KIB, 16 * KIB, 1 * MIB);
    c->direct_os_bytes = ONE_OF(random, 1, 4 * KIB, 1 * MIB);
    c->allocate_bytes = ONE_OF(random, 16 * KIB, 64 * KIB);
    c->unmarked_max_bytes = ONE_OF(random, 8 * KIB, 128 * KIB);
    c->segment_bytes = ONE_OF(random, 16 * KIB, 96 * KIB, 1 * MIB);
    c->cache_bytes = ONE_OF(random, 1, 1 * MIB, 32 * MIB); /* 1: all is read from files */
    c->reserve_bytes = 0;
}
