/*
 * What must be there, as far as clients know: how many copies there are of each letter, what was done with
 * them, and what the catalog may say. It does not know where a copy is.
 */
#ifndef TESTS_SIM_RULES_LEDGER_H
#define TESTS_SIM_RULES_LEDGER_H

#include "base/vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct letter {
    uint32_t copies; /* that were made */
    uint32_t acked;  /* of them: settled by clients, purged, or in a queue that was deleted */
    uint32_t acked_durably;
    uint32_t to; /* bits of the places it was published to: there it keeps its place in the order */
    uint32_t size;
    uint8_t priority;
    bool confirmed;
};

/* `sent` was published and `settled` settled in one transaction; both have one copy. */
struct transaction {
    uint32_t sent, settled;
};

/* A purge or a deletion: all of these letters have gone or none, those of a deleted queue with it. */
struct removal {
    uint32_t first, count; /* in ledger->removed */
    int fact;              /* the queue that was deleted; -1: none was */
    uint32_t value;        /* that it had until then */
    bool is_answered;
};

/*
 * Something that the catalog says, as a number; 0: that it is not there. After a crash it is what it was
 * when a change was answered for the last time, or any of the later values.
 */
enum { FACT_VALUES = 12 };

struct fact {
    uint32_t first; /* counts the values that were before */
    uint32_t count;
    uint32_t values[FACT_VALUES];
};

/* True: no other change may be made before some are answered. */
bool fact_is_full(const struct fact *f);
uint32_t fact_newest(const struct fact *f);
uint32_t fact_newest_index(const struct fact *f);
/* Returns the index to be answered. */
uint32_t fact_change(struct fact *f, uint32_t value);
void fact_answered(struct fact *f, uint32_t index);
bool fact_may_be(const struct fact *f, uint32_t value);
void fact_set(struct fact *f, uint32_t value); /* it is known to be this */

enum { FACTS_MAX = 40 };

struct ledger {
    VEC(struct letter) letters;
    VEC(struct transaction) transactions;
    VEC(struct removal) removals;
    VEC(uint32_t) removed; /* letters of removals */
    struct fact facts[FACTS_MAX];
    uint32_t last_value; /* that any fact has had */
};

void ledger_copy(struct ledger *to, const struct ledger *from); /* into a zeroed one */
void ledger_reset(struct ledger *l);

/* With the queue that this fact is about, before it changes; -1: only the letters. Returns the removal's
 * index. */
uint32_t ledger_remove(struct ledger *l, const uint32_t *letters, size_t count, int fact);
void ledger_removal_answered(struct ledger *l, uint32_t removal);

/* Is what was found of each letter what there must be? If not, says what is wrong; true: all is well. */
bool ledger_compare(const struct ledger *l, const uint32_t *found, char *out, size_t size);
/* What was found of letters is the truth from now on. */
void ledger_adopt(struct ledger *l, const uint32_t *found);

#endif
