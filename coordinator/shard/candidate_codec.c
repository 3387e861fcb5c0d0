/* Candidate encoding. */
#include "coordinator/shard/candidate_codec.h"

#include "base/text/codec.h"

enum { VERSION = 1 };

static void put_u(ops_strbuf *b, uint64_t v)
{
    uint8_t tmp[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, tmp, ops_varint_put(tmp, v));
}

static void put_text(ops_strbuf *b, ops_slice s)
{
    put_u(b, s.n);
    ops_strbuf_put(b, s.p != NULL ? s.p : "", s.n);
}

static void put_f(ops_strbuf *b, double d)
{
    uint64_t bits;
    uint8_t tmp[8];
    memcpy(&bits, &d, sizeof bits);
    ops_put_be64(tmp, bits);
    ops_strbuf_put(b, tmp, sizeof tmp);
}

static void put_evidence(ops_strbuf *b, const ops_evidence *e)
{
    put_text(b, e->service);
    put_text(b, e->text);
    put_u(b, ops_zigzag(e->time_ns));
    put_u(b, e->template_id);
    put_u(b, e->log_offset);
    put_u(b, e->index);
}

void ops_candidate_put(ops_strbuf *b, const ops_candidate *c)
{
    ops_strbuf_char(b, VERSION);
    put_u(b, c->kind);
    put_u(b, c->severity);
    put_text(b, c->tenant);
    put_text(b, c->service);
    put_u(b, c->template_count);
    for (size_t i = 0; i < c->template_count; i++)
        put_u(b, c->template_ids[i]);
    put_text(b, ops_slice_str(c->statistic));
    put_f(b, c->value);
    put_f(b, c->expected_low);
    put_f(b, c->expected_high);
    put_f(b, c->p_value);
    put_f(b, c->score);
    put_text(b, c->words);
    put_u(b, ops_zigzag(c->start_ns));
    put_u(b, ops_zigzag(c->end_ns));
    put_u(b, c->evidence_count);
    for (size_t i = 0; i < c->evidence_count; i++)
        put_evidence(b, &c->evidence[i]);
}

/* A cursor whose first failure is sticky. */
struct cursor {
    const uint8_t *p, *end;
    bool bad;
};

static uint64_t get_u(struct cursor *k, uint64_t max)
{
    uint64_t v = 0;
    if (k->bad || !ops_varint_get(&k->p, k->end, &v) || v > max)
        k->bad = true;
    return k->bad ? 0 : v;
}

static ops_slice get_text(struct cursor *k)
{
    uint64_t n = get_u(k, SIZE_MAX);
    if (k->bad || n > (uint64_t)(k->end - k->p)) {
        k->bad = true;
        return (ops_slice){NULL, 0};
    }
    ops_slice s = ops_slice_of(k->p, (size_t)n);
    k->p += n;
    return s;
}

static double get_f(struct cursor *k)
{
    double d = 0;
    if (k->bad || k->end - k->p < 8) {
        k->bad = true;
        return d;
    }
    uint64_t bits = ops_get_be64(k->p);
    memcpy(&d, &bits, sizeof d);
    k->p += 8;
    return d;
}

static int64_t get_i(struct cursor *k)
{
    return ops_unzigzag(get_u(k, UINT64_MAX));
}

static void get_statistic(struct cursor *k, char statistic[64])
{
    ops_slice s = get_text(k);
    size_t n = s.n < 63 ? s.n : 63;
    if (n > 0)
        memcpy(statistic, s.p, n);
    statistic[n] = '\0';
}

static void get_evidence(struct cursor *k, ops_evidence *e)
{
    e->service = get_text(k);
    e->text = get_text(k);
    e->time_ns = get_i(k);
    e->template_id = get_u(k, UINT64_MAX);
    e->log_offset = get_u(k, UINT64_MAX);
    e->index = (uint32_t)get_u(k, UINT32_MAX);
}

ops_status ops_candidate_get(ops_slice bytes, ops_candidate *ret, char statistic[64], ops_err *reterr)
{
    const uint8_t *begin = (const uint8_t *)bytes.p;
    struct cursor k = {begin, begin + bytes.n, false};
    ops_candidate c = {0};
    if (bytes.n == 0 || *k.p++ != VERSION)
        return ops_fail(reterr, OPS_ECORRUPT, "candidate: unknown version");
    c.kind = (ops_candidate_kind)get_u(&k, OPS_CANDIDATE_KIND_COUNT - 1);
    c.severity = (ops_level)get_u(&k, OPS_LEVEL_COUNT - 1);
    c.tenant = get_text(&k);
    c.service = get_text(&k);
    c.template_count = get_u(&k, OPS_CANDIDATE_TEMPLATES_MAX);
    for (size_t i = 0; i < c.template_count; i++)
        c.template_ids[i] = get_u(&k, UINT64_MAX);
    get_statistic(&k, statistic);
    c.statistic = statistic;
    c.value = get_f(&k);
    c.expected_low = get_f(&k);
    c.expected_high = get_f(&k);
    c.p_value = get_f(&k);
    c.score = get_f(&k);
    c.words = get_text(&k);
    c.start_ns = get_i(&k);
    c.end_ns = get_i(&k);
    c.evidence_count = get_u(&k, OPS_CANDIDATE_EVIDENCE_MAX);
    for (size_t i = 0; i < c.evidence_count; i++)
        get_evidence(&k, &c.evidence[i]);
    if (k.bad || k.p != k.end)
        return ops_fail(reterr, OPS_ECORRUPT, "candidate: damaged at byte %td of %zu", k.p - begin, bytes.n);
    *ret = c;
    return OPS_OK;
}
