#include "tests/test.h"

#include <stdio.h>

#include "base/random.h"
#include "broker/pattern_trie.h"

static struct bytes B(const char *s) {
    return bytes_from_string(s);
}

static bool
matches(const char *pattern, const char *key)
{
    struct pattern_trie trie = {0};
    pattern_values found = {0};
    int value;
    pattern_trie_add(&trie, B(pattern), &value);
    pattern_trie_match(&trie, B(key), &found);
    expect_true(found.count <= 1);
    bool any = found.count == 1;
    vec_reset(&found);
    pattern_trie_remove(&trie, B(pattern), &value);
    expect_null(trie.root);
    return any;
}

TEST(words_stars_and_hashes_match_as_rabbitmq_does)
{
    expect_true(matches("a.b.c", "a.b.c"));
    expect_false(matches("a.b.c", "a.b"));
    expect_false(matches("a.b", "a.b.c"));
    expect_false(matches("a.b.c", "A.b.c"));
    expect_true(matches("*", "a"));
    expect_false(matches("*", "a.b"));
    expect_false(matches("*", "")); /* no words */
    expect_true(matches("#", ""));
    expect_true(matches("", ""));
    expect_false(matches("", "a"));
    expect_true(matches("a.*", "a.")); /* an empty word */
    expect_false(matches("a", "a."));
    expect_true(matches("#", "a.b.c"));
    expect_true(matches("a.#", "a"));
    expect_true(matches("a.#.c", "a.c"));
    expect_true(matches("a.#.c", "a.b.b.c"));
    expect_false(matches("a.#.c", "a.c.d"));
    expect_true(matches("#.#", ""));
    expect_true(matches("*.#", "a"));
    expect_false(matches("*.#", ""));
    expect_true(matches("#.*.#", "a.b.c"));
    expect_true(matches("..", ".."));
    expect_true(matches("*.*.*", ".."));
}

/* The textbook's recursion. */
static bool naive(const char *const *p, int pn, const char *const *k, int kn)
{
    if (pn == 0)
        return kn == 0;
    if (p[0][0] == '#')
        return naive(p + 1, pn - 1, k, kn) || (kn > 0 && naive(p, pn, k + 1, kn - 1));
    return kn > 0 && (p[0][0] == '*' || p[0][0] == k[0][0]) && naive(p + 1, pn - 1, k + 1, kn - 1);
}

static int draw_words(struct random *random, const char *const *alphabet, uint32_t letters,
                      const char **words, char *text)
{
    int count = (int)random_below(random, 6);
    text[0] = 0;
    for (int i = 0; i < count; i++) {
        words[i] = alphabet[random_below(random, letters)];
        snprintf(text + strlen(text), 16 - strlen(text), "%s%s", i ? "." : "", words[i]);
    }
    return count;
}

TEST(many_patterns_match_as_each_does_alone)
{
    enum { PATTERNS = 60 };
    static const char *const alphabet[] = {"a", "b", "*", "#"};
    struct random random;
    random_init(&random, test_seed());
    for (int round = 0; round < 50; round++) {
        struct pattern_trie trie = {0};
        const char *words[PATTERNS][6], *key_words[6];
        int counts[PATTERNS];
        char text[PATTERNS][16], key[16];
        for (int i = 0; i < PATTERNS; i++) {
            counts[i] = draw_words(&random, alphabet, 4, words[i], text[i]);
            pattern_trie_add(&trie, B(text[i]), text[i]);
        }
        for (int gone = 0; gone < PATTERNS; gone++) {
            int key_count = draw_words(&random, alphabet, 2, key_words, key);
            pattern_values found = {0};
            pattern_trie_match(&trie, B(key), &found);
            size_t wanted = 0;
            for (int i = gone; i < PATTERNS; i++)
                wanted += naive(words[i], counts[i], key_words, key_count);
            expect_int(found.count, wanted);
            vec_reset(&found);
            pattern_trie_remove(&trie, B(text[gone]), text[gone]);
        }
        expect_null(trie.root);
    }
}

TEST(a_pattern_of_many_hashes_is_no_attack)
{
    struct pattern_trie trie = {0};
    pattern_values found = {0};
    struct text pattern = {0}, key = {0};
    int value;
    text_append_string(&pattern, "#");
    text_append_string(&key, "a");
    while (pattern.size < 250)
        text_append_string(&pattern, ".a.#");
    text_append_string(&pattern, ".b");
    while (key.size < 250)
        text_append_string(&key, ".a");
    pattern_trie_add(&trie, text_bytes(&pattern), &value);
    for (int i = 0; i < 1000; i++)
        pattern_trie_match(&trie, text_bytes(&key), &found);
    expect_int(found.count, 0);
    pattern_trie_remove(&trie, text_bytes(&pattern), &value);
    expect_null(trie.root);
    text_reset(&pattern);
    text_reset(&key);
}
