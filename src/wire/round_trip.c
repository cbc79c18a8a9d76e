#include "wire/round_trip.h"

#include <stdlib.h>

#include "base/mem.h"
#include "tests/test.h"

enum { ARENA_LIMIT_BYTES = 4 << 20, DAMAGES = 8, CUTS_MAX = 300 };

/* Both walkers behind one face; AMQP has no versions. */
struct codec {
    const struct wire_schema *schema;
    int version;
    bool is_amqp;
};

static enum err decode(const struct codec *c, struct bytes b, struct arena *arena, void *out,
                       size_t *out_left)
{
    struct reader r = reader_of(b);
    enum err err = c->is_amqp ? amqp_wire_decode(c->schema, &r, out)
                              : wire_decode(c->schema, c->version, &r, arena, out);
    *out_left = reader_left(&r);
    return err;
}

static enum err encode(const struct codec *c, const void *in, struct text *out)
{
    return c->is_amqp ? amqp_wire_encode(c->schema, in, out)
                      : wire_encode(c->schema, c->version, in, out);
}

static enum err measure(const struct codec *c, const void *in, size_t *out)
{
    return c->is_amqp ? amqp_wire_size(c->schema, in, out)
                      : wire_size(c->schema, c->version, in, out);
}

static void dump(const struct codec *c, const void *in, struct text *out)
{
    if (c->is_amqp)
        amqp_wire_dump(c->schema, in, out);
    else
        wire_dump(c->schema, c->version, in, out);
}

/* Exactly as long as needed, so that the sanitizer sees a read behind the end. */
static struct bytes exact_copy(struct bytes b, size_t size)
{
    uint8_t *data = xmalloc(size);
    if (size > 0)
        memcpy(data, b.data, size);
    return (struct bytes){data, size};
}

/* Each property returns what is wrong, or NULL. */
static const char *check_same(const struct codec *c, const void *message, struct bytes encoded)
{
    struct arena arena;
    arena_init(&arena, ARENA_LIMIT_BYTES);
    struct bytes input = exact_copy(encoded, encoded.size);
    void *again = xmalloc(c->schema->size);
    struct text text[3] = {0};
    size_t size = 0, left = 0;
    const char *wrong = NULL;

    if (measure(c, message, &size) || size != encoded.size)
        wrong = "the measured size differs from the encoded";
    else if (decode(c, input, &arena, again, &left) || left > 0)
        wrong = "it does not decode, or not to its end";
    else if (encode(c, again, &text[0]) || !bytes_equal(text_bytes(&text[0]), encoded))
        wrong = "encoded again the bytes differ";
    if (!wrong) {
        dump(c, message, &text[1]);
        dump(c, again, &text[2]);
        if (!bytes_equal(text_bytes(&text[1]), text_bytes(&text[2])))
            wrong = "the dumps differ";
    }
    for (int i = 0; i < 3; i++)
        text_reset(&text[i]);
    free(again);
    free((void *)(uintptr_t)input.data);
    arena_reset(&arena);
    return wrong;
}

/* Every prefix of a message is too short for it. */
static const char *check_cuts(const struct codec *c, struct bytes encoded)
{
    void *out = xmalloc(c->schema->size);
    size_t step = 1 + encoded.size / CUTS_MAX;
    const char *wrong = NULL;
    for (size_t size = 0; size < encoded.size && !wrong; size += step) {
        struct arena arena;
        arena_init(&arena, ARENA_LIMIT_BYTES);
        struct bytes input = exact_copy(encoded, size);
        size_t left;
        if (decode(c, input, &arena, out, &left) != E_MALFORMED)
            wrong = "cut short it is not refused";
        free((void *)(uintptr_t)input.data);
        arena_reset(&arena);
    }
    free(out);
    return wrong;
}

/* Damaged bytes give an error or another message, which then is as good as any. */
static const char *check_damage(const struct codec *c, struct bytes encoded, struct random *random)
{
    void *out = xmalloc(c->schema->size);
    const char *wrong = NULL;
    for (int i = 0; i < DAMAGES && encoded.size > 0 && !wrong; i++) {
        struct arena arena;
        arena_init(&arena, ARENA_LIMIT_BYTES);
        struct bytes input = exact_copy(encoded, encoded.size);
        uint8_t *data = (uint8_t *)(uintptr_t)input.data;
        struct text text = {0};
        size_t left;
        data[random_below(random, encoded.size)] = (uint8_t)random_u64(random);
        if (decode(c, input, &arena, out, &left) == OK) {
            dump(c, out, &text);
            if (encode(c, out, &text))
                wrong = "what damaged bytes decode to cannot be encoded";
        }
        text_reset(&text);
        free(data);
        arena_reset(&arena);
    }
    free(out);
    return wrong;
}

static const char *check_one(const struct codec *c, uint64_t seed)
{
    struct random random;
    struct arena arena;
    struct text encoded = {0};
    void *message = xmalloc(c->schema->size);
    const char *wrong = NULL;
    random_init(&random, seed);
    arena_init(&arena, ARENA_LIMIT_BYTES);

    bool filled = c->is_amqp ? amqp_wire_random(c->schema, &random, &arena, message)
                             : wire_random(c->schema, c->version, &random, &arena, message);
    if (!filled || encode(c, message, &encoded))
        wrong = "it cannot be made or encoded";
    if (!wrong)
        wrong = check_same(c, message, text_bytes(&encoded));
    if (!wrong)
        wrong = check_cuts(c, text_bytes(&encoded));
    if (!wrong)
        wrong = check_damage(c, text_bytes(&encoded), &random);

    text_reset(&encoded);
    free(message);
    arena_reset(&arena);
    return wrong;
}

static void round_trip_many(const struct codec *c, int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t seed = test_seed() + (uint64_t)i;
        const char *wrong = check_one(c, seed);
        if (wrong)
            fail_msg("%s v%d, seed %llu: %s", c->schema->name, c->version, (unsigned long long)seed,
                     wrong);
    }
}

void round_trip_version(const struct wire_schema *schema, int version, int count)
{
    round_trip_many(&(struct codec){schema, version, false}, count);
}

void round_trip(const struct wire_schema *schema, int count)
{
    for (int version = schema->min; version <= schema->max; version++)
        round_trip_version(schema, version, count);
}

void round_trip_amqp(const struct wire_schema *schema, int count)
{
    round_trip_many(&(struct codec){schema, 0, true}, count);
}
