/* When series changed, and which stopped. */
#include <math.h>

#include "coordinator/analysis/incident/metrics.h"
#include "coordinator/analysis/incident/stats.h"

/* A fiftieth of the samples missing is one bit. */
static const double gap_felt = 0.02;
/* The order of changes: of series that changed by three bits, of twenty samples or more; a lead of three steps is half
 * a bit. */
static const double onset_clear = 3, onset_steps = 3;
enum { ONSET_SAMPLES_MIN = 20, SAMPLES_OWED_MIN = 5 };

/* Share of the samples, but for one, that a series owes after the fault and did not give: it owes what it gave before,
 * gaps and all. */
static double gap_of(ops_metrics *x, const ops_series *s)
{
    const ops_sample *v = x->d->b->samples.v + s->from;
    size_t before = 0;
    while (before < s->n && v[before].time_s < x->d->at_s)
        before++;
    double past = before > 1 ? v[before - 1].time_s - v[0].time_s : 0;
    double owed = past > 0 ? (double)(before - 1) / past * (x->d->b->stats.last_s - x->d->at_s) : 0;
    return before >= SAMPLES_OWED_MIN && owed >= SAMPLES_OWED_MIN
               ? fmax(1 - (double)(s->n - before + 1) / owed, 0)
               : 0;
}

static double since_of(const ops_series *s)
{
    return s->since_s;
}

/* Who changed first: a bit at most, for no more than the order is known. The series that count are those that changed
 * clearly; the lead is over the middle one of them, in steps between samples. */
ops_status ops_metrics_onset(ops_metrics *x)
{
    double *first = ops_calloc(x->d->n + 1, sizeof *first);
    ops_series_list clear = {0};
    ops_status st = first != NULL ? OPS_OK : OPS_ENOMEM;
    for (size_t i = 0; st == OPS_OK && i < x->all.n; i++) {
        const ops_series *s = &x->all.v[i];
        if (s->bits < onset_clear || s->since_s == 0 || s->before < ONSET_SAMPLES_MIN)
            continue;
        if (first[s->component] == 0 || s->since_s < first[s->component])
            first[s->component] = s->since_s;
        st = ops_vec_push(&clear, *s) ? OPS_OK : OPS_ENOMEM;
    }
    double usual = ops_metrics_middle(x, clear.v, clear.n, since_of);
    double step = clear.n > 0 ? (x->d->at_s - x->d->b->stats.first_s) / (double)clear.v[0].before : 0;
    for (uint32_t c = 0; st == OPS_OK && c < x->d->n; c++)
        if (first[c] > 0 && first[c] < usual && step > 0)
            st = ops_board_say(x->d, c, OPS_RANK_ONSET, 1 - exp2(-(usual - first[c]) / (onset_steps * step)),
                               first[c], "its metrics changed %.3g s before the others'", usual - first[c]);
    ops_free(first);
    ops_vec_done(&clear);
    return st;
}

/* The series of a component that fell silent, all of them together,
 * less what even the most talkative component lacks. */
ops_status ops_metrics_silence(ops_metrics *x)
{
    double *gap = ops_calloc(2 * x->d->n + 1, sizeof *gap), *count = gap + x->d->n;
    if (gap == NULL)
        return OPS_ENOMEM;
    for (size_t i = 0; i < x->all.n; i++) {
        gap[x->all.v[i].component] += gap_of(x, &x->all.v[i]);
        count[x->all.v[i].component]++;
    }
    double least = 1;
    for (size_t c = 0; c < x->d->n; c++) {
        gap[c] = count[c] > 0 ? gap[c] / count[c] : 0;
        least = count[c] > 0 && gap[c] < least ? gap[c] : least;
    }
    ops_status st = OPS_OK;
    for (uint32_t c = 0; st == OPS_OK && c < x->d->n; c++)
        st = ops_board_say(x->d, c, OPS_RANK_SILENCE, ops_bits((gap[c] - least) / gap_felt), x->d->at_s,
                           "%.3g %% of its samples are missing", 100 * gap[c]);
    ops_free(gap);
    return st;
}
