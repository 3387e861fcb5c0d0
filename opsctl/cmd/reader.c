#include "opsctl/cmd/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem/alloc.h"

enum { IN_BYTES = 256 * 1024, OUT_BYTES = 2 * OPS_READER_LINE_MAX };

enum coding { PLAIN, GZIP, ZSTD };

struct ops_reader {
    char *path;
    int fd;
    enum coding coding;
    uint64_t consumed, total;
    bool in_end, open_member; /* in the middle of a gzip member or zstd frame */
    z_stream gz;
    ZSTD_DStream *zs;
    uint8_t in[IN_BYTES];
    size_t in_at, in_n;
    char out[OUT_BYTES];
    size_t out_at, out_n;
};

static ops_status fill_in(ops_reader *r, ops_err *reterr)
{
    if (r->in_at < r->in_n || r->in_end)
        return OPS_OK;
    ssize_t n = read(r->fd, r->in, sizeof r->in);
    if (n < 0 && errno == EINTR)
        return OPS_OK;
    if (n < 0)
        return ops_fail(reterr, OPS_EIO, "%s: %s", r->path, strerror(errno));
    r->in_at = 0;
    r->in_n = (size_t)n;
    r->consumed += (uint64_t)n;
    r->in_end = n == 0;
    return OPS_OK;
}

static ops_status start_coding(ops_reader *r, ops_err *reterr)
{
    static const uint8_t gz[2] = {0x1F, 0x8B}, zst[4] = {0x28, 0xB5, 0x2F, 0xFD};
    ops_status st = fill_in(r, reterr);
    if (st != OPS_OK)
        return st;
    if (r->in_n >= sizeof gz && memcmp(r->in, gz, sizeof gz) == 0) {
        r->coding = GZIP;
        if (inflateInit2(&r->gz, 15 + 16) != Z_OK)
            return ops_fail(reterr, OPS_ENOMEM, "%s", r->path);
    } else if (r->in_n >= sizeof zst && memcmp(r->in, zst, sizeof zst) == 0) {
        r->coding = ZSTD;
        r->zs = ZSTD_createDStream();
        if (r->zs == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "%s", r->path);
    }
    return OPS_OK;
}

ops_status ops_reader_open(const char *path, ops_reader **ret, ops_err *reterr)
{
    struct stat s;
    bool standard = strcmp(path, "-") == 0;
    OPS_AUTO(ops_reader_close) ops_reader *r = ops_calloc(1, sizeof *r);
    if (r == NULL || (r->path = ops_strdup(standard ? "standard input" : path)) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", path);
    r->fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s: %s", path, strerror(errno));
    if (fstat(r->fd, &s) == 0 && S_ISDIR(s.st_mode))
        return ops_fail(reterr, OPS_EINVAL, "%s is a folder", path);
    if (fstat(r->fd, &s) == 0 && S_ISREG(s.st_mode))
        r->total = (uint64_t)s.st_size;
    ops_status st = start_coding(r, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(r);
    return st;
}

void ops_reader_close(ops_reader *r)
{
    if (r == NULL)
        return;
    if (r->coding == GZIP)
        (void)inflateEnd(&r->gz);
    (void)ZSTD_freeDStream(r->zs);
    if (r->fd > 0)
        (void)close(r->fd);
    ops_free(r->path);
    ops_free(r);
}

static ops_status damaged(const ops_reader *r, const char *why, ops_err *reterr)
{
    return ops_fail(reterr, OPS_ECORRUPT, "%s: near byte %llu: %s", r->path,
                    (unsigned long long)(r->consumed - (r->in_n - r->in_at)), why);
}

static ops_status step_gzip(ops_reader *r, ops_err *reterr)
{
    r->gz.next_in = r->in + r->in_at;
    r->gz.avail_in = (unsigned)(r->in_n - r->in_at);
    r->gz.next_out = (uint8_t *)r->out + r->out_n;
    r->gz.avail_out = (unsigned)(sizeof r->out - r->out_n);
    int rc = inflate(&r->gz, Z_NO_FLUSH);
    r->in_at = r->in_n - r->gz.avail_in;
    r->out_n = sizeof r->out - r->gz.avail_out;
    r->open_member = rc != Z_STREAM_END;
    if (rc == Z_STREAM_END)
        rc = inflateReset(&r->gz); /* several members in a row are one file */
    return rc == Z_OK || rc == Z_BUF_ERROR ? OPS_OK : damaged(r, "broken gzip", reterr);
}

static ops_status step_zstd(ops_reader *r, ops_err *reterr)
{
    ZSTD_inBuffer in = {r->in, r->in_n, r->in_at};
    ZSTD_outBuffer out = {r->out, sizeof r->out, r->out_n};
    size_t rc = ZSTD_decompressStream(r->zs, &out, &in);
    if (ZSTD_isError(rc))
        return damaged(r, ZSTD_getErrorName(rc), reterr);
    r->in_at = in.pos;
    r->out_n = out.pos;
    r->open_member = rc != 0;
    return OPS_OK;
}

/* More text behind what there is; nothing at the end. */
static ops_status fill_out(ops_reader *r, ops_err *reterr)
{
    if (r->out_at > 0) {
        memmove(r->out, r->out + r->out_at, r->out_n - r->out_at);
        r->out_n -= r->out_at;
        r->out_at = 0;
    }
    size_t before = r->out_n;
    while (r->out_n == before) {
        ops_status st = fill_in(r, reterr);
        if (st != OPS_OK)
            return st;
        if (r->in_end && r->in_at == r->in_n)
            return r->open_member ? damaged(r, "it ends in the middle", reterr) : OPS_OK;
        if (r->coding == PLAIN) {
            size_t n = r->in_n - r->in_at, room = sizeof r->out - r->out_n;
            n = n < room ? n : room;
            memcpy(r->out + r->out_n, r->in + r->in_at, n);
            r->in_at += n;
            r->out_n += n;
        } else if ((st = r->coding == GZIP ? step_gzip(r, reterr) : step_zstd(r, reterr)) != OPS_OK)
            return st;
    }
    return OPS_OK;
}

ops_status ops_reader_line(ops_reader *r, ops_slice *ret, bool *ret_end, ops_err *reterr)
{
    size_t looked = 0;
    *ret_end = false;
    for (;;) {
        const char *from = r->out + r->out_at;
        size_t n = r->out_n - r->out_at;
        const char *nl = n > looked ? memchr(from + looked, '\n', n - looked) : NULL;
        looked = n;
        if (nl != NULL || n >= OPS_READER_LINE_MAX) {
            size_t len = nl != NULL ? (size_t)(nl - from) : OPS_READER_LINE_MAX;
            if (len > OPS_READER_LINE_MAX)
                len = OPS_READER_LINE_MAX;
            bool cut = nl == NULL || len < (size_t)(nl - from);
            r->out_at += len + (cut ? 0 : 1);
            *ret = ops_slice_of(from, len > 0 && !cut && from[len - 1] == '\r' ? len - 1 : len);
            return OPS_OK;
        }
        size_t had = r->out_n - r->out_at;
        ops_status st = fill_out(r, reterr);
        if (st != OPS_OK)
            return st;
        if (r->out_n - r->out_at == had) {
            *ret_end = had == 0;
            *ret = ops_slice_of(r->out + r->out_at, had);
            r->out_at = r->out_n;
            return OPS_OK;
        }
    }
}

void ops_reader_progress(const ops_reader *r, uint64_t *ret_done, uint64_t *ret_total)
{
    *ret_done = r->consumed - (r->in_n - r->in_at);
    *ret_total = r->total;
}
