#include "coordinator/analysis/incident/alarms.h"

#include <math.h>
#include <string.h>

#include "coordinator/analysis/detect/failure_words.h"
#include "coordinator/analysis/incident/stats.h"

/* Ten seconds smooth what single requests do; half a minute is what people wait before they call it trouble. */
static const double width_min_s = 10, lasting_s = 30;
enum { STRETCHES_MAX = 8192, LASTING_MIN = 2, VALUES_MIN = 6 };
#define CELLS_MAX ((size_t)32 << 20)

/* One quantity of one component over the stretches; NAN where nothing is known. */
typedef struct track {
    double *v, *sorted, *scratch;
    uint32_t component;
    double usual; /* which quantile is its usual value */
    double floor; /* noise it has at least, in its own unit */
    double share; /* and as a share of its usual value */
    bool count;   /* noise at least that of counts */
    bool only_up; /* less of it is no trouble */
} track;

static void judge(ops_alarms *a, const track *t)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        if (!isnan(t->v[i]))
            t->sorted[n++] = t->v[i];
    if (n < VALUES_MIN)
        return;
    ops_stats_sort(t->sorted, n);
    double level = ops_stats_quantile(t->sorted, n, t->usual);
    double noise =
        fmax(ops_stats_mad(t->sorted, n, level, t->scratch), fmax(t->floor, t->share * fabs(level)));
    if (t->count)
        noise = fmax(noise, sqrt(fmax(level, 1)));
    if (!(noise > 0))
        return;
    float *bits = a->bits + t->component * a->n;
    for (size_t i = 0; i + a->lasting <= a->n; i++) {
        double least = HUGE_VAL;
        int sides = 0;
        for (size_t k = i; k < i + a->lasting; k++) {
            double off = isnan(t->v[k]) ? 0 : (t->v[k] - level) / noise;
            sides |= off >= 0 ? 1 : 2;
            off = off < 0 && t->only_up ? 0 : fabs(off);
            least = off < least ? off : least;
        }
        float now = sides != 3 ? (float)log2(1 + least) : 0;
        for (size_t k = i; k < i + a->lasting; k++)
            bits[k] = now > bits[k] ? now : bits[k];
    }
}

static bool is_whole(const ops_sample *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i].value < 0 || s[i].value != floor(s[i].value))
            return false;
    return true;
}

/* Means of a series; of what only rises, its rate. */
static void fill_series(const ops_alarms *a, track *t, const ops_sample *s, size_t n)
{
    bool rises = n >= 20;
    size_t steps = 0;
    double reach = 0;
    for (size_t i = 1; i < n; i++) {
        rises = rises && (s[i].value >= s[i - 1].value || s[i].value < 0.5 * s[i - 1].value);
        steps += s[i].value > s[i - 1].value;
    }
    rises = rises && steps >= 5 && s[0].value >= 0;
    memset(t->scratch, 0, a->n * sizeof *t->scratch);
    for (size_t i = 0; i < a->n; i++)
        t->v[i] = NAN;
    for (size_t i = rises ? 1 : 0; i < n; i++) {
        double v = s[i].value;
        if (rises)
            v = s[i].time_s > s[i - 1].time_s
                    ? (v >= s[i - 1].value ? v - s[i - 1].value : v) / (s[i].time_s - s[i - 1].time_s)
                    : 0;
        size_t at = ops_alarms_place(a, s[i].time_s);
        t->v[at] = (isnan(t->v[at]) ? 0 : t->v[at]) + v;
        t->scratch[at]++;
    }
    for (size_t i = 0; i < a->n; i++) {
        t->v[i] /= t->scratch[i];
        reach = t->scratch[i] > 0 ? fmax(reach, fabs(t->v[i])) : reach;
    }
    t->count = !rises && is_whole(s, n);
    t->floor = 0.005 * reach;
}

