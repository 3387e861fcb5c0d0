/* Recovery, reading and checking. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/streamlog/streamlog_internal.h"

struct bounds {
    uint64_t offset;
};

static ops_status take_offset(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    struct bounds *x = u;
    (void)val;
    if (key.n != ENTRY_KEY_BYTES)
        return ops_fail(reterr, OPS_ECORRUPT, "stream log: a key of %zu bytes", key.n);
    x->offset = ops_get_be64(key.p + 4);
    return OPS_ECANCELLED; /* one is enough */
}

/* Finds the first and last entry of a partition. */
static ops_status find_bounds(ops_streamlog *sl, uint32_t part, ops_err *reterr)
{
    uint8_t from[ENTRY_KEY_BYTES], to[ENTRY_KEY_BYTES];
    struct bounds x = {0};
    ops_entry_key(from, part, 0);
    ops_entry_key(to, part + 1, 0);
    ops_slice lo = ops_slice_of(from, sizeof from), hi = ops_slice_of(to, sizeof to);
    ops_status st = ops_kv_last(sl->kv, FAMILY_LOG, lo, hi, take_offset, &x, reterr);
    if (st == OPS_ENOTFOUND)
        return OPS_OK;
    if (st != OPS_OK)
        return st;
    sl->next[part] = x.offset + 1;
    sl->commit.next[part] = x.offset + 1;
    st = ops_streamlog_footer(sl, part, x.offset, &sl->commit.last[part], reterr);
    if (st == OPS_OK)
        st = ops_kv_scan(sl->kv, FAMILY_LOG, lo, hi, take_offset, &x, reterr);
    sl->first[part] = x.offset;
    return st;
}

static ops_status take_dedupe(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    ops_streamlog *sl = u;
    if (key.n != DEDUPE_KEY_BYTES || val.n != ENTRY_KEY_BYTES)
        return ops_fail(reterr, OPS_ECORRUPT, "stream log: a dedupe entry of %zu and %zu bytes", key.n,
                        val.n);
    ops_status st = ops_dedupe_add(sl->dedupe, ops_get_be32(key.p + 8), (const uint8_t *)key.p + 12,
                                   (int64_t)ops_get_be64(key.p), ops_get_be64(val.p + 4));
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "stream log: remembering dedupe keys");
}

ops_status ops_streamlog_recover(ops_streamlog *sl, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (uint32_t part = 0; st == OPS_OK && part < sl->conf.partitions; part++)
        st = find_bounds(sl, part, reterr);
    int64_t since = ops_clock_wall_ns(sl->conf.clock) - sl->conf.dedupe_window_ns;
    uint8_t from[8];
    ops_put_be64(from, since > 0 ? (uint64_t)since : 0);
    if (st == OPS_OK)
        st = ops_kv_scan(sl->kv, FAMILY_DEDUPE, ops_slice_of(from, sizeof from), OPS_SLICE(""), take_dedupe,
                         sl, reterr);
    return st;
}

ops_status ops_streamlog_bounds(ops_streamlog *sl, uint32_t part, uint64_t *ret_first, uint64_t *ret_next,
                                ops_err *reterr)
{
    if (part >= sl->conf.partitions)
        return ops_fail(reterr, OPS_EINVAL, "stream log: partition %u of %u", part, sl->conf.partitions);
    (void)pthread_mutex_lock(&sl->lock);
    *ret_first = sl->first[part];
    *ret_next = sl->next[part];
    (void)pthread_mutex_unlock(&sl->lock);
    return OPS_OK;
}

struct reading {
    ops_strbuf plain;
    uint32_t part;
    uint64_t expect;
    size_t left;
    ops_streamlog_fn fn;
    void *u;
};

static ops_status read_one(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    struct reading *x = u;
    ops_streamlog_entry e;
    uint64_t offset = key.n == ENTRY_KEY_BYTES ? ops_get_be64(key.p + 4) : UINT64_MAX;
    if (offset == x->expect + 1)
        return ops_fail(reterr, OPS_ECORRUPT, "stream log: partition %u: offset %" PRIu64 " is missing",
                        x->part, x->expect);
    if (offset != x->expect)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "stream log: partition %u: offsets %" PRIu64 " to %" PRIu64 " are missing", x->part,
                        x->expect, offset - 1);
    ops_status st = ops_entry_decode(val, &x->plain, &e, reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "stream log: partition %u offset %" PRIu64, x->part, offset);
        return st;
    }
    e.part = x->part;
    x->expect++;
    st = x->fn(x->u, offset, &e, reterr);
    if (st != OPS_OK || e.payload.n >= x->left)
        return st != OPS_OK ? st : OPS_ECANCELLED;
    x->left -= e.payload.n;
    return OPS_OK;
}

