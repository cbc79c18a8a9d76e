/* "Did you mean": of the names that are known, the one that a wanted one was most likely meant to be. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

#include "base/bytes.h"

enum { NEAREST_NAME_BYTES = 256 }; /* a longer name is never suggested */

/* {0} to begin with. */
struct nearest {
    size_t edits;                  /* of `name` */
    char name[NEAREST_NAME_BYTES]; /* empty: none is near */
};

/* Keep `name` if it is near what was wanted, and nearer than those before: a third of the characters, and at most
 * four, are inserted, removed or changed. */
void nearest_consider(struct nearest *, struct bytes wanted, struct bytes name);

#endif
