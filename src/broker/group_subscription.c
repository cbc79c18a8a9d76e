/*
 * What the members of a "consumer" group subscribe to, as they tell each other in their metadata
 * (Kafka's ConsumerProtocolSubscription): i16 version, then i32 count and that many topics (i16
 * size, bytes), then what this broker need not know.
 */
#include "broker/group_internal.h"
#include "wire/reader.h"

bool group_is_consumer(const struct group *group)
{
    return bytes_equal_string(group->protocol_type, "consumer");
}

/* False: these bytes are no subscription. */
static bool look_into(struct bytes metadata, struct bytes topic, bool *found)
{
    struct reader in = reader_of(metadata);
    reader_u16(&in);
    uint32_t count = reader_u32(&in);
    for (uint32_t i = 0; i < count && !in.bad; i++) {
        size_t size = reader_u16(&in);
        const uint8_t *name = reader_take(&in, size);
        if (name && bytes_equal(bytes_of(name, size), topic))
            *found = true;
    }
    return !in.bad;
}

bool group_is_subscribed(const struct group *group, struct bytes topic)
{
    bool found = false;
    if (!group_is_consumer(group))
        return false;
    if (group->joined_count > 0 && !group->protocol.data)
        return true; /* the first generation has not begun */
    list_each (node, &group->joined) {
        const struct group_member *m = container_of(node, struct group_member, node);
        if (!look_into(group_member_metadata(m, group->protocol), topic, &found))
            return true;
    }
    return found;
}
