/*
 * Prometheus' text format, 0.0.4: families of lines. A family's lines must stand together, so each
 * family gathers its lines in a text of its own, and all are put together at the end.
 */
#ifndef MANAGE_EXPOSITION_H
#define MANAGE_EXPOSITION_H

#include <stdbool.h>

#include "base/bytes.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* "# HELP ..." and "# TYPE ..."; `name` without the prefix. */
void exposition_head(struct text *out, const char *prefix, const char *name, bool is_counter,
                     const char *help);
/* One line. `labels` is "" or `a="b",c="d"`. */
void exposition_line(struct text *out, const char *prefix, const char *name, const char *labels,
                     double value);
/* Head and one line. */
void exposition_one(struct text *out, const char *prefix, const char *name, bool is_counter,
                    const char *help, const char *labels, double value);
/* Append `name="value"`, escaped, behind a comma if something is there. */
void exposition_label(struct text *labels, const char *name, struct bytes value);

#endif
