/* What every fuzz target defines, in libFuzzer's words: try one input, return 0; a broken property
 * is a failed check(), and so a crash. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
