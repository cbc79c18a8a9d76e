/*
 * What every link has in the core, be there a socket behind it or a test: what was written in this
 * turn, as blocks, and the budget of its inputs. The hub (and io/sim_link.c) embed it and take the
 * blocks at the end of the turn.
 */
#ifndef IO_LINK_INTERNAL_H
#define IO_LINK_INTERNAL_H

#include "io/link.h"

/* ---- blocks: bytes on their way out ---- */

enum { BLOCK_SMALL_BYTES = 2048, BLOCK_LARGE_BYTES = 16384, BLOCK_CLASS_COUNT = 2 };

struct block {
    struct block *next;
    const uint8_t *data; /* its own bytes, or those of link_write_ref() */
    struct file *file;   /* of link_write_file(); instead of data. Else NULL */
    uint64_t position;
    size_t size;
    size_t capacity; /* 0: borrowed */
    void (*release)(void *ctx);
    void *ctx;
    uint8_t bytes[];
};

struct block_list {
    struct block *first, *last;
};

struct block *block_list_pop(struct block_list *list);
/* Put all of `from` behind `to` and empty it. */
void block_list_move(struct block_list *to, struct block_list *from);

struct block_pool { /* the core's */
    struct block_list free[BLOCK_CLASS_COUNT];
    size_t free_count[BLOCK_CLASS_COUNT];
};

/* Release what the blocks borrow and keep or free the blocks. In the core. */
void block_pool_take_back(struct block_pool *pool, struct block *first);
void block_pool_reset(struct block_pool *pool);

/* ---- inputs that were not freed yet ---- */

struct input_owner {
    uint32_t count;
    size_t bytes;
    void (*freed)(struct input_owner *owner, size_t bytes);
};

/* Count an input that is handed to the core half. */
void input_owner_add(struct input_owner *owner, struct input *input);
/* Free inputs that are delivered to nobody. */
void input_free_all(struct input *first);

/* ---- the link's base ---- */

struct link_base {
    struct link link;
    struct input_owner owner;
    struct block_pool *pool;
    struct block_list out;       /* written in this turn */
    struct block_list discarded; /* written after the close */
    struct block *reserved;      /* the newest reservation */
    size_t out_bytes;
    bool paused;
    bool gated; /* not read while the gate is shut */
    bool is_changed;
    void (*changed)(struct link_base *base); /* once, until is_changed is cleared */
};

static inline struct link_base *link_base_of(struct link *link)
{
    return (struct link_base *)link;
}

void link_base_note_change(struct link_base *base);
/* Forget and release everything written and not taken. */
void link_base_discard(struct link_base *base);

#endif
