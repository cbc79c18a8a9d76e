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

struct sim_options {
    uint64_t seed;
    bool ignore_sync, expect_violation, each_kind;
};

static int run_worlds(const char *name, const struct sim_options *o, struct sim_total *total,
                      sim_run_world *run_world)
{
    uint64_t worlds = 0;
    total->points = 0;
    while (total->points < total->points_wanted && total->violations == 0)
        run_world(o->seed + worlds++, o->ignore_sync);
    printf("%s", name);
    if (total->kind >= 0)
        printf(" %s %s", total->alone ? "--only" : "--mostly", total->kinds[total->kind]);
    printf(": %llu crash points in %llu worlds from seed %llu, %llu violations\n",
           (unsigned long long)total->points, (unsigned long long)worlds,
           (unsigned long long)o->seed, (unsigned long long)total->violations);
    fflush(stdout);
    return (total->violations > 0) != o->expect_violation;
}

static int run_each_kind(const char *name, const struct sim_options *o, struct sim_total *total,
                         sim_run_world *run_world)
{
    int failed = 0;
    for (total->kind = 0; total->kinds[total->kind] && !failed; total->kind++) {
        for (int alone = 1; alone >= 0 && !failed; alone--) {
            total->alone = alone;
            failed = run_worlds(name, o, total, run_world);
        }
    }
    return failed;
}

int sim_command(const char *name, char **argv, struct sim_total *total, sim_run_world *run_world)
{
    struct sim_options o = {.seed = 1};

    say_set_sink(say_nothing); /* crashes and damage are what this is about */
    total->points_wanted = 20000;
    total->kind = -1;
    for (int i = 1; argv[i]; i++) {
        if (strcmp(argv[i], "--points") == 0)
            total->points_wanted = number_argument(argv, &i);
        else if (strcmp(argv[i], "--seed") == 0)
            o.seed = number_argument(argv, &i);
        else if (strcmp(argv[i], "--only") == 0 || strcmp(argv[i], "--mostly") == 0) {
            total->alone = strcmp(argv[i], "--only") == 0;
            total->kind = kind_argument(argv, &i, total->kinds);
        } else if (strcmp(argv[i], "--each-kind") == 0 && total->kinds)
            o.each_kind = true;
        else if (strcmp(argv[i], "--ignore-sync") == 0)
            o.ignore_sync = true;
        else if (strcmp(argv[i], "--expect-violation") == 0)
            o.expect_violation = true;
        else
            return fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    }
    return (o.each_kind ? run_each_kind : run_worlds)(name, &o, total, run_world);
}
