#include "amqp/parked.h"

#include "amqp/amqp_messages.h"

/* A held publish keeps more than its own bytes: its struct, and a part of a receive buffer. */
enum { COMMAND_COST_BYTES = 4096 };

static uint64_t cost_of(const struct command *command)
{
    if (command->kind != COMMAND_PUBLISH)
        return 0;
    const struct message *m = &command->publish.message;
    return COMMAND_COST_BYTES + m->properties.size + m->body.size;
}

static bool is_fence(const struct command *command)
{
    return command->kind != COMMAND_PUBLISH && command->kind != COMMAND_SETTLE;
}

static void append(struct parked *parked, struct command *command)
{
    command->next = NULL;
    if (parked->last)
        parked->last->next = command;
    else
        parked->first = command;
    parked->last = command;
}

void parked_push(struct parked *parked, struct command *command)
{
    append(parked, command);
    parked->fence_count += is_fence(command);
    parked->publishes_bytes += cost_of(command);
}

struct command *parked_pop(struct parked *parked)
{
    struct command *command = parked->first;

    if (!command)
        return NULL;
    parked->first = command->next;
    command->next = NULL;
    if (!parked->first)
        parked->last = NULL;
    parked->fence_count -= is_fence(command);
    parked->publishes_bytes -= cost_of(command);
    return command;
}

void parked_drop(struct parked *parked)
{
    struct command *command;

    while ((command = parked_pop(parked)) != NULL)
        command_done(command);
}

void parked_let_settles_pass(struct parked *parked)
{
    struct parked passing = {0}, others = {0};
    struct command *next = parked->first;

    while (next && !is_fence(next)) {
        struct command *command = next;
        next = command->next;
        append(command->kind == COMMAND_SETTLE ? &passing : &others, command);
    }
    if (!passing.first)
        passing = others;
    else if (others.first) {
        passing.last->next = others.first;
        passing.last = others.last;
    }
    if (!passing.first)
        return; /* a fence is in front */
    passing.last->next = next;
    parked->first = passing.first;
    if (!next)
        parked->last = passing.last;
}

void parked_drop_before_close(struct parked *parked)
{
    const struct command *command = parked->first;

    while (command && command->method_id != AMQP_CHANNEL_CLOSE)
        command = command->next;
    while (command && parked->first != command)
        command_done(parked_pop(parked));
}
