#include "server/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/number.h"
#include "broker/topic_config.h"

static const struct option options[OPTION_COUNT] = {
#define OPTION_ROW(id, name, type, least, most, default_text, change, words, aliases, help)        \
    [OPT_##id] = {name, OPTION_##type, least, most, default_text, change, words, aliases, help},
    OPTIONS_TABLE(OPTION_ROW)
#undef OPTION_ROW
};

enum { SHOWN_BYTES = 80 };

const struct option *option_get(enum option_id id)
{
    check(id < OPTION_COUNT);
    return &options[id];
}

/* Take the next word of a list; false at its end. */
static bool next_word(const char **list, char separator, struct bytes *out)
{
    const char *start = *list;

    if (!*start)
        return false;
    const char *end = strchr(start, separator);
    size_t size = end ? (size_t)(end - start) : strlen(start);
    *out = bytes_of(start, size);
    *list = start + size + (end != NULL);
    return true;
}

bool option_find(struct bytes name, enum option_id *out)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        const char *aliases = options[id].aliases;
        struct bytes alias;
        bool is_match = bytes_equal_string(name, options[id].name);

        while (!is_match && next_word(&aliases, ' ', &alias))
            is_match = bytes_equal(name, alias);
        if (is_match) {
            *out = (enum option_id)id;
            return true;
        }
    }
    return false;
}

struct nearest option_nearest(struct bytes name)
{
    struct nearest nearest = {0};

    for (int id = 0; id < OPTION_COUNT; id++) {
        const char *aliases = options[id].aliases;
        struct bytes alias;

        nearest_consider(&nearest, name, bytes_from_string(options[id].name));
        while (next_word(&aliases, ' ', &alias))
            nearest_consider(&nearest, name, alias);
    }
    return nearest;
}

/* The place of `text` among the words, or -1. */
static int find_word(const struct option *o, struct bytes text)
{
    const char *words = o->words;
    struct bytes word;

    for (int i = 0; next_word(&words, '|', &word); i++)
        if (bytes_equal(word, text))
            return i;
    return -1;
}

static bool parse_bool(struct bytes text, int64_t *out)
{
    *out = bytes_equal_string(text, "true");
    return *out || bytes_equal_string(text, "false");
}

/* "PLAINTEXT://:9092" and ":9092" are Kafka's way to say all addresses. */
static bool parse_address(struct bytes text, char **out)
{
    static const char scheme[] = "PLAINTEXT://";
    int64_t port;

    if (bytes_has_prefix(text, scheme))
        text = bytes_of(text.data + sizeof scheme - 1, text.size - (sizeof scheme - 1));
    const uint8_t *colon = text.size ? memrchr(text.data, ':', text.size) : NULL;
    if (!colon || memchr(text.data, ',', text.size) || memchr(text.data, '/', text.size))
        return false;
    size_t host_size = (size_t)(colon - text.data);
    if (!number_parse_i64(bytes_of(colon + 1, text.size - host_size - 1), &port) || port < 0 ||
        port > UINT16_MAX)
        return false;
    *out = host_size ? xasprintf("%.*s", BYTES_FORMAT(text))
                     : xasprintf("0.0.0.0:%lld", (long long)port);
    return true;
}

static bool topic_default_is_legal(const struct option *o, struct bytes text)
{
    const struct topic_config_row *row = topic_config_of_broker(o->name);
    check(row);
    char *value = xasprintf("%.*s", BYTES_FORMAT(text));
    bool is_legal = topic_config_check_value(row, o->name, value) == OK;
    free(value);
    return is_legal;
}

static bool parse_number(const struct option *o, struct bytes text, int64_t *out)
{
    switch (o->type) {
    case OPTION_INT: return number_parse_i64(text, out);
    case OPTION_SIZE: return number_parse_size(text, out);
    case OPTION_DURATION: return number_parse_duration(text, OPTION_SECOND, out);
    case OPTION_BOOL: return parse_bool(text, out);
    case OPTION_TEXT:
    case OPTION_SECRET: *out = (int64_t)text.size; return true;
    case OPTION_TOPIC: *out = OPTION_WORD; return topic_default_is_legal(o, text);
    case OPTION_ENUM:
    case OPTION_ADDRESS: return false;
    }
    check(false);
}

static bool is_in_range(const struct option *o, int64_t number)
{
    return o->type == OPTION_BOOL || o->type == OPTION_TOPIC ||
           (number >= o->least && number <= o->most);
}

