#include "wire/amqp_properties.h"

enum property_form { SHORT_STRING, TABLE, OCTET, TIMESTAMP };

/* By the flag's place, from bit 15 down; strings are what is not said. */
static const uint8_t forms[16] = {
    [2] = TABLE,     /* headers */
    [3] = OCTET,     /* delivery mode */
    [4] = OCTET,     /* priority */
    [9] = TIMESTAMP, /* timestamp */
};

static int place_of(unsigned flags) /* of the highest one */
{
    return __builtin_clz(flags) - 16;
}

struct amqp_properties amqp_properties_of(struct bytes list)
{
    struct amqp_properties p = {.rest = reader_of(list)};
    p.flags = reader_u16(&p.rest);
    p.left = p.flags & PROPERTY_FLAGS;
    return p;
}

static size_t value_size(struct reader *r, enum property_form form)
{
    switch (form) {
    case SHORT_STRING: return reader_u8(r);
    case TABLE: return reader_u32(r);
    case OCTET: return 1;
    case TIMESTAMP: return 8;
    }
    return 0;
}

bool amqp_properties_next(struct amqp_properties *p, struct amqp_property *out)
{
    if (!p->left || p->rest.bad)
        return false;
    const uint8_t *from = p->rest.at;
    int place = place_of(p->left);
    out->flag = (enum property_flag)(0x8000u >> place);
    out->value = reader_bytes(&p->rest, value_size(&p->rest, (enum property_form)forms[place]));
    out->raw = bytes_of(from, (size_t)(p->rest.at - from));
    p->left &= (uint16_t)~out->flag;
    return !p->rest.bad;
}

void amqp_property_put(struct text *t, enum property_flag flag, struct bytes value)
{
    enum property_form form = (enum property_form)forms[place_of(flag)];
    if (form == TABLE)
        text_put_u32(t, (uint32_t)value.size);
    else if (form == SHORT_STRING)
        text_put_u8(t, (uint8_t)value.size);
    text_append(t, value);
}
