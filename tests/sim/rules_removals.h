/*
 * Purging and deleting. The ledger has to know which letters go: before that everything in the queues is
 * read, in as many turns as this takes, and when nothing is missing any more the request is made.
 */
#ifndef TESTS_SIM_RULES_REMOVALS_H
#define TESTS_SIM_RULES_REMOVALS_H

#include "base/vec.h"
#include "broker/feed.h"

struct queue;
struct rules_world;

struct known_letter {
    int64_t offset;
    uint32_t letter;
};

/* What is in one queue, as far as it was read. */
struct census {
    struct queue *queue; /* NULL: none; a reference */
    struct feed *feed;
    int64_t at;
    VEC(struct known_letter) known;
};

enum removal_kind { REMOVE_NOTHING, REMOVE_READY, REMOVE_QUEUE, REMOVE_VHOST };

enum { WISH_QUEUES = 2 };

struct removal_wish {
    enum removal_kind kind;
    struct census of[WISH_QUEUES];
};

void ask_purge(struct rules_world *w);
void ask_delete(struct rules_world *w);
/* Delete the guests' vhost, or make it again. */
void ask_vhost(struct rules_world *w);

/* At the beginning of a turn: go on with what is being read. */
void removals_go_on(struct rules_world *w);
void removals_forget(struct rules_world *w);

#endif
