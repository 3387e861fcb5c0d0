/* What is odd about a session, for people. */
#include <math.h>

#include "coordinator/analysis/sequence/state.h"

enum { CLAUSES_MAX = 4, EDITS_TOLD = 3 };

typedef struct telling {
    const ops_sequence *s;
    ops_sequence_name name;
    void *u;
    ops_strbuf *out;
    size_t clauses;
} telling;

static void put_id(telling *t, uint32_t id)
{
    if (id == SEQ_BEGIN)
        ops_strbuf_str(t->out, "the start");
    else if (id == SEQ_END)
        ops_strbuf_str(t->out, "the end");
    else if (id == SEQ_NONE)
        ops_strbuf_str(t->out, "an event never seen before");
    else
        ops_strbuf_slice(t->out, t->name(t->u, t->s->vocab.events.v[id]));
}

static bool next_clause(telling *t)
{
    if (t->clauses == CLAUSES_MAX)
        return false;
    if (t->clauses++ > 0)
        ops_strbuf_str(t->out, "; ");
    return true;
}

static void tell_new(telling *t, const seq_session *x)
{
    for (size_t i = 0; i < x->new_kinds && next_clause(t); i++) {
        ops_strbuf_slice(t->out, t->name(t->u, x->new_events[i]));
        ops_strbuf_str(t->out, " never occurred before");
    }
}

static void tell_order(telling *t, const seq_session *x)
{
    seq_peak peak = seq_order_judge(&t->s->order, x->ev.v, x->ev.n);
    if (peak.sum <= 0 || !next_clause(t))
        return;
    uint32_t expected[SEQ_EXPECTED_MAX];
    size_t i = peak.worst, n;
    n = seq_order_expected(&t->s->order, x->ev.v, i, (uint32_t)t->s->vocab.events.n, expected);
    ops_strbuf_str(t->out, "after ");
    put_id(t, i == 0 ? SEQ_BEGIN : x->ev.v[i - 1]);
    if (n > 0)
        ops_strbuf_str(t->out, " expected ");
    else
        ops_strbuf_str(t->out, " nothing in particular was expected");
    for (size_t k = 0; k < n; k++) {
        if (k > 0)
            ops_strbuf_str(t->out, " or ");
        put_id(t, expected[k]);
    }
    ops_strbuf_str(t->out, ", saw ");
    put_id(t, i == x->ev.n ? SEQ_END : x->ev.v[i]);
}

static void put_times(telling *t, uint32_t n)
{
    if (n == 1)
        ops_strbuf_str(t->out, "once");
    else
        ops_strbuf_printf(t->out, "%u times", n);
}

static void tell_counts(telling *t, const seq_session *x)
{
    seq_edit edit[EDITS_TOLD];
    size_t n = 0;
    (void)seq_nearest_price(&t->s->nearest, &t->s->vocab, x, 0, SEQ_NO_VECTOR, edit, EDITS_TOLD, &n);
    for (size_t i = 0; i < n && edit[i].price > 2 * edit[0].price / 3 && next_clause(t); i++) {
        put_id(t, edit[i].id);
        if (edit[i].seen == 0) {
            ops_strbuf_str(t->out, " is missing, usual is ");
            put_times(t, edit[i].near);
        } else {
            ops_strbuf_str(t->out, " occurred ");
            put_times(t, edit[i].seen);
            ops_strbuf_str(t->out, " where ");
            if (edit[i].near == 0)
                ops_strbuf_str(t->out, "none is usual");
            else {
                put_times(t, edit[i].near);
                ops_strbuf_str(t->out, " is usual");
            }
        }
    }
}

static void tell_rule(telling *t, const seq_session *x)
{
    static const char *const between[] = {
        [SEQ_RULE_SAME_COUNT] = " is not as frequent as ",
        [SEQ_RULE_FIRST] = " began after ",
        [SEQ_RULE_LAST] = " ended after ",
        [SEQ_RULE_AT_MOST] = " is more frequent than ",
        [SEQ_RULE_ALL_BEFORE] = " came after ",
        [SEQ_RULE_WITH] = " came without ",
    };
    seq_broken broken[SEQ_BROKEN_MAX];
    size_t n = 0;
    (void)seq_rules_judge(&t->s->rules, x, broken, &n);
    if (n == 0 || broken[0].ratio < 2 || !next_clause(t))
        return;
    put_id(t, broken[0].a);
    ops_strbuf_str(t->out, between[broken[0].rule]);
    put_id(t, broken[0].b);
    double kept = 100 * (1 - (broken[0].held + 1.0) / broken[0].ratio / (broken[0].held + 1.0));
    ops_strbuf_printf(t->out, ", unlike in %.1f %% of %u normal sessions", kept, broken[0].held);
}

static ops_status explain(ops_sequence *s, const uint64_t *events, size_t n, const telling *how, bool order,
                          ops_err *reterr)
{
    ops_sequence_verdict v;
    ops_status st = ops_sequence_judge(s, events, n, &v, reterr);
    if (st != OPS_OK)
        return st;
    telling t = *how;
    void (*const tell[])(telling *, const seq_session *) = {tell_counts, tell_order, tell_rule};
    tell_new(&t, &s->now);
    bool told[OPS_SEQUENCE_RARE] = {[OPS_SEQUENCE_ORDER] = !order};
    for (size_t round = 0; round < OPS_SEQUENCE_RARE; round++) {
        size_t odd = OPS_SEQUENCE_RARE;
        for (size_t i = 0; i < OPS_SEQUENCE_RARE; i++)
            if (!told[i] && v.level[i] > 1 && (odd == OPS_SEQUENCE_RARE || v.level[i] > v.level[odd]))
                odd = i;
        if (odd == OPS_SEQUENCE_RARE)
            break;
        told[odd] = true;
        tell[odd](&t, &s->now);
    }
    return t.out->failed ? ops_fail(reterr, OPS_ENOMEM, "sequence: the words for a session") : OPS_OK;
}

ops_status ops_sequence_explain(ops_sequence *s, const uint64_t *events, size_t n, ops_sequence_name name,
                                void *u, ops_strbuf *out, ops_err *reterr)
{
    const telling t = {.s = s, .name = name, .u = u, .out = out};
    return explain(s, events, n, &t, true, reterr);
}

ops_status ops_sequence_explain_rest(ops_sequence *s, const uint64_t *events, size_t n,
                                     ops_sequence_name name, void *u, ops_strbuf *out, ops_err *reterr)
{
    const telling t = {.s = s, .name = name, .u = u, .out = out};
    return explain(s, events, n, &t, false, reterr);
}
