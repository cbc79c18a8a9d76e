/*
 * The framing half: bytes of a connection -> struct request. A frame is an i32 size and that many
 * bytes: i16 key, i16 version, i32 correlation id, i16-length client id (null: -1), in flexible
 * versions a tag buffer, then the body. Runs on the I/O side and knows no state but the frame.
 *
 * What is decoded costs at most FRAME_AMPLIFICATION bytes for each byte sent, within bounds. The
 * body borrows its strings and records from the receive buffer when it is a large Produce, which is
 * executed at once; everything else from a copy in its own arena, so that no receive buffer waits
 * for a long poll.
 *
 * A broken stream ends the connection: a size that cannot be, another protocol (named in the log
 * line when it can be told), an API or version that is not served, a body that does not parse.
 */
#ifndef KAFKA_FRAMING_H
#define KAFKA_FRAMING_H

#include "io/link.h"

enum {
    FRAME_MAX_BYTES = 100 << 20, /* Kafka's socket.request.max.bytes */
    FRAME_COPY_MAX_BYTES = 4096,
    FRAME_AMPLIFICATION = 16,
    FRAME_ARENA_MIN_BYTES = 64 << 10,
    FRAME_ARENA_MAX_BYTES = 64 << 20, /* besides the frame itself */
};

extern const struct framing kafka_framing;

#endif
