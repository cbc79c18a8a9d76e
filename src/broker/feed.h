/*
 * A feed gives a log's records by offset, mostly one after the other: from memory where they still
 * are, else by reads from files, ahead of who goes on. Each batch is decoded once in a pass, also when the pass
 * takes many turns. Between turns a feed holds no memory of the log, except what a read has
 * brought; all feeds together keep at most FEED_HELD_BYTES of that, the least recently used goes
 * first.
 */
#ifndef BROKER_FEED_H
#define BROKER_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "log/store.h"

struct feeds; /* what they share */
struct feed;

enum {
    FEED_READ_MIN_BYTES = 256 << 10,
    FEED_READ_MAX_BYTES = 512 << 10,
    FEED_HELD_BYTES = 64 << 20,
    FEED_AHEAD_BYTES = 8 << 20, /* what all feeds together read before it is asked for */
};

struct feeds *feeds_new(void);
void feeds_free(struct feeds *feeds); /* accepts NULL */

/* `arrived` is called in a later turn after feed_at() has answered E_COLD. */
struct feed *feed_new(struct feeds *feeds, struct log *log, void (*arrived)(void *ctx), void *ctx);
/* A read under way is left to end by itself. Accepts NULL. The memory is kept for the next one. */
void feed_free(struct feed *feed);
/* What feed_at() has answered E_COLD for has not arrived yet. */
bool feed_is_reading(const struct feed *feed);
/* Nothing is being read, nothing that was read is held. */
bool feed_is_idle(const struct feed *feed);

/* The first record at or above `offset` and below `limit`; its bytes are valid in this turn, and
 * `*out_chunk` holds them (NULL: the read does, until feed_rest()).
 * E_NOT_FOUND: there is none. E_COLD: being read; out->offset is what to ask for next, because what
 * was asked for may lie in a hole that compaction has left. E_CORRUPT: the batch that holds `offset` cannot
 * be decoded; out->offset is where the records behind it begin. E_IO, E_CLOSED: the read failed. */
must_use enum err feed_at(struct feed *feed, int64_t offset, int64_t limit, struct record *out);
/* The end of a pass in this turn: forget pointers into the log's memory. */
void feed_rest(struct feed *feed);
/* What holds the record that feed_at() gave last, to keep it until the turn has ended. */
struct chunk *feed_chunk(const struct feed *feed);

#endif
