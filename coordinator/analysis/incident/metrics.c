/* Each series against its own past: how far it went, in units of its own noise. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text/hash.h"
#include "coordinator/analysis/incident/metrics.h"
#include "coordinator/analysis/incident/stats.h"

/* Under this share of its level a change is no news, however still the series was. */
static const double level_floor = 0.05;
/* What a metric reaches in the middle component says how large it is; a hundredth of that is nothing. Of a series'
 * own reach half is taken, so that no change is more than 200 units of noise. */
static const double reach_floor = 0.01, own_reach = 0.5;
/* The noise that a metric shows in other components counts as much as this many samples of the series itself. */
static const double pool_samples = 5;
/* A fall is what victims show (less work, fewer calls) as often as culprits: it counts half. */
static const double fall_weight = 0.5;
/* One odd sample is chance: the second highest is the level after the fault; of this many or more, the upper tenth. */
enum { MANY_AFTER = 20, COUNTER_SAMPLES_MIN = 20, COUNTER_STEPS_MIN = 5, PEERS_MIN = 3 };

/* A fault is seen a while after it began: changes count from a tenth of the past before. */
static const double early_share = 0.1;

static ops_status find_series(ops_metrics *x)
{
    const ops_bundle *b = x->d->b;
    size_t longest = 0;
    for (size_t i = 0; i < b->samples.n;) {
        size_t k = i + 1;
        while (k < b->samples.n && b->samples.v[k].component == b->samples.v[i].component &&
               b->samples.v[k].metric == b->samples.v[i].metric)
            k++;
        ops_series s = {
            .component = b->samples.v[i].component, .metric = b->samples.v[i].metric, .from = i, .n = k - i};
        if (!ops_vec_push(&x->all, s))
            return OPS_ENOMEM;
        longest = s.n > longest ? s.n : longest;
        i = k;
    }
    size_t room = 4 * (longest + x->all.n + 1);
    x->t = ops_calloc(room, sizeof *x->t);
    x->hashes = ops_calloc(x->all.n + 1, sizeof *x->hashes);
    if (x->t == NULL || x->hashes == NULL)
        return OPS_ENOMEM;
    x->v = x->t + room / 4;
    x->sorted = x->v + room / 4;
    x->scratch = x->sorted + room / 4;
    return OPS_OK;
}

/* Only upward but for restarts from near zero, and often upward: a count of events. */
static bool is_counter(const ops_sample *s, size_t n)
{
    size_t up = 0, down = 0;
    for (size_t i = 1; i < n; i++) {
        up += s[i].value > s[i - 1].value;
        if (s[i].value < s[i - 1].value && s[i].value > 0.5 * s[i - 1].value)
            return false;
        down += s[i].value < s[i - 1].value;
    }
    return n >= COUNTER_SAMPLES_MIN && s[0].value >= 0 && up >= COUNTER_STEPS_MIN && up >= n / 4 &&
           down <= n / 50 + 1;
}

/* The series as it is judged, in x->t and x->v: values, or the rate of a counter. */
static size_t load(ops_metrics *x, ops_series *s)
{
    const ops_sample *v = x->d->b->samples.v + s->from;
    size_t n = 0;
    s->counter = is_counter(v, s->n);
    s->hash = 0;
    for (size_t i = 0; i < s->n; i++) {
        s->hash = ops_hash64(&v[i].value, sizeof v[i].value, s->hash);
        if (!s->counter) {
            x->t[n] = v[i].time_s;
            x->v[n++] = v[i].value;
        } else if (i > 0 && v[i].time_s > v[i - 1].time_s) {
            double d = v[i].value >= v[i - 1].value ? v[i].value - v[i - 1].value : v[i].value;
            x->t[n] = v[i].time_s;
            x->v[n++] = d / (v[i].time_s - v[i - 1].time_s);
        }
    }
    return n;
}

static void measure(ops_metrics *x, ops_series *s)
{
    size_t n = load(x, s);
    s->whole = true;
    for (size_t i = 0; i < n; i++) {
        s->before += x->t[i] < x->d->at_s;
        s->reach = fabs(x->v[i]) > s->reach ? fabs(x->v[i]) : s->reach;
        s->whole = s->whole && x->v[i] >= 0 && x->v[i] == floor(x->v[i]);
    }
    s->after = n - s->before;
    memcpy(x->sorted, x->v, n * sizeof *x->v);
    ops_stats_sort(x->sorted, s->before);
    ops_stats_sort(x->sorted + s->before, s->after);
    s->level = ops_stats_quantile(x->sorted, s->before, 0.5);
    s->spread = ops_stats_spread(x->sorted, s->before, x->scratch);
    double q = s->after >= MANY_AFTER ? 0.9
               : s->after > 2         ? (double)(s->after - 2) / (double)(s->after - 1)
                                      : 0;
    s->high = ops_stats_quantile(x->sorted + s->before, s->after, q);
    s->low = ops_stats_quantile(x->sorted + s->before, s->after, 1 - q);
    double middle = 0.5 * (s->level + (s->high - s->level > s->level - s->low ? s->high : s->low));
    bool up = middle > s->level;
    double from = x->d->at_s - early_share * (x->d->at_s - x->t[0]);
    for (size_t i = 0; i + 1 < n && s->since_s == 0; i++)
        if (x->t[i] >= from &&
            (up ? x->v[i] >= middle && x->v[i + 1] >= middle : x->v[i] <= middle && x->v[i + 1] <= middle))
            s->since_s = x->t[i];
}

