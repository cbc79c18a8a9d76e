/*
 * Arguments of declares: which of them are built, and whether a second declare says the same as the
 * first (RabbitMQ: 406, "inequivalent arg"). An argument that would change what a queue does and is
 * not built is refused by name; one without effect, or that nobody knows, is kept.
 */
#ifndef BROKER_ARGUMENTS_H
#define BROKER_ARGUMENTS_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

/* What the arguments are for, in error texts: "queue 'q' in vhost '/'". */
struct argument_subject {
    const char *kind;
    struct bytes name, vhost;
};

/* E_UNSUPPORTED: not built; E_INVALID: no queue type. */
must_use enum err arguments_check_queue(const struct argument_subject *, struct bytes arguments);

/* Does what is asked (first) equal what is (second)? E_PRECONDITION. */
must_use enum err arguments_same_flag(const struct argument_subject *, const char *name, bool asked,
                                      bool is);
must_use enum err arguments_same_word(const struct argument_subject *, const char *name,
                                      const char *asked, const char *is);
must_use enum err arguments_same_queue(const struct argument_subject *, struct bytes asked,
                                       struct bytes is);
must_use enum err arguments_same_exchange(const struct argument_subject *, struct bytes asked,
                                          struct bytes is);

#endif
