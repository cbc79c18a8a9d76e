/*
 * The bytes of one simulated file: 4 KiB pages that versions of the file share and copy when
 * written, so that keeping an old version, or cloning a whole disk, costs a counter. A page that
 * was never allocated is a hole; one that was allocated but not written is the common page of
 * zeros.
 */
#ifndef IO_SIM_CONTENT_H
#define IO_SIM_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { SIM_PAGE_BYTES = 4096 };

struct content;

struct content *content_new(void);
struct content *content_ref(struct content *c);
void content_unref(struct content *c); /* accepts NULL */

uint64_t content_size(const struct content *c);
uint64_t content_allocated_pages(const struct content *c);
/* How many of the `size` bytes from `position` on can be written when `free_pages` more pages may
 * be allocated. */
size_t content_room(const struct content *c, uint64_t position, size_t size, uint64_t free_pages);

/* [position, position + size) lies inside the content. */
void content_read(const struct content *c, uint64_t position, void *out, size_t size);

/* These change *c, which becomes a copy when somebody else holds the same version. */
void content_write(struct content **c, uint64_t position, struct bytes b);
void content_zero(struct content **c, uint64_t from, uint64_t to); /* allocates; grows to `to` */
void content_set_size(struct content **c, uint64_t size);
void content_flip_bit(struct content **c, uint64_t position);

#endif
