/* Slots as bytes: version, number of slots, further, lost; then per slot seen, a count per kind of value in the order of
 * ops_value_kind, and the three sketches. Numbers are LEB128 varints. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "coordinator/analysis/template/slots_internal.h"

enum { VERSION = 1 };

static void put_u(ops_strbuf *out, uint64_t v)
{
    uint8_t b[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(out, b, ops_varint_put(b, v));
}

static bool get_u(ops_slice *rest, uint64_t *ret)
{
    const uint8_t *p = (const uint8_t *)rest->p, *end = p + rest->n;
    if (rest->n == 0 || !ops_varint_get(&p, end, ret))
        return false;
    *rest = ops_slice_of(p, (size_t)(end - p));
    return true;
}

void ops_slots_save(const ops_slots *s, ops_strbuf *out)
{
    ops_strbuf_char(out, VERSION);
    put_u(out, s->n);
    put_u(out, s->further);
    put_u(out, s->lost);
    for (size_t i = 0; i < s->n; i++) {
        const slot *x = &s->v[i];
        put_u(out, x->seen);
        for (size_t k = 0; k < OPS_VALUE_KINDS; k++)
            put_u(out, x->kinds[k]);
        ops_hll_save(&x->distinct, out);
        ops_topk_save(&x->top, out);
        ops_quant_save(&x->numbers, out);
    }
}

static ops_status load_slot(slot *x, ops_slice *rest)
{
    if (!get_u(rest, &x->seen))
        return OPS_ECORRUPT;
    for (size_t k = 0; k < OPS_VALUE_KINDS; k++) {
        uint64_t v;
        if (!get_u(rest, &v) || v > UINT32_MAX)
            return OPS_ECORRUPT;
        x->kinds[k] = (uint32_t)v;
    }
    ops_status st = ops_hll_load(&x->distinct, rest);
    if (st == OPS_OK)
        st = ops_topk_load(&x->top, rest);
    return st == OPS_OK ? ops_quant_load(&x->numbers, rest) : st;
}

ops_status ops_slots_load(ops_slice record, ops_slots **ret, ops_err *reterr)
{
    ops_slice rest = record;
    uint64_t n;
    if (rest.n < 1 || rest.p[0] != VERSION)
        return ops_fail(reterr, OPS_ECORRUPT, "slot record of %zu bytes: not version %d", record.n, VERSION);
    rest = ops_slice_sub(rest, 1, rest.n - 1);
    OPS_AUTO(ops_slots_free) ops_slots *s = ops_slots_new();
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "slot record");
    if (!get_u(&rest, &n) || n > OPS_SLOTS_MAX || !get_u(&rest, &s->further) || !get_u(&rest, &s->lost))
        return ops_fail(reterr, OPS_ECORRUPT, "slot record of %zu bytes: head", record.n);
    ops_status st = n == 0 ? OPS_OK : ops_slots_reserve(s, n);
    for (size_t i = 0; i < n && st == OPS_OK; i++)
        st = load_slot(&s->v[i], &rest);
    if (st == OPS_OK && rest.n > 0)
        st = OPS_ECORRUPT;
    if (st != OPS_OK)
        return ops_fail(reterr, st, "slot record: byte %zu of %zu", record.n - rest.n, record.n);
    *ret = OPS_STEAL(s);
    return OPS_OK;
}
