/* Pins: what operators say about templates. Patterns are cut as lines are, their variables are gaps. */
#include "coordinator/analysis/template/pin.h"

#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner_state.h"

void ops_miner_pins_free(pin_rule *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i].n; k++)
            ops_tmpl_free(v[i].patterns[k]);
        ops_free(v[i].patterns);
    }
    ops_free(v);
}

static size_t constants(const tmpl *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += ops_atom_constant(t->atoms[i].kind);
    return n;
}

static ops_status read_pattern(ops_miner *m, size_t pin, ops_slice text, tmpl **ret, ops_err *reterr)
{
    if (text.n > m->lim.line_bytes_max)
        return ops_fail(reterr, OPS_EINVAL, "pin %zu: a pattern of %zu bytes, %zu at most", pin + 1, text.n,
                        m->lim.line_bytes_max);
    ops_shape_cut(text, &m->shape);
    ops_shape_hold(text, &m->shape);
    tmpl *t = ops_tmpl_of(m, text, &m->shape);
    if (t == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "pin %zu", pin + 1);
    if (constants(t) == 0) {
        ops_tmpl_free(t);
        return ops_fail(reterr, OPS_EINVAL, "pin %zu: the pattern '%.*s' has no constant word", pin + 1,
                        (int)(text.n < 120 ? text.n : 120), text.p);
    }
    ops_tmpl_plain_forget(t);
    for (size_t i = 0; i < t->n; i++) {
        if (t->atoms[i].kind != OPS_ATOM_VAR)
            continue;
        t->atoms[i].kind = OPS_ATOM_GAP;
        t->atoms[i].hash = OPS_SHAPE_GAP_HASH;
    }
    *ret = t;
    return OPS_OK;
}

static ops_status read_pin(ops_miner *m, size_t i, const ops_pin *pin, pin_rule *r, ops_err *reterr)
{
    if (pin->n == 0 || pin->n > OPS_PIN_PATTERNS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "pin %zu: %zu patterns, 1 to %d are possible", i + 1, pin->n,
                        OPS_PIN_PATTERNS_MAX);
    r->kind = pin->kind;
    r->patterns = ops_calloc(pin->n, sizeof(tmpl *));
    if (r->patterns == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "pin %zu", i + 1);
    for (; r->n < pin->n; r->n++) {
        ops_status st = read_pattern(m, i, pin->patterns[r->n], &r->patterns[r->n], reterr);
        if (st != OPS_OK)
            return st;
    }
    r->target = r->patterns[0]->id;
    return OPS_OK;
}

static bool covers(const pin_rule *r, const ops_shape *sh)
{
    for (size_t k = 0; k < r->n; k++)
        if (ops_tmpl_spans(r->patterns[k], sh, true, NULL))
            return true;
    return false;
}

/* A ONE pin's first pattern as a template like others. */
static tmpl *make_target(ops_miner *m, const pin_rule *r)
{
    const tmpl *p = r->patterns[0];
    tmpl *t = ops_tmpl_new(p->n, p->text, p->text_n);
    if (t == NULL)
        return NULL;
    memcpy(t->atoms, p->atoms, p->n * sizeof p->atoms[0]);
    for (size_t i = 0; i < t->n; i++) {
        if (t->atoms[i].kind != OPS_ATOM_GAP)
            continue;
        t->atoms[i].kind = OPS_ATOM_VAR;
        t->atoms[i].hash = OPS_SHAPE_VAR_HASH;
    }
    t->tail_glue = p->tail_glue;
    t->hash = p->hash;
    t->apart = true;
    return ops_miner_enter(m, t) == OPS_OK ? t : NULL;
}

static tmpl *target_of(ops_miner *m, const pin_rule *r)
{
    tmpl *t = ops_miner_find(m, r->target);
    if (t != NULL && t->catch_all) { /* it was evicted once */
        ops_miner_unfold(m, r->target);
        t = NULL;
    }
    return t != NULL ? t : make_target(m, r);
}