ops_status ops_streamlog_read(ops_streamlog *sl, uint32_t part, uint64_t from, size_t bytes_max,
                              ops_streamlog_fn fn, void *u, ops_err *reterr)
{
    uint64_t first, next;
    ops_status st = ops_streamlog_bounds(sl, part, &first, &next, reterr);
    if (st != OPS_OK || from == next)
        return st;
    if (from < first || from > next)
        return ops_fail(reterr, OPS_ERANGE,
                        "stream log: partition %u offset %" PRIu64 ": %" PRIu64 " to %" PRIu64 " are kept",
                        part, from, first, next);
    struct reading x = {.part = part, .expect = from, .left = bytes_max, .fn = fn, .u = u};
    ops_strbuf_init(&x.plain, OPS_STREAMLOG_ENTRY_BYTES_MAX);
    uint8_t lo[ENTRY_KEY_BYTES], hi[ENTRY_KEY_BYTES];
    ops_entry_key(lo, part, from);
    ops_entry_key(hi, part, next); /* what is being committed now is not durable yet */
    st = ops_kv_scan(sl->kv, FAMILY_LOG, ops_slice_of(lo, sizeof lo), ops_slice_of(hi, sizeof hi), read_one,
                     &x, reterr);
    ops_strbuf_done(&x.plain);
    if (st == OPS_OK && x.expect == from)
        return ops_fail(reterr, OPS_ECORRUPT, "stream log: partition %u: offset %" PRIu64 " is missing", part,
                        from);
    return st;
}

static ops_status count_entry(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    ops_streamlog_report *r = u;
    (void)offset;
    (void)reterr;
    r->entries++;
    r->records += e->record_count;
    r->bytes += e->payload.n;
    return OPS_OK;
}

static void note_damage(ops_streamlog_report *r, uint32_t part, uint64_t offset, const ops_err *err)
{
    ops_streamlog_damage *last = r->damage_count > 0 && r->damage_count <= OPS_STREAMLOG_DAMAGE_MAX
                                     ? &r->damage[r->damage_count - 1]
                                     : NULL;
    if (r->damaged++ == 0)
        (void)snprintf(r->first_damage, sizeof r->first_damage, "%.*s", (int)sizeof r->first_damage - 1,
                       err->msg);
    if (last != NULL && last->part == part && last->to == offset)
        last->to++;
    else if (r->damage_count++ < OPS_STREAMLOG_DAMAGE_MAX)
        r->damage[r->damage_count - 1] = (ops_streamlog_damage){part, offset, offset + 1};
}

/* Damage is noted and stepped over; any other failure is returned. */
static ops_status check_entries(ops_streamlog *sl, uint32_t part, uint64_t first, uint64_t next,
                                ops_streamlog_report *r, ops_err *reterr)
{
    for (uint64_t at = first; at < next; at++) {
        ops_err err = {0};
        uint64_t before = r->entries;
        ops_status st = ops_streamlog_read(sl, part, at, SIZE_MAX, count_entry, r, &err);
        at += r->entries - before;
        if (st == OPS_OK)
            break;
        if (st != OPS_ECORRUPT) {
            if (reterr != NULL)
                *reterr = err;
            return st;
        }
        note_damage(r, part, at, &err);
    }
    return OPS_OK;
}

/* Footers must be there, one an entry, and add up. */
static ops_status check_footers(ops_streamlog *sl, uint32_t part, uint64_t first, uint64_t next,
                                ops_streamlog_report *r, ops_err *reterr)
{
    ops_footer last = {0};
    bool have = false;
    for (uint64_t at = first; at < next; at++) {
        ops_err err = {0};
        ops_footer f, want;
        ops_status st = ops_streamlog_footer(sl, part, at, &f, &err);
        if (st == OPS_OK && have) {
            want = f;
            ops_footer_follow(&want, &last, f.at_ns);
            if (want.bytes_before != f.bytes_before || want.records_before != f.records_before)
                st = ops_fail(&err, OPS_ECORRUPT,
                              "stream log: partition %u offset %" PRIu64 ": the footer's sums are wrong",
                              part, at);
        }
        have = st == OPS_OK;
        last = f;
        if (st != OPS_OK && st != OPS_ECORRUPT) {
            if (reterr != NULL)
                *reterr = err;
            return st;
        }
        if (st != OPS_OK)
            note_damage(r, part, at, &err);
    }
    return OPS_OK;
}

ops_status ops_streamlog_fsck(ops_streamlog *sl, ops_streamlog_report *ret, ops_err *reterr)
{
    ops_streamlog_report r = {0};
    for (uint32_t part = 0; part < sl->conf.partitions; part++) {
        uint64_t first, next;
        ops_status st = ops_streamlog_bounds(sl, part, &first, &next, reterr);
        if (st == OPS_OK)
            st = check_entries(sl, part, first, next, &r, reterr);
        if (st == OPS_OK)
            st = check_footers(sl, part, first, next, &r, reterr);
        if (st != OPS_OK)
            return st;
    }
    *ret = r;
    return OPS_OK;
}

ops_status ops_streamlog_note_get(ops_streamlog *sl, ops_slice key, char **ret, size_t *ret_bytes,
                                  ops_err *reterr)
{
    return ops_kv_get(sl->kv, FAMILY_NOTES, key, ret, ret_bytes, reterr);
}
