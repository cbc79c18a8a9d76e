/*
 * Binding patterns of a topic exchange, as a trie of words. A pattern's words lie between dots; `*`
 * stands for exactly one word, `#` for none or more (AMQP 0-9-1 s.3.1.3.3). An empty key or pattern
 * has no words; "a." has two, the second empty (RabbitMQ).
 *
 * Matching walks the key once and keeps the set of nodes that it may be at, each node once, so the
 * cost is bounded by words times nodes whatever patterns a client makes up.
 */
#ifndef BROKER_PATTERN_TRIE_H
#define BROKER_PATTERN_TRIE_H

#include "base/bytes.h"
#include "base/vec.h"

struct pattern_node;

struct pattern_trie { /* zeroed: empty */
    struct pattern_node *root;
    uint64_t stamp;
};

typedef VEC(void *) pattern_values;

/* The same value may be there under several patterns, and several times under one. */
void pattern_trie_add(struct pattern_trie *trie, struct bytes pattern, void *value);
/* Remove it once; it must be there. */
void pattern_trie_remove(struct pattern_trie *trie, struct bytes pattern, void *value);
/* Append the values of all patterns that match. */
void pattern_trie_match(struct pattern_trie *trie, struct bytes key, pattern_values *out);

#endif
