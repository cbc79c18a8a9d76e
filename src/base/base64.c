#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct text *out, struct bytes b)
{
    for (size_t i = 0; i < b.size; i += 3) {
        size_t left = b.size - i;
        uint32_t group = (uint32_t)b.data[i] << 16;
        group |= left > 1 ? (uint32_t)b.data[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)b.data[i + 2] : 0;
        text_put_u8(out, (uint8_t)digits[group >> 18]);
        text_put_u8(out, (uint8_t)digits[group >> 12 & 63]);
        text_put_u8(out, left > 1 ? (uint8_t)digits[group >> 6 & 63] : '=');
        text_put_u8(out, left > 2 ? (uint8_t)digits[group & 63] : '=');
    }
}

static int digit_value(uint8_t c)
{
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

bool base64_decode(struct text *out, struct bytes text)
{
    if (text.size % 4)
        return false;
    for (size_t i = 0; i < text.size; i += 4) {
        bool is_last = i + 4 == text.size;
        size_t padding = is_last && text.data[i + 3] == '=' ? 1 + (text.data[i + 2] == '=') : 0;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            int value = k >= 4 - padding ? 0 : digit_value(text.data[i + k]);
            if (value < 0)
                return false;
            group = group << 6 | (uint32_t)value;
        }
        for (size_t k = 0; k < 3 - padding; k++)
            text_put_u8(out, (uint8_t)(group >> (16 - 8 * k)));
    }
    return true;
}
