/*
 * What is declared in the world: its queues, bindings, policies and the guests' vhost, which of them come
 * and go, and what the catalog has to say about those (ledger->facts).
 */
#ifndef TESTS_SIM_RULES_CATALOG_H
#define TESTS_SIM_RULES_CATALOG_H

#include "tests/sim/rules_world.h"

enum rules_policy { SHORTER, SOONER, ELSEWHERE, SMALLER, AT_MOST, NO_LATER, POLICIES };

/* Where facts are in the ledger. That of the guests' vhost is its queue's. */
enum {
    FACT_PLACE = 0,
    FACT_BINDING = PLACES,
    FACT_POLICY = 2 * PLACES,
    FACTS = FACT_POLICY + POLICIES
};

struct limits {
    int64_t ttl_ms, length, bytes; /* 0: none */
    const char *dead_to;           /* NULL: nowhere */
};

const char *place_name(enum place place);
/* Nothing is passed on to it, so it may be deleted; the guests' queue goes with its vhost. */
bool place_comes_and_goes(enum place place);
/* `all` sends letters to it, when it is bound. */
bool place_is_bound(const struct rules_world *w, enum place place);
/* Letters that expire or are rejected go somewhere. */
bool place_passes_on(enum place place);
/* What arguments and policies ask of it together. */
struct limits place_limits(const struct rules_world *w, enum place place);

void rules_declare(struct rules_world *w); /* on an empty disk */
void rules_find_places(struct rules_world *w);
/* What the catalog says is something that the ledger allows, and it is in force. From now on it is what the
 * ledger says. */
void rules_check_catalog(struct rules_world *w);
void rules_check_limits(struct rules_world *w);

/* Note that the fact has changed and wait for the answer. */
void rules_change(struct rules_world *w, int fact, uint32_t value);
uint32_t rules_new_value(struct rules_world *w);
void rules_make_guests(struct rules_world *w);
void rules_declare_place(struct rules_world *w, enum place place);

/* Declare a queue again that is not there, or bind one. */
void ask_declare(struct rules_world *w);
/* Set, change or delete a policy. */
void ask_policy(struct rules_world *w);

#endif
