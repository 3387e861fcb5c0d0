/* Footers: made from an entry, written, read, asked. */
#include "storage/streamlog/footer_internal.h"

#include "base/text/codec.h"
#include "base/text/hash.h"

enum { VERSION = 1, HEAD_BYTES = 58, SUM_BYTES = 4 };

uint32_t ops_streamlog_mark(ops_slice name)
{
    uint32_t mark = (uint32_t)ops_hash64(name.p, name.n, 0x6d61726bu);
    return mark != 0 ? mark : 1;
}

/* Inserts in order; false when it is new and there is no room. */
static bool add_service(ops_footer *f, uint32_t mark)
{
    size_t lo = 0, hi = f->service_count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (f->services[mid] < mark)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < f->service_count && f->services[lo] == mark)
        return true;
    if (f->service_count == OPS_STREAMLOG_SERVICES_MAX)
        return false;
    memmove(&f->services[lo + 1], &f->services[lo], (f->service_count - lo) * sizeof f->services[0]);
    f->services[lo] = mark;
    f->service_count++;
    return true;
}

void ops_footer_describe(ops_footer *f, const ops_streamlog_entry *e, size_t stored_bytes)
{
    *f = (ops_footer){.min_ns = e->min_time_ns,
                      .max_ns = e->max_time_ns,
                      .bytes = (uint32_t)stored_bytes,
                      .records = e->record_count,
                      .tenant = e->tenant,
                      .severities = e->severities};
    for (size_t i = 0; i < e->service_count; i++) {
        if (!add_service(f, e->services[i])) {
            f->service_count = 0; /* too many to tell */
            break;
        }
    }
}

void ops_footer_follow(ops_footer *f, const ops_footer *last, int64_t recv_ns)
{
    int64_t least = f->max_ns > FOOTER_AHEAD_NS ? f->max_ns - FOOTER_AHEAD_NS : 0;
    f->at_ns = recv_ns > least ? recv_ns : least;
    f->at_ns = f->at_ns > last->at_ns ? f->at_ns : last->at_ns;
    f->bytes_before = last->bytes_before + last->bytes;
    f->records_before = last->records_before + last->records;
}

size_t ops_footer_put(const ops_footer *f, uint8_t out[FOOTER_BYTES_MAX])
{
    out[0] = VERSION;
    ops_put_be64(out + 1, (uint64_t)f->at_ns);
    ops_put_be64(out + 9, (uint64_t)f->min_ns);
    ops_put_be64(out + 17, (uint64_t)f->max_ns);
    ops_put_be64(out + 25, f->bytes_before);
    ops_put_be64(out + 33, f->records_before);
    ops_put_be32(out + 41, f->bytes);
    ops_put_be32(out + 45, f->records);
    ops_put_be32(out + 49, f->tenant);
    ops_put_be32(out + 53, f->severities);
    out[57] = f->service_count;
    size_t n = HEAD_BYTES;
    for (size_t i = 0; i < f->service_count; i++, n += 4)
        ops_put_be32(out + n, f->services[i]);
    ops_put_be32(out + n, ops_crc32c(out, n, 0));
    return n + SUM_BYTES;
}

ops_status ops_footer_get(ops_slice bytes, ops_footer *ret, ops_err *reterr)
{
    const char *p = bytes.p;
    size_t n = bytes.n;
    if (n < HEAD_BYTES + SUM_BYTES || p[0] != VERSION || (uint8_t)p[57] > OPS_STREAMLOG_SERVICES_MAX ||
        n != HEAD_BYTES + 4u * (uint8_t)p[57] + SUM_BYTES)
        return ops_fail(reterr, OPS_ECORRUPT, "footer of %zu bytes is not one of ours", n);
    if (ops_get_be32(p + n - SUM_BYTES) != ops_crc32c(p, n - SUM_BYTES, 0))
        return ops_fail(reterr, OPS_ECORRUPT, "checksum of the footer is wrong");
    *ret = (ops_footer){.at_ns = (int64_t)ops_get_be64(p + 1),
                        .min_ns = (int64_t)ops_get_be64(p + 9),
                        .max_ns = (int64_t)ops_get_be64(p + 17),
                        .bytes_before = ops_get_be64(p + 25),
                        .records_before = ops_get_be64(p + 33),
                        .bytes = ops_get_be32(p + 41),
                        .records = ops_get_be32(p + 45),
                        .tenant = ops_get_be32(p + 49),
                        .severities = ops_get_be32(p + 53),
                        .service_count = (uint8_t)p[57]};
    for (size_t i = 0; i < ret->service_count; i++)
        ret->services[i] = ops_get_be32(p + HEAD_BYTES + 4 * i);
    return OPS_OK;
}

static bool has_service(const ops_footer *f, uint32_t mark)
{
    for (size_t i = 0; i < f->service_count; i++)
        if (f->services[i] == mark)
            return true;
    return f->service_count == 0;
}

bool ops_footer_may_match(const ops_footer *f, const ops_streamlog_filter *filter, uint32_t tenant,
                          uint32_t service)
{
    if (filter->since_ns != 0 && f->max_ns < filter->since_ns)
        return false;
    if (filter->until_ns != 0 && f->min_ns >= filter->until_ns)
        return false;
    if (tenant != 0 && f->tenant != 0 && f->tenant != tenant)
        return false;
    if (filter->severity_min > 0 && f->severities != 0 &&
        (filter->severity_min > 31 || f->severities >> filter->severity_min == 0))
        return false;
    return service == 0 || has_service(f, service);
}
