/* Compression of record batches: what producers may send, for those who must look inside, and the
 * same for what compaction leaves of it. */
#include "log/batch.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

enum { GROW_BYTES = 64 * 1024 };

static enum err too_large(size_t limit)
{
    return err_set(E_TOO_LARGE, "batch inflates to more than %zu bytes", limit);
}

/* Room for more output, or E_TOO_LARGE. */
static enum err make_room(struct text *out, size_t limit, size_t *room)
{
    if (out->size >= limit)
        return too_large(limit);
    *room = limit - out->size < GROW_BYTES ? limit - out->size : GROW_BYTES;
    text_reserve(out, *room);
    return OK;
}

static enum err inflate_gzip(struct bytes in, size_t limit, struct text *out)
{
    z_stream z = {.next_in = (Bytef *)in.data, .avail_in = (uInt)in.size};
    if (inflateInit2(&z, 15 + 32) != Z_OK)
        return err_set(E_NO_MEMORY, "zlib");
    enum err err = OK;
    int rc = Z_OK;
    while (!err && rc == Z_OK) {
        size_t room = 0;
        err = make_room(out, limit, &room);
        if (err)
            break;
        z.next_out = out->data + out->size;
        z.avail_out = (uInt)room;
        rc = inflate(&z, Z_NO_FLUSH);
        out->size += room - z.avail_out;
        if (rc == Z_BUF_ERROR && z.avail_in > 0)
            rc = Z_OK;
    }
    inflateEnd(&z);
    if (!err && rc != Z_STREAM_END)
        err = err_set(E_CORRUPT, "gzip batch does not inflate");
    return err;
}

static enum err inflate_lz4(struct bytes in, size_t limit, struct text *out)
{
    LZ4F_dctx *ctx;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
        return err_set(E_NO_MEMORY, "lz4");
    enum err err = OK;
    size_t at = 0, hint = 1;
    while (!err && hint != 0) {
        size_t room = 0, used = in.size - at;
        err = make_room(out, limit, &room);
        if (err)
            break;
        hint = LZ4F_decompress(ctx, out->data + out->size, &room, in.data + at, &used, NULL);
        at += used;
        out->size += room;
        if (LZ4F_isError(hint) || (hint != 0 && used == 0 && room == 0))
            err = err_set(E_CORRUPT, "lz4 batch does not inflate");
    }
    LZ4F_freeDecompressionContext(ctx);
    return err;
}

static enum err inflate_zstd(struct bytes in, size_t limit, struct text *out)
{
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (!ctx)
        return err_set(E_NO_MEMORY, "zstd");
    ZSTD_inBuffer source = {in.data, in.size, 0};
    enum err err = OK;
    size_t hint = 1;
    while (!err && hint != 0) {
        size_t room = 0;
        err = make_room(out, limit, &room);
        if (err)
            break;
        ZSTD_outBuffer sink = {out->data + out->size, room, 0};
        size_t before = source.pos;
        hint = ZSTD_decompressStream(ctx, &sink, &source);
        out->size += sink.pos;
        if (ZSTD_isError(hint) || (hint != 0 && source.pos == before && sink.pos == 0))
            err = err_set(E_CORRUPT, "zstd batch does not inflate");
    }
    ZSTD_freeDCtx(ctx);
    return err;
}

static enum err inflate_snappy_block(struct bytes in, size_t limit, struct text *out)
{
    size_t size;
    if (snappy_uncompressed_length((const char *)in.data, in.size, &size) != SNAPPY_OK)
        return err_set(E_CORRUPT, "snappy batch does not inflate");
    if (size > limit - out->size)
        return too_large(limit);
    text_reserve(out, size);
    if (snappy_uncompress((const char *)in.data, in.size, (char *)out->data + out->size, &size) !=
        SNAPPY_OK)
        return err_set(E_CORRUPT, "snappy batch does not inflate");
    out->size += size;
    return OK;
}

/* Java clients frame snappy as xerial does: a 16-byte header, then blocks of {u32 size, snappy}.
 * Some others send one bare block. */
