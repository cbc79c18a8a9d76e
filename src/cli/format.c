#include "cli/format.h"

#include <ctype.h>
#include <string.h>

#include "base/check.h"

/* ---- headers ---- */

static bool take_bytes(struct bytes *in, struct bytes *out)
{
    uint64_t raw;
    size_t size = varint_get(in->data, in->size, &raw);
    int64_t length = zigzag_decode(raw);

    if (size == 0 || length > (int64_t)(in->size - size))
        return false;
    *in = bytes_of(in->data + size, in->size - size);
    *out = length < 0 ? BYTES_NULL : bytes_of(in->data, (size_t)length);
    *in = bytes_of(in->data + out->size, in->size - out->size);
    return true;
}

static bool take_header(struct bytes *in, struct bytes *name, struct bytes *value)
{
    return take_bytes(in, name) && take_bytes(in, value);
}

/* ---- formats ---- */

static int hex_digit(char c)
{
    if (!isxdigit((unsigned char)c))
        return -1;
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* The character that an escape stands for, -1: none; *size is how long it is behind the backslash. */
static int escape(const char *at, size_t *size)
{
    *size = 1;
    switch (*at) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case '0': return 0;
    case '\\': return '\\';
    case 'x':
        *size = 3;
        if (hex_digit(at[1]) < 0 || hex_digit(at[2]) < 0)
            return -1;
        return hex_digit(at[1]) * 16 + hex_digit(at[2]);
    default: return -1;
    }
}

enum err format_check(const char *format)
{
    for (const char *at = format; *at; at++) {
        size_t size = 1;
        if (*at == '%' && (!at[1] || !strchr("tpoThkKsS%", at[1])))
            return err_set(E_INVALID,
                           "--format: %%%c is none of %%t %%p %%o %%T %%h %%k %%K %%s %%S %%%%",
                           at[1] ? at[1] : ' ');
        if (*at == '\\' && escape(at + 1, &size) < 0)
            return err_set(E_INVALID, "--format: \\%c is none of \\n \\t \\r \\0 \\\\ \\xHH",
                           at[1] ? at[1] : ' ');
        if (*at == '%' || *at == '\\')
            at += size;
    }
    return OK;
}

static long long size_of(struct bytes b)
{
    return b.data ? (long long)b.size : -1;
}

static void put_headers(struct bytes headers, struct text *out)
{
    struct bytes name, value;

    for (bool is_first = true; headers.size && take_header(&headers, &name, &value);
         is_first = false) {
        text_append_string(out, is_first ? "" : ",");
        text_append(out, name);
        text_append_string(out, "=");
        if (value.data)
            text_append(out, value);
        else
            text_append_string(out, "NULL");
    }
}

static void put_field(char field, const struct format_record *r, struct text *out)
{
    const struct record *record = r->record;

    switch (field) {
    case 't': text_append_string(out, r->topic); return;
    case 'p': text_printf(out, "%d", r->partition); return;
    case 'o': text_printf(out, "%lld", (long long)record->offset); return;
    case 'T': text_printf(out, "%lld", (long long)record->timestamp); return;
    case 'h': put_headers(record->headers, out); return;
    case 'k': text_append(out, record->key); return;
    case 'K': text_printf(out, "%lld", size_of(record->key)); return;
    case 's': text_append(out, record->value); return;
    case 'S': text_printf(out, "%lld", size_of(record->value)); return;
    default: text_append_string(out, "%"); return;
    }
}

void format_put(const char *format, const struct format_record *r, struct text *out)
{
    for (const char *at = format; *at; at++) {
        size_t size;
        if (*at == '%') {
            put_field(*++at, r, out);
        } else if (*at == '\\') {
            text_put_u8(out, (uint8_t)escape(at + 1, &size));
            at += size;
        } else {
            text_put_u8(out, (uint8_t)*at);
        }
    }
}

/* ---- JSON ---- */

void format_set_bytes(json_t *object, const char *key, const char *hex_key, struct bytes b)
{
    struct text hex = {0};

    if (!b.data || bytes_are_utf8(b)) {
        json_object_set_new(object, key,
                            b.data ? json_stringn((const char *)b.data, b.size) : json_null());
        return;
    }
    for (size_t i = 0; i < b.size; i++)
        text_printf(&hex, "%02x", b.data[i]);
    json_object_set_new(object, hex_key, json_string(text_string(&hex)));
    text_reset(&hex);
}

/* A list: a name may come more than once. */
static json_t *headers_json(struct bytes headers)
{
    json_t *list = json_array();
    struct bytes name, value;

    while (headers.size && take_header(&headers, &name, &value)) {
        json_t *header = json_object();
        format_set_bytes(header, "name", "name_hex", name);
        format_set_bytes(header, "value", "value_hex", value);
        json_array_append_new(list, header);
    }
    return list;
}

json_t *format_json(const struct format_record *r)
{
    const struct record *record = r->record;
    json_t *object =
        json_pack("{s:s, s:i, s:I, s:I}", "topic", r->topic, "partition", (int)r->partition,
                  "offset", (json_int_t)record->offset, "timestamp", (json_int_t)record->timestamp);

    check(object);
    format_set_bytes(object, "key", "key_hex", record->key);
    format_set_bytes(object, "value", "value_hex", record->value);
    if (record->header_count > 0)
        json_object_set_new(object, "headers", headers_json(record->headers));
    return object;
}
