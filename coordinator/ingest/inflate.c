/* Bounded decompression with zlib, libzstd and libsnappy. The output buffer doubles; every growth is checked against both caps,
 * so the memory at risk is at most twice what is allowed. */
#include "coordinator/ingest/inflate.h"

#include "base/mem/alloc.h"

#include <limits.h>
#include <snappy-c.h>
#define ZLIB_CONST 1
#include <zlib.h>
#include <zstd.h>

enum { ZSTD_WINDOW_LOG_MAX = 23 }; /* 8 MiB, what RFC 8878 asks every decoder to support */
/* The densest element of a snappy block: a copy of 64 bytes in 3 (format_description.txt, 2.2.2). */
enum { SNAPPY_COPY_BYTES_MAX = 64, SNAPPY_COPY_BYTES = 3 };

typedef struct grow {
    char *p;
    size_t n, cap, max; /* max: the tighter of the byte and the ratio cap */
    bool by_ratio;
} grow;

ops_status ops_inflate_coding_of(ops_slice name, ops_inflate_coding *ret, ops_err *reterr)
{
    name = ops_slice_trim(name);
    if (name.n == 0 || ops_slice_eq_nocase(name, OPS_SLICE("identity")))
        *ret = OPS_INFLATE_IDENTITY;
    else if (ops_slice_eq_nocase(name, OPS_SLICE("gzip")) || ops_slice_eq_nocase(name, OPS_SLICE("x-gzip")))
        *ret = OPS_INFLATE_GZIP;
    else if (ops_slice_eq_nocase(name, OPS_SLICE("zstd")))
        *ret = OPS_INFLATE_ZSTD;
    else if (ops_slice_eq_nocase(name, OPS_SLICE("snappy")))
        *ret = OPS_INFLATE_SNAPPY;
    else
        return ops_fail(reterr, OPS_EUNIMPL,
                        "content encoding '" OPS_SLICE_FMT
                        "' is not supported: use gzip, zstd, snappy or identity",
                        OPS_SLICE_ARG(ops_slice_sub(name, 0, 64)));
    return OPS_OK;
}

static ops_status too_big(const grow *g, size_t in_at, ops_err *reterr)
{
    if (g->by_ratio)
        return ops_fail(reterr, OPS_ETOOBIG, "decompressed body passes %d times its input at input byte %zu",
                        OPS_INFLATE_RATIO_MAX, in_at);
    return ops_fail(reterr, OPS_ETOOBIG, "decompressed body passes the limit of %zu bytes at input byte %zu",
                    g->max, in_at);
}

/* Makes room for at least one more byte. One byte beyond `max` is never offered. */
static ops_status more(grow *g, size_t in_at, ops_err *reterr)
{
    if (g->n < g->cap)
        return OPS_OK;
    if (g->cap >= g->max)
        return too_big(g, in_at, reterr);
    size_t cap = g->cap < 2048 ? 4096 : g->cap * 2;
    if (cap > g->max)
        cap = g->max;
    char *p = ops_realloc(g->p, cap > 0 ? cap : 1);
    if (p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "decompressing into %zu bytes", cap);
    g->p = p;
    g->cap = cap;
    return OPS_OK;
}

static voidpf z_alloc(voidpf u, uInt items, uInt size)
{
    (void)u;
    return ops_calloc(items, size);
}

static void z_free(voidpf u, voidpf p)
{
    (void)u;
    ops_free(p);
}

/* At the very limit the stream may still have only its trailer to read: then one spare byte tells it from a bomb. */
static ops_status gunzip_step(z_stream *z, grow *g, size_t in_at, int *ret_z, ops_err *reterr)
{
    Bytef spare = 0;
    const bool full = g->n == g->cap && g->cap >= g->max;

    if (!full) {
        const ops_status st = more(g, in_at, reterr);
        if (st != OPS_OK)
            return st;
    }
    const size_t room = full ? 1 : g->cap - g->n;
    z->next_out = full ? &spare : (Bytef *)g->p + g->n;
    z->avail_out = room > UINT_MAX ? UINT_MAX : (uInt)room;
    const uInt offered = z->avail_out;
    *ret_z = inflate(z, Z_NO_FLUSH);
    const size_t made = offered - z->avail_out;
    if (full)
        return made > 0 ? too_big(g, in_at, reterr) : OPS_OK;
    g->n += made;
    return OPS_OK;
}

static ops_status gunzip(const char *in, size_t n, grow *g, ops_err *reterr)
{
    z_stream z = {.zalloc = z_alloc, .zfree = z_free};
    size_t used = 0;
    ops_status st = OPS_OK;
    bool ended = false;

    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return ops_fail(reterr, OPS_ENOMEM, "starting gzip");
    while (st == OPS_OK) {
        const size_t left = n - used;
        int r = Z_OK;
        if (ended && left == 0)
            break;
        if (ended && inflateReset(&z) != Z_OK) {
            st = ops_fail(reterr, OPS_EINTERNAL, "gzip: reset at input byte %zu", used);
            break;
        }
        ended = false;
        z.next_in = (const Bytef *)in + used;
        z.avail_in = left > UINT_MAX ? UINT_MAX : (uInt)left;
        st = gunzip_step(&z, g, used, &r, reterr);
        const size_t eaten = (size_t)(z.next_in - ((const Bytef *)in + used));
        used += eaten;
        if (st != OPS_OK)
            break;
        if (r == Z_STREAM_END)
            ended = true;
        else if (r == Z_MEM_ERROR)
            st = ops_fail(reterr, OPS_ENOMEM, "gzip: at input byte %zu", used);
        else if (r != Z_OK && r != Z_BUF_ERROR)
            st = ops_fail(reterr, OPS_EINVAL, "gzip: %s at input byte %zu", z.msg != NULL ? z.msg : "corrupt",
                          used);
        else if (used == n && z.avail_out > 0)
            st = ops_fail(reterr, OPS_EINVAL, "gzip: ends early at input byte %zu", used);
    }
    inflateEnd(&z);
    return st;
}

