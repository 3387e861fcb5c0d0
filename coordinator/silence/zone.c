#include "coordinator/silence/zone.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"

/* RFC 8536, 3.2: more than -25 and less than 26 hours. */
enum { OFFSET_LEAST = -25 * 3600 + 1, OFFSET_MOST = 26 * 3600 - 1 };
enum { HEADER_BYTES = 44, FILE_BYTES_MAX = 256 * 1024, COUNT_MAX = 16384, YEAR_S = 366 * 86400 };
#define FOLDER "/usr/share/zoneinfo/"

struct ops_zone {
    size_t n;
    int64_t *at;     /* transitions, ascending */
    int32_t *offset; /* from each on */
    int32_t first;   /* before the first */
};

void ops_zone_free(ops_zone *z)
{
    if (z == NULL)
        return;
    ops_free(z->at);
    ops_free(z->offset);
    ops_free(z);
}

int32_t ops_zone_offset(const ops_zone *z, int64_t unix_s)
{
    size_t lo = 0, hi = z->n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (z->at[mid] <= unix_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == 0 ? z->first : z->offset[lo - 1];
}

int64_t ops_zone_unix(const ops_zone *z, int64_t day, int32_t second)
{
    const int64_t local = day * 86400 + second;
    const int32_t before = ops_zone_offset(z, local - 86400), after = ops_zone_offset(z, local + 86400);
    const int64_t early = local - before, late = local - after;
    if (ops_zone_offset(z, early) == before)
        return early;
    return ops_zone_offset(z, late) == after ? late
                                             : early; /* in a gap: as far behind it as it was asked for */
}

typedef struct counts {
    uint32_t isut, isstd, leap, time, type, chars;
} counts;

static bool read_counts(ops_slice s, counts *ret)
{
    if (s.n < HEADER_BYTES || memcmp(s.p, "TZif", 4) != 0)
        return false;
    uint32_t *to[] = {&ret->isut, &ret->isstd, &ret->leap, &ret->time, &ret->type, &ret->chars};
    for (size_t i = 0; i < 6; i++) {
        *to[i] = ops_get_be32(s.p + 20 + 4 * i);
        if (*to[i] > COUNT_MAX)
            return false;
    }
    return ret->type > 0;
}

static size_t block_bytes(const counts *c, size_t time_bytes)
{
    return c->time * (time_bytes + 1) + (size_t)c->type * 6 + c->chars + c->leap * (time_bytes + 4) +
           c->isstd + c->isut;
}

static ops_status fill(ops_zone *z, const counts *c, const char *p, ops_err *reterr)
{
    const char *index = p + (size_t)c->time * 8, *types = index + c->time;
    z->at = ops_calloc(c->time + 1, sizeof *z->at);
    z->offset = ops_calloc(c->time + 1, sizeof *z->offset);
    if (z->at == NULL || z->offset == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a zone of %u transitions", c->time);
    for (uint32_t i = 0; i < c->type; i++) {
        const int32_t offset = (int32_t)ops_get_be32(types + 6 * (size_t)i);
        if (offset < OFFSET_LEAST || offset > OFFSET_MOST)
            return ops_fail(reterr, OPS_EINVAL, "type %u of the zone's file is %d s from UTC", i, offset);
    }
    z->first = (int32_t)ops_get_be32(types);
    for (uint32_t i = 0; i < c->time; i++) {
        const uint8_t type = (uint8_t)index[i];
        z->at[i] = (int64_t)ops_get_be64(p + 8 * (size_t)i);
        if (type >= c->type || (i > 0 && z->at[i] <= z->at[i - 1]))
            return ops_fail(reterr, OPS_EINVAL, "transition %u of the zone's file is damaged", i);
        z->offset[i] = (int32_t)ops_get_be32(types + 6 * (size_t)type);
    }
    z->n = c->time;
    return OPS_OK;
}

ops_status ops_zone_parse(ops_slice file, int64_t now_s, ops_zone **ret, ops_err *reterr)
{
    counts c;
    if (!read_counts(file, &c) || file.p[4] < '2')
        return ops_fail(reterr, OPS_EINVAL, "no TZif file of version 2 or above");
    const size_t skip = HEADER_BYTES + block_bytes(&c, 4);
    const ops_slice second = ops_slice_sub(file, skip < file.n ? skip : file.n, file.n);
    if (!read_counts(second, &c) || second.n < HEADER_BYTES + block_bytes(&c, 8))
        return ops_fail(reterr, OPS_EINVAL, "a TZif file that ends early");
    const ops_slice rule = ops_slice_sub(second, HEADER_BYTES + block_bytes(&c, 8), second.n);
    OPS_AUTO(ops_zone_free) ops_zone *z = ops_calloc(1, sizeof *z);
    ops_status st =
        z != NULL ? fill(z, &c, second.p + HEADER_BYTES, reterr) : ops_fail(reterr, OPS_ENOMEM, "a zone");
    /* A rule with a comma changes clocks twice a year for ever. */
    if (st == OPS_OK && ops_slice_find_char(rule, ',') >= 0 &&
        (z->n == 0 || z->at[z->n - 1] < now_s + YEAR_S))
        st = ops_fail(reterr, OPS_EINVAL, "its file lists no transitions for the next year (a slim file)");
    if (st == OPS_OK)
        *ret = OPS_STEAL(z);
    return st;
}

static ops_status fixed(int32_t offset, ops_zone **ret, ops_err *reterr)
{
    ops_zone *z = ops_calloc(1, sizeof *z);
    if (z == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a zone");
    z->first = offset;
    *ret = z;
    return OPS_OK;
}

/* "+08:00" */
static bool parse_offset(ops_slice s, int32_t *ret)
{
    uint64_t h, m;
    if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-') || s.p[3] != ':' ||
        !ops_slice_to_u64(ops_slice_sub(s, 1, 2), &h) || !ops_slice_to_u64(ops_slice_sub(s, 4, 2), &m) ||
        h > 14 || m > 59)
        return false;
    *ret = (int32_t)(h * 3600 + m * 60) * (s.p[0] == '-' ? -1 : 1);
    return true;
}

/* No way out of the folder. */
static bool good_name(ops_slice s)
{
    bool ok = s.n > 0 && s.n < 64 && s.p[0] != '/' && s.p[0] != '.' && ops_slice_find(s, OPS_SLICE("..")) < 0;
    for (size_t i = 0; ok && i < s.n; i++)
        ok = (s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
             (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] != '\0' && strchr("/_+-", s.p[i]) != NULL);
    return ok;
}

ops_status ops_zone_new(ops_slice name, int64_t now_s, ops_zone **ret, ops_err *reterr)
{
    int32_t offset = 0;
    char path[sizeof FOLDER + 64];
    if (ops_slice_eq(name, OPS_SLICE("UTC")) || parse_offset(name, &offset))
        return fixed(offset, ret, reterr);
    if (!good_name(name))
        return ops_fail(reterr, OPS_EINVAL,
                        "zone '" OPS_SLICE_FMT "': UTC, +08:00 or a name as Europe/Berlin is expected",
                        OPS_SLICE_ARG(name));
    (void)snprintf(path, sizeof path, FOLDER OPS_SLICE_FMT, OPS_SLICE_ARG(name));
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return ops_fail(reterr, OPS_EINVAL, "zone %s: %s", path, strerror(errno));
    char *buf = ops_malloc(FILE_BYTES_MAX);
    const size_t n = buf != NULL ? fread(buf, 1, FILE_BYTES_MAX, f) : 0;
    (void)fclose(f);
    ops_status st = buf != NULL ? ops_zone_parse(ops_slice_of(buf, n), now_s, ret, reterr)
                                : ops_fail(reterr, OPS_ENOMEM, "out of memory");
    ops_free(buf);
    if (st != OPS_OK)
        ops_err_prefix(reterr, "zone %s", path);
    return st;
}
