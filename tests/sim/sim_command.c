#include "tests/sim/sim_command.h"

#include "base/number.h"
#include "base/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t number_argument(char **argv, int *i)
{
    int64_t n = 0;
    if (!argv[*i + 1] || !number_parse_i64(bytes_from_string(argv[*i + 1]), &n)) {
        fprintf(stderr, "%s takes a number\n", argv[*i]);
        exit(2);
    }
    (*i)++;
    return (uint64_t)n;
}

static int kind_argument(char **argv, int *i, const char *const *kinds)
{
    const char *name = argv[*i + 1];
    for (int kind = 0; name && kinds && kinds[kind]; kind++) {
        if (strcmp(name, kinds[kind]) != 0)
            continue;
        (*i)++;
        return kind;
    }
    fprintf(stderr, "%s takes a kind of request:", argv[*i]);
    for (int kind = 0; kinds && kinds[kind]; kind++)
        fprintf(stderr, " %s", kinds[kind]);
    fprintf(stderr, "\n");
    exit(2);
}

static void say_nothing(const char *line, uint32_t size)
{
    (void)line, (void)size;
}

int sim_command(const char *name, char **argv, struct sim_total *total, sim_run_world *run_world)
{
    uint64_t seed = 1, worlds = 0;
    bool ignore_sync = false, expect_violation = false;

    say_set_sink(say_nothing); /* crashes and damage are what this is about */
    total->points_wanted = 20000;
    total->kind = -1;
    for (int i = 1; argv[i]; i++) {
        if (strcmp(argv[i], "--points") == 0)
            total->points_wanted = number_argument(argv, &i);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = number_argument(argv, &i);
        else if (strcmp(argv[i], "--only") == 0 || strcmp(argv[i], "--mostly") == 0) {
            total->alone = strcmp(argv[i], "--only") == 0;
            total->kind = kind_argument(argv, &i, total->kinds);
        } else if (strcmp(argv[i], "--ignore-sync") == 0)
            ignore_sync = true;
        else if (strcmp(argv[i], "--expect-violation") == 0)
            expect_violation = true;
        else
            return fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    }
    while (total->points < total->points_wanted && total->violations == 0)
        run_world(seed + worlds++, ignore_sync);
    if (total->kind >= 0)
        printf("%s %s: ", total->alone ? "only" : "mostly", total->kinds[total->kind]);
    printf("%s: %llu crash points in %llu worlds from seed %llu, %llu violations\n", name,
           (unsigned long long)total->points, (unsigned long long)worlds, (unsigned long long)seed,
           (unsigned long long)total->violations);
    return (total->violations > 0) != expect_violation;
}
