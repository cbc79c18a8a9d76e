/* Frames: type (octet), channel (short), size (long), payload, 0xCE (AMQP 0-9-1 s.4.2.3). */
#ifndef AMQP_FRAME_H
#define AMQP_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum frame_type {
    FRAME_METHOD = 1,
    FRAME_HEADER = 2,
    FRAME_BODY = 3,
    FRAME_HEARTBEAT = 8,
};

enum {
    FRAME_HEAD_BYTES = 7,
    FRAME_EMPTY_BYTES = 8, /* head and end */
    FRAME_END = 0xCE,
    FRAME_METHOD_HEAD_BYTES = 4,   /* class and method id */
    FRAME_CONTENT_HEAD_BYTES = 12, /* class, weight, body size; then the properties */
    CLASS_BASIC = 60,
};

struct frame {
    uint8_t type;
    uint16_t channel;
    struct bytes payload;
};

/* Read the head of the frame at `p`; the payload's place is given, whether or not it is there yet.
 */
static inline struct frame frame_read_head(const uint8_t *p)
{
    return (struct frame){p[0], get_u16(p + 1), bytes_of(p + FRAME_HEAD_BYTES, get_u32(p + 3))};
}

static inline uint8_t *frame_put_head(uint8_t *p, enum frame_type type, uint16_t channel,
                                      size_t payload_size)
{
    p[0] = (uint8_t)type;
    put_u16(p + 1, channel);
    put_u32(p + 3, (uint32_t)payload_size);
    return p + FRAME_HEAD_BYTES;
}

static inline uint8_t *frame_put_end(uint8_t *p)
{
    *p = FRAME_END;
    return p + 1;
}

#endif
