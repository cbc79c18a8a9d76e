/*
 * Log lines for operators: what happened, to which object, what the server does now; key=value at
 * the end. Limited for each call site to 10 lines a second, with a count of what was left out.
 * Nothing on the hot path above debug. Lines go to the sink, stderr unless io sets another one.
 */
#ifndef BASE_SAY_H
#define BASE_SAY_H

#include <stdbool.h>
#include <stdint.h>

enum { SAY_LINE_MAX_BYTES = 1024, SAY_LINES_PER_SECOND = 10 };

enum say_level { SAY_DEBUG, SAY_INFO, SAY_WARN, SAY_ERROR };

struct say_site { /* one for each call site and thread */
    int64_t second;
    uint32_t in_second;
    uint32_t left_out;
};

void say_at(struct say_site *site, enum say_level level, const char *topic, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Lines below `level` are dropped; the default is SAY_INFO. */
void say_set_level(enum say_level level);
bool say_is_on(enum say_level level);
/* For the line's time and its rate limit; without a clock lines have neither. io sets it. */
void say_set_clock(int64_t (*wall_ms)(void));
/* `sink` gets whole lines with '\n', at most SAY_LINE_MAX_BYTES, on the thread that says them. */
void say_set_sink(void (*sink)(const char *line, uint32_t size));

#define say_(level, ...)                                                                           \
    do {                                                                                           \
        static _Thread_local struct say_site site_;                                                \
        if (say_is_on(level))                                                                      \
            say_at(&site_, level, __VA_ARGS__);                                                    \
    } while (0)
/* say_info("kafka", "closed: %s peer=%s", reason, peer) */
#define say_debug(...) say_(SAY_DEBUG, __VA_ARGS__)
#define say_info(...) say_(SAY_INFO, __VA_ARGS__)
#define say_warn(...) say_(SAY_WARN, __VA_ARGS__)
#define say_error(...) say_(SAY_ERROR, __VA_ARGS__)

#endif
