/* Starting threads. */
#include "io/thread.h"

#include "base/check.h"

#include <signal.h>

/* Decompressors and compaction keep their tables on the heap; nothing recurses. */
enum { STACK_BYTES = 256 * 1024 };

void thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *ctx)
{
    pthread_attr_t attributes;
    int failed = pthread_attr_init(&attributes);
    check(!failed);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);

    /* A thread inherits the mask, so no signal slips in between its start and its own masking. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(out, &attributes, run, ctx);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    check(!failed);

    pthread_setname_np(*out, name);
    pthread_attr_destroy(&attributes);
}
