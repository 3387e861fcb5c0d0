/* Rows out of samples, their judgement, and what is told of it. */
#include "coordinator/analysis/monitor/together.h"

#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/time/rfc3339.h"

enum { TOLD_COLUMNS = 3, QUIET_S = 86400 };
/* In a row no series counts for more than what its own baseline would tell of. */
static const double off_max = 8;
/* An alert of a single series within it is of the same stretch, and the same finding: the finding book's gap. */
static const int64_t joins_ns = 120 * INT64_C(1000000000), second_ns = INT64_C(1000000000);

view *ops_monitor_view_new(size_t n, int64_t step_ns, bool load)
{
    const ops_component_rows conf = {.samples_per_false_alert = OPS_MONITOR_SAMPLES_PER_FALSE_ALERT,
                                     .quiet_ns = QUIET_S * second_ns,
                                     .step_ns = step_ns};
    view *v = ops_calloc(1, sizeof *v);
    if (v == NULL || (!load && ops_component_new_rows(n, &conf, &v->seen, NULL) != OPS_OK)) {
        ops_free(v);
        return NULL;
    }
    v->n = n;
    v->step_ns = step_ns;
    v->step = INT64_MIN;
    for (size_t j = 0; j < n; j++)
        v->columns[j].at = v->columns[j].cells[0].step = v->columns[j].cells[1].step = INT64_MIN;
    return v;
}

void ops_monitor_view_free(view *v)
{
    if (v == NULL)
        return;
    for (size_t j = 0; j < v->n; j++)
        if (v->columns[j].of != NULL)
            v->columns[j].of->column = 0;
    ops_component_free(v->seen);
    ops_free(v);
}

/* What is known of a column at a step: the mean of what fell into it, else what was known a little before. */
static float value_at(column *c, int64_t step, bool *ret_fresh)
{
    const cell *at = &c->cells[step & 1];
    *ret_fresh = false;
    if (c->of == NULL || c->of->stale)
        return NAN;
    if (at->step == step && at->n > 0) {
        *ret_fresh = true;
        c->last = (float)(at->sum / at->n);
        c->at = step;
    }
    return c->at != INT64_MIN && step - c->at <= VIEW_CARRY ? c->last : NAN;
}

static ops_status judge(view *v, const view_row *row, ops_component_verdict *ret)
{
    double off[VIEW_COLUMNS_MAX];
    for (size_t j = 0; j < v->n; j++)
        off[j] = row->off[j];
    return ops_component_add(v->seen, row->step * v->step_ns, off, ret);
}

/* In the units of the series: the pull is in mean distances from its level of late. */
static void put_column(ops_monitor *m, const column *c, const ops_component_pull *p)
{
    const series *s = c->of;
    ops_baseline_stats b;
    ops_baseline_stats_get(s->baseline, &b);
    const double seen = b.level + p->seen * c->unit, far = 2 * p->sd * c->unit,
                 expected = b.level + p->expected * c->unit;
    ops_strbuf_slice(&m->words, ops_slice_sub(series_text(s), 0, OPS_EVIDENCE_BYTES_MAX));
    ops_strbuf_printf(&m->words, "%s is %.4g, where %.4g to %.4g goes with the others",
                      s->kind == OPS_MONITOR_GAUGE ? "" : " per second", seen, expected - far,
                      expected + far);
}

static void put_evidence(ops_monitor *m, const series *s, const ops_monitor_sample *x, size_t *at,
                         ops_candidate *c)
{
    at[c->evidence_count] = m->text.n;
    ops_strbuf_slice(&m->text, ops_slice_sub(series_text(s), 0, OPS_EVIDENCE_BYTES_MAX - 64));
    ops_strbuf_printf(&m->text, " %.9g", s->last);
    c->evidence[c->evidence_count++] =
        (ops_evidence){.service = c->service, .time_ns = s->last_ns, .log_offset = x->log_offset};
    at[c->evidence_count] = m->text.n;
}

static void put_words(ops_monitor *m, const group *g, const ops_component_verdict *v)
{
    char since[OPS_RFC3339_BYTES];
    ops_strbuf_clear(&m->words);
    ops_strbuf_printf(&m->words, "%zu series of ", g->view->n);
    ops_strbuf_slice(&m->words, group_service(g));
    ops_strbuf_printf(
        &m->words,
        " seen together are unlike what is usual, since %s; this far out once in more than %.0f rows: ",
        ops_rfc3339_format(v->since_ns, 0, since), pow(10, floor((double)v->unusual)));
}

