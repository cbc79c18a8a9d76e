#include "cli/assignor.h"

#include <stdbool.h>
#include <string.h>

enum { TOPIC_COUNT_AT = 2, NULL_BYTES = UINT32_MAX };

static void put_string(struct text *out, const char *s)
{
    text_put_u16(out, (uint16_t)strlen(s));
    text_append_string(out, s);
}

/* Version 0, and no topics yet. */
static void begin(struct text *assignment)
{
    if (assignment->size > 0)
        return;
    text_put_u16(assignment, 0);
    text_put_u32(assignment, 0);
}

static bool asks_for(const struct assignor_member *m, const char *topic)
{
    for (size_t i = 0; i < m->topic_count; i++)
        if (strcmp(m->topics[i], topic) == 0)
            return true;
    return false;
}

static void put_range(struct text *out, const char *topic, int32_t from, int32_t count)
{
    begin(out);
    put_u32(out->data + TOPIC_COUNT_AT, get_u32(out->data + TOPIC_COUNT_AT) + 1);
    put_string(out, topic);
    text_put_u32(out, (uint32_t)count);
    for (int32_t i = 0; i < count; i++)
        text_put_u32(out, (uint32_t)(from + i));
}

void assignor_range(struct assignor_member *members, size_t count, const char *topic,
                    int32_t partition_count)
{
    int32_t takers = 0, taker = 0, next = 0;

    for (size_t i = 0; i < count; i++)
        takers += asks_for(&members[i], topic);
    for (size_t i = 0; i < count; i++) {
        if (!asks_for(&members[i], topic))
            continue;
        int32_t share = partition_count / takers + (taker++ < partition_count % takers);
        if (share > 0)
            put_range(&members[i].assignment, topic, next, share);
        next += share;
    }
}

void assignor_end(struct assignor_member *member)
{
    begin(&member->assignment);
    text_put_u32(&member->assignment, NULL_BYTES); /* user data */
}

void assignor_put_subscription(const char *topic, struct text *out)
{
    text_put_u16(out, 0);
    text_put_u32(out, 1);
    put_string(out, topic);
    text_put_u32(out, NULL_BYTES);
}