static void judge_series(ops_alarms *a, track *t)
{
    const ops_bundle *b = a->b;
    for (size_t i = 0, k; i < b->samples.n; i = k) {
        for (k = i + 1; k < b->samples.n && b->samples.v[k].component == b->samples.v[i].component &&
                        b->samples.v[k].metric == b->samples.v[i].metric;)
            k++;
        *t = (track){.v = t->v, .sorted = t->sorted, .scratch = t->scratch, .usual = 0.5, .share = 0.05};
        t->component = b->samples.v[i].component;
        fill_series(a, t, &b->samples.v[i], k - i);
        judge(a, t);
    }
}

/* By operation, the status that most of its spans end with: what is not that, failed. NULL: the heap is out. */
static ops_map64 *usual_statuses(const ops_bundle *b)
{
    OPS_AUTO(ops_map64_free) ops_map64 *votes = ops_map64_new();
    for (size_t i = 0; votes != NULL && i < b->spans.n; i++) {
        const ops_span *s = &b->spans.v[i];
        uint64_t key = (uint64_t)s->component << 32 | s->operation;
        uintptr_t have = (uintptr_t)ops_map64_get(votes, key); /* status + 1, then votes above */
        uintptr_t mine = (uintptr_t)s->status + 1, one = (uintptr_t)1 << 32;
        if (have >> 32 == 0)
            have = mine | one;
        else
            have = (have & UINT32_MAX) == mine ? have + one : have - one;
        if (ops_map64_put(votes, key, (void *)have, NULL) != OPS_OK)
            return NULL;
    }
    return OPS_STEAL(votes);
}

typedef struct sums {
    double *spans, *failed, *seconds, *lines; /* by component, then stretch */
} sums;

static ops_status add_up(ops_alarms *a, sums *s)
{
    const ops_bundle *b = a->b;
    OPS_AUTO(ops_map64_free) ops_map64 *usual = usual_statuses(b);
    if (usual == NULL)
        return OPS_ENOMEM;
    for (size_t i = 0; i < b->spans.n; i++) {
        const ops_span *p = &b->spans.v[i];
        size_t at = p->component * a->n + ops_alarms_place(a, p->start_s);
        uintptr_t u = (uintptr_t)ops_map64_get(usual, (uint64_t)p->component << 32 | p->operation);
        s->spans[at]++;
        s->failed[at] += (u & UINT32_MAX) != (uintptr_t)p->status + 1;
        s->seconds[at] += log(p->duration_s + 1e-4); /* the mean of logs: one slow span is no trouble */
    }
    for (size_t i = 0; i < b->lines.n; i++) {
        const ops_line *l = &b->lines.v[i];
        s->lines[l->component * a->n + ops_alarms_place(a, l->time_s)] +=
            ops_failure_of(l->message) != OPS_FAILURE_NONE;
    }
    return OPS_OK;
}

static void judge_sums(ops_alarms *a, track *t, const sums *s)
{
    for (uint32_t c = 0; c < a->b->components.list.n; c++) {
        const double *spans = s->spans + c * a->n, *failed = s->failed + c * a->n;
        double all = 0, lines = 0;
        for (size_t i = 0; i < a->n; i++) {
            all += spans[i];
            lines += s->lines[c * a->n + i];
        }
        double few = a->n > 0 ? (double)a->n / fmax(all, 1) : 1; /* one span as a share of a stretch's */
        track failing = {.v = t->v,
                         .sorted = t->sorted,
                         .scratch = t->scratch,
                         .component = c,
                         .usual = 0.25,
                         .only_up = true};
        failing.floor = fmax(0.01, few);
        for (size_t i = 0; i < a->n; i++) {
            t->v[i] = spans[i] > 0 ? failed[i] / spans[i] : NAN;
            a->failed[c * a->n + i] = spans[i] > 0 ? (float)t->v[i] : 0;
        }
        if (all > 0)
            judge(a, &failing);
        track slow = failing;
        slow.usual = 0.5;
        slow.floor = 0.1 + few;
        for (size_t i = 0; i < a->n; i++)
            t->v[i] = spans[i] > 0 ? s->seconds[c * a->n + i] / spans[i] : NAN;
        if (all > 0)
            judge(a, &slow);
        track said = failing;
        said.count = true;
        said.floor = 0;
        for (size_t i = 0; i < a->n; i++)
            t->v[i] = s->lines[c * a->n + i];
        if (lines > 0)
            judge(a, &said);
    }
}

