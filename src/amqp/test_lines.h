/*
 * AMQP frames as lines of text, for tests and recordings. Said:
 *
 *   1 queue.declare queue=q durable arguments=x-max-length:l:10
 *   1 basic.publish routing_key=q mandatory | delivery_mode=2 | hello
 *   1 only basic.publish routing_key=q     the method's frame, without the content
 *   1 header 5 delivery_mode=2             a content header for 5 bytes
 *   1 body hello
 *   1 frame 8                              a frame of that type; then its payload in hex
 *   0 bytes 414d5150                       anything
 *   1 again                                close_ok and open, after an error
 *
 * Channel, method, arguments (a bit by its name alone; a table as key:tag:value,... or as #hex, of
 * a nested table the names of true bits and of an array its strings, with '/' between; '^' is NUL),
 * then for contents the properties and the body, where *5000 is a body of so many bytes.
 *
 * Heard: the same, all fields by name, tables in the words of amqp_table_dump().
 */
#ifndef AMQP_TEST_LINES_H
#define AMQP_TEST_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

void put_method(struct text *out, uint16_t channel, uint32_t method_id, const void *arguments);
void put_line(struct text *out, const char *line, uint32_t frame_max);

struct hearing {
    struct text lines;
    struct text content; /* the line of a content that is not whole yet */
    struct text body;
    uint64_t content_left;
    size_t body_frame_count;
    uint32_t frame_max;    /* no frame may be larger */
    size_t body_shown_max; /* larger bodies are shown as their size and checksum; 0: all is shown */
    bool shows_bytes;      /* tables are shown as the bytes they are */
};

void hearing_reset(struct hearing *);
/* Append a line for each whole method and content in front of `in`. Returns the bytes of the whole
 * frames. */
size_t hear_frames(struct hearing *, struct bytes in);

#endif