/* What can be shown again, in JSON too, and written into a file. */
static bool is_plain_text(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < ' ' || text.data[i] == 0x7f)
            return false;
    return bytes_are_utf8(text);
}

enum err option_parse(enum option_id id, struct bytes text, struct option_value *out)
{
    const struct option *o = option_get(id);
    struct option_value value = {.number = OPTION_WORD};
    int word = find_word(o, text);

    if (!is_plain_text(text))
        return err_set(E_INVALID, "%s: the value is not plain UTF-8 text", o->name);
    if (word >= 0)
        value.number = o->type == OPTION_ENUM ? word : OPTION_WORD;
    else if (o->type == OPTION_ADDRESS && parse_address(text, &value.text))
        value.number = 0;
    else if (!parse_number(o, text, &value.number) || !is_in_range(o, value.number)) {
        struct text range = {0};
        option_describe_range(o, &range);
        int shown = text.size < SHOWN_BYTES ? (int)text.size : SHOWN_BYTES;
        enum err err = err_set(E_INVALID, "%s = %.*s: must be %s", o->name,
                               o->type == OPTION_SECRET ? 0 : shown, (const char *)text.data,
                               text_string(&range));
        text_reset(&range);
        return err;
    }
    if (!value.text)
        value.text = xasprintf("%.*s", BYTES_FORMAT(text));
    *out = value;
    return OK;
}

const char *option_type_name(enum option_type type)
{
    switch (type) {
    case OPTION_TEXT: return "text";
    case OPTION_SECRET: return "text that is not shown";
    case OPTION_INT: return "integer";
    case OPTION_SIZE: return "size";
    case OPTION_DURATION: return "duration";
    case OPTION_BOOL: return "boolean";
    case OPTION_ENUM: return "word";
    case OPTION_ADDRESS: return "address";
    case OPTION_TOPIC: return "topic config";
    }
    check(false);
}

static void put_size(struct text *out, int64_t size)
{
    char formatted[NUMBER_SIZE_TEXT_BYTES];

    if (size % OPTION_KIB == 0)
        text_append_string(out, number_format_size(size, formatted));
    else
        text_printf(out, "%lld B", (long long)size);
}

static void put_size_range(struct text *out, const struct option *o)
{
    text_append_string(out, "a size of at least ");
    put_size(out, o->least);
    if (o->most == INT64_MAX)
        return;
    text_append_string(out, " and at most ");
    put_size(out, o->most);
}

static void put_topic_range(struct text *out, const struct topic_config_row *row)
{
    const char *choices = row->built ? row->built : row->choices;
    struct bytes choice;
    bool is_first = true;

    while (choices && next_word(&choices, '|', &choice)) {
        text_printf(out, "%s%.*s",
                    is_first                   ? ""
                    : row->type == CONFIG_LIST ? ", "
                                               : " or ",
                    BYTES_FORMAT(choice));
        is_first = false;
    }
    if (is_first && row->max == INT64_MAX)
        text_printf(out, "%lld or more", (long long)row->min);
    else if (is_first)
        text_printf(out, "%lld to %lld", (long long)row->min, (long long)row->max);
}

void option_describe_range(const struct option *o, struct text *out)
{
    switch (o->type) {
    case OPTION_SECRET:
    case OPTION_TEXT: text_printf(out, "1 to %lld characters", (long long)o->most); break;
    case OPTION_INT:
        text_printf(out, "%lld to %lld", (long long)o->least, (long long)o->most);
        break;
    case OPTION_SIZE: put_size_range(out, o); break;
    case OPTION_DURATION:
        text_printf(out, "a duration from %lld s to %lld s", (long long)(o->least / OPTION_SECOND),
                    (long long)(o->most / OPTION_SECOND));
        break;
    case OPTION_BOOL: text_append_string(out, "true or false"); break;
    case OPTION_ENUM: break;
    case OPTION_ADDRESS: text_append_string(out, "HOST:PORT"); break;
    case OPTION_TOPIC: put_topic_range(out, topic_config_of_broker(o->name)); break;
    }
    const char *words = o->words;
    struct bytes word;
    bool is_first = o->type == OPTION_ENUM;
    while (next_word(&words, '|', &word)) {
        text_printf(out, "%s%.*s", is_first ? "" : " or ", BYTES_FORMAT(word));
        is_first = false;
    }
}
