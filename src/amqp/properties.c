#include "amqp/properties.h"

static void note(struct properties *out, const struct amqp_property *property)
{
    if (property->flag == PROPERTY_DELIVERY_MODE)
        out->delivery_mode = property->value.data[0];
    else if (property->flag == PROPERTY_HEADERS)
        out->headers = property->value;
    else if (property->flag == PROPERTY_REPLY_TO)
        out->reply_to = property->value;
    else if (property->flag == PROPERTY_EXPIRATION)
        out->expiration = property->value;
    else if (property->flag == PROPERTY_USER_ID)
        out->user_id = property->value;
}

bool properties_read(struct bytes list, struct properties *out)
{
    struct amqp_properties all = amqp_properties_of(list);
    struct amqp_property property;

    *out = (struct properties){.flags = all.flags};
    if (all.flags & ~(unsigned)PROPERTY_FLAGS)
        return false;
    while (amqp_properties_next(&all, &property))
        note(out, &property);
    return !all.rest.bad && reader_left(&all.rest) == 0;
}
