#include "broker/extra_keys.h"

#include "wire/amqp_table.h"

static const char *const names[] = {"CC", "BCC"};

static enum err read_keys(struct bytes headers, const char *name, struct extra_keys *out)
{
    struct amqp_value array, key;
    if (!amqp_table_find(headers, name, &array))
        return OK;
    if (array.tag != 'A')
        return err_set(E_INVALID, "{unacceptable_type_in_header,\"%s\",%s}", name,
                       amqp_type_name(array.tag));
    struct reader r = reader_of(array.bytes);
    while (amqp_array_next(&r, &key)) {
        if (key.tag != 'S')
            return err_set(E_INVALID, "unacceptable type in header '%s': not a string", name);
        if (key.bytes.size > UINT8_MAX)
            return err_set(E_INVALID, "a key in header '%s' is longer than 255 bytes", name);
        vec_push(&out->keys, key.bytes);
    }
    return OK;
}

/* The headers without BCC, all else byte for byte. */
static void put_without_bcc(const struct message *m, struct bytes headers, struct text *out)
{
    struct text kept = {0};
    struct reader r = reader_of(headers);
    struct amqp_entry entry;

    while (amqp_table_next(&r, &entry))
        if (!bytes_equal_string(entry.name, "BCC"))
            amqp_table_put_named(&kept, entry.name, &entry.value);
    message_put_properties(m, PROPERTY_HEADERS, text_bytes(&kept), 0, out);
    text_reset(&kept);
}

enum err extra_keys_read(const struct message *m, struct extra_keys *out)
{
    struct bytes headers = message_headers(m);
    struct amqp_value bcc;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        enum err err = read_keys(headers, names[i], out);
        if (err)
            return err;
    }
    if (amqp_table_find(headers, "BCC", &bcc))
        put_without_bcc(m, headers, &out->properties);
    return OK;
}

void extra_keys_reset(struct extra_keys *keys)
{
    vec_reset(&keys->keys);
    text_reset(&keys->properties);
}
