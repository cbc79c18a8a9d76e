/*
 * The bytes of a queue's ready messages, for `x-max-length-bytes`: bodies only, as RabbitMQ counts.
 * Ready messages need no memory; of one that is out its size is kept, because it may come back.
 */
#ifndef BROKER_QUEUE_SIZES_H
#define BROKER_QUEUE_SIZES_H

#include "base/map.h"
#include "base/vec.h"

struct coming_size { /* of what was appended up to `end` */
    int64_t end, bytes;
};

struct queue_sizes {
    int64_t ready_bytes;
    int64_t coming_bytes; /* appended and not committed */
    VEC(struct coming_size) coming;
    size_t came;      /* so many of `coming` have been committed */
    struct idmap out; /* offset -> size + 1, as a pointer */
};

void queue_sizes_reset(struct queue_sizes *z);
void queue_sizes_append(struct queue_sizes *z, int64_t end, int64_t bytes);
/* What was appended below `visible` is ready. */
void queue_sizes_extend(struct queue_sizes *z, int64_t visible);
void queue_sizes_take(struct queue_sizes *z, int64_t offset, size_t size);
/* It was taken before anybody counted. */
void queue_sizes_note_out(struct queue_sizes *z, int64_t offset, size_t size);
void queue_sizes_return(struct queue_sizes *z, int64_t offset);
void queue_sizes_settle(struct queue_sizes *z, int64_t offset);

#endif
