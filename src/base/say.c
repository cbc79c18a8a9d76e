/*
 * A line: `2026-11-21T03:20:00.123Z INFO kafka text key=value`. Lines that were left out at a call
 * site are counted in its next one: ` left_out=N` at the end.
 */
#include "base/say.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

static void say_to_stderr(const char *line, uint32_t size);

/* Set at start, before there are threads; the level also later, by an operator. */
static int64_t (*say_wall_ms)(void);
static void (*say_sink)(const char *line, uint32_t size) = say_to_stderr;
static enum say_level say_lowest = SAY_INFO;

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

struct line {
    char text[SAY_LINE_MAX_BYTES];
    size_t size;
    size_t limit; /* of size, with the NUL */
};

static void say_to_stderr(const char *line, uint32_t size)
{
    fwrite(line, 1, size, stderr);
}

void say_set_level(enum say_level level)
{
    __atomic_store_n(&say_lowest, level, __ATOMIC_RELAXED);
}

bool say_is_on(enum say_level level)
{
    return level >= __atomic_load_n(&say_lowest, __ATOMIC_RELAXED);
}

void say_set_clock(int64_t (*wall_ms)(void))
{
    say_wall_ms = wall_ms;
}

void say_set_sink(void (*sink)(const char *line, uint32_t size))
{
    say_sink = sink ? sink : say_to_stderr;
}

/* Append; what does not fit is cut. */
__attribute__((format(printf, 2, 0))) static void line_vprintf(struct line *line,
                                                               const char *format, va_list args)
{
    size_t room = line->limit - line->size;
    int size = vsnprintf(line->text + line->size, room, format, args);

    check(size >= 0);
    line->size += (size_t)size < room ? (size_t)size : room - 1;
}

__attribute__((format(printf, 2, 3))) static void line_printf(struct line *line, const char *format,
                                                              ...)
{
    va_list args;

    va_start(args, format);
    line_vprintf(line, format, args);
    va_end(args);
}

static void line_put_time(struct line *line, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    line_printf(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ ", tm.tm_year + 1900, tm.tm_mon + 1,
                tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
}

static bool site_may_say(struct say_site *site, int64_t second)
{
    if (site->second != second) {
        site->second = second;
        site->in_second = 0;
    }
    if (site->in_second == SAY_LINES_PER_SECOND) {
        site->left_out++;
        return false;
    }
    site->in_second++;
    return true;
}

/* Text from peers must not forge lines or move an operator's terminal. */
static void line_hide_controls(struct line *line)
{
    for (size_t i = 0; i < line->size; i++)
        if ((unsigned char)line->text[i] < 0x20 || line->text[i] == 0x7f)
            line->text[i] = '?';
}

void say_at(struct say_site *site, enum say_level level, const char *topic, const char *format, ...)
{
    enum { TAIL_BYTES = 32 }; /* for left_out and the newline */
    int64_t wall_ms = say_wall_ms ? say_wall_ms() : 0;
    struct line line = {.limit = SAY_LINE_MAX_BYTES - TAIL_BYTES};
    va_list args;

    if (say_wall_ms && !site_may_say(site, wall_ms / 1000))
        return;
    if (say_wall_ms)
        line_put_time(&line, wall_ms);
    line_printf(&line, "%s %s ", level_names[level], topic);
    va_start(args, format);
    line_vprintf(&line, format, args);
    va_end(args);
    line.limit = SAY_LINE_MAX_BYTES;
    if (site->left_out)
        line_printf(&line, " left_out=%u", site->left_out);
    site->left_out = 0;
    line_hide_controls(&line);
    line_printf(&line, "\n");
    say_sink(line.text, (uint32_t)line.size);
}
