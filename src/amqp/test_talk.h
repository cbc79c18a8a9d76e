/*
 * Conversations with a broker, kept as text with what RabbitMQ said (golden/): talk_record asks a
 * real RabbitMQ and writes the answers, talk_test has the same conversation with us and compares.
 *
 *   === a queue that is not there
 *   > 1 basic.get queue=nope             what client a says, in the lines of test_lines.h
 *   < 1 channel.close reply_code=404 ... what a hears to that, by channel
 *   b> 1 queue.purge queue=q             or client b, c, d
 *   b+ 1 basic.get queue=q               at once with the line before
 *   b< ...
 *   ~ why we answer otherwise            only where we do; the test checks that we still do
 *   ~< 1 channel.close reply_code=405 ... all that is heard from us
 *
 * Lines that begin with '!' are stage directions:
 *
 *   ! connect b frame_max=4096 heartbeat=1 bare   log in and open channel 1; a does it when it first
 *                                                 speaks. Bare: with no capabilities
 *   ! connect c user=limited                      golden/access.txt says who that is
 *   ! dial b                                      a connection that has said nothing
 *   ! start b                                     the same, as far as connection.start
 *   ! drop b                                      the connection breaks
 *   ! wait 100                                    milliseconds
 *   ! patient                                     answers may take seconds from now on
 *   ! manual                                      channels that were closed for an error are opened
 *                                                 again by the script, not by themselves
 *   ! bytes                                       show tables as bytes from now on
 *
 * What may differ by nature (generated names, times) is heard as '*'. How confirms are put together is
 * a broker's own business: they are heard as "1 confirmed 1 2 3". Said "$reply" is the last direct
 * reply-to address heard.
 */
#ifndef AMQP_TEST_TALK_H
#define AMQP_TEST_TALK_H

#include "amqp/test_lines.h"

enum { TALKERS_MAX = 4 };

/* A broker that can be talked to. Clients are told by number, from 0 for a. */
struct talk_broker {
    /* All of the last conversation is gone: its connections, queues and exchanges. */
    void (*begin)(struct talk_broker *);
    void (*dial)(struct talk_broker *, int client);
    void (*drop)(struct talk_broker *, int client);
    void (*say)(struct talk_broker *, int client, struct bytes b);
    /* Let time pass, and then until nothing more comes. */
    void (*wait)(struct talk_broker *, int ms);
    /* Append what has come to `out`; false: and the broker has closed. */
    bool (*take)(struct talk_broker *, int client, struct text *out);
};

struct talk_step {      /* parts of the script, whole lines */
    struct bytes title; /* with comments and empty lines */
    struct bytes said, heard, why, ours;
};

typedef void talk_each(void *ctx, const struct talk_step *, struct bytes heard);

/* Have all the conversations of a script. */
void talk(struct talk_broker *, struct bytes script, talk_each *each, void *ctx);

#endif
