#include "tests/sim/rules_ledger.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- facts ---- */

bool fact_is_full(const struct fact *f)
{
    return f->count == FACT_VALUES;
}

uint32_t fact_newest(const struct fact *f)
{
    return f->count > 0 ? f->values[f->count - 1] : 0;
}

uint32_t fact_newest_index(const struct fact *f)
{
    return f->first + f->count - 1;
}

uint32_t fact_change(struct fact *f, uint32_t value)
{
    check(f->count > 0 && !fact_is_full(f));
    f->values[f->count++] = value;
    return fact_newest_index(f);
}

void fact_answered(struct fact *f, uint32_t index)
{
    if (index <= f->first)
        return;
    uint32_t gone = index - f->first;
    check(gone < f->count);
    f->count -= gone;
    memmove(f->values, f->values + gone, f->count * sizeof *f->values);
    f->first = index;
}

bool fact_may_be(const struct fact *f, uint32_t value)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (f->values[i] == value)
            return true;
    return false;
}

void fact_set(struct fact *f, uint32_t value)
{
    f->first += f->count;
    f->count = 1;
    f->values[0] = value;
}

/* ---- life ---- */

void ledger_copy(struct ledger *to, const struct ledger *from)
{
    for (size_t i = 0; i < from->letters.count; i++)
        vec_push(&to->letters, from->letters.items[i]);
    for (size_t i = 0; i < from->transactions.count; i++)
        vec_push(&to->transactions, from->transactions.items[i]);
    for (size_t i = 0; i < from->removals.count; i++)
        vec_push(&to->removals, from->removals.items[i]);
    for (size_t i = 0; i < from->removed.count; i++)
        vec_push(&to->removed, from->removed.items[i]);
    memcpy(to->facts, from->facts, sizeof to->facts);
    to->last_value = from->last_value;
}

void ledger_reset(struct ledger *l)
{
    vec_reset(&l->letters);
    vec_reset(&l->transactions);
    vec_reset(&l->removals);
    vec_reset(&l->removed);
}

/* ---- removals ---- */

uint32_t ledger_remove(struct ledger *l, const uint32_t *letters, size_t count, int fact)
{
    vec_push(&l->removals, ((struct removal){
                               .first = (uint32_t)l->removed.count,
                               .count = (uint32_t)count,
                               .fact = fact,
                               .value = fact < 0 ? 0 : fact_newest(&l->facts[fact]),
                           }));
    for (size_t i = 0; i < count; i++) {
        l->letters.items[letters[i]].acked++;
        vec_push(&l->removed, letters[i]);
    }
    return (uint32_t)l->removals.count - 1;
}

void ledger_removal_answered(struct ledger *l, uint32_t removal)
{
    struct removal *r = &l->removals.items[removal];
    r->is_answered = true;
    for (uint32_t i = 0; i < r->count; i++)
        l->letters.items[l->removed.items[r->first + i]].acked_durably++;
}

/* ---- comparing ---- */

struct finding {
    char *text;
    size_t size;
    bool any;
};

static void __attribute__((format(printf, 2, 3)))
complain(struct finding *f, const char *format, ...)
{
    if (f->any)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(f->text, f->size, format, args);
    va_end(args);
    f->any = true;
}

static void compare_letter(struct finding *f, const struct letter *l, uint32_t number,
                           uint32_t found)
{
    uint32_t most = l->copies - l->acked_durably, least = l->copies - l->acked;
    if (found > most)
        complain(f, "letter %u is there %u times, %u at most", number, found, most);
    if (found < least && (l->confirmed || found > 0))
        complain(f, "letter %u is there %u times, %u at least%s", number, found, least,
                 l->confirmed ? "" : ", or not at all");
}

/* One of both is there, until a client has settled what was sent. */
static bool is_half(const struct ledger *l, const struct transaction *t, const uint32_t *found)
{
    return l->letters.items[t->sent].acked == 0 && (found[t->sent] > 0) == (found[t->settled] > 0);
}

/* Nobody but the removal can have taken it away. */
static bool tells_of_removal(const struct letter *l)
{
    return l->confirmed && l->copies == 1 && l->acked == 1;
}

static void compare_removal(struct finding *f, const struct ledger *l, const struct removal *r,
                            const uint32_t *found)
{
    uint32_t there = 0, gone = 0;
    for (uint32_t i = r->first; i < r->first + r->count; i++) {
        uint32_t letter = l->removed.items[i];
        if (!tells_of_removal(&l->letters.items[letter]))
            continue;
        there += found[letter] > 0;
        gone += found[letter] == 0;
    }
    bool has_queue = r->fact >= 0 && fact_newest(&l->facts[r->fact]) == r->value;
    if (there > 0 && gone > 0)
        complain(f, "half of a removal: %u letters are there, %u are not", there, gone);
    if (has_queue && gone > 0)
        complain(f, "%u letters are gone, the queue is not", gone);
    if (r->fact >= 0 && !has_queue && there > 0)
        complain(f, "%u letters are there, their queue is gone", there);
}

bool ledger_compare(const struct ledger *l, const uint32_t *found, char *out, size_t size)
{
    struct finding f = {out, size, false};
    for (uint32_t i = 0; i < l->letters.count; i++)
        compare_letter(&f, &l->letters.items[i], i, found[i]);
    for (size_t i = 0; i < l->transactions.count; i++) {
        const struct transaction *t = &l->transactions.items[i];
        if (is_half(l, t, found))
            complain(&f, "half of a transaction: letter %u is there %u times, letter %u %u times",
                     t->sent, found[t->sent], t->settled, found[t->settled]);
    }
    for (size_t i = 0; i < l->removals.count; i++)
        if (!l->removals.items[i].is_answered)
            compare_removal(&f, l, &l->removals.items[i], found);
    return !f.any;
}

void ledger_adopt(struct ledger *l, const uint32_t *found)
{
    for (size_t i = 0; i < l->letters.count; i++) {
        struct letter *letter = &l->letters.items[i];
        letter->copies = found[i];
        letter->acked = letter->acked_durably = 0;
        letter->confirmed = true;
    }
    vec_clear(&l->transactions);
    vec_clear(&l->removals);
    vec_clear(&l->removed);
}
