/* The process: signals, limits, names, the environment, service notification, files that are not
 * the log's. */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "io/jobs.h"

/* Call `wake(ctx)` from the signal handler of SIGINT and SIGTERM; process_should_stop() then says
 * so. */
void process_catch_signals(void (*wake)(void *ctx), void *ctx);
bool process_should_stop(void);
/* As if such a signal had come. */
void process_ask_to_stop(void);
/* Does a process of this number run? One that has ended and nobody asks for does not. */
bool process_is_there(uint64_t id);
/* Raise RLIMIT_NOFILE to its hard limit; returns the limit in force. */
uint64_t process_raise_file_limit(void);
/* Tell systemd (sd_notify protocol, no library) "READY=1" and the like; without NOTIFY_SOCKET
 * nothing. */
void process_notify(const char *state);
/* Give memory that was freed back to the system; may take milliseconds. */
void process_trim_memory(void);
/* The same in a helper. */
void process_trim_memory_by(struct jobs *jobs);
/* From now on keep up to 32 MiB of what is freed until process_trim_memory(): who frees large blocks and wants
 * such again would have to have their pages made anew, and zeroed, each time. */
void process_keep_memory(void);
uint64_t process_rss_bytes(void);
uint64_t process_open_files(void);         /* how many; takes long when there are many */
uint64_t process_total_memory_bytes(void); /* of the machine, or of the cgroup when smaller */
int process_cpu_count(void);
/* From the kernel: good for secrets. */
void process_random(void *out, size_t size);
/* Read a small text file whole, at most `limit` bytes. */
must_use enum err process_read_file(const char *path, size_t limit, struct text *out);
/* Write a small file whole, over what was there; only the owner may read it. */
must_use enum err process_write_file(const char *path, struct bytes content);
uint64_t process_id(void);
/* The machine's name, up to the first dot; cut to fit. */
void process_host_name(char *out, size_t size);

#endif
