/*
 * What the commands about topics and groups ask of a Kafka server more than once: where partitions
 * begin and end, and how large they are. Over kafka_client.h.
 */
#ifndef CLI_KAFKA_ADMIN_H
#define CLI_KAFKA_ADMIN_H

#include <jansson.h>

#include "base/vec.h"
#include "cli/cli.h"
#include "cli/kafka_client.h"

struct kafka_partition {
    char *topic;
    int32_t index;
    int32_t leader;
    int64_t start, end;
    int64_t bytes; /* -1: the server does not say */
};

typedef VEC(struct kafka_partition) kafka_partitions;

void kafka_partitions_reset(kafka_partitions *list);
/* Of all topics (NULL) or of one, in the order of names and indexes. */
must_use enum err kafka_admin_partitions(struct kafka_client *c, const char *topic,
                                         kafka_partitions *out);
struct kafka_partition *kafka_partitions_find(const kafka_partitions *list, struct bytes topic,
                                              int32_t index);

/* Open the connection that --server, PABAL_SERVER or the server on this machine leads to. */
must_use enum err kafka_admin_open(const struct common *common, struct kafka_client **out);

/* What a command asks; *out is the result, a new reference, which may be there on failure too. */
typedef enum err kafka_admin_ask(struct kafka_client *c, const void *options, json_t **out);

/*
 * Open the connection, ask, and print the result: rows with these columns, or with NULL an object.
 * Returns the exit code.
 */
int kafka_admin_run(const struct common *common, const void *options, kafka_admin_ask *ask,
                    const char *columns);

static inline json_t *json_of_bytes(struct bytes b)
{
    json_t *text = json_stringn((const char *)b.data, b.size);
    return text ? text : json_string("(not UTF-8)");
}

#endif
