#include "base/number.h"

#include <stdio.h>
#include <strings.h>

#include "base/check.h"

struct unit {
    const char *name;
    int64_t factor;
};

static const int64_t KIB = 1024;

/* Read digits from the front of `text` and leave the rest there. False without a digit, or when the
 * number does not fit. */
static bool take_digits(struct bytes *text, int64_t *out)
{
    int64_t v = 0;
    size_t i = 0;

    for (; i < text->size && text->data[i] >= '0' && text->data[i] <= '9'; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text->data[i] - '0', &v))
            return false;
    *text = bytes_of(text->data + i, text->size - i);
    *out = v;
    return i > 0;
}

bool number_parse_i64(struct bytes text, int64_t *out)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    int64_t v = 0;

    if (text.size == (size_t)is_negative)
        return false;
    for (size_t i = is_negative; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        int digit = text.data[i] - '0'; /* counted downwards: INT64_MIN has no positive */
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, digit, &v))
            return false;
    }
    if (!is_negative && __builtin_sub_overflow(0, v, &v))
        return false;
    *out = v;
    return true;
}

/* Digits and one of the units, in any case; the first unit is the one of a bare number. */
static bool parse_with_unit(struct bytes text, const struct unit *units, size_t count, int64_t *out)
{
    int64_t v;

    if (!take_digits(&text, &v))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strlen(units[i].name) != text.size ||
            (text.size && strncasecmp(units[i].name, (const char *)text.data, text.size) != 0))
            continue;
        if (__builtin_mul_overflow(v, units[i].factor, &v))
            return false;
        *out = v;
        return true;
    }
    return false;
}

bool number_parse_size(struct bytes text, int64_t *out_bytes)
{
    const struct unit units[] = {
        {"", 1},
        {"b", 1},
        {"k", KIB},
        {"kb", KIB},
        {"kib", KIB},
        {"m", KIB * KIB},
        {"mb", KIB * KIB},
        {"mib", KIB * KIB},
        {"g", KIB * KIB * KIB},
        {"gb", KIB * KIB * KIB},
        {"gib", KIB * KIB * KIB},
        {"t", KIB * KIB * KIB * KIB},
        {"tb", KIB * KIB * KIB * KIB},
        {"tib", KIB * KIB * KIB * KIB},
    };

    return parse_with_unit(text, units, sizeof units / sizeof units[0], out_bytes);
}

bool number_parse_duration(struct bytes text, int64_t unit_ns, int64_t *out_ns)
{
    const struct unit units[] = {
        {"", unit_ns},
        {"ns", 1},
        {"us", 1000},
        {"ms", 1000000},
        {"s", 1000000000},
        {"m", 60 * INT64_C(1000000000)},
        {"h", 3600 * INT64_C(1000000000)},
        {"d", 86400 * INT64_C(1000000000)},
    };

    return parse_with_unit(text, units, sizeof units / sizeof units[0], out_ns);
}

char *number_format_size(int64_t size_bytes, char *out)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)size_bytes;
    int unit = -1;

    for (; (v >= 1024 || v <= -1024) && unit < 5; unit++)
        v /= 1024;
    if (unit < 0)
        snprintf(out, NUMBER_SIZE_TEXT_BYTES, "%lld B", (long long)size_bytes);
    else
        snprintf(out, NUMBER_SIZE_TEXT_BYTES, "%.1f %s", v, units[unit]);
    return out;
}
