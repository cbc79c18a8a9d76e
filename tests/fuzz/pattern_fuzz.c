/*
 * Any bytes as a pattern and a name. Input: slices; the first is the pattern, the others are names.
 * What is no pattern is refused, what is one answers every name at once and always alike; a pattern
 * that is the permission's empty one matches the empty name only.
 */
#include "base/check.h"
#include "broker/pattern.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slices.h"

enum { NAME_MAX_BYTES = 255 };

static void check_name(const struct pattern *p, const struct pattern *permission, struct bytes name)
{
    bool found = pattern_matches(p, name);
    check(pattern_matches(p, name) == found);
    check(p->kind != PATTERN_ALL || found);
    if (permission->kind == PATTERN_EMPTY)
        check(pattern_matches(permission, name) == (name.size == 0));
    else
        check(pattern_matches(permission, name) == found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(bytes_of(data, size));
    struct pattern pattern = {0}, permission = {0};
    struct slice s;

    if (!slice_next(&in, &s) || pattern_init(&pattern, slice_rest(&s)))
        return 0;
    check(pattern_init_permission(&permission, pattern.text) == OK);
    while (slice_next(&in, &s)) {
        struct bytes name = slice_rest(&s);
        if (name.size <= NAME_MAX_BYTES)
            check_name(&pattern, &permission, name);
    }
    pattern_reset(&pattern);
    pattern_reset(&permission);
    return 0;
}