tmpl *ops_miner_pinned(ops_miner *m, const ops_shape *sh)
{
    for (size_t i = 0; i < m->pins_n; i++)
        if (m->pins[i].kind == OPS_PIN_ONE && covers(&m->pins[i], sh))
            return target_of(m, &m->pins[i]);
    return NULL;
}

/* Holds in sh the words of pattern p, of which sh is a line. */
static void hold_words(const tmpl *p, ops_shape *sh)
{
    size_t j = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (p->atoms[i].kind == OPS_ATOM_GAP)
            continue;
        while (j < sh->n && (sh->atoms[j].hash != p->atoms[i].hash || sh->atoms[j].glue != p->atoms[i].glue))
            j++;
        if (j < sh->n && sh->atoms[j].kind == OPS_ATOM_WORD)
            sh->atoms[j].kind = OPS_ATOM_HELD;
        j++;
    }
}

bool ops_miner_hold_apart(const ops_miner *m, ops_shape *sh)
{
    bool any = false;
    for (size_t i = 0; i < m->pins_n; i++) {
        const pin_rule *r = &m->pins[i];
        for (size_t k = 0; k < r->n && r->kind == OPS_PIN_APART; k++) {
            if (!ops_tmpl_spans(r->patterns[k], sh, true, NULL))
                continue;
            hold_words(r->patterns[k], sh);
            any = true;
        }
    }
    return any;
}

void ops_miner_cut(ops_miner *m, ops_slice line)
{
    ops_pin_span found[OPS_PIN_SPANS_MAX];
    ops_shape_span spans[OPS_PIN_SPANS_MAX];
    size_t n = m->find == NULL ? 0 : m->find(m->find_u, line, found, OPS_PIN_SPANS_MAX);
    for (size_t i = 0; i < n; i++)
        spans[i] = (ops_shape_span){found[i].off, found[i].len};
    ops_shape_cut_around(line, spans, n, &m->shape);
}

/* Live templates under the new pins. */
static ops_status apply(ops_miner *m, ops_err *reterr)
{
    for (tmpl *t = m->first, *next; t != NULL; t = next) {
        next = t->next;
        if (t->catch_all)
            continue;
        ops_tmpl_shape(t, &m->shape);
        if (!t->apart && ops_miner_hold_apart(m, &m->shape)) {
            ops_miner_fold_unregister(m, t);
            for (size_t i = 0; i < t->n; i++)
                t->atoms[i].kind = m->shape.atoms[i].kind;
            t->apart = true;
            ops_miner_touch(m, t);
            if (ops_miner_fold_register(m, t) != OPS_OK)
                return ops_fail(reterr, OPS_ENOMEM, "pins");
        }
        tmpl *target = ops_miner_pinned(m, &m->shape);
        if (target != NULL && target != t &&
            ops_miner_fold_one(m, t, target, OPS_MINER_FOLD_PINNED) != OPS_OK)
            return ops_fail(reterr, OPS_ENOMEM, "pins");
    }
    return OPS_OK;
}

ops_status ops_miner_pins_set(ops_miner *m, const ops_pin_set *pins, ops_err *reterr)
{
    if (pins->n > OPS_PINS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu pins, %d at most", pins->n, OPS_PINS_MAX);
    pin_rule *v = ops_calloc(pins->n + 1, sizeof *v);
    if (v == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "pins");
    for (size_t i = 0; i < pins->n; i++) {
        ops_status st = read_pin(m, i, &pins->pins[i], &v[i], reterr);
        if (st == OPS_OK)
            continue;
        ops_miner_pins_free(v, i + 1);
        return st;
    }
    ops_miner_pins_free(m->pins, m->pins_n);
    m->pins = v;
    m->pins_n = pins->n;
    m->find = pins->find;
    m->find_u = pins->u;
    m->epoch++;
    return apply(m, reterr);
}
