/* From learnt sessions to a model that knows how odd normal sessions look. */
#include <math.h>

#include "coordinator/analysis/sequence/state.h"

/* Sessions that are judged held out: enough for a share of 1 in 1,000, and the time of a fit has a bound. */
enum { HELD_MAX = 16384 };
/* A kind never seen before is what a person wants told, until normal traffic brings them all the time. */
static const double NEW_SHARE_MAX = 1.0 / 20;

void seq_count_kinds(ops_sequence *s, const seq_session *x, bool out)
{
    for (size_t i = 0; i < x->items.n; i++)
        s->vocab.sessions.v[x->items.v[i].id] += out ? UINT32_MAX : 1;
}

static bool take_in(ops_sequence *s)
{
    for (size_t i = 0; i < s->learnt.n; i++) {
        seq_learnt *l = &s->learnt.v[i];
        if (!seq_session_items(&s->now, &s->vocab, l->ev, l->n))
            return false;
        seq_count_kinds(s, &s->now, false);
        if (!seq_nearest_add(&s->nearest, &s->now, &l->vector) || !seq_order_add(&s->order, l->ev, l->n))
            return false;
    }
    if (!seq_rules_init(&s->rules, &s->vocab))
        return false;
    for (size_t i = 0; i < s->learnt.n; i++) {
        if (!seq_session_items(&s->now, &s->vocab, s->learnt.v[i].ev, s->learnt.v[i].n))
            return false;
        seq_rules_add(&s->rules, &s->now, false);
    }
    return seq_nearest_settle(&s->nearest, &s->vocab);
}

/* Every step-th session, so that those held out come from all of the stretch learnt. */
static size_t step_of(const ops_sequence *s)
{
    return (s->learnt.n + HELD_MAX - 1) / HELD_MAX;
}

static void measure_order(ops_sequence *s)
{
    for (size_t i = 0; i < s->learnt.n; i += step_of(s)) {
        const seq_learnt *l = &s->learnt.v[i];
        seq_order_drop(&s->order, l->ev, l->n);
        seq_order_measure(&s->order, l->ev, l->n);
        (void)seq_order_add(&s->order, l->ev, l->n); /* finds every place it had */
    }
    seq_order_settle(&s->order);
}

static bool hold_out(ops_sequence *s, const seq_learnt *l, double raw[OPS_SEQUENCE_PARTS], size_t *ret_new)
{
    seq_session *x = &s->now;
    x->new_kinds = 0;
    if (!seq_session_items(x, &s->vocab, l->ev, l->n))
        return false;
    seq_count_kinds(s, x, true);
    seq_rules_add(&s->rules, x, true);
    seq_order_drop(&s->order, l->ev, l->n);
    *ret_new = seq_session_new(x, &s->vocab);
    seq_measure(s, l->ev, l->n, l->vector, *ret_new, raw);
    (void)seq_order_add(&s->order, l->ev, l->n);
    seq_rules_add(&s->rules, x, false);
    seq_count_kinds(s, x, false);
    return true;
}

typedef struct held {
    double raw[OPS_SEQUENCE_PARTS];
    size_t fresh;
} held;

static void set_threshold(ops_sequence *s, const held *h, double *score, size_t n)
{
    size_t with_new = 0;
    for (size_t i = 0; i < n; i++)
        with_new += h[i].fresh > 0;
    s->info.new_share = (double)with_new / (double)n;
    s->info.new_alone = s->info.new_share < NEW_SHARE_MAX;
    for (size_t i = 0; i < n; i++) {
        double level[OPS_SEQUENCE_PARTS];
        score[i] = seq_combine(s, h[i].raw, true, level);
    }
    s->info.threshold = seq_tail_threshold(score, n, s->false_alarms);
}

static bool calibrate(ops_sequence *s)
{
    size_t step = step_of(s), n = 0, most = (s->learnt.n + step - 1) / step;
    OPS_AUTO(ops_free) void *block = ops_malloc(most * sizeof(held));
    OPS_AUTO(ops_free) void *scores = ops_malloc(most * sizeof(double));
    held *h = block;
    for (size_t k = 0; k < OPS_SEQUENCE_PARTS; k++)
        if ((s->held[k] = ops_malloc(most * sizeof(double))) == NULL)
            return false;
    if (h == NULL || scores == NULL)
        return false;
    for (size_t i = 0; i < s->learnt.n; i += step, n++)
        if (!hold_out(s, &s->learnt.v[i], h[n].raw, &h[n].fresh))
            return false;
    for (size_t k = 0; k < OPS_SEQUENCE_PARTS; k++) {
        for (size_t i = 0; i < n; i++)
            s->held[k][i] = h[i].raw[k];
        seq_tail_fit(&s->tail[k], s->held[k], n);
    }
    set_threshold(s, h, scores, n);
    return true;
}

ops_status ops_sequence_fit(ops_sequence *s, ops_err *reterr)
{
    if (s->fitted || s->learnt.n == 0)
        return ops_fail(reterr, OPS_ECONFLICT,
                        s->fitted ? "sequence: fitted already" : "sequence: no session was learnt");
    if (!take_in(s))
        return ops_fail(reterr, OPS_ENOMEM, "sequence: fitting %zu sessions", s->learnt.n);
    measure_order(s);
    if (!calibrate(s))
        return ops_fail(reterr, OPS_ENOMEM, "sequence: fitting %zu sessions", s->learnt.n);
    s->info.sessions = s->learnt.n;
    for (size_t i = 0; i < s->learnt.n; i++)
        ops_free(s->learnt.v[i].ev);
    ops_vec_done(&s->learnt);
    s->fitted = true;
    return OPS_OK;
}
