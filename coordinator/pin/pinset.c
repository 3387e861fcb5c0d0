/* Sets of pins: their life, and how two differ. */
#include <string.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner.h"
#include "coordinator/pin/internal.h"

static void set_free(ops_pinset *s)
{
    for (size_t i = 0; i < s->own.n; i++) {
        for (size_t k = 0; k < s->own.v[i].patterns.n; k++)
            ops_free((void *)(uintptr_t)s->own.v[i].patterns.v[k].p);
        ops_vec_done(&s->own.v[i].patterns);
    }
    for (size_t i = 0; i < s->slots.n; i++) {
        ops_free(s->slots.v[i].name);
        ops_free(s->slots.v[i].regex);
        ops_pin_regex_free(s->slots.v[i].code);
    }
    ops_vec_done(&s->own);
    ops_vec_done(&s->slots);
    ops_free(s->pins);
    ops_free(s);
}

ops_pinset *ops_pinset_ref(ops_pinset *s)
{
    if (s != NULL)
        atomic_fetch_add(&s->refs, 1);
    return s;
}

void ops_pinset_unref(ops_pinset *s)
{
    if (s != NULL && atomic_fetch_sub(&s->refs, 1) == 1)
        set_free(s);
}

/* What a pattern needs is the miner's to say: one takes each pin in turn, so that a refusal has a line. */
static ops_status try_out(const ops_pinset *s, const char *name, ops_err *reterr)
{
    const ops_miner_limits least = {.templates_max = 256};
    OPS_AUTO(ops_miner_free) ops_miner *m = NULL;
    ops_status st = s->own.n > 0 ? ops_miner_new(&least, &m, reterr) : OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < s->own.n; i++) {
        const ops_pin_set one = {.pins = &s->pins[i], .n = 1};
        st = ops_miner_pins_set(m, &one, reterr);
        if (st != OPS_OK)
            ops_err_prefix(reterr, "%s:%lu", name, s->own.v[i].line);
    }
    return st;
}

ops_status ops_pinset_parse(ops_slice yaml, const char *name, ops_pinset **ret, ops_err *reterr)
{
    OPS_AUTO(ops_pinset_unref) ops_pinset *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", name);
    atomic_store(&s->refs, 1);
    if (yaml.n > OPS_PINSET_FILE_BYTES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%s: %zu bytes, at most %d are read", name, yaml.n,
                        OPS_PINSET_FILE_BYTES_MAX);
    ops_status st = ops_pinset_read(s, yaml, name, reterr);
    if (st != OPS_OK)
        return st;
    s->pins = ops_calloc(s->own.n + 1, sizeof *s->pins);
    if (s->pins == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", name);
    for (size_t i = 0; i < s->own.n; i++)
        s->pins[i] = (ops_pin){s->own.v[i].kind, s->own.v[i].patterns.v, s->own.v[i].patterns.n};
    st = try_out(s, name, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(s);
    return st;
}

void ops_pinset_counts_get(const ops_pinset *s, ops_pinset_counts *ret)
{
    *ret = (ops_pinset_counts){0};
    for (size_t i = 0; s != NULL && i < s->own.n; i++) {
        ret->one += s->own.v[i].kind == OPS_PIN_ONE;
        ret->apart += s->own.v[i].kind == OPS_PIN_APART;
    }
    ret->slots = s != NULL ? s->slots.n : 0;
}

static size_t count_of(const ops_pinset *s)
{
    return s == NULL ? 0 : s->own.n + s->slots.n;
}

/* Pin i in words; pins first, then slots. */
static void words(const ops_pinset *s, size_t i, ops_strbuf *out)
{
    ops_strbuf_clear(out);
    if (i >= s->own.n) {
        const pin_slot *x = &s->slots.v[i - s->own.n];
        ops_strbuf_printf(out, "slot %s %s", x->name, x->regex);
        return;
    }
    const pin_own *p = &s->own.v[i];
    ops_strbuf_str(out, p->kind == OPS_PIN_ONE ? "one " : "apart ");
    for (size_t k = 0; k < p->patterns.n; k++) {
        ops_strbuf_str(out, k > 0 ? " | " : "");
        ops_strbuf_slice(out, p->patterns.v[k]);
    }
}

/* What is in a and not in b, each with `sign` before it. */
static void missing(const ops_pinset *a, const ops_pinset *b, char sign, ops_strbuf *one, ops_strbuf *out)
{
    OPS_AUTO(ops_map_free) ops_map *known = ops_map_new();
    bool ok = known != NULL;
    for (size_t i = 0; ok && i < count_of(b); i++) {
        words(b, i, one);
        ok = ops_map_put(known, ops_strbuf_get(one), known, NULL) == OPS_OK;
    }
    for (size_t i = 0; ok && i < count_of(a); i++) {
        words(a, i, one);
        if (ops_map_has(known, ops_strbuf_get(one)))
            continue;
        ops_strbuf_str(out, out->n > 0 ? "; " : "");
        ops_strbuf_char(out, sign);
        ops_strbuf_slice(out, ops_strbuf_get(one));
    }
    out->failed |= !ok || one->failed;
}

void ops_pinset_changes(const ops_pinset *from, const ops_pinset *to, ops_strbuf *out)
{
    ops_strbuf one;
    ops_strbuf_init(&one, OPS_PINSET_FILE_BYTES_MAX * 4);
    missing(to, from, '+', &one, out);
    missing(from, to, '-', &one, out);
    ops_strbuf_done(&one);
}
