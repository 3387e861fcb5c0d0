/* Trimming, retention, and searching by footers. */
#include <inttypes.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/streamlog/streamlog_internal.h"

ops_status ops_streamlog_footer(ops_streamlog *sl, uint32_t part, uint64_t offset, ops_footer *ret,
                                ops_err *reterr)
{
    uint8_t key[ENTRY_KEY_BYTES];
    char *val = NULL;
    size_t n = 0;
    ops_entry_key(key, part, offset);
    ops_status st = ops_kv_get(sl->kv, FAMILY_FOOTER, ops_slice_of(key, sizeof key), &val, &n, reterr);
    if (st == OPS_OK)
        st = ops_footer_get(ops_slice_of(val, n), ret, reterr);
    ops_free(val);
    if (st == OPS_ENOTFOUND) {
        uint64_t first, next;
        st = ops_streamlog_bounds(sl, part, &first, &next, reterr);
        if (st == OPS_OK && offset < first)
            return ops_fail(reterr, OPS_ERANGE, "stream log: partition %u offset %" PRIu64 " was trimmed",
                            part, offset);
        return st != OPS_OK
                   ? st
                   : ops_fail(reterr, OPS_ECORRUPT,
                              "stream log: partition %u offset %" PRIu64 " has no footer", part, offset);
    }
    if (st != OPS_OK)
        ops_err_prefix(reterr, "stream log: partition %u offset %" PRIu64, part, offset);
    return st;
}

ops_status ops_streamlog_search(ops_streamlog *sl, uint32_t part, uint64_t from, uint64_t to,
                                ops_footer_before before, const void *u, uint64_t *ret, ops_err *reterr)
{
    while (from < to) {
        uint64_t mid = from + (to - from) / 2;
        ops_footer f;
        ops_status st = ops_streamlog_footer(sl, part, mid, &f, reterr);
        if (st != OPS_OK && st != OPS_ERANGE)
            return st;
        if (st == OPS_ERANGE || before(&f, u))
            from = mid + 1;
        else
            to = mid;
    }
    *ret = from;
    return OPS_OK;
}

static void del_range(ops_kv_batch *b, unsigned family, uint32_t part, uint64_t to)
{
    uint8_t lo[ENTRY_KEY_BYTES], hi[ENTRY_KEY_BYTES];
    ops_entry_key(lo, part, 0);
    ops_entry_key(hi, part, to);
    ops_kv_batch_del_range(b, family, ops_slice_of(lo, sizeof lo), ops_slice_of(hi, sizeof hi));
}

ops_status ops_streamlog_trim(ops_streamlog *sl, uint32_t part, uint64_t below, ops_err *reterr)
{
    uint64_t first, next;
    ops_status st = ops_streamlog_bounds(sl, part, &first, &next, reterr);
    if (st != OPS_OK)
        return st;
    /* The last entry stays: it is what tells a restart where the offsets stand. */
    uint64_t to = below < next ? below : next;
    if (to == next && to > 0)
        to--;
    if (to <= first)
        return OPS_OK;
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "stream log: trimming");
    del_range(b, FAMILY_LOG, part, to);
    del_range(b, FAMILY_FOOTER, part, to);
    /* Readers are turned away first, so that none meets a hole. */
    (void)pthread_mutex_lock(&sl->lock);
    uint64_t gone = to > sl->first[part] ? to - sl->first[part] : 0;
    sl->first[part] += gone;
    sl->stats.trimmed += gone;
    (void)pthread_mutex_unlock(&sl->lock);
    st = ops_kv_write(sl->kv, b, true, reterr);
    if (st != OPS_OK)
        ops_err_prefix(reterr, "stream log: trimming partition %u below %" PRIu64, part, to);
    return st;
}

static bool older(const ops_footer *f, const void *u)
{
    return f->at_ns < *(const int64_t *)u;
}

/* Entries that start below this many bytes of the partition's life are too many. */
static bool below_bytes(const ops_footer *f, const void *u)
{
    return f->bytes_before < *(const uint64_t *)u;
}

static ops_status surplus(ops_streamlog *sl, uint32_t part, uint64_t first, uint64_t next, int64_t now_ns,
                          const ops_streamlog_keep *keep, uint64_t *ret, ops_err *reterr)
{
    ops_status st = OPS_OK;
    uint64_t below = first, by_bytes = first;
    if (keep->age_ns > 0) {
        int64_t oldest = now_ns - keep->age_ns;
        st = ops_streamlog_search(sl, part, first, next, older, &oldest, &below, reterr);
    }
    if (st == OPS_OK && keep->bytes > 0) {
        ops_footer last;
        st = ops_streamlog_footer(sl, part, next - 1, &last, reterr);
        uint64_t total = st == OPS_OK ? last.bytes_before + last.bytes : 0;
        if (total > keep->bytes) {
            uint64_t floor = total - keep->bytes;
            st = ops_streamlog_search(sl, part, first, next, below_bytes, &floor, &by_bytes, reterr);
        }
    }
    *ret = by_bytes > below ? by_bytes : below;
    return st;
}

ops_status ops_streamlog_retain(ops_streamlog *sl, uint32_t part, uint64_t durable_pos, int64_t now_ns,
                                const ops_streamlog_keep *keep, uint64_t *ret_held, ops_err *reterr)
{
    uint64_t first, next, below, held = 0;
    ops_status st = ops_streamlog_bounds(sl, part, &first, &next, reterr);
    if (ret_held != NULL)
        *ret_held = 0;
    if (st != OPS_OK || first == next)
        return st;
    st = surplus(sl, part, first, next, now_ns, keep, &below, reterr);
    if (st != OPS_OK)
        return st;
    if (below > durable_pos) {
        held = below - (durable_pos > first ? durable_pos : first);
        below = durable_pos;
    }
    if (held > 0) {
        (void)pthread_mutex_lock(&sl->lock);
        sl->stats.held_back++;
        (void)pthread_mutex_unlock(&sl->lock);
        if (ret_held != NULL)
            *ret_held = held;
    }
    return ops_streamlog_trim(sl, part, below, reterr);
}

ops_status ops_streamlog_range_size(ops_streamlog *sl, uint32_t part, uint64_t from, uint64_t to,
                                    ops_streamlog_size *ret, ops_err *reterr)
{
    uint64_t first, next;
    ops_status st = ops_streamlog_bounds(sl, part, &first, &next, reterr);
    *ret = (ops_streamlog_size){0};
    if (st != OPS_OK)
        return st;
    from = from > first ? from : first;
    to = to < next ? to : next;
    if (from >= to)
        return OPS_OK;
    ops_footer a, z;
    st = ops_streamlog_footer(sl, part, from, &a, reterr);
    if (st == OPS_OK)
        st = ops_streamlog_footer(sl, part, to - 1, &z, reterr);
    if (st == OPS_OK)
        *ret = (ops_streamlog_size){to - from, z.records_before + z.records - a.records_before,
                                    z.bytes_before + z.bytes - a.bytes_before};
    return st;
}
