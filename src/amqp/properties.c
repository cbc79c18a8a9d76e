#include "amqp/properties.h"

#include "wire/reader.h"

enum {
    FLAGS_UNKNOWN = 0x0003, /* bit 1 names no property; bit 0 would announce a second flag word */
};

static struct bytes read_shortstr(struct reader *r)
{
    return reader_bytes(r, reader_u8(r));
}

static struct bytes read_longstr(struct reader *r)
{
    return reader_bytes(r, reader_u32(r));
}

/* Everything behind the headers table, which few publishers set apart from the delivery mode. */
static void read_rest(struct reader *r, struct properties *out)
{
    uint16_t flags = out->flags;

    if (flags & PROPERTY_PRIORITY)
        reader_u8(r);
    if (flags & PROPERTY_CORRELATION_ID)
        read_shortstr(r);
    if (flags & PROPERTY_REPLY_TO)
        out->reply_to = read_shortstr(r);
    if (flags & PROPERTY_EXPIRATION)
        out->expiration = read_shortstr(r);
    if (flags & PROPERTY_MESSAGE_ID)
        read_shortstr(r);
    if (flags & PROPERTY_TIMESTAMP)
        reader_u64(r);
    if (flags & PROPERTY_TYPE)
        read_shortstr(r);
    if (flags & PROPERTY_USER_ID)
        out->user_id = read_shortstr(r);
    if (flags & PROPERTY_APP_ID)
        read_shortstr(r);
    if (flags & PROPERTY_CLUSTER_ID)
        read_shortstr(r);
}

bool properties_read(struct bytes list, struct properties *out)
{
    struct reader r = reader_of(list);

    *out = (struct properties){.flags = reader_u16(&r)};
    if (out->flags & FLAGS_UNKNOWN)
        return false;
    if (out->flags & PROPERTY_CONTENT_TYPE)
        read_shortstr(&r);
    if (out->flags & PROPERTY_CONTENT_ENCODING)
        read_shortstr(&r);
    if (out->flags & PROPERTY_HEADERS)
        out->headers = read_longstr(&r);
    if (out->flags & PROPERTY_DELIVERY_MODE)
        out->delivery_mode = reader_u8(&r);
    if (out->flags & (PROPERTY_DELIVERY_MODE - 1))
        read_rest(&r, out);
    return !r.bad && reader_left(&r) == 0;
}
