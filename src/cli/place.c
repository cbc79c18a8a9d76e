#include "cli/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"

/* ---- times ---- */

struct cursor {
    const char *at;
    bool is_bad;
};

static int64_t take_digits(struct cursor *c, int count)
{
    int64_t number = 0;

    for (int i = 0; i < count; i++, c->at++) {
        if (*c->at < '0' || *c->at > '9') {
            c->is_bad = true;
            return 0;
        }
        number = number * 10 + (*c->at - '0');
    }
    return number;
}

static bool take_char(struct cursor *c, char wanted)
{
    if (*c->at != wanted)
        return false;
    c->at++;
    return true;
}

/* Days since 1970-01-01 of the Gregorian calendar: years begin in March, so that a leap day is the
 * last day of its year. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static int64_t take_fraction(struct cursor *c)
{
    int64_t ms = 0, unit = 100;

    for (; *c->at >= '0' && *c->at <= '9'; c->at++, unit /= 10)
        ms += (*c->at - '0') * unit;
    return ms;
}

/* "+09:00" as minutes. */
static int64_t take_zone(struct cursor *c)
{
    if (*c->at == 0 || take_char(c, 'Z'))
        return 0;
    int64_t sign = *c->at == '-' ? -1 : 1;
    if (!take_char(c, '+') && !take_char(c, '-'))
        c->is_bad = true;
    int64_t hours = take_digits(c, 2);
    (void)take_char(c, ':');
    return sign * (hours * 60 + take_digits(c, 2));
}

static bool parse_time(const char *text, int64_t *out_ms)
{
    struct cursor c = {text, false};
    int64_t hour = 0, minute = 0, second = 0, ms = 0, zone = 0;
    int64_t year = take_digits(&c, 4);
    c.is_bad |= !take_char(&c, '-');
    int64_t month = take_digits(&c, 2);
    c.is_bad |= !take_char(&c, '-');
    int64_t day = take_digits(&c, 2);

    if (!c.is_bad && (take_char(&c, 'T') || take_char(&c, ' '))) {
        hour = take_digits(&c, 2);
        if (take_char(&c, ':'))
            minute = take_digits(&c, 2);
        if (take_char(&c, ':'))
            second = take_digits(&c, 2);
        if (take_char(&c, '.'))
            ms = take_fraction(&c);
        zone = take_zone(&c);
    }
    bool is_possible = month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 &&
                       minute < 60 && second < 61;
    if (c.is_bad || *c.at || !is_possible)
        return false;
    int64_t minutes = (days_of(year, month, day) * 24 + hour) * 60 + minute - zone;
    *out_ms = (minutes * 60 + second) * 1000 + ms;
    return true;
}

/* ---- places ---- */

enum err place_parse(const char *option, const char *text, int64_t now_ms, struct place *out)
{
    struct bytes b = bytes_from_string(text);
    int64_t number;

    if (strcmp(text, "beginning") == 0 || strcmp(text, "earliest") == 0)
        *out = (struct place){PLACE_BEGINNING, 0};
    else if (strcmp(text, "end") == 0 || strcmp(text, "latest") == 0)
        *out = (struct place){PLACE_END, 0};
    else if (number_parse_i64(b, &number))
        *out = (struct place){number < 0 ? PLACE_BEFORE_END : PLACE_OFFSET, llabs(number)};
    else if (number_parse_duration(b, 1000000000, &number))
        *out = (struct place){PLACE_TIME, now_ms - number / 1000000};
    else if (parse_time(text, &number))
        *out = (struct place){PLACE_TIME, number};
    else
        return err_set(E_INVALID,
                       "%s %s: must be beginning, end, an offset, -N before the end, 10m for the "
                       "last ten minutes, or a time as 2026-11-21T07:00:00Z",
                       option, text);
    return OK;
}

static enum err ask(struct kafka_client *c, int64_t timestamp, struct kafka_place *places,
                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        places[i].timestamp = timestamp;
    return kafka_client_list_offsets(c, places, count);
}

/* What the first question left open, as if the time had no end: from the end on. */
static enum err fill_from_end(struct kafka_client *c, struct kafka_place *places, size_t count)
{
    struct kafka_place *ends = xmemdup(places, count * sizeof *places);
    enum err err = ask(c, KAFKA_TIMESTAMP_LATEST, ends, count);

    for (size_t i = 0; i < count && !err; i++)
        if (places[i].offset < 0)
            places[i].offset = ends[i].offset;
    free(ends);
    return err;
}

static enum err go_back(struct kafka_client *c, int64_t messages, struct kafka_place *places,
                        size_t count)
{
    struct kafka_place *starts = xmemdup(places, count * sizeof *places);
    enum err err = ask(c, KAFKA_TIMESTAMP_LATEST, places, count);

    if (!err)
        err = ask(c, KAFKA_TIMESTAMP_EARLIEST, starts, count);
    for (size_t i = 0; i < count && !err; i++) {
        places[i].offset -= messages;
        if (places[i].offset < starts[i].offset)
            places[i].offset = starts[i].offset;
    }
    free(starts);
    return err;
}

enum err place_find(struct kafka_client *c, const struct place *place, struct kafka_place *places,
                    size_t count)
{
    enum err err = OK;

    if (count == 0)
        return OK;
    switch (place->kind) {
    case PLACE_BEGINNING: return ask(c, KAFKA_TIMESTAMP_EARLIEST, places, count);
    case PLACE_END: return ask(c, KAFKA_TIMESTAMP_LATEST, places, count);
    case PLACE_BEFORE_END: return go_back(c, place->value, places, count);
    case PLACE_OFFSET:
        for (size_t i = 0; i < count; i++)
            places[i].offset = place->value;
        return OK;
    case PLACE_TIME:
        err = ask(c, place->value, places, count);
        return err ? err : fill_from_end(c, places, count);
    }
    return OK;
}
