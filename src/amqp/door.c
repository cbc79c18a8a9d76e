#include "amqp/door.h"

#include <stdlib.h>

#include "base/mem.h"

struct door { /* of one core */
    struct attachment attachment;
    struct list waiting; /* the longest first */
    uint32_t count;
};

static void free_door(struct attachment *a)
{
    free(container_of(a, struct door, attachment));
}

static struct door *door_of(struct core *core)
{
    struct attachment *a = core_attachment(core, free_door);

    if (!a) {
        struct door *door = xzalloc(sizeof *door);
        list_init(&door->waiting);
        door->attachment.free = free_door;
        core_attach(core, &door->attachment);
        a = &door->attachment;
    }
    return container_of(a, struct door, attachment);
}

struct connection *door_enter(struct connection *c)
{
    struct door *door = door_of(c->core);
    struct connection *first = NULL;

    if (door->count >= DOOR_CONNECTIONS_MAX) {
        first = container_of(door->waiting.next, struct connection, at_door);
        door_leave(first);
    }
    list_push_back(&door->waiting, &c->at_door);
    door->count++;
    return first;
}

void door_leave(struct connection *c)
{
    if (!list_is_linked(&c->at_door))
        return;
    list_remove(&c->at_door);
    door_of(c->core)->count--;
}
