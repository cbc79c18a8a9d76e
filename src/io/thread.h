/* Threads of io: named, with small stacks, deaf to signals (the main thread takes those). */
#ifndef IO_THREAD_H
#define IO_THREAD_H

#include <pthread.h>

/* `name` has at most 15 characters. Aborts when the machine gives no more threads. */
void thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *ctx);

#endif