static int by_metric(const void *pa, const void *pb)
{
    const ops_series *a = pa, *b = pb;
    if (a->metric != b->metric)
        return a->metric < b->metric ? -1 : 1;
    return a->component < b->component ? -1 : a->component > b->component;
}

double ops_metrics_middle(ops_metrics *x, const ops_series *s, size_t n, double (*of)(const ops_series *))
{
    for (size_t i = 0; i < n; i++)
        x->sorted[i] = of(&s[i]);
    ops_stats_sort(x->sorted, n);
    return n > 0 ? x->sorted[(n - 1) / 2] : 0;
}

static double relative_spread(const ops_series *s)
{
    return s->level != 0 ? s->spread / fabs(s->level) : 0;
}

static double reach_of(const ops_series *s)
{
    return s->reach;
}

static double bits_of(const ops_series *s)
{
    return s->bits;
}

static void judge_one(ops_series *s, double pool, double reach)
{
    double n = (double)s->before, pooled = pool * fabs(s->level);
    double noise = sqrt((n * s->spread * s->spread + pool_samples * pooled * pooled) / (n + pool_samples));
    noise = fmax(noise, fmax(level_floor * fabs(s->level), reach_floor * fmax(reach, own_reach * s->reach)));
    if (s->whole)
        noise = fmax(noise, sqrt(fmax(s->level, 1))); /* what counts vary by at least (Poisson) */
    if (!(noise > 0) || s->before < 2 || s->after < 1)
        return;
    double up = (s->high - s->level) / noise, down = fall_weight * (s->level - s->low) / noise;
    s->fell = down > up;
    s->bits = ops_bits(s->fell ? down : up);
}

static int by_hash(const void *pa, const void *pb)
{
    uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;
    return (a > b) - (a < b);
}

/* How many series of one metric say the same thing of several components. */
static void share_among_same(ops_metrics *x, ops_series *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x->hashes[i] = s[i].hash;
    qsort(x->hashes, n, sizeof *x->hashes, by_hash);
    for (size_t i = 0; i < n; i++) {
        const uint64_t *at = bsearch(&s[i].hash, x->hashes, n, sizeof *x->hashes, by_hash);
        const uint64_t *from = at, *to = at;
        while (from > x->hashes && from[-1] == s[i].hash)
            from--;
        while (to + 1 < x->hashes + n && to[1] == s[i].hash)
            to++;
        s[i].same = (double)(to - from + 1);
    }
}

/* The series of one metric: judged with the noise of all, and less what all of them did alike. */
static void judge_metric(ops_metrics *x, ops_series *s, size_t n)
{
    double pool = ops_metrics_middle(x, s, n, relative_spread), reach = ops_metrics_middle(x, s, n, reach_of);
    for (size_t i = 0; i < n; i++)
        judge_one(&s[i], pool, reach);
    double common = n >= PEERS_MIN ? ops_metrics_middle(x, s, n, bits_of) : 0;
    share_among_same(x, s, n);
    for (size_t i = 0; i < n; i++)
        s[i].bits = s[i].bits > common ? (s[i].bits - common) / s[i].same : 0;
}

static int by_bits(const void *pa, const void *pb)
{
    const ops_series *a = pa, *b = pb;
    if (a->component != b->component)
        return a->component < b->component ? -1 : 1;
    if (a->bits != b->bits)
        return a->bits > b->bits ? -1 : 1;
    return a->metric < b->metric ? -1 : a->metric > b->metric;
}

static ops_status tell(ops_metrics *x, const ops_series *s, double weight)
{
    ops_slice name = ops_bundle_name(x->d->b, s->metric);
    return ops_board_say(x->d, s->component, OPS_RANK_METRICS, weight * s->bits, s->since_s,
                         "%s" OPS_SLICE_FMT " %s from %.3g to %.3g", s->counter ? "the rate of " : "",
                         OPS_SLICE_ARG(name), s->fell ? "fell" : "rose", s->level,
                         s->fell ? s->low : s->high);
}

/* Each next series of a component counts half of the one before: many views of one thing are one thing. */
static ops_status add_up(ops_metrics *x)
{
    for (size_t i = 0; i < x->all.n;) {
        uint32_t component = x->all.v[i].component;
        double weight = 0.5 * ops_board_unexplained(x->d, component, 0);
        for (; i < x->all.n && x->all.v[i].component == component; i++, weight *= 0.5)
            if (x->all.v[i].bits > 0 && weight > 1e-6) {
                ops_status st = tell(x, &x->all.v[i], weight);
                if (st != OPS_OK)
                    return st;
            }
    }
    return OPS_OK;
}

ops_status ops_judge_metrics(ops_board *d)
{
    ops_metrics x = {.d = d};
    ops_status st = find_series(&x);
    if (st == OPS_OK && x.all.n > 0) {
        for (size_t i = 0; i < x.all.n; i++)
            measure(&x, &x.all.v[i]);
        qsort(x.all.v, x.all.n, sizeof *x.all.v, by_metric);
        for (size_t i = 0, k; i < x.all.n; i = k) {
            for (k = i + 1; k < x.all.n && x.all.v[k].metric == x.all.v[i].metric;)
                k++;
            judge_metric(&x, x.all.v + i, k - i);
        }
        qsort(x.all.v, x.all.n, sizeof *x.all.v, by_bits);
        st = add_up(&x);
        if (st == OPS_OK)
            st = ops_metrics_silence(&x);
        if (st == OPS_OK)
            st = ops_metrics_onset(&x);
    }
    ops_free(x.t);
    ops_free(x.hashes);
    ops_vec_done(&x.all);
    return st;
}
