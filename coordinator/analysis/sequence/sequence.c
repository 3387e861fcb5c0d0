#include "coordinator/analysis/sequence/sequence.h"

#include <math.h>

#include "coordinator/analysis/sequence/state.h"

/* 1 would add levels as if the detectors were independent, which lets three mild ones drown a strong one; with 2 and more
 * the strongest decides and weak signs that agree are lost. Half way: docs/decisions/0015-log-sequences.md has the figures. */
static const double EXPONENT = 1.5;

ops_status ops_sequence_new(double false_alarms, ops_sequence **ret, ops_err *reterr)
{
    if (!(false_alarms >= 0 && false_alarms < 1))
        return ops_fail(reterr, OPS_EINVAL, "sequence: a share of false alarms of %g", false_alarms);
    OPS_AUTO(ops_sequence_free) ops_sequence *s = ops_calloc(1, sizeof *s);
    if (s == NULL || seq_vocab_init(&s->vocab) != OPS_OK || !seq_nearest_init(&s->nearest) ||
        !seq_order_init(&s->order))
        return ops_fail(reterr, OPS_ENOMEM, "sequence: a new model");
    s->false_alarms = false_alarms > 0 ? false_alarms : OPS_SEQUENCE_FALSE_ALARMS;
    *ret = OPS_STEAL(s);
    return OPS_OK;
}

void ops_sequence_free(ops_sequence *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->learnt.n; i++)
        ops_free(s->learnt.v[i].ev);
    ops_vec_done(&s->learnt);
    for (size_t i = 0; i < OPS_SEQUENCE_PARTS; i++)
        ops_free(s->held[i]);
    seq_vocab_done(&s->vocab);
    seq_nearest_done(&s->nearest);
    seq_order_done(&s->order);
    seq_rules_done(&s->rules);
    seq_session_done(&s->now);
    ops_free(s);
}

static size_t bounded(size_t n)
{
    return n < OPS_SEQUENCE_EVENTS_MAX ? n : OPS_SEQUENCE_EVENTS_MAX;
}

ops_status ops_sequence_learn(ops_sequence *s, const uint64_t *events, size_t n, ops_err *reterr)
{
    if (s->fitted)
        return ops_fail(reterr, OPS_ECONFLICT, "sequence: the model is fitted, it learns no more");
    size_t look = bounded(n);
    if (s->learnt.n == OPS_SEQUENCE_SESSIONS_MAX || s->learnt_events + look > OPS_SEQUENCE_LEARNT_MAX) {
        s->info.sessions_ignored++;
        return OPS_OK;
    }
    if (!seq_session_map(&s->now, &s->vocab, events, look, true))
        return ops_fail(reterr, OPS_ENOMEM, "sequence: learning session %zu", s->learnt.n + 1);
    OPS_AUTO(ops_free) void *copy = ops_malloc((look + 1) * sizeof(uint32_t));
    if (copy == NULL || !ops_vec_push(&s->learnt, ((seq_learnt){.ev = copy, .n = (uint32_t)look})))
        return ops_fail(reterr, OPS_ENOMEM, "sequence: learning session %zu", s->learnt.n + 1);
    if (look > 0)
        memcpy(copy, s->now.ev.v, look * sizeof(uint32_t));
    (void)OPS_STEAL(copy);
    s->learnt_events += look;
    s->info.sessions_cut += look < n;
    return OPS_OK;
}

/* Of the session's rarest event: log of one in how many sessions hold it. */
static double rarest(const ops_sequence *s, size_t new_kinds)
{
    uint32_t least = new_kinds > 0 ? 0 : UINT32_MAX;
    for (size_t i = 0; i < s->now.items.n; i++) {
        uint32_t have = s->vocab.sessions.v[s->now.items.v[i].id];
        least = have < least ? have : least;
    }
    double share = (least + 0.5) / (s->nearest.sessions + 1);
    return share < 1 ? -log(share) : 0;
}

void seq_measure(ops_sequence *s, const uint32_t *ev, size_t n, uint32_t own, size_t new_kinds,
                 double ret_raw[OPS_SEQUENCE_PARTS])
{
    seq_broken broken[SEQ_BROKEN_MAX];
    size_t broken_n;
    ret_raw[OPS_SEQUENCE_COUNTS] =
        own == SEQ_NO_VECTOR
            ? seq_nearest_price(&s->nearest, &s->vocab, &s->now, new_kinds, SEQ_NO_VECTOR, NULL, 0, NULL)
            : seq_nearest_held_out(&s->nearest, &s->vocab, &s->now, new_kinds, own);
    ret_raw[OPS_SEQUENCE_ORDER] = seq_order_judge(&s->order, ev, n).sum;
    ret_raw[OPS_SEQUENCE_RULES] = seq_rules_judge(&s->rules, &s->now, broken, &broken_n);
    ret_raw[OPS_SEQUENCE_RARE] = rarest(s, new_kinds);
}

double seq_combine(const ops_sequence *s, const double raw[OPS_SEQUENCE_PARTS], bool held_out,
                   double ret_level[OPS_SEQUENCE_PARTS])
{
    double sum = 0;
    for (size_t i = 0; i < OPS_SEQUENCE_PARTS; i++) {
        ret_level[i] =
            held_out ? seq_tail_level_held_out(&s->tail[i], raw[i]) : seq_tail_level(&s->tail[i], raw[i]);
        sum += pow(ret_level[i], EXPONENT);
    }
    return pow(sum, 1 / EXPONENT);
}

ops_status ops_sequence_judge(ops_sequence *s, const uint64_t *events, size_t n, ops_sequence_verdict *ret,
                              ops_err *reterr)
{
    if (!s->fitted)
        return ops_fail(reterr, OPS_ECONFLICT, "sequence: the model is not fitted");
    size_t look = bounded(n);
    seq_session *x = &s->now;
    if (!seq_session_map(x, &s->vocab, events, look, false) ||
        !seq_session_items(x, &s->vocab, x->ev.v, x->ev.n))
        return ops_fail(reterr, OPS_ENOMEM, "sequence: judging a session");
    size_t fresh = seq_session_new(x, &s->vocab);
    double raw[OPS_SEQUENCE_PARTS];
    seq_measure(s, x->ev.v, x->ev.n, SEQ_NO_VECTOR, fresh, raw);
    ops_sequence_verdict v = {.new_kinds = fresh, .cut = look < n};
    v.score = seq_combine(s, raw, false, v.level);
    v.anomalous = v.score > s->info.threshold;
    if (!v.anomalous && fresh > 0 && s->info.new_alone) {
        v.anomalous = true;
        v.score += s->info.threshold; /* above everything that is no alarm */
    }
    if (v.anomalous)
        v.place = seq_order_judge(&s->order, x->ev.v, x->ev.n).worst;
    *ret = v;
    return OPS_OK;
}

void ops_sequence_get_info(const ops_sequence *s, ops_sequence_info *ret)
{
    *ret = s->info;
    ret->kinds = s->vocab.events.n - SEQ_FIRST;
    ret->events_over_kinds = s->vocab.over;
    ret->sessions = s->fitted ? s->info.sessions : s->learnt.n;
}