static void span_of_time(const ops_bundle *b, double *ret_first, double *ret_last)
{
    double first = HUGE_VAL, last = -HUGE_VAL;
    for (size_t i = 0; i < b->samples.n; i++) {
        first = fmin(first, b->samples.v[i].time_s);
        last = fmax(last, b->samples.v[i].time_s);
    }
    if (b->lines.n > 0) {
        first = fmin(first, b->lines.v[0].time_s);
        last = fmax(last, b->lines.v[b->lines.n - 1].time_s);
    }
    if (b->spans.n > 0) {
        first = fmin(first, b->spans.v[0].start_s);
        last = fmax(last, b->spans.v[b->spans.n - 1].start_s);
    }
    *ret_first = first < last ? first : 0;
    *ret_last = first < last ? last : 0;
}

/* Two samples a stretch at least, by the middle step between samples. */
static double samples_step(const ops_bundle *b, double *v)
{
    size_t n = 0;
    for (size_t i = 1; i < b->samples.n; i++)
        if (b->samples.v[i].component == b->samples.v[i - 1].component &&
            b->samples.v[i].metric == b->samples.v[i - 1].metric)
            v[n++] = b->samples.v[i].time_s - b->samples.v[i - 1].time_s;
    ops_stats_sort(v, n);
    return ops_stats_quantile(v, n, 0.5);
}

static ops_status lay_out(ops_alarms *a)
{
    double first, last;
    double *steps = ops_calloc(a->b->samples.n + 1, sizeof *steps);
    if (steps == NULL)
        return OPS_ENOMEM;
    span_of_time(a->b, &first, &last);
    a->first_s = first;
    a->width_s = fmax(width_min_s, 2 * samples_step(a->b, steps));
    ops_free(steps);
    size_t components = a->b->components.list.n + 1;
    size_t most = CELLS_MAX / components < STRETCHES_MAX ? CELLS_MAX / components : STRETCHES_MAX;
    a->width_s = fmax(a->width_s, (last - first) / (double)most);
    a->n = (size_t)((last - first) / a->width_s) + 1;
    a->lasting = (size_t)ceil(lasting_s / a->width_s);
    a->lasting = a->lasting > LASTING_MIN ? a->lasting : LASTING_MIN;
    a->bits = ops_calloc(2 * components * a->n, sizeof *a->bits);
    a->failed = a->bits != NULL ? a->bits + components * a->n : NULL;
    return a->bits != NULL ? OPS_OK : OPS_ENOMEM;
}

ops_status ops_alarms_init(ops_alarms *a, const ops_bundle *b)
{
    *a = (ops_alarms){.b = b};
    ops_status st = lay_out(a);
    size_t cells = st == OPS_OK ? (b->components.list.n + 1) * a->n : 0;
    double *room = st == OPS_OK ? ops_calloc(4 * cells + 3 * (a->n + 1), sizeof *room) : NULL;
    if (room == NULL)
        return OPS_ENOMEM;
    sums s = {room, room + cells, room + 2 * cells, room + 3 * cells};
    double *values = room + 4 * cells;
    track t = {.v = values, .sorted = values + a->n + 1, .scratch = values + 2 * (a->n + 1)};
    st = add_up(a, &s);
    if (st == OPS_OK) {
        judge_series(a, &t);
        judge_sums(a, &t, &s);
    }
    ops_free(room);
    return st;
}

void ops_alarms_done(ops_alarms *a)
{
    ops_free(a->bits);
    *a = (ops_alarms){0};
}
