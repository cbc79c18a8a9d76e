/*
 * Commands: what the framing half makes of received frames, and the core half executes.
 *
 * One parse call gives one command_batch: an input with its commands in one arena, borrowing names,
 * properties and bodies from the receive buffer. A content whose frames arrive over several calls
 * is gathered in a batch of its own. A command whose channel is busy stays parked, so a batch
 * counts its commands still to be executed, and is freed with the last one.
 */
#ifndef AMQP_COMMAND_H
#define AMQP_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/reply.h"
#include "broker/message.h"
#include "io/link.h"
#include "wire/amqp_wire.h"

enum command_kind {
    COMMAND_HEADER,  /* the protocol header: the client wants to begin */
    COMMAND_PUBLISH, /* basic.publish with its content */
    COMMAND_SETTLE,  /* basic.ack, basic.nack, basic.reject */
    COMMAND_METHOD,  /* every other method */
    COMMAND_BROKEN,  /* the client broke the rules of framing; nothing follows */
    COMMAND_FOREIGN, /* these bytes are no AMQP 0-9-1; nothing follows */
};

struct command_batch;

/* The content's properties that a publish has to look at. */
enum publish_flag {
    PUBLISH_MANDATORY = 1,
    PUBLISH_IMMEDIATE = 2,
    PUBLISH_HAS_EXPIRATION = 4,
    PUBLISH_HAS_USER_ID = 8,
    PUBLISH_HAS_FAST_REPLY_TO = 16, /* the pseudo-queue of direct reply-to */
    PUBLISH_HAS_EXTRA_KEYS = 32,    /* header CC or BCC */
    PUBLISH_TOO_LARGE = 64,         /* the body was skipped */
    PUBLISH_BAD_PROPERTIES = 128,
};

struct command_publish {
    struct message message;
    uint64_t body_size; /* as the header says; message.body when it was not skipped */
    uint32_t flags;     /* enum publish_flag */
};

struct command_settle {
    uint64_t delivery_tag;
    bool multiple, requeue;
    bool is_ack;    /* else the message is rejected */
    bool is_reject; /* by basic.reject, which says that it could not be handled (RabbitMQ 4.3) */
};

struct command {
    struct command *next; /* in its batch, later behind others that wait for the same channel */
    struct command_batch *batch;
    enum command_kind kind;
    uint32_t method_id; /* class << 16 | method; 0 when there is none */
    uint16_t channel;
    union {
        struct command_publish publish;
        struct command_settle settle;
        struct {
            const struct wire_method *method;
            void *arguments; /* the method's struct */
        };
        struct {
            enum reply_code code;
            const char *text; /* in the batch's arena, or static */
        } broken;
    };
};

struct command_batch {
    struct input input; /* first: the link sees this */
    struct command *first, *last;
    uint32_t open_count; /* commands that are not executed yet */
};

static inline struct command_batch *command_batch_of(struct input *input)
{
    return (struct command_batch *)input;
}

/* The command is executed. Frees its batch with the last one. */
void command_done(struct command *);

#endif
