/* The clocks. Only io reads them; everybody else gets times as arguments. */
#ifndef IO_CLOCK_H
#define IO_CLOCK_H

#include <stdint.h>

int64_t clock_now_ns(void);  /* monotonic, for timers and durations */
int64_t clock_wall_ms(void); /* Unix time, for record timestamps and log lines */

/* Sleep; only on threads that may block. */
void clock_pause_ms(int64_t ms);

#endif
