/*
 * Patterns: the regular expressions of permissions and policies (PCRE, as RabbitMQ's). A pattern
 * matches when it is found anywhere in a name, so it is for its author to anchor it.
 *
 * The pattern is an operator's, the name a client's: together they may cost any time, so matching
 * has limits and stops at them. It fails closed: what cannot be decided is no match. Lives in the
 * core.
 */
#ifndef BROKER_PATTERN_H
#define BROKER_PATTERN_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

enum { PATTERN_MAX_BYTES = 4096 };

enum pattern_kind {
    PATTERN_NOTHING, /* no pattern at all; zeroed */
    PATTERN_EMPTY,   /* the empty name only */
    PATTERN_ALL,     /* ".*" and its like: nobody has to look */
    PATTERN_REGEX,
};

struct pattern {
    struct bytes text; /* as given; owned */
    enum pattern_kind kind;
    struct pattern_code *code; /* compiled once */
};

/* E_INVALID, with the place in the text; *out is not touched. */
must_use enum err pattern_init(struct pattern *out, struct bytes text);
/* The same, except that an empty one matches the empty name only (RabbitMQ: permissions). */
must_use enum err pattern_init_permission(struct pattern *out, struct bytes text);
void pattern_reset(struct pattern *); /* accepts a zeroed one */

/* Is it found in the name? False too when the limits end the search, which is logged once. */
bool pattern_matches(const struct pattern *, struct bytes name);
/* The same for those who can refuse the pattern: E_OUT_OF_RANGE when the limits end the search. */
must_use enum err pattern_search(const struct pattern *, struct bytes name, bool *out_found);
/* Has pattern_matches() reached the limits? Then it costs as much as a hundred others. */
bool pattern_is_slow(const struct pattern *);

#endif
