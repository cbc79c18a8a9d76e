/* What the parts of `pabal publish` share: publish.c reads the input, publish_topic.c and
 * publish_queue.c have the sinks that it goes to. */
#ifndef CLI_PUBLISH_INTERNAL_H
#define CLI_PUBLISH_INTERNAL_H

#include "cli/amqp_client.h"
#include "cli/cli.h"
#include "cli/properties.h"
#include "log/batch.h"

enum { PUBLISH_FLUSH_BYTES = 64 * 1024, PUBLISH_FLUSH_MESSAGES = 10000 };

struct publish_options {
    struct common common;
    struct amqp_login login;
    const char *topic, *queue, *exchange, *key, *file, *message, *separator, *acks, *codec_name;
    struct flag_list headers, property_words, message_files;
    struct properties properties; /* by AMQP: of headers and property_words */
    enum batch_codec codec;
    int64_t partition; /* -1: by key, or in turn */
    int64_t count, rate;
    bool transient, drops_unroutable, has_no_confirms, shows_progress;
};

struct sink;

/* Takes messages and sends them in whole batches; flush() returns when all is acknowledged. */
struct sink_kind {
    enum err (*put)(struct sink *, struct bytes key, struct bytes value);
    enum err (*flush)(struct sink *);
    void (*close)(struct sink *);
};

struct sink {
    const struct sink_kind *kind;
    const struct publish_options *options;
    uint64_t count;   /* taken */
    uint64_t pending; /* of them, not yet sent */
};

enum err publish_topic_open(const struct publish_options *o, struct sink **out);
enum err publish_queue_open(const struct publish_options *o, struct sink **out);

#endif
