/*
 * Assertions about our own code. check() stays in release builds: a broken invariant stops the
 * process with expression, place and stack, because going on would spread it to the disk.
 * check_slow() is for walks over whole structures; it is compiled into debug, simulation and fuzz
 * builds only. Never use either on what comes from a peer, a file or the operator: that is
 * err_set().
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

_Noreturn void check_failed(const char *expression, const char *file, int line);

#define check(c) (__builtin_expect(!(c), 0) ? check_failed(#c, __FILE__, __LINE__) : (void)0)

#ifdef PABAL_CHECK_SLOW
#define check_slow(c) check(c)
#else
#define check_slow(c) ((void)0)
#endif

#endif
