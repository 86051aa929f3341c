#include "server/coding.h"
#include <stdint.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

enum { BLOCK = 64 << 10, ZSTD_WINDOW_LOG = 27 /* 128 MB, zstd's own limit for streams */ };

static bool same(struct str a, const char *z)
{
    return a.n == strlen(z) && strncasecmp(a.p, z, a.n) == 0;
}

static bool plain(struct str coding)
{
    return coding.n == 0 || same(coding, "identity");
}

bool coding_known(struct str coding)
{
    return plain(coding) || same(coding, "gzip") || same(coding, "x-gzip") ||
           same(coding, "deflate") || same(coding, "zstd");
}

static enum status broken(const char *what, struct err *err)
{
    return err_set(err, EUSAGE, "request body: broken or cut short, expected %s", what);
}

/* windowBits + 32: zlib's or gzip's head, whichever is there */
static enum status inflate_all(struct str body, struct buf *out, struct err *err)
{
    unsigned char block[BLOCK / 4];
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)body.p, .avail_in = (uInt)body.n};
    if (body.n > UINT32_MAX || inflateInit2(&z, 15 + 32) != Z_OK)
        return err_set(err, ENOMEMORY, "request body: no memory to inflate it");
    int e = Z_OK;
    while (e == Z_OK && !out->failed) {
        z.next_out = block;
        z.avail_out = sizeof block;
        e = inflate(&z, Z_NO_FLUSH);
        buf_add(out, block, sizeof block - z.avail_out);
    }
    bool whole = e == Z_STREAM_END && z.avail_in == 0;
    inflateEnd(&z);
    if (out->failed)
        return buf_check(out, "request body", err);
    return whole ? OK : broken("gzip or deflate", err);
}

static enum status unzstd_all(struct str body, struct buf *out, struct err *err)
{
    unsigned char block[BLOCK / 4];
    ZSTD_DCtx *d = ZSTD_createDCtx();
    ZSTD_inBuffer in = {body.p, body.n, 0};
    size_t left = 1;
    if (!d || ZSTD_isError(ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG))) {
        ZSTD_freeDCtx(d);
        return err_set(err, ENOMEMORY, "request body: no memory for zstd");
    }
    for (;;) {
        ZSTD_outBuffer o = {block, sizeof block, 0};
        size_t before = in.pos;
        left = ZSTD_decompressStream(d, &o, &in);
        buf_add(out, block, o.pos);
        /* at the end, or nothing moves any more */
        if (ZSTD_isError(left) || out->failed || (left == 0 && in.pos == in.size) ||
            (in.pos == before && o.pos == 0))
            break;
    }
    ZSTD_freeDCtx(d);
    if (out->failed)
        return buf_check(out, "request body", err);
    return left == 0 && in.pos == in.size ? OK : broken("zstd", err);
}

enum status coding_decode(struct str coding, struct str body, struct buf *out, struct err *err)
{
    if (plain(coding)) {
        buf_addstr(out, body);
        return buf_check(out, "request body", err);
    }
    return same(coding, "zstd") ? unzstd_all(body, out, err) : inflate_all(body, out, err);
}
