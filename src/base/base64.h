/* Base64 (RFC 4648 s.4), with padding. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>

#include "base/bytes.h"

/* Append. */
void base64_encode(struct text *out, struct bytes b);
/* Append. False, with what was decoded so far: it is none. */
bool base64_decode(struct text *out, struct bytes text);

#endif
