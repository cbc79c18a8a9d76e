/*
 * Arguments of declares and consumers: which of them are built, and whether a second declare says
 * the same as the first (RabbitMQ: 406, "inequivalent arg"). An argument that would change what a
 * queue does and is not built is refused by name; one without effect, or that nobody knows, is
 * kept.
 *
 * All functions return true when all is well; otherwise they have failed the channel's command.
 */
#ifndef AMQP_ARGUMENTS_H
#define AMQP_ARGUMENTS_H

#include "amqp/channel.h"

/* What the arguments are for, in error texts: "queue 'q' in vhost '/'". */
struct argument_subject {
    const char *kind;
    struct bytes name;
};

bool arguments_are_built_for_queue(struct channel *, const struct argument_subject *,
                                   struct bytes arguments);
bool arguments_are_built_for_consumer(struct channel *, const struct queue *,
                                      struct bytes arguments);

/* Does what is asked (first) equal what is (second)? */
bool argument_flags_agree(struct channel *, const struct argument_subject *, const char *name,
                          bool asked, bool is);
bool argument_words_agree(struct channel *, const struct argument_subject *, const char *name,
                          const char *asked, const char *is);
bool arguments_agree_for_queue(struct channel *, const struct argument_subject *,
                               struct bytes asked, struct bytes is);
bool arguments_agree_for_exchange(struct channel *, const struct argument_subject *,
                                  struct bytes asked, struct bytes is);

#endif