static ops_status zstd_declared(const char *in, size_t n, const grow *g, ops_err *reterr)
{
    const unsigned long long size = ZSTD_getFrameContentSize(in, n);

    if (size == ZSTD_CONTENTSIZE_ERROR)
        return ops_fail(reterr, OPS_EINVAL, "zstd: no frame at input byte 0");
    if (size != ZSTD_CONTENTSIZE_UNKNOWN && size > g->max)
        return ops_fail(reterr, OPS_ETOOBIG, "zstd: frame declares %llu bytes, %zu are allowed", size,
                        g->max);
    return OPS_OK;
}

static ops_status unzstd(const char *in, size_t n, grow *g, ops_err *reterr)
{
    ops_status st = zstd_declared(in, n, g, reterr);
    ZSTD_inBuffer src = {in, n, 0};
    size_t r = 1;

    if (st != OPS_OK)
        return st;
    ZSTD_DStream *z = ZSTD_createDStream();
    if (z == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "starting zstd");
    ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    while (st == OPS_OK && (src.pos < src.size || r != 0)) {
        char spare;
        const bool full = g->n == g->cap && g->cap >= g->max;
        if (!full && (st = more(g, src.pos, reterr)) != OPS_OK)
            break;
        ZSTD_outBuffer dst = {full ? &spare : g->p + g->n, full ? 1 : g->cap - g->n, 0};
        const size_t before = src.pos;
        r = ZSTD_decompressStream(z, &dst, &src);
        if (ZSTD_isError(r))
            st = ops_fail(reterr, OPS_EINVAL, "zstd: %s at input byte %zu", ZSTD_getErrorName(r), src.pos);
        else if (full && dst.pos > 0)
            st = too_big(g, src.pos, reterr);
        else if (r != 0 && dst.pos == 0 && src.pos == before)
            st = ops_fail(reterr, OPS_EINVAL, "zstd: ends early at input byte %zu", src.pos);
        if (!full)
            g->n += dst.pos;
    }
    ZSTD_freeDStream(z);
    return st;
}

static ops_status unsnappy(const char *in, size_t n, size_t max, grow *g, ops_err *reterr)
{
    size_t size = 0;

    if (snappy_uncompressed_length(in, n, &size) != SNAPPY_OK)
        return ops_fail(reterr, OPS_EINVAL, "snappy: no length at input byte 0");
    if (size > max)
        return ops_fail(reterr, OPS_ETOOBIG, "snappy: block declares %zu bytes, %zu are allowed", size, max);
    if (size / SNAPPY_COPY_BYTES_MAX > n / SNAPPY_COPY_BYTES)
        return ops_fail(reterr, OPS_EINVAL, "snappy: block declares %zu bytes, more than %zu can hold", size,
                        n);
    g->p = ops_malloc(size > 0 ? size : 1);
    if (g->p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "decompressing into %zu bytes", size);
    g->n = size;
    if (snappy_uncompress(in, n, g->p, &g->n) != SNAPPY_OK)
        return ops_fail(reterr, OPS_EINVAL, "snappy: corrupt or cut block of %zu input bytes", n);
    return OPS_OK;
}

ops_status ops_inflate(ops_inflate_coding coding, const void *in, size_t n, size_t out_bytes_max, char **ret,
                       size_t *ret_n, ops_err *reterr)
{
    grow g = {.max = out_bytes_max};
    ops_status st = OPS_OK;

    if (coding == OPS_INFLATE_IDENTITY) {
        if (n > out_bytes_max)
            return ops_fail(reterr, OPS_ETOOBIG, "body of %zu bytes is above the limit of %zu", n,
                            out_bytes_max);
        g.p = ops_malloc(n > 0 ? n : 1);
        if (g.p == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "copying a body of %zu bytes", n);
        if (n > 0)
            memcpy(g.p, in, n);
        g.n = n;
    } else if (coding == OPS_INFLATE_SNAPPY) {
        st = unsnappy(in, n, out_bytes_max, &g, reterr);
    } else {
        size_t by_ratio = n > SIZE_MAX / OPS_INFLATE_RATIO_MAX ? SIZE_MAX : n * OPS_INFLATE_RATIO_MAX;
        if (by_ratio < OPS_INFLATE_RATIO_FREE_BYTES)
            by_ratio = OPS_INFLATE_RATIO_FREE_BYTES;
        if (by_ratio < g.max) {
            g.max = by_ratio;
            g.by_ratio = true;
        }
        st = more(&g, 0, reterr);
        if (st == OPS_OK)
            st = coding == OPS_INFLATE_GZIP ? gunzip(in, n, &g, reterr) : unzstd(in, n, &g, reterr);
    }
    if (st != OPS_OK) {
        ops_free(g.p);
        return st;
    }
    *ret = g.p;
    *ret_n = g.n;
    return OPS_OK;
}
