#include "manage/exposition.h"

void exposition_head(struct text *out, const char *prefix, const char *name, bool is_counter,
                     const char *help)
{
    text_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, name, help, prefix, name,
                is_counter ? "counter" : "gauge");
}

/* Whole numbers in full: what is counted must not lose its last digits. */
static void put_value(struct text *out, double value)
{
    if (value >= 0 && value < 9007199254740992.0 && value == (double)(uint64_t)value)
        text_printf(out, " %llu\n", (unsigned long long)value);
    else
        text_printf(out, " %.17g\n", value);
}

void exposition_line(struct text *out, const char *prefix, const char *name, const char *labels,
                     double value)
{
    text_append_string(out, prefix);
    text_append_string(out, name);
    if (*labels)
        text_printf(out, "{%s}", labels);
    put_value(out, value);
}

void exposition_one(struct text *out, const char *prefix, const char *name, bool is_counter,
                    const char *help, const char *labels, double value)
{
    exposition_head(out, prefix, name, is_counter, help);
    exposition_line(out, prefix, name, labels, value);
}

void exposition_label(struct text *labels, const char *name, struct bytes value)
{
    text_printf(labels, "%s%s=\"", labels->size ? "," : "", name);
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];
        if (c == '\n')
            text_append_string(labels, "\\n");
        else if (c == '"' || c == '\\')
            text_printf(labels, "\\%c", c);
        else
            text_put_u8(labels, c);
    }
    text_put_u8(labels, '"');
}
