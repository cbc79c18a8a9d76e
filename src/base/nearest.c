#include "base/nearest.h"

#include <string.h>

enum { EDITS_MAX = 4 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's distance, one row of the table at a time. `b` is shorter than a name may be. */
static size_t edit_distance(struct bytes a, struct bytes b)
{
    size_t row[NEAREST_NAME_BYTES];

    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a.data[i - 1] != b.data[j - 1]));
            diagonal = above;
        }
    }
    return row[b.size];
}

void nearest_consider(struct nearest *n, struct bytes wanted, struct bytes name)
{
    size_t most = (wanted.size + 2) / 3 < EDITS_MAX ? (wanted.size + 2) / 3 : EDITS_MAX;

    if (name.size == 0 || name.size >= NEAREST_NAME_BYTES || wanted.size > name.size + most)
        return;
    size_t edits = edit_distance(wanted, name);
    if (edits > most || (n->name[0] && edits >= n->edits))
        return;
    n->edits = edits;
    memcpy(n->name, name.data, name.size);
    n->name[name.size] = 0;
}
