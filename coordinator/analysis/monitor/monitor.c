/* What a sample does to its series. */
#include "coordinator/analysis/monitor/monitor.h"

#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/metric/tail.h"
#include "coordinator/analysis/monitor/together.h"

#define RATE_MAX 1e300
enum { SERIES_MAX_DEFAULT = 40000, WORDS_BYTES_MAX = 16384 };

const char *ops_monitor_kind_name(ops_monitor_kind kind)
{
    static const char *const names[OPS_MONITOR_KIND_COUNT] = {"unknown", "gauge",  "counter",
                                                              "delta",   "bucket", "bucket"};
    return names[kind > 0 && kind < OPS_MONITOR_KIND_COUNT ? kind : 0];
}

const char *ops_monitor_fate_name(ops_monitor_fate fate)
{
    static const char *const names[OPS_MONITOR_FATE_COUNT] = {"judged", "first",    "kept", "ended",
                                                              "late",   "repeated", "full"};
    return fate < OPS_MONITOR_FATE_COUNT ? names[fate] : "unknown";
}

ops_status ops_monitor_new(const ops_monitor_limits *limits, ops_monitor **ret, ops_err *reterr)
{
    OPS_AUTO(ops_monitor_free) ops_monitor *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a monitor");
    m->lim = *limits;
    if (m->lim.series_max == 0)
        m->lim.series_max = SERIES_MAX_DEFAULT;
    if (m->lim.views_max == 0)
        m->lim.views_max = OPS_MONITOR_VIEWS_MAX;
    m->event_ns = INT64_MIN;
    m->next_id = 1;
    ops_strbuf_init(&m->text, 128 << 10); /* what is known of 32 series takes 44 KiB */
    ops_strbuf_init(&m->words, WORDS_BYTES_MAX);
    m->by_name = ops_map_new();
    m->tenants = ops_map_new();
    m->by_id = ops_map64_new();
    m->by_service = ops_map_new();
    m->by_group = ops_map64_new();
    m->histograms = ops_map_new();
    if (m->by_name == NULL || m->tenants == NULL || m->by_id == NULL || m->by_service == NULL ||
        m->by_group == NULL || m->histograms == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a monitor's maps");
    *ret = OPS_STEAL(m);
    return OPS_OK;
}

void ops_monitor_free(ops_monitor *m)
{
    size_t iter = 0;
    ops_slice name;
    void *count;
    if (m == NULL)
        return;
    ops_monitor_groups_free(m);
    ops_monitor_histograms_free(m);
    for (size_t i = 0; i < m->all.n; i++)
        ops_monitor_series_free(m->all.v[i]);
    ops_vec_done(&m->all);
    ops_vec_done(&m->gone);
    for (size_t i = 0; i < m->waiting.n; i++)
        ops_baseline_free(m->waiting.v[i].baseline);
    ops_vec_done(&m->waiting);
    while (m->tenants != NULL && ops_map_next(m->tenants, &iter, &name, &count))
        ops_free(count);
    ops_map_free(m->by_name);
    ops_map_free(m->tenants);
    ops_map64_free(m->by_id);
    ops_strbuf_done(&m->text);
    ops_strbuf_done(&m->words);
    ops_free(m);
}

/* The value to judge; false: there is none yet. */
static bool measure(series *s, const ops_monitor_sample *x, double *ret)
{
    int64_t ns = 0;
    if (s->has_last && __builtin_sub_overflow(x->time_ns, s->last_ns, &ns))
        ns = INT64_MAX;
    const double seconds = (double)ns / 1e9;
    if (s->kind == OPS_MONITOR_GAUGE) {
        *ret = x->value;
        return true;
    }
    if (!s->has_last || seconds <= 0)
        return false;
    double grown = x->value;
    if (s->kind == OPS_MONITOR_COUNTER && x->value >= s->last)
        grown = x->value - s->last;
    else if (s->kind == OPS_MONITOR_COUNTER)
        s->resets++;
    *ret = fmin(fmax(grown / seconds, -RATE_MAX),
                RATE_MAX); /* two numbers may be further apart than any number */
    return true;
}

static double finite_or_0(double v)
{
    return isfinite(v) ? v : 0;
}

static void tell(ops_monitor *m, const series *s, const ops_monitor_sample *x, const ops_baseline_verdict *v)
{
    const bool rate = s->kind != OPS_MONITOR_GAUGE;
    ops_candidate c = {.kind = OPS_CANDIDATE_METRIC,
                       .severity = OPS_LEVEL_WARNING,
                       .tenant = series_tenant(s),
                       .service = series_service(s),
                       .statistic = ops_baseline_kind_name(v->kind),
                       .value = v->value,
                       .expected_low = v->low,
                       .expected_high = v->high,
                       .p_value = pow(10, -(double)v->score),
                       .score = v->score,
                       .start_ns = v->since_ns,
                       .end_ns = v->time_ns,
                       .evidence_count = 1};
    ops_strbuf_clear(&m->text);
    ops_strbuf_slice(&m->text, series_text(s));
    if (rate)
        ops_strbuf_str(&m->text, " per second");
    ops_strbuf_clear(&m->words);
    ops_baseline_words(v, ops_strbuf_get(&m->text), &m->words);
    c.words = ops_strbuf_get(&m->words);
    ops_strbuf_clear(&m->text);
    ops_strbuf_slice(&m->text, ops_slice_sub(series_text(s), 0, OPS_EVIDENCE_BYTES_MAX - 64));
    ops_strbuf_printf(&m->text, " %.9g", x->value);
    c.evidence[0] = (ops_evidence){.service = c.service,
                                   .text = ops_strbuf_get(&m->text),
                                   .time_ns = x->time_ns,
                                   .log_offset = x->log_offset};
    m->stats.alerts++;
    if (m->lim.on_candidate != NULL && !m->words.failed && !m->text.failed)
        m->lim.on_candidate(m->lim.u, &c);
}

static ops_status judge(ops_monitor *m, series *s, const ops_monitor_sample *x, double value, ops_err *reterr)
{
    ops_baseline_verdict v;
    ops_status st = ops_monitor_baseline(s, reterr);
    if (st == OPS_OK)
        st = ops_monitor_fill_new(s, reterr);
    if (st == OPS_OK && ops_baseline_add(s->baseline, x->time_ns, value, &v) != OPS_OK)
        st = ops_fail(reterr, OPS_ENOMEM, "a series' baseline");
    if (st != OPS_OK)
        return st;
    if (s->tail_n < OPS_MONITOR_TAIL)
        s->tail[s->tail_n++] = (point){x->time_ns, value};
    ops_monitor_weigh(m, s);
    s->judged = value;
    s->judged_ns = x->time_ns;
    s->low = finite_or_0(v.low);
    s->high = finite_or_0(v.high);
    s->score = v.score;
    if (v.alert) {
        tell(m, s, x, &v);
        s->group->alert_ns = x->time_ns;
    }
    if (v.taken == OPS_BASELINE_TAKEN)
        ops_monitor_lead(m, s, x, &v);
    if (s->fill != NULL)
        ops_monitor_fill(m, s, x);
    return OPS_OK;
}

static void end_series(series *s, const ops_monitor_sample *x)
{
    s->stale = true;
    s->has_last = false;
    s->last_ns = x->time_ns;
}

ops_status ops_monitor_add_one(ops_monitor *m, const ops_monitor_sample *x, ops_monitor_fate *ret,
                               series **ret_series, ops_err *reterr)
{
    series *s;
    double value;
    const int64_t event_ns = x->time_ns < x->recv_ns ? x->time_ns : x->recv_ns;
    ops_status st = ops_monitor_series(m, x, &s, reterr);
    if (st != OPS_OK || s == NULL) {
        *ret = OPS_MONITOR_FULL;
        return st;
    }
    const bool in_order = x->time_ns > s->last_ns;
    if (s->kind != x->kind) { /* what it is was told otherwise: begins anew as that */
        ops_monitor_bucket_leave(m, s);
        s->kind = (uint8_t)x->kind;
        s->has_last = false;
        ops_free(s->fill);
        s->fill = NULL;
        s->asked = false;
    }
    *ret = !in_order  ? (x->time_ns == s->last_ns ? OPS_MONITOR_REPEATED : OPS_MONITOR_LATE)
           : x->stale ? OPS_MONITOR_ENDED
           : ops_monitor_is_bucket(s->kind) ? OPS_MONITOR_KEPT
           : measure(s, x, &value)          ? OPS_MONITOR_JUDGED
                                            : OPS_MONITOR_FIRST;
    if (*ret == OPS_MONITOR_JUDGED)
        st = judge(m, s, x, value, reterr);
    if (st != OPS_OK)
        return st;
    if (ops_monitor_is_bucket(s->kind) && (*ret == OPS_MONITOR_KEPT || *ret == OPS_MONITOR_ENDED))
        ops_monitor_bucket(m, s, x, *ret);
    s->late += *ret == OPS_MONITOR_LATE;
    s->repeated += *ret == OPS_MONITOR_REPEATED;
    s->recv_ns = x->recv_ns;
    if (*ret == OPS_MONITOR_ENDED) {
        end_series(s, x);
    } else if (in_order) {
        s->samples++;
        s->stale = false;
        s->has_last = true;
        s->last_ns = x->time_ns;
        s->last = x->value;
    }
    m->stats.samples++;
    if (event_ns > m->event_ns)
        m->event_ns = event_ns;
    ops_monitor_touch(m, s);
    *ret_series = s;
    return OPS_OK;
}

ops_status ops_monitor_add(ops_monitor *m, const ops_monitor_sample *x, ops_monitor_fate *ret,
                           ops_err *reterr)
{
    series *s = NULL;
    ops_status st = ops_monitor_add_one(m, x, ret, &s, reterr);
    if (st == OPS_OK && (*ret == OPS_MONITOR_JUDGED || *ret == OPS_MONITOR_ENDED) &&
        s->kind != OPS_MONITOR_GAUGE && !ops_monitor_is_bucket(s->kind))
        ops_monitor_mean(m, x, s);
    return st;
}

int64_t ops_monitor_event_ns(const ops_monitor *m)
{
    return m->event_ns;
}

size_t ops_monitor_dirty_bytes(const ops_monitor *m)
{
    return m->dirty_bytes;
}

bool ops_monitor_next(const ops_monitor *m, size_t *iter, ops_monitor_info *ret)
{
    ops_baseline_stats b = {0};
    if (*iter >= m->all.n)
        return false;
    const series *s = m->all.v[(*iter)++];
    if (s->baseline != NULL)
        ops_baseline_stats_get(s->baseline, &b);
    *ret = (ops_monitor_info){.tenant = series_tenant(s),
                              .service = series_service(s),
                              .series = series_text(s),
                              .kind = (ops_monitor_kind)s->kind,
                              .stale = s->stale,
                              .learning = !ops_monitor_is_bucket(s->kind) && b.samples < OPS_TAIL_WARM,
                              .samples = s->samples,
                              .late = s->late,
                              .repeated = s->repeated,
                              .resets = s->resets,
                              .alerts = b.alerts,
                              .first_ns = s->first_ns,
                              .last_ns = s->last_ns,
                              .interval_ns = b.interval_ns,
                              .last = s->last,
                              .judged = s->judged,
                              .low = s->low,
                              .high = s->high,
                              .score = s->score};
    return true;
}

void ops_monitor_stats_get(const ops_monitor *m, ops_monitor_stats *ret)
{
    *ret = m->stats;
    ret->series = m->all.n;
}
