/* The states of a group's alerts as bytes: a version, then per rule a hash of name and expression and its alerts. */
#include "base/text/codec.h"
#include "base/text/hash.h"
#include "coordinator/analysis/rules/group_internal.h"

enum { VERSION = 1, STATE_BYTES_MAX = 256 << 20 };

static uint64_t rule_hash(const rules_rule *r)
{
    return ops_hash64(r->expr.p, r->expr.n, ops_hash64(r->name.p, r->name.n, r->alerts));
}

static void put_number(ops_strbuf *b, uint64_t v)
{
    uint8_t p[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, p, ops_varint_put(p, v));
}

static void put_labels(ops_strbuf *b, const ops_rules_labels *l)
{
    put_number(b, l->n);
    for (size_t i = 0; i < l->n; i++) {
        put_number(b, l->v[i].name.n);
        ops_strbuf_slice(b, l->v[i].name);
        put_number(b, l->v[i].value.n);
        ops_strbuf_slice(b, l->v[i].value);
    }
}

static void put_alert(ops_strbuf *b, const ops_rules_alert *a)
{
    const int64_t times[] = {a->active_ms, a->fired_ms, a->resolved_ms, a->keep_since_ms};
    uint8_t v[8];
    put_number(b, a->state);
    for (size_t i = 0; i < 4; i++)
        put_number(b, ops_zigzag(times[i]));
    ops_put_be64(v, ops_rules_bits(a->value));
    ops_strbuf_put(b, v, sizeof v);
    put_labels(b, a->labels);
    put_labels(b, a->annotations);
}

ops_status ops_rules_group_save(const ops_rules_group *g, ops_strbuf *out)
{
    put_number(out, VERSION);
    for (size_t i = 0; i < g->n; i++) {
        const rules_rule *r = &g->rules[i];
        if (!r->alerts || r->active.n == 0)
            continue;
        put_number(out, rule_hash(r));
        put_number(out, r->active.n);
        for (size_t k = 0; k < r->active.n; k++)
            put_alert(out, &r->active.v[k]->a);
    }
    return out->failed ? OPS_ENOMEM : OPS_OK;
}

typedef struct reading {
    const uint8_t *p, *end;
} reading;

static bool get_text(reading *in, ops_slice *ret)
{
    uint64_t n;
    if (!ops_varint_get(&in->p, in->end, &n) || n > (uint64_t)(in->end - in->p))
        return false;
    *ret = ops_slice_of(in->p, (size_t)n);
    in->p += n;
    return true;
}

static bool get_labels(reading *in, ops_arena *a, const ops_rules_labels **ret)
{
    ops_rules_label v[OPS_RULES_LABELS_MAX];
    uint64_t n;
    if (!ops_varint_get(&in->p, in->end, &n) || n > OPS_RULES_LABELS_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!get_text(in, &v[i].name) || !get_text(in, &v[i].value))
            return false;
    *ret = ops_rules_labels_copy(a, v, (size_t)n);
    return *ret != NULL;
}

/* The alert read, or NULL: broken bytes, or no memory. */
static rules_active *get_alert(reading *in)
{
    static const ops_rules_labels none = {0};
    rules_active *x = rules_active_new(&none);
    uint64_t state, t[4];
    bool ok = x != NULL && ops_varint_get(&in->p, in->end, &state) && state <= OPS_RULES_FIRING;
    for (size_t i = 0; ok && i < 4; i++)
        ok = ops_varint_get(&in->p, in->end, &t[i]);
    if (ok && in->end - in->p >= 8) {
        int64_t *const times[] = {&x->a.active_ms, &x->a.fired_ms, &x->a.resolved_ms, &x->a.keep_since_ms};
        x->a.state = (ops_rules_state)state;
        for (size_t i = 0; i < 4; i++)
            *times[i] = ops_unzigzag(t[i]);
        x->a.value = ops_rules_of_bits(ops_get_be64(in->p));
        in->p += 8;
        if (get_labels(in, &x->arena, &x->a.labels) && get_labels(in, &x->texts, &x->a.annotations))
            return x;
    }
    rules_active_free(x);
    return NULL;
}

typedef OPS_VEC(rules_active *) active_list;

static void drop_list(active_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        rules_active_free(l->v[i]);
    ops_vec_done(l);
}

static bool get_rule(reading *in, const ops_rules_group *g, active_list *lists)
{
    uint64_t hash = 0, n = 0;
    size_t at = 0;
    active_list gone = {0};
    bool ok = ops_varint_get(&in->p, in->end, &hash) && ops_varint_get(&in->p, in->end, &n) &&
              n <= OPS_RULES_ALERTS_MAX;
    while (at < g->n && rule_hash(&g->rules[at]) != hash)
        at++;
    for (uint64_t i = 0; ok && i < n; i++) {
        rules_active *x = get_alert(in);
        ok = x != NULL && ops_vec_push(at < g->n ? &lists[at] : &gone, x);
        if (!ok)
            rules_active_free(x);
    }
    drop_list(&gone); /* of a rule that is there no longer */
    return ok;
}

ops_status ops_rules_group_load(ops_rules_group *g, ops_slice bytes, ops_err *reterr)
{
    reading in = {(const uint8_t *)bytes.p, (const uint8_t *)bytes.p + bytes.n};
    active_list *lists = ops_calloc(g->n + 1, sizeof *lists);
    uint64_t version = 0;
    if (lists == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "states of alerts");
    bool ok = bytes.n <= STATE_BYTES_MAX && bytes.n > 0 && ops_varint_get(&in.p, in.end, &version) &&
              version == VERSION;
    while (ok && in.p < in.end)
        ok = get_rule(&in, g, lists);
    for (size_t i = 0; i < g->n; i++) {
        rules_rule *r = &g->rules[i];
        if (ok) {
            for (size_t k = 0; k < r->active.n; k++)
                rules_active_free(r->active.v[k]);
            ops_vec_done(&r->active);
            r->active.v = lists[i].v;
            r->active.n = lists[i].n;
            r->active.cap = lists[i].cap;
        } else {
            drop_list(&lists[i]);
        }
    }
    ops_free(lists);
    return ok ? OPS_OK
              : ops_fail(reterr, OPS_ECORRUPT, "states of alerts: broken at byte %zu",
                         (size_t)((const char *)in.p - bytes.p));
}
