#include "amqp/extra_keys.h"

#include "wire/amqp_table.h"

static const char *const names[] = {"CC", "BCC"};

static enum err read_keys(struct bytes headers, const char *name, struct extra_keys *out)
{
    struct amqp_value array, key;
    if (!amqp_table_find(headers, name, &array))
        return OK;
    if (array.tag != 'A')
        return err_set(E_INVALID, "unacceptable type in header '%s': not an array", name);
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

/* The list of properties with one entry less in its headers, all else byte for byte. */
static void put_without(struct bytes properties, struct bytes headers, const char *name,
                        struct text *out)
{
    struct reader r = reader_of(headers);
    struct amqp_entry entry;
    const uint8_t *from = headers.data, *end = properties.data + properties.size;

    text_append(out, bytes_of(properties.data, (size_t)(headers.data - properties.data) - 4));
    size_t size_at = out->size;
    text_put_u32(out, 0);
    while (amqp_table_next(&r, &entry)) {
        if (!bytes_equal_string(entry.name, name))
            text_append(out, bytes_of(from, (size_t)(r.at - from)));
        from = r.at;
    }
    put_u32(out->data + size_at, (uint32_t)(out->size - size_at - 4));
    from = headers.data + headers.size;
    text_append(out, bytes_of(from, (size_t)(end - from)));
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
        put_without(m->properties, headers, "BCC", &out->properties);
    return OK;
}

void extra_keys_reset(struct extra_keys *keys)
{
    vec_reset(&keys->keys);
    text_reset(&keys->properties);
}
