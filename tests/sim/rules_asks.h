/*
 * What clients ask of queues that do things by themselves, by kinds; and the waiting for answers.
 */
#ifndef TESTS_SIM_RULES_ASKS_H
#define TESTS_SIM_RULES_ASKS_H

#include "tests/sim/rules_world.h"

/* Names of the kinds of requests, ended by NULL. */
extern const char *const rules_kinds[];

/* One request: of the world's kind, or any. */
void rules_ask(struct rules_world *w);

enum answer {
    ANSWER_PUBLISH, /* a letter is confirmed */
    ANSWER_SETTLE,  /* a settle of a letter is durable */
    ANSWER_REMOVAL,
    ANSWER_FACT,
};

/* Continue when the ticket is done. `number`: the letter, the removal, the fact. */
void rules_wait(struct rules_world *w, struct ticket ticket, enum answer kind, uint32_t number);
/* Likewise, for who waits otherwise. */
struct wait *rules_new_wait(struct rules_world *w, enum answer kind, uint32_t number);
void rules_forget_asks(struct rules_world *w);
void rules_drop_consumers(struct rules_world *w);

/* What a body says: which letter it is of, and when it may be seen first (ms). */
struct letter_text {
    uint32_t letter;
    int64_t not_before_ms;
};
bool letter_read(struct bytes body, struct letter_text *out);

#endif
