/* Base64 (RFC 4648), as message bodies travel in JSON. */
#ifndef MANAGE_BASE64_H
#define MANAGE_BASE64_H

#include <stdbool.h>

#include "base/bytes.h"

/* Both append. False: it is no base64; `out` is unchanged. */
void base64_encode(struct bytes plain, struct text *out);
bool base64_decode(struct bytes encoded, struct text *out);

#endif
