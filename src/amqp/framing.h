/*
 * The framing half: received bytes to commands. Runs where the socket is read.
 *
 *   AWAIT_HEADER --"AMQP" 0 0 9 1--> RUNNING --broken rules--> DEAF
 *         \--anything else--> DEAF
 *
 * A publish whose three frames are all there becomes a command without any copy (take_content()).
 * Otherwise its pieces are gathered by an assembly, one for each channel. What the peer announces
 * is never allocated before it arrives. Once rules are broken, one last command says so and
 * everything behind it is swallowed. The frame size limit follows tune-ok as it passes by; the core
 * half is who judges whether that tune-ok was acceptable.
 */
#ifndef AMQP_FRAMING_H
#define AMQP_FRAMING_H

#include "amqp/command.h"
#include "amqp/frame.h"
#include "base/map.h"

extern const struct framing amqp_framing;

enum framing_state { FRAMING_AWAIT_HEADER, FRAMING_RUNNING, FRAMING_DEAF };

struct framing_half {
    enum framing_state state;
    uint32_t frame_max; /* INITIAL_FRAME_MAX until tune-ok */
    uint64_t message_max_bytes;
    struct idmap assemblies; /* channel -> struct assembly, contents that are not whole yet */
};

/* One parse call. */
struct parse {
    struct framing_half *half;
    struct rbuf *rbuf;
    struct input_list *out;
    struct command_batch *batch; /* gathers commands; NULL until there is one */
    size_t frame_bytes;          /* of the frames being read, for the budget */
};

/* A new command at the end of the call's batch. */
struct command *parse_add(struct parse *p, enum command_kind kind, uint16_t channel,
                          uint32_t method_id);
/* Pass the gathered batch on, so that what is pushed next comes behind it. */
void parse_flush(struct parse *p);
void parse_push(struct parse *p, struct command_batch *batch);
/* A batch of its own, with room for `size` bytes and a command. */
struct command_batch *command_batch_new(size_t size);
struct command *command_batch_add(struct command_batch *batch, enum command_kind kind,
                                  uint16_t channel, uint32_t method_id);
/* The client broke a rule: say so in order with what came before, and read no more. */
void parse_break(struct parse *p, enum reply_code code, uint32_t method_id, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void parse_break_utf8(struct parse *p);

/* ---- contents (assembly.c) ---- */

/* A basic.publish frame: with its header and body if they are in `rest`, whose taken part is
 * returned as a size; else 0, and an assembly waits for them. False in *ok: the method cannot be
 * decoded. */
size_t parse_publish(struct parse *p, const struct frame *frame, struct bytes rest, bool *ok);
/* Any other frame, of a channel that waits for the rest of a content. */
struct assembly;
void parse_content(struct parse *p, struct assembly *a, const struct frame *frame);
void assembly_free(struct assembly *a);

#endif
