/* What the two halves of `pabal consume` share: consume.c has the command, consume_topic.c and
 * consume_queue.c have the sources. */
#ifndef CLI_CONSUME_INTERNAL_H
#define CLI_CONSUME_INTERNAL_H

#include "cli/amqp_client.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/place.h"

enum { CONSUME_WAIT_MS = 500 }; /* at a time, so that limits are seen */

enum ack_mode { ACK_AUTO, ACK_EACH, ACK_NONE, ACK_REJECT, ACK_REQUEUE };

struct consume_options {
    struct common common;
    struct amqp_login login;
    const char *topic, *group, *queue, *ack;
    const char *format;     /* NULL: the value and a newline */
    struct place place;     /* where to begin */
    int64_t count, idle_ns; /* 0: no limit */
    int64_t partition;      /* -1: all */
    enum ack_mode ack_mode; /* what `ack` says */
    int64_t prefetch;       /* 0: as many as are good */
    bool stops_at_end;
};

struct consume {
    const struct consume_options *options;
    uint64_t count;
    int64_t last_ns; /* when the last message came */
    struct text line;
};

/* --count, --idle, or in a group a signal. */
bool consume_is_done(const struct consume *c);
/* With a newline behind it. */
void consume_print(struct consume *c, struct bytes message);
void consume_print_json(struct consume *c, json_t *object); /* takes the reference */

/* E_INVALID says what it may be. */
enum err consume_ack_parse(const char *text, enum ack_mode *out);

enum err consume_topic(struct consume *c);
enum err consume_queue(struct consume *c);

#endif
