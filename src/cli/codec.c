#include "cli/codec.h"

#include <string.h>

enum err codec_parse(const char *text, enum batch_codec *out)
{
    static const char *const names[CODEC_COUNT] = {"none", "gzip", "snappy", "lz4", "zstd"};

    for (int i = 0; i < CODEC_COUNT; i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        *out = (enum batch_codec)i;
        return OK;
    }
    return err_set(E_INVALID, "--codec %s: must be none, gzip, snappy, lz4 or zstd", text);
}

enum err codec_apply(enum batch_codec codec, struct bytes batch, struct text *scratch,
                     struct bytes *out)
{
    struct batch header;
    enum err err = batch_parse(batch, &header);

    *out = batch;
    if (err || codec == CODEC_NONE)
        return err;
    scratch->size = 0;
    text_append_zeros(scratch, BATCH_HEADER_BYTES);
    err = batch_deflate(
        codec, bytes_of(batch.data + BATCH_HEADER_BYTES, batch.size - BATCH_HEADER_BYTES), scratch);
    if (err)
        return err;
    unsigned attributes = header.attributes & ~(unsigned)BATCH_CODEC_MASK;
    header.attributes = (uint16_t)(attributes | codec);
    header.raw = text_bytes(scratch);
    batch_header_put(scratch->data, &header);
    *out = text_bytes(scratch);
    return OK;
}