static enum err inflate_snappy(struct bytes in, size_t limit, struct text *out)
{
    static const uint8_t xerial[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
    if (in.size < 16 || memcmp(in.data, xerial, sizeof xerial) != 0)
        return inflate_snappy_block(in, limit, out);
    size_t at = 16;
    while (at < in.size) {
        if (in.size - at < 4 || get_u32(in.data + at) > in.size - at - 4)
            return err_set(E_CORRUPT, "snappy batch ends inside a block");
        size_t size = get_u32(in.data + at);
        enum err err = inflate_snappy_block(bytes_of(in.data + at + 4, size), limit, out);
        if (err)
            return err;
        at += 4 + size;
    }
    return OK;
}

enum err batch_inflate(const struct batch *b, size_t limit, struct text *scratch,
                       struct bytes *out_records)
{
    struct bytes in = bytes_of(b->raw.data + BATCH_HEADER_BYTES, b->raw.size - BATCH_HEADER_BYTES);
    enum err err = OK;
    scratch->size = 0;
    switch (b->attributes & BATCH_CODEC_MASK) {
    case CODEC_NONE: *out_records = in; return OK;
    case CODEC_GZIP: err = inflate_gzip(in, limit, scratch); break;
    case CODEC_SNAPPY: err = inflate_snappy(in, limit, scratch); break;
    case CODEC_LZ4: err = inflate_lz4(in, limit, scratch); break;
    case CODEC_ZSTD: err = inflate_zstd(in, limit, scratch); break;
    default:
        return err_set(E_UNSUPPORTED, "compression codec %d", b->attributes & BATCH_CODEC_MASK);
    }
    if (!err)
        *out_records = text_bytes(scratch);
    return err;
}

/* ---- the other way ---- */

static enum err deflate_gzip(struct bytes in, int level, struct text *out)
{
    z_stream z = {.next_in = (Bytef *)in.data, .avail_in = (uInt)in.size};
    if (level == BATCH_LEVEL_STANDARD)
        level = Z_DEFAULT_COMPRESSION;
    if (deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return err_set(E_NO_MEMORY, "zlib");
    uLong bound = deflateBound(&z, z.avail_in);
    z.next_out = text_reserve(out, bound);
    z.avail_out = (uInt)bound;
    int rc = deflate(&z, Z_FINISH);
    out->size += bound - z.avail_out;
    deflateEnd(&z);
    return rc == Z_STREAM_END ? OK : err_set(E_CORRUPT, "gzip: %d", rc);
}

/* Blocks that do not refer to one another: Java's reader knows no others. */
static enum err deflate_lz4(struct bytes in, int level, struct text *out)
{
    LZ4F_preferences_t preferences = {
        .frameInfo = {.blockMode = LZ4F_blockIndependent, .blockSizeID = LZ4F_max64KB},
        .compressionLevel = level == BATCH_LEVEL_STANDARD ? 0 : level};
    size_t bound = LZ4F_compressFrameBound(in.size, &preferences);
    size_t size =
        LZ4F_compressFrame(text_reserve(out, bound), bound, in.data, in.size, &preferences);
    if (LZ4F_isError(size))
        return err_set(E_CORRUPT, "lz4: %s", LZ4F_getErrorName(size));
    out->size += size;
    return OK;
}

static enum err deflate_zstd(struct bytes in, int level, struct text *out)
{
    size_t bound = ZSTD_compressBound(in.size);
    size_t size = ZSTD_compress(text_reserve(out, bound), bound, in.data, in.size,
                                level == BATCH_LEVEL_STANDARD ? ZSTD_CLEVEL_DEFAULT : level);
    if (ZSTD_isError(size))
        return err_set(E_CORRUPT, "zstd: %s", ZSTD_getErrorName(size));
    out->size += size;
    return OK;
}

static enum err deflate_snappy(struct bytes in, struct text *out)
{
    enum { BLOCK_BYTES = 32 * 1024 };
    static const uint8_t xerial[16] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
                                       0,    0,   0,   1,   0,   0,   0,   1};
    text_append(out, bytes_of(xerial, sizeof xerial));
    for (size_t at = 0; at < in.size;) {
        size_t block = in.size - at < BLOCK_BYTES ? in.size - at : BLOCK_BYTES;
        size_t size = snappy_max_compressed_length(block);
        uint8_t *p = text_reserve(out, 4 + size);
        if (snappy_compress((const char *)in.data + at, block, (char *)p + 4, &size) != SNAPPY_OK)
            return err_set(E_CORRUPT, "snappy");
        put_u32(p, (uint32_t)size);
        out->size += 4 + size;
        at += block;
    }
    return OK;
}

enum err batch_deflate(enum batch_codec codec, struct bytes records, struct text *out)
{
    return batch_deflate_at(codec, BATCH_LEVEL_STANDARD, records, out);
}

enum err batch_deflate_at(enum batch_codec codec, int level, struct bytes records, struct text *out)
{
    switch (codec) {
    case CODEC_NONE: text_append(out, records); return OK;
    case CODEC_GZIP: return deflate_gzip(records, level, out);
    case CODEC_SNAPPY: return deflate_snappy(records, out);
    case CODEC_LZ4: return deflate_lz4(records, level, out);
    case CODEC_ZSTD: return deflate_zstd(records, level, out);
    case CODEC_COUNT: break;
    }
    return err_set(E_UNSUPPORTED, "compression codec %d", codec);
}