static void tell(ops_monitor *m, const group *g, const ops_monitor_sample *x, const ops_component_verdict *v)
{
    ops_component_pull pull[TOLD_COLUMNS];
    size_t at[TOLD_COLUMNS + 1] = {0}, n = ops_component_pulls(g->view->seen, pull, TOLD_COLUMNS);
    ops_candidate c = {.kind = OPS_CANDIDATE_METRIC,
                       .severity = OPS_LEVEL_WARNING,
                       .tenant = group_tenant(g),
                       .service = group_service(g),
                       .statistic = "together",
                       .value = v->score,
                       .p_value = pow(10, -(double)v->unusual),
                       .score = v->unusual,
                       .start_ns = v->since_ns,
                       .end_ns = g->view->step * g->view->step_ns};
    ops_strbuf_clear(&m->text);
    put_words(m, g, v);
    for (size_t i = 0; i < n; i++) {
        const series *s = g->view->columns[pull[i].column].of;
        if (s == NULL)
            continue;
        if (c.evidence_count > 0)
            ops_strbuf_str(&m->words, "; ");
        put_column(m, &g->view->columns[pull[i].column], &pull[i]);
        put_evidence(m, s, x, at, &c);
    }
    for (size_t i = 0; i < c.evidence_count; i++)
        c.evidence[i].text = ops_slice_sub(ops_strbuf_get(&m->text), at[i], at[i + 1] - at[i]);
    c.words = ops_strbuf_get(&m->words);
    m->stats.alerts++;
    m->stats.rows_told++;
    if (m->lim.on_candidate != NULL && !m->words.failed && !m->text.failed)
        m->lim.on_candidate(m->lim.u, &c);
}

/* What a single series told of the stretch is told; a row that joins it says more of it. */
static bool covered(const group *g, int64_t row_ns, const ops_component_verdict *v)
{
    return g->alert_ns != INT64_MIN && g->alert_ns >= v->since_ns - joins_ns &&
           row_ns - g->alert_ns > joins_ns;
}

static void close_step(ops_monitor *m, group *g, const ops_monitor_sample *x)
{
    view *v = g->view;
    view_row row = {.step = v->step};
    ops_component_verdict verdict;
    size_t fresh_n = 0;
    for (size_t j = 0; j < v->n; j++) {
        bool fresh;
        row.off[j] = value_at(&v->columns[j], v->step, &fresh);
        fresh_n += fresh;
    }
    /* Rows are of what was seen: less than half of it is none. */
    if (2 * fresh_n < v->n || judge(v, &row, &verdict) != OPS_OK)
        return;
    if (v->tail_n < VIEW_TAIL)
        v->tail[v->tail_n++] = row;
    m->stats.rows++;
    if (!verdict.alert)
        return;
    if (covered(g, v->step * v->step_ns, &verdict))
        m->stats.rows_covered++;
    else
        tell(m, g, x, &verdict);
}

static void put(ops_monitor *m, series *s, const ops_monitor_sample *x, int64_t step, double off)
{
    view *v = s->group->view;
    if (v->step == INT64_MIN || step > v->step + 1 + 2 * VIEW_CARRY)
        v->step = step; /* nothing stands still for so long */
    for (; step > v->step + 1; v->step++)
        close_step(m, s->group, x);
    if (step < v->step) {
        m->stats.rows_late++;
        return;
    }
    cell *c = &v->columns[s->column - 1].cells[step & 1];
    if (c->step != step)
        *c = (cell){.step = step};
    c->sum += off;
    c->n++;
}

void ops_monitor_lead(ops_monitor *m, series *s, const ops_monitor_sample *x, const ops_baseline_verdict *own)
{
    group *g = s->group;
    /* A clock that runs ahead does not make those of the others late. */
    const int64_t now_ns = x->time_ns < x->recv_ns ? x->time_ns : x->recv_ns;
    if (m->lim.views_off)
        return;
    if (s->column > 0) {
        const double far = off_max * own->scale, off = fmax(-far, fmin(far, s->judged - own->level));
        put(m, s, x, now_ns / g->view->step_ns - (now_ns % g->view->step_ns < 0),
            off / g->view->columns[s->column - 1].unit);
    }
    g->judged++;
    ops_monitor_choose(m, g, now_ns);
    ops_monitor_group_touch(m, g);
}

ops_status ops_monitor_view_again(view *v, ops_err *reterr)
{
    ops_component_verdict verdict;
    ops_status st = OPS_OK;
    for (uint32_t i = 0; st == OPS_OK && i < v->tail_n; i++)
        st = judge(v, &v->tail[i], &verdict);
    return st == OPS_OK ? st : ops_fail(reterr, st, "a component's rows");
}
