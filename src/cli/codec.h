/* Record batches that the commands write, compressed. */
#ifndef CLI_CODEC_H
#define CLI_CODEC_H

#include "log/batch.h"

/* none, gzip, snappy, lz4 or zstd; E_INVALID. */
must_use enum err codec_parse(const char *text, enum batch_codec *out);
/* `batch` with its records compressed, in `scratch` unless the codec is none; with its checksum. */
must_use enum err codec_apply(enum batch_codec codec, struct bytes batch, struct text *scratch,
                              struct bytes *out);

#endif
