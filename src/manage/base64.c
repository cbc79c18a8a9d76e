#include "manage/base64.h"

#include <openssl/evp.h>

#include "base/check.h"

enum { PIECE = 3 << 20 }; /* OpenSSL counts in int */

void base64_encode(struct bytes plain, struct text *out)
{
    while (plain.size) {
        size_t size = plain.size < PIECE ? plain.size : PIECE;
        uint8_t *to = text_reserve(out, size / 3 * 4 + 5); /* it writes a NUL behind */
        text_advance(out, (size_t)EVP_EncodeBlock(to, plain.data, (int)size));
        plain = bytes_of(plain.data + size, plain.size - size);
    }
}

static bool is_letter(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

/* How many '=' stand at its end; -1: it is no base64. */
static int padding_of(struct bytes encoded)
{
    size_t size = encoded.size;
    int padding = 0;

    if (size % 4)
        return -1;
    while (padding < 2 && size && encoded.data[size - 1] == '=') {
        padding++;
        size--;
    }
    for (size_t i = 0; i < size; i++)
        if (!is_letter(encoded.data[i]))
            return -1;
    return padding;
}

bool base64_decode(struct bytes encoded, struct text *out)
{
    int padding = padding_of(encoded);

    if (padding < 0)
        return false;
    while (encoded.size) {
        size_t size = encoded.size < PIECE ? encoded.size : PIECE / 4 * 4;
        uint8_t *to = text_reserve(out, size / 4 * 3);
        int wrote = EVP_DecodeBlock(to, encoded.data, (int)size);
        check(wrote >= 0); /* it was looked at before */
        encoded = bytes_of(encoded.data + size, encoded.size - size);
        text_advance(out, (size_t)(wrote - (encoded.size ? 0 : padding)));
    }
    return true;
}
