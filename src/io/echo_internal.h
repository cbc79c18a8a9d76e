/*
 * A protocol for tests and measurements of links: frames of a 4-byte length and a body, answered as
 * they came. Bodies that begin with these letters do something else:
 *
 *   'h'  hold the input until the next frame    'c'  answer, then close
 *   'r'  answer by reference                    'b'  broken (E_MALFORMED)
 *   'g'  answer with body[1..5) (a u32) bytes of 'x', at most 64 KiB a turn ahead of the peer
 *   'p'  pause input                            'n'  no answer
 */
#ifndef IO_ECHO_INTERNAL_H
#define IO_ECHO_INTERNAL_H

#include "io/link.h"

enum { ECHO_FRAME_MAX_BYTES = 4 * 1024 * 1024 };

struct echo { /* the core */
    int open_count, gone_count, broken_count, drained_count, input_count, release_count;
    uint64_t input_bytes;
    uint64_t sent_to, gone_at; /* what the newest one's socket had taken, as told and at its end */
    enum err broken_code;
    char broken_text[128];
    struct link *newest;
    uint64_t newest_id;
};

extern const struct protocol echo_protocol;

/* Append a frame. */
void echo_put(struct text *out, struct bytes body);

#endif
