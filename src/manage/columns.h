/* Columns of rows: "name", or "message_stats.publish", which goes into objects. */
#ifndef MANAGE_COLUMNS_H
#define MANAGE_COLUMNS_H

#include <jansson.h>

#include "base/bytes.h"

/* The member that "a.b" leads to, borrowed; or NULL. */
json_t *columns_find(const json_t *row, struct bytes path);
/* The order of two values, as Erlang orders what is of different types. What is not there (NULL)
 * counts as 0. */
int columns_compare(const json_t *a, const json_t *b);

#endif
