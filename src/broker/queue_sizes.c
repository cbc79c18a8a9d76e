#include "broker/queue_sizes.h"

void queue_sizes_reset(struct queue_sizes *z)
{
    vec_reset(&z->coming);
    idmap_reset(&z->out);
    *z = (struct queue_sizes){0};
}

void queue_sizes_append(struct queue_sizes *z, int64_t end, int64_t bytes)
{
    vec_push(&z->coming, ((struct coming_size){end, bytes}));
    z->coming_bytes += bytes;
}

void queue_sizes_extend(struct queue_sizes *z, int64_t visible)
{
    while (z->came < z->coming.count && z->coming.items[z->came].end <= visible) {
        int64_t bytes = z->coming.items[z->came++].bytes;
        z->coming_bytes -= bytes;
        z->ready_bytes += bytes;
    }
    if (z->came == z->coming.count) {
        vec_clear(&z->coming);
        z->came = 0;
    }
}

void queue_sizes_take(struct queue_sizes *z, int64_t offset, size_t size)
{
    z->ready_bytes -= (int64_t)size;
    queue_sizes_note_out(z, offset, size);
}

void queue_sizes_note_out(struct queue_sizes *z, int64_t offset, size_t size)
{
    idmap_put(&z->out, (uint64_t)offset, (void *)(size + 1));
}

static size_t forget(struct queue_sizes *z, int64_t offset)
{
    size_t size = (size_t)idmap_remove(&z->out, (uint64_t)offset);
    return size > 0 ? size - 1 : 0;
}

void queue_sizes_return(struct queue_sizes *z, int64_t offset)
{
    z->ready_bytes += (int64_t)forget(z, offset);
}

void queue_sizes_settle(struct queue_sizes *z, int64_t offset)
{
    forget(z, offset);
}
