/* Reading back by time, tenant, service and severity: one cursor a partition over footers, merged by order time. */
#include <inttypes.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/streamlog/streamlog_internal.h"

enum { BLOCK = 32 };

struct cursor {
    uint32_t part;
    uint64_t lo, hi; /* offsets still to be looked at */
    bool found;      /* `match` stands at offset `at` */
    uint64_t at;
    ops_footer match;
    uint64_t block_from; /* footers of [block_from, block_from + block_n) */
    unsigned block_n;
    ops_footer block[BLOCK];
};

struct query {
    ops_streamlog *sl;
    const ops_streamlog_filter *filter;
    uint32_t tenant, service; /* marks */
    struct cursor *cursors;
    uint32_t count;
};

static ops_status take_footer(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    struct cursor *c = u;
    uint64_t offset = key.n == ENTRY_KEY_BYTES ? ops_get_be64(key.p + 4) : UINT64_MAX;
    if (offset != c->block_from + c->block_n)
        return c->block_n > 0 ? OPS_ECANCELLED : OPS_OK; /* the caller sees what is missing */
    ops_status st = ops_footer_get(val, &c->block[c->block_n], reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "stream log: partition %u offset %" PRIu64, c->part, offset);
        return st;
    }
    c->block_n++;
    return c->block_n < BLOCK ? OPS_OK : OPS_ECANCELLED;
}

/* Trimming may have overtaken the cursor: only what is still kept is looked at. */
static ops_status skip_trimmed(const struct query *q, struct cursor *c, ops_err *reterr)
{
    uint64_t first, next;
    ops_status st = ops_streamlog_bounds(q->sl, c->part, &first, &next, reterr);
    if (c->lo < first)
        c->lo = first < c->hi ? first : c->hi;
    return st;
}

static ops_status load_block(const struct query *q, struct cursor *c, ops_err *reterr)
{
    bool back = q->filter->newest_first;
    for (;;) {
        c->block_n = 0;
        if (c->lo >= c->hi)
            return OPS_OK;
        uint64_t n = c->hi - c->lo < BLOCK ? c->hi - c->lo : BLOCK;
        uint8_t lo[ENTRY_KEY_BYTES], hi[ENTRY_KEY_BYTES];
        c->block_from = back ? c->hi - n : c->lo;
        ops_entry_key(lo, c->part, c->block_from);
        ops_entry_key(hi, c->part, c->block_from + n);
        ops_status st = ops_kv_scan(q->sl->kv, FAMILY_FOOTER, ops_slice_of(lo, sizeof lo),
                                    ops_slice_of(hi, sizeof hi), take_footer, c, reterr);
        if (st != OPS_OK || c->block_n == n)
            return st;
        uint64_t was = c->lo, missing = c->block_from + c->block_n;
        st = skip_trimmed(q, c, reterr);
        if (st != OPS_OK)
            return st;
        if (c->lo == was || missing >= c->lo)
            return ops_fail(reterr, OPS_ECORRUPT, "stream log: partition %u offset %" PRIu64 " has no footer",
                            c->part, missing);
    }
}

/* Moves to the next footer that may match; c->found tells. */
static ops_status advance(const struct query *q, struct cursor *c, ops_err *reterr)
{
    bool back = q->filter->newest_first;
    c->found = false;
    while (c->lo < c->hi) {
        uint64_t at = back ? c->hi - 1 : c->lo;
        if (at < c->block_from || at >= c->block_from + c->block_n) {
            ops_status st = load_block(q, c, reterr);
            if (st != OPS_OK || c->lo >= c->hi)
                return st;
            at = back ? c->hi - 1 : c->lo;
        }
        const ops_footer *f = &c->block[at - c->block_from];
        if (back)
            c->hi = at;
        else
            c->lo = at + 1;
        if (ops_footer_may_match(f, q->filter, q->tenant, q->service)) {
            c->match = *f;
            c->at = at;
            c->found = true;
            return OPS_OK;
        }
    }
    return OPS_OK;
}

static bool too_old(const ops_footer *f, const void *u)
{
    return f->at_ns < *(const int64_t *)u;
}

