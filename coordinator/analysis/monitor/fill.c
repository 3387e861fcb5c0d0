/* Gauges on their way into a limit: what is told of them, and when.
 *
 * A forecast is a straight line's, with a long memory or, where it bent, a short one; what keeps it quiet is asked of it
 * here. The growth must be certain to five of its standard errors and still go on of late; the hit lies no further ahead than
 * three times what the line remembers, a quarter of that while the series may be on the way up of its first day, and half of
 * the time it has been known; the interval is no wider than the time to the hit; the series stands where it never stood in what
 * is remembered of it (what goes up and down comes back by itself); and all of that for thirty samples in a row. Told once, and
 * again when the time left has halved. */
#include <math.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/state.h"

enum {
    SAMPLES_MIN = 150,
    SURE_MIN = 30,
    BLOCK = 240,
    LINE_MEMORY = 240,
    LATE_MEMORY = 60,
    QUIET_SAMPLES = 240
};
static const double sure_z = 5, ahead = 3, ahead_new = 0.25, days_known_s = 1.5 * 86400, far_fades = 1.0 / 32,
                    still = 0.8, urgent_s = 1800, score_min = 6, score_max = 11;

void ops_monitor_fill_init(filling *f)
{
    ops_runout_init(&f->line, LINE_MEMORY);
    ops_runout_init(&f->late, LATE_MEMORY);
}

ops_status ops_monitor_fill_new(series *s, ops_err *reterr)
{
    if (s->asked)
        return OPS_OK;
    if (s->fill != NULL || s->kind != OPS_MONITOR_GAUGE || !ops_monitor_may_fill(series_text(s))) {
        s->asked = true;
        return OPS_OK;
    }
    s->fill = ops_calloc(1, sizeof *s->fill);
    if (s->fill == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a series' forecast");
    ops_monitor_fill_init(s->fill);
    return OPS_OK;
}

/* The furthest that the series came towards its limit before the block at hand; fades towards what it is like of late. */
static void remember(filling *f, double value, double toward)
{
    const double at = toward * value;
    if (f->line.samples <= 1)
        f->far = f->block_far = at;
    f->block_far = at > f->block_far ? at : f->block_far;
    if (++f->block_n < BLOCK)
        return;
    f->far = f->block_far > f->far ? f->block_far : f->far + (f->block_far - f->far) * far_fades;
    f->block_far = at;
    f->block_n = 0;
}

typedef struct asked {
    double at;         /* value, greater is nearer */
    double interval_s; /* from sample to sample */
    double known_s;    /* since the first */
} asked;

static bool convincing(const ops_runout_forecast *c, const asked *q, double far, double memory)
{
    return c->certain && c->sure >= sure_z && isfinite(c->high_s) && c->high_s - c->low_s <= c->in_s &&
           c->in_s <= (q->known_s >= days_known_s ? ahead : ahead_new) * memory * q->interval_s &&
           2 * c->in_s <= q->known_s && q->at > far;
}

/* By the long line, or where it bent by the short one. What slows down may never get there. */
static bool forecast(const filling *f, const ops_monitor_bound *to, const asked *q, ops_runout_forecast *ret)
{
    ops_runout_forecast late;
    ops_runout_ask(&f->line, to->limit, to->falling, ret);
    ops_runout_ask(&f->late, to->limit, to->falling, &late);
    if (f->line.samples < SAMPLES_MIN || !late.certain || (ret->certain && late.low_s > ret->high_s) ||
        fabs(late.per_s) < still * fabs(ret->per_s))
        return false;
    if (convincing(ret, q, f->far, LINE_MEMORY))
        return true;
    *ret = late;
    return convincing(&late, q, f->far, LATE_MEMORY);
}

static void tell(ops_monitor *m, const series *s, const ops_monitor_sample *x, const ops_monitor_bound *to,
                 const ops_runout_forecast *c)
{
    /* As certain as the line says: the upper tail of a normal at `sure` standard errors. */
    const double p = erfc(c->sure / sqrt(2)) / 2;
    const double score = p > 0 ? -log10(p) : score_max;
    ops_candidate a = {.kind = OPS_CANDIDATE_RUNOUT,
                       .severity = c->in_s < urgent_s ? OPS_LEVEL_ERROR : OPS_LEVEL_WARNING,
                       .tenant = series_tenant(s),
                       .service = series_service(s),
                       .statistic = "seconds until the limit",
                       .value = c->in_s,
                       .expected_low = c->low_s,
                       .expected_high = c->high_s,
                       .score = fmin(fmax(score, score_min), score_max),
                       .start_ns = x->time_ns,
                       .end_ns = x->time_ns,
                       .evidence_count = 1};
    a.p_value = pow(10, -a.score);
    ops_strbuf_clear(&m->words);
    ops_strbuf_slice(&m->words, series_text(s));
    ops_strbuf_printf(&m->words, " is %.4g, %s by %.3g a second towards %.4g: ", x->value,
                      to->falling ? "falls" : "grows", fabs(c->per_s), to->limit);
    ops_runout_words(c, &m->words);
    a.words = ops_strbuf_get(&m->words);
    ops_strbuf_clear(&m->text);
    ops_strbuf_slice(&m->text, ops_slice_sub(series_text(s), 0, OPS_EVIDENCE_BYTES_MAX - 64));
    ops_strbuf_printf(&m->text, " %.9g", x->value);
    a.evidence[0] = (ops_evidence){.service = a.service,
                                   .text = ops_strbuf_get(&m->text),
                                   .time_ns = x->time_ns,
                                   .log_offset = x->log_offset};
    m->stats.alerts++;
    if (m->lim.on_candidate != NULL && !m->words.failed && !m->text.failed)
        m->lim.on_candidate(m->lim.u, &a);
}

void ops_monitor_fill(ops_monitor *m, series *s, const ops_monitor_sample *x)
{
    filling *f = s->fill;
    ops_monitor_bound to;
    ops_runout_forecast c;
    ops_baseline_stats b;
    ops_runout_add(&f->line, x->time_ns, x->value);
    ops_runout_add(&f->late, x->time_ns, x->value);
    if (!ops_monitor_limit(m, s, &to)) {
        f->sure_n = 0;
        return;
    }
    const double toward = to.falling ? -1 : 1;
    remember(f, x->value, toward);
    ops_baseline_stats_get(s->baseline, &b);
    const asked q = {.at = toward * x->value,
                     .interval_s = (double)b.interval_ns / 1e9,
                     .known_s = ((double)x->time_ns - (double)s->first_ns) / 1e9};
    if (!forecast(f, &to, &q, &c)) {
        f->sure_n = 0;
        f->quiet_n += f->quiet_n < QUIET_SAMPLES;
        if (f->quiet_n == QUIET_SAMPLES)
            f->told_s = 0;
        return;
    }
    f->quiet_n = 0;
    f->sure_n += f->sure_n < SURE_MIN;
    if (f->sure_n < SURE_MIN || (f->told_s > 0 && c.in_s > f->told_s / 2))
        return;
    f->told_s = c.in_s;
    tell(m, s, x, &to, &c);
}
