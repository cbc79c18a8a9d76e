/* ListGroups: all groups, filtered by state (KIP-518, v4) and type (KIP-848, v5); no filter means
 * all, and an unknown state or type fits no group. */
#include <ctype.h>

#include "kafka/group_requests.h"
#include "kafka/handlers.h"
#include "kafka/kafka_messages.h"

#define CLASSIC "classic"

struct list_groups {
    struct request *request;
    struct kafka_list_groups_response *reply;
};

/* Kafka compares without regard to case. */
static bool is_same_word(struct bytes a, const char *b)
{
    size_t i = 0;
    while (i < a.size && b[i] && tolower(a.data[i]) == tolower((unsigned char)b[i]))
        i++;
    return i == a.size && !b[i];
}

static bool is_among(const struct bytes *items, int32_t count, const char *word)
{
    for (int32_t i = 0; i < count; i++)
        if (is_same_word(items[i], word))
            return true;
    return count == 0;
}

static void add_group(void *ctx, const struct group *group)
{
    struct list_groups *l = ctx;
    const struct kafka_list_groups_request *in = l->request->body;
    struct group_view view = group_view(group);
    const char *state = group_state_name(view.state);
    if (!is_among(in->states_filter.items, in->states_filter.count, state) ||
        !is_among(in->types_filter.items, in->types_filter.count, CLASSIC))
        return;
    l->reply->groups.items[l->reply->groups.count++] = (struct kafka_list_groups_response_group){
        .group_id = arena_copy(&l->request->arena, view.id),
        .protocol_type = arena_copy(&l->request->arena, view.protocol_type),
        .group_state = bytes_from_string(state),
        .group_type = BYTES_LITERAL(CLASSIC),
    };
}

static void answer(struct request *r, bool in_time)
{
    struct groups *groups = request_groups(r);
    struct kafka_list_groups_response *reply = r->reply;
    struct list_groups l = {r, reply};
    static struct kafka_list_groups_response_group none;
    reply->groups.items = &none;
    if (!barrier_was_passed(r, in_time) || !groups_are_loaded(groups)) {
        reply->error_code =
            in_time ? KAFKA_COORDINATOR_LOAD_IN_PROGRESS : KAFKA_COORDINATOR_NOT_AVAILABLE;
        request_answer(r, reply);
        return;
    }
    reply->groups.items =
        request_new(r, &kafka_list_groups_response_group_schema, group_count(groups));
    if (!reply->groups.items)
        return;
    group_each(groups, add_group, &l);
    if (r->arena.exhausted)
        request_fail(r, "the answer would take more than %d bytes", REPLY_MAX_BYTES);
    else
        request_answer(r, reply);
}

void list_groups_start(struct request *r)
{
    r->reply = request_new(r, &kafka_list_groups_response_schema, 1);
    if (r->reply)
        request_wait(r, groups_barrier(request_groups(r), BYTES_NULL), STAGE_COMMITTED,
                     GROUP_TIMEOUT_MS, answer);
}