static ops_status start(const struct query *q, struct cursor *c, ops_err *reterr)
{
    const uint64_t *positions = q->filter->positions;
    ops_status st = ops_streamlog_bounds(q->sl, c->part, &c->lo, &c->hi, reterr);
    if (st == OPS_OK && positions != NULL && positions[c->part] > c->lo)
        c->lo = positions[c->part] < c->hi ? positions[c->part] : c->hi;
    /* No record is later than its entry's order time by more than this, so what lies before need not be looked at. */
    int64_t since = q->filter->since_ns - FOOTER_AHEAD_NS;
    if (st == OPS_OK && since > 0)
        st = ops_streamlog_search(q->sl, c->part, c->lo, c->hi, too_old, &since, &c->lo, reterr);
    return st == OPS_OK ? advance(q, c, reterr) : st;
}

/* The cursor whose match comes next; NULL when none has one. */
static struct cursor *choose(const struct query *q)
{
    struct cursor *best = NULL;
    for (uint32_t i = 0; i < q->count; i++) {
        struct cursor *c = &q->cursors[i];
        if (!c->found)
            continue;
        if (best == NULL || (q->filter->newest_first ? c->match.at_ns > best->match.at_ns
                                                     : c->match.at_ns < best->match.at_ns))
            best = c;
    }
    return best;
}

static ops_status hand_out(const struct query *q, const struct cursor *c, ops_strbuf *plain,
                           ops_streamlog_query_fn fn, void *u, ops_err *reterr)
{
    uint8_t key[ENTRY_KEY_BYTES];
    char *val = NULL;
    size_t n = 0;
    ops_streamlog_entry e;
    ops_entry_key(key, c->part, c->at);
    ops_status st = ops_kv_get(q->sl->kv, FAMILY_LOG, ops_slice_of(key, sizeof key), &val, &n, reterr);
    if (st == OPS_ENOTFOUND) {
        uint64_t first, next;
        st = ops_streamlog_bounds(q->sl, c->part, &first, &next, reterr);
        if (st == OPS_OK && c->at >= first)
            st = ops_fail(reterr, OPS_ECORRUPT, "stream log: partition %u: offset %" PRIu64 " is missing",
                          c->part, c->at);
        return st;
    }
    if (st == OPS_OK)
        st = ops_entry_decode(ops_slice_of(val, n), plain, &e, reterr);
    if (st == OPS_OK) {
        e.part = c->part;
        e.tenant = c->match.tenant;
        e.severities = c->match.severities;
        e.services = c->match.services;
        e.service_count = c->match.service_count;
        st = fn(u, c->at, &e, reterr);
    } else {
        ops_err_prefix(reterr, "stream log: partition %u offset %" PRIu64, c->part, c->at);
    }
    ops_free(val);
    return st;
}

static ops_status run(struct query *q, ops_streamlog_query_fn fn, void *u, ops_err *reterr)
{
    ops_strbuf plain;
    ops_status st = OPS_OK;
    ops_strbuf_init(&plain, OPS_STREAMLOG_ENTRY_BYTES_MAX);
    for (uint32_t i = 0; st == OPS_OK && i < q->count; i++) {
        q->cursors[i].part = i;
        st = start(q, &q->cursors[i], reterr);
    }
    for (struct cursor *c; st == OPS_OK && (c = choose(q)) != NULL;) {
        st = hand_out(q, c, &plain, fn, u, reterr);
        if (st == OPS_ECANCELLED)
            c->found = false; /* it was handed out */
        else if (st == OPS_OK)
            st = advance(q, c, reterr);
    }
    ops_strbuf_done(&plain);
    return st == OPS_ECANCELLED ? OPS_OK : st;
}

ops_status ops_streamlog_query(ops_streamlog *sl, const ops_streamlog_filter *filter,
                               ops_streamlog_query_fn fn, void *u, ops_err *reterr)
{
    if (filter->positions != NULL && filter->newest_first)
        return ops_fail(reterr, OPS_EINVAL, "stream log: a query that goes on later starts at the oldest");
    struct query q = {sl,
                      filter,
                      filter->tenant.n > 0 ? ops_streamlog_mark(filter->tenant) : 0,
                      filter->service.n > 0 ? ops_streamlog_mark(filter->service) : 0,
                      NULL,
                      sl->conf.partitions};
    q.cursors = ops_calloc(q.count, sizeof *q.cursors);
    if (q.cursors == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "stream log: a query over %u partitions", q.count);
    ops_status st = run(&q, fn, u, reterr);
    for (uint32_t i = 0; st == OPS_OK && filter->positions != NULL && i < q.count; i++)
        filter->positions[i] = q.cursors[i].found ? q.cursors[i].at : q.cursors[i].lo;
    ops_free(q.cursors);
    return st;
}
