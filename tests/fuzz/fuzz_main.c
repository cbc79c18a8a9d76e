/*
 * Runs a fuzz target without libFuzzer, as a test: every file of a corpus folder, then that many
 * inputs made from them by cutting, changing bytes and joining. A crash is the failure.
 *
 *     x_fuzz_corpus FOLDER COUNT
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/vec.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX_BYTES = 1 << 16, CHANGES_MAX = 8 };

static VEC(struct text) corpus;

static void read_input(const char *path)
{
    struct text t = {0};
    FILE *file = fopen(path, "rb");
    check(file);
    uint8_t *at = text_reserve(&t, INPUT_MAX_BYTES);
    t.size = fread(at, 1, INPUT_MAX_BYTES, file);
    fclose(file);
    vec_push(&corpus, t);
}

static void read_corpus(const char *folder)
{
    DIR *dir = opendir(folder);
    check(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char *path = xasprintf("%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            read_input(path);
        free(path);
    }
    closedir(dir);
    check(corpus.count > 0);
}

/* As libFuzzer does: a block of exactly that size, so that a sanitizer sees any step over its end.
 */
static void try_input(const uint8_t *data, size_t size)
{
    uint8_t *copy = xmalloc(size);
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void mutate(struct text *t, struct random *random)
{
    struct text other = corpus.items[random_below(random, corpus.count)];
    if (random_below(random, 4) == 0) {
        size_t from = random_below(random, other.size + 1);
        text_append(t, bytes_of(other.data + from, other.size - from));
    }
    if (random_below(random, 4) == 0)
        t->size = random_below(random, t->size + 1);
    for (uint64_t i = random_below(random, CHANGES_MAX); i > 0 && t->size > 0; i--) {
        static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
        uint8_t *at = t->data + random_below(random, t->size);
        *at =
            random_below(random, 2) ? (uint8_t)random_u64(random) : edges[random_below(random, 5)];
    }
}

int main(int argc, char **argv)
{
    struct random random;
    const char *seed = getenv("PABAL_TEST_SEED");
    if (argc != 3)
        return 2;
    random_init(&random, seed ? strtoull(seed, NULL, 10) : 1);
    read_corpus(argv[1]);
    for (size_t i = 0; i < corpus.count; i++)
        try_input(corpus.items[i].data, corpus.items[i].size);
    for (long i = strtol(argv[2], NULL, 10); i > 0; i--) {
        struct text t = {0};
        text_append(&t, text_bytes(&corpus.items[random_below(&random, corpus.count)]));
        mutate(&t, &random);
        try_input(t.data, t.size);
        text_reset(&t);
    }
    for (size_t i = 0; i < corpus.count; i++)
        text_reset(&corpus.items[i]);
    vec_reset(&corpus);
    return 0;
}
