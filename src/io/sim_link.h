/*
 * A link without a socket: a test feeds bytes and collects what the protocol writes. It keeps the
 * contract of io/link.h, and is stricter where that finds bugs: each parse gets its bytes in a
 * buffer of exactly their size, so an overread or a use without a reference shows under the address
 * sanitizer.
 */
#ifndef IO_SIM_LINK_H
#define IO_SIM_LINK_H

#include <stdbool.h>

#include "base/random.h"
#include "io/link.h"

struct sim_link;

/* A connection from 127.0.0.1, or from `peer` when it is not NULL. The session is opened. */
struct sim_link *sim_link_new(const struct protocol *protocol, void *core,
                              const struct endpoint *peer);
/* The session gets gone() when it did not yet. Accepts NULL. */
void sim_link_free(struct sim_link *);
struct link *sim_link_link(struct sim_link *);

/* ---- what the peer does ---- */

/* Send bytes: whole frames become inputs of the core half before this returns. False when the
 * connection takes nothing more (closing, broken, paused: what was fed is lost). */
bool sim_link_feed(struct sim_link *, struct bytes b);
/* The same in pieces of random sizes; with every seed the protocol must do the same. */
bool sim_link_feed_split(struct sim_link *, struct bytes b, struct random *random);
/* The peer closes. What was written before is still sent. */
void sim_link_end(struct sim_link *);
/* The connection is lost at once, with what the peer has not read. */
void sim_link_break(struct sim_link *);
/* The peer reads nothing more, or goes on reading. */
void sim_link_block(struct sim_link *, bool block);
/* When the following bytes arrive; link->last_input_ns shows it. Starts at 0. */
void sim_link_set_now(struct sim_link *, int64_t now_ns);

/* ---- what the peer sees ---- */

/* End the turn: what was written goes to the peer, drained() and gone() follow. */
void sim_link_turn(struct sim_link *);
/* End the turn; all that the peer received since sim_link_clear(). Valid until the next call. */
struct bytes sim_link_output(struct sim_link *);
void sim_link_clear(struct sim_link *);
/* The link was closed and the session has got gone(). */
bool sim_link_is_gone(const struct sim_link *);
/* Inputs that the core half has not freed. */
size_t sim_link_unfreed_count(const struct sim_link *);

#endif
