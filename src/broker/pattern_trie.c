#include "broker/pattern_trie.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"

struct pattern_node {
    struct pattern_node *parent;
    struct bytes word; /* behind the struct */
    struct map words;  /* children, but those of `*` and `#` */
    struct pattern_node *star, *hash;
    pattern_values values;
    uint64_t stamp; /* of the step at which it was entered last */
};

/* ---- words ---- */

/* Cut the next word off; `begun` tells "no words at all" from "one more, empty". */
static bool next_word(struct bytes *rest, bool *begun, struct bytes *word)
{
    if (!*begun && rest->size == 0)
        return false;
    if (*begun) {
        if (rest->size == 0)
            return false;
        *rest = bytes_of(rest->data + 1, rest->size - 1); /* the dot */
    }
    *begun = true;
    const uint8_t *dot = rest->size ? memchr(rest->data, '.', rest->size) : NULL;
    *word = bytes_of(rest->data, dot ? (size_t)(dot - rest->data) : rest->size);
    *rest = bytes_of(rest->data + word->size, rest->size - word->size);
    return true;
}

static bool is_word(struct bytes word, char c)
{
    return word.size == 1 && word.data[0] == (uint8_t)c;
}

/* ---- nodes ---- */

static struct pattern_node *node_new(struct pattern_node *parent, struct bytes word)
{
    struct pattern_node *n = xzalloc(sizeof *n + word.size);
    n->parent = parent;
    if (word.size)
        memcpy(n + 1, word.data, word.size);
    n->word = bytes_of(n + 1, word.size);
    return n;
}

static struct pattern_node *child_of(const struct pattern_node *n, struct bytes word)
{
    if (is_word(word, '*'))
        return n->star;
    return is_word(word, '#') ? n->hash : map_get(&n->words, word);
}

static struct pattern_node *make_child(struct pattern_node *n, struct bytes word)
{
    struct pattern_node *child = node_new(n, word);
    if (is_word(word, '*'))
        n->star = child;
    else if (is_word(word, '#'))
        n->hash = child;
    else
        map_put(&n->words, child->word, child);
    return child;
}

static bool is_needed(const struct pattern_node *n)
{
    return n->values.count > 0 || n->words.count > 0 || n->star || n->hash;
}

static void node_free(struct pattern_node *n)
{
    struct pattern_node *parent = n->parent;
    if (parent && parent->star == n)
        parent->star = NULL;
    else if (parent && parent->hash == n)
        parent->hash = NULL;
    else if (parent)
        map_remove(&parent->words, n->word);
    map_reset(&n->words);
    vec_reset(&n->values);
    free(n);
}

void pattern_trie_add(struct pattern_trie *trie, struct bytes pattern, void *value)
{
    struct bytes word;
    bool begun = false;
    if (!trie->root)
        trie->root = node_new(NULL, bytes_of("", 0));
    struct pattern_node *n = trie->root;
    while (next_word(&pattern, &begun, &word)) {
        struct pattern_node *child = child_of(n, word);
        n = child ? child : make_child(n, word);
    }
    vec_push(&n->values, value);
}

void pattern_trie_remove(struct pattern_trie *trie, struct bytes pattern, void *value)
{
    struct bytes word;
    bool begun = false;
    struct pattern_node *n = trie->root;
    while (n && next_word(&pattern, &begun, &word))
        n = child_of(n, word);
    check(n);
    size_t i = 0;
    while (i < n->values.count && n->values.items[i] != value)
        i++;
    vec_remove(&n->values, i);
    while (n && !is_needed(n)) {
        struct pattern_node *parent = n->parent;
        node_free(n);
        if (!parent)
            trie->root = NULL;
        n = parent;
    }
}

/* ---- matching ---- */

typedef VEC(struct pattern_node *) node_set;

/* Be at this node, and behind each `#` that may stand for nothing here. */
static void enter(struct pattern_node *n, uint64_t stamp, node_set *set)
{
    for (; n && n->stamp != stamp; n = n->hash) {
        n->stamp = stamp;
        vec_push(set, n);
    }
}

static void step(const node_set *from, struct bytes word, uint64_t stamp, node_set *to)
{
    for (size_t i = 0; i < from->count; i++) {
        struct pattern_node *n = from->items[i];
        enter(map_get(&n->words, word), stamp, to);
        enter(n->star, stamp, to);
        if (n->parent && n->parent->hash == n)
            enter(n, stamp, to); /* `#` takes one more */
    }
}

void pattern_trie_match(struct pattern_trie *trie, struct bytes key, pattern_values *out)
{
    node_set at = {0}, next = {0};
    struct bytes word;
    bool begun = false;
    enter(trie->root, ++trie->stamp, &at);
    while (at.count > 0 && next_word(&key, &begun, &word)) {
        vec_clear(&next);
        step(&at, word, ++trie->stamp, &next);
        node_set swap = at;
        at = next;
        next = swap;
    }
    for (size_t i = 0; i < at.count; i++)
        for (size_t j = 0; j < at.items[i]->values.count; j++)
            vec_push(out, at.items[i]->values.items[j]);
    vec_reset(&at);
    vec_reset(&next);
}
