#include "coordinator/analysis/metric/baseline.h"

#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/metric/baseline_state.h"

/* Rates: what is usual is remembered over 200 samples (most of a day of five minutes), and over 1,000 for what creeps. */
#define SLOW   (1.0 / 200)
#define SLOWER (1.0 / 1000)
/* Smoothing of the questions: six samples halve the noise and more, fifty find what moves by less than the noise. */
#define SHIFT (1.0 / 6)
#define DRIFT (1.0 / 50)
#define FAST  (1.0 / 8)
/* A distance counts up to here in a mean, so that one spike is not also a shift. */
#define DISTANCE_MAX 20.0
#define VALUE_MAX    1e30
/* No distance means anything below half the least step of the series (counts), or the last digits of a float. */
#define LAST_DIGITS 1e-9
/* Within two mean distances nothing is unusual, whatever the tail says: place of 2 (tail.h). */
#define TELLS_LEAST 28.0F
/* And of four: the cap of a level. */
#define BEYOND 32.0F
/* So many equal values are nothing in any series. */
#define STUCK_LEAST 8
/* From this score on a sample belongs to an unusual stretch; so many usual ones end it. */
#define ODD  2.0F
#define CALM 3

/* A period of a century is none. */
#define PERIOD_MAX_NS 3.2e18
/* The calendar's seasons are learnt when a cycle has at least so many samples. */
#define DAY_SAMPLES_MIN  24
#define WEEK_SAMPLES_MIN 7

ops_status ops_baseline_new(const ops_baseline_budget *budget, ops_baseline **ret, ops_err *reterr)
{
    ops_baseline *b = ops_calloc(1, sizeof *b);
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a baseline");
    double samples = budget != NULL ? budget->samples_per_false_alert : 0;
    b->samples_per_false_alert = samples > 0 ? samples : OPS_BUDGET_SAMPLES;
    b->time_per_false_alert_ns = budget != NULL && budget->time_per_false_alert_ns > 0
                                     ? budget->time_per_false_alert_ns
                                     : OPS_BUDGET_NS;
    *ret = b;
    return OPS_OK;
}

void ops_baseline_free(ops_baseline *b)
{
    if (b == NULL)
        return;
    for (int i = 0; i < SEASONS; i++)
        ops_free(b->season[i]);
    ops_free(b->search);
    ops_free(b);
}

static ops_status add_season(ops_baseline *b, int which, int64_t period_ns)
{
    if (b->season[which] != NULL)
        return OPS_OK;
    b->season[which] = ops_malloc(sizeof **b->season);
    if (b->season[which] == NULL)
        return OPS_ENOMEM;
    ops_season_init(b->season[which], period_ns, b->interval_ns, b->slow.at);
    return OPS_OK;
}

ops_status ops_baseline_prepare(ops_baseline *b)
{
    ops_status st = OPS_OK;
    if (b->samples == 0 && b->search == NULL) {
        b->search = ops_malloc(sizeof *b->search);
        if (b->search == NULL)
            return OPS_ENOMEM;
        ops_period_init(b->search, 0);
    }
    if (b->samples < OPS_LEVEL_LEARN || b->interval_ns == 0)
        return OPS_OK;
    if (b->interval_ns <= OPS_DAY_NS / DAY_SAMPLES_MIN)
        st = add_season(b, 0, OPS_DAY_NS);
    if (st == OPS_OK && b->interval_ns <= 7 * OPS_DAY_NS / WEEK_SAMPLES_MIN &&
        ops_since(b->last_ns, b->first_ns) >= OPS_DAY_NS)
        st = add_season(b, 1, 7 * OPS_DAY_NS);
    if (st == OPS_OK && b->period_ns > 0)
        st = add_season(b, 2, b->period_ns);
    return st;
}

/* `gap`, at most `most` of it. */
static int64_t towards(int64_t gap, int64_t most)
{
    return gap > most ? most : gap < -most ? -most : gap;
}

/* The interval is a running median: it moves by a fiftieth, whatever the gap. */
static ops_baseline_taken place_in_time(ops_baseline *b, int64_t time_ns)
{
    if (b->samples > 0 && time_ns <= b->last_ns) {
        if (++b->late_run <= OPS_BASELINE_LATE_MAX) {
            b->late += time_ns < b->last_ns;
            b->repeated += time_ns == b->last_ns;
            return time_ns < b->last_ns ? OPS_BASELINE_LATE : OPS_BASELINE_REPEAT;
        }
        b->first_ns = time_ns; /* the clock was set back: what was learnt of values stays */
        b->episode.alert_ns = time_ns;
        b->odd_since_ns = time_ns;
    } else if (b->samples > 0) {
        int64_t step = ops_since(time_ns, b->last_ns);
        if (b->interval_ns == 0)
            b->interval_ns = step;
        else
            b->interval_ns += towards(step - b->interval_ns, b->interval_ns / 50 + (b->interval_ns < 50));
    } else {
        b->first_ns = time_ns;
        b->odd_since_ns = time_ns;
    }
    b->late_run = 0;
    b->last_ns = time_ns;
    return OPS_BASELINE_TAKEN;
}

/* What is usual is told in units of the winner's question; the range is worked out once, for the winner. */
typedef struct asked {
    ops_baseline *b;
    ops_baseline_verdict *v;
    double least;    /* least distance that means anything */
    double at, unit; /* of the winner: the middle of the range, and one mean distance */
    float need;      /* score of an alert */
} asked;

/* Judges a place by one question's past, learns it, and keeps the answer when it is the most unusual. */
static bool ask(asked *a, ops_baseline_kind kind, float place, float least)
{
    ops_tail *t = &a->b->tail[kind];
    float score = ops_tail_score(t, place, least, OPS_TAIL_WARM);
    ops_tail_add(t, place);
    if (score <= a->v->score)
        return false;
    a->v->score = score;
    a->v->kind = kind;
    return true;
}

static void won(asked *a, double value, double at, double unit)
{
    a->v->value = value;
    a->at = at;
    a->unit = unit;
}

static double scale_of(const ops_level *l, double least)
{
    return l->scale > least ? l->scale : least;
}

static double within(double z)
{
    return z > DISTANCE_MAX ? DISTANCE_MAX : z < -DISTANCE_MAX ? -DISTANCE_MAX : z;
}

static void ask_levels(asked *a, double x)
{
    ops_baseline *b = a->b;
    double slow = scale_of(&b->slow, a->least), slower = scale_of(&b->slower, a->least);
    double z = (x - b->slow.at) / slow;
    a->v->level = b->slow.at;
    a->v->scale = slow;
    b->shift += SHIFT * (within(z) - b->shift);
    b->drift += DRIFT * (within((x - b->slower.at) / slower) - b->drift);
    if (ask(a, OPS_BASELINE_SPIKE, ops_tail_place((float)fabs(z)), TELLS_LEAST))
        won(a, x, b->slow.at, slow);
    if (ask(a, OPS_BASELINE_SHIFT, ops_tail_place((float)fabs(b->shift)), 0))
        won(a, b->slow.at + b->shift * slow, b->slow.at, slow);
    if (ask(a, OPS_BASELINE_DRIFT, ops_tail_place((float)fabs(b->drift)), 0))
        won(a, b->slower.at + b->drift * slower, b->slower.at, slower);
    /* The noise in mean distances is 1 when all is well; its logarithm is as far below as above. */
    b->noise += DRIFT * (fmin(fabs(z), DISTANCE_MAX) - b->noise);
    float octaves = (float)fabs(log2(b->noise > 1e-6 ? b->noise : 1e-6));
    if (ask(a, OPS_BASELINE_SPREAD, ops_tail_place(octaves), 0))
        won(a, b->noise * slow, 0, slow);
}

/* Runs of equal values: a run is learnt when it ends, and judged as long as it lasts. */
static void ask_stuck(asked *a, int64_t time_ns, double x)
{
    ops_baseline *b = a->b;
    ops_tail *t = &b->tail[OPS_BASELINE_STUCK];
    if (b->samples == 0 || x != b->last) {
        if (b->samples > 0)
            ops_tail_add(t, log2f((float)b->same_run));
        b->same_run = 1;
        b->same_since_ns = time_ns;
        return;
    }
    if (b->same_run < UINT32_MAX)
        b->same_run++;
    if (b->same_run < STUCK_LEAST)
        return;
    float score = ops_tail_score(t, log2f((float)b->same_run), 0, OPS_TAIL_WARM);
    if (score > a->v->score) {
        a->v->score = score;
        a->v->kind = OPS_BASELINE_STUCK;
        won(a, b->same_run, 0, 1);
    }
}

static void ask_seasons(asked *a, int64_t time_ns, double x)
{
    for (int i = 0; i < SEASONS; i++) {
        ops_season *s = a->b->season[i];
        ops_season_view view;
        if (s == NULL)
            continue;
        ops_season_add(s, time_ns, x, a->least, &view);
        if (!view.ready || view.score <= a->v->score)
            continue;
        a->v->score = view.score;
        a->v->kind = (ops_baseline_kind)(TAILS + i);
        won(a, x, (view.low + view.high) / 2, (view.high - view.low) / 2);
    }
}

/* The range within which the winner's question would not have told. */
static void tell_range(asked *a)
{
    ops_baseline_verdict *v = a->v;
    const ops_baseline *b = a->b;
    if (v->score <= 0)
        return;
    if (v->kind > OPS_BASELINE_STUCK) {
        double far = a->unit + ops_season_reach(b->season[(int)v->kind - TAILS], a->need, a->least);
        v->low = a->at - far;
        v->high = a->at + far;
        return;
    }
    float place = ops_tail_at(&b->tail[v->kind], a->need, v->kind == OPS_BASELINE_SPIKE ? TELLS_LEAST : 0);
    double far = v->kind == OPS_BASELINE_STUCK ? place : ops_tail_magnitude(place);
    if (v->kind == OPS_BASELINE_STUCK ||
        v->kind == OPS_BASELINE_SPREAD) { /* octaves: of a run, of the noise */
        v->high = a->unit * exp2(far);
        v->low = v->kind == OPS_BASELINE_STUCK ? 1 : a->unit * exp2(-far);
    } else {
        v->low = a->at - a->unit * far;
        v->high = a->at + a->unit * far;
    }
}

/* After a lasting change of level the old one is no use: the level starts anew from the mean of the last few. */
static void settle(ops_baseline *b, double x)
{
    if (!ops_level_settles(&b->settling, x - b->slow.at, b->slow.scale))
        return;
    b->slow.at = b->fast;
    b->slower.at = b->fast;
    b->shift = 0;
    b->drift = 0;
    for (int i = OPS_BASELINE_SPIKE; b->settling.rare && i <= OPS_BASELINE_DRIFT; i++)
        ops_tail_forget(&b->tail[i], OPS_LEVEL_SETTLE, BEYOND);
}

static void learn(ops_baseline *b, double x)
{
    if (b->samples == 0) {
        b->slow.at = b->slower.at = b->fast = x;
        b->noise = 1;
    } else if (x != b->last) {
        double step = fabs(x - b->last);
        b->quantum = b->quantum == 0 || step < b->quantum ? step : b->quantum;
    }
    b->fast += FAST * (x - b->fast);
    ops_level_add(&b->slow, x, b->samples, SLOW);
    ops_level_add(&b->slower, x, b->samples, SLOWER);
    settle(b, x);
    b->last = x;
    b->samples++;
}

static void search_period(ops_baseline *b, double x)
{
    if (b->search == NULL)
        return;
    if (b->samples == 0)
        b->search->origin = x;
    double samples = ops_period_add(b->search, x);
    double period_ns = samples * (double)b->interval_ns;
    /* The day is a season already. */
    if (samples > 0 && period_ns < PERIOD_MAX_NS && fabs(period_ns - OPS_DAY_NS) > OPS_DAY_NS * 0.1)
        b->period_ns = (int64_t)period_ns;
    if (samples > 0 || b->search->stride > OPS_PERIOD_STRIDE_MAX) {
        ops_free(b->search);
        b->search = NULL;
    }
}

/* The score of an alert; worked out again when the interval changes. */
static float need_of(ops_baseline *b)
{
    if (b->need == 0 || b->need_interval_ns != b->interval_ns) {
        b->need = ops_budget_score(b->samples_per_false_alert, b->time_per_false_alert_ns, b->interval_ns);
        b->need_interval_ns = b->interval_ns;
    }
    return b->need;
}

/* Episodes: since when, and whether a person is told. */
static void tell(asked *a, int64_t time_ns)
{
    ops_baseline *b = a->b;
    ops_baseline_verdict *v = a->v;
    b->calm_run = v->score < ODD ? b->calm_run + (b->calm_run < UINT32_MAX) : 0;
    if (b->calm_run > CALM)
        b->odd_since_ns = time_ns;
    v->since_ns = v->score < ODD ? time_ns : b->odd_since_ns;
    if (v->kind == OPS_BASELINE_STUCK)
        v->since_ns = b->same_since_ns;
    bool same = b->episode.alerts > 0 && v->since_ns <= b->episode.alert_ns;
    v->alert = ops_episode_tell(&b->episode, time_ns, v->score, same, a->need);
}

ops_status ops_baseline_add(ops_baseline *b, int64_t time_ns, double value, ops_baseline_verdict *ret)
{
    ops_baseline_verdict v = {
        .value = value, .low = value, .high = value, .time_ns = time_ns, .since_ns = time_ns};
    ops_status st = ops_baseline_prepare(b);
    if (st != OPS_OK)
        return st;
    if (!isfinite(value)) {
        b->no_number++;
        v.taken = OPS_BASELINE_NO_NUMBER;
    } else {
        v.taken = place_in_time(b, time_ns);
    }
    if (v.taken == OPS_BASELINE_TAKEN) {
        double x = value > VALUE_MAX ? VALUE_MAX : value < -VALUE_MAX ? -VALUE_MAX : value;
        asked a = {.b = b,
                   .v = &v,
                   .least = fmax(b->quantum / 2, LAST_DIGITS * fabs(b->slow.at) + 1e-30),
                   .need = need_of(b)};
        search_period(b, x);
        if (b->samples > OPS_LEVEL_LEARN)
            ask_levels(&a, x);
        ask_stuck(&a, time_ns, x);
        ask_seasons(&a, time_ns, x);
        tell_range(&a);
        learn(b, x);
        tell(&a, time_ns);
    }
    *ret = v;
    return OPS_OK;
}

static void prefetch(const void *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const char *)p + i, 1);
}

void ops_baseline_prefetch(const ops_baseline *b, bool parts)
{
    if (!parts)
        prefetch(b, sizeof *b);
    for (int i = 0; parts && i < SEASONS; i++)
        if (b->season[i] != NULL)
            prefetch(b->season[i], sizeof *b->season[i]);
}

void ops_baseline_stats_get(const ops_baseline *b, ops_baseline_stats *ret)
{
    *ret = (ops_baseline_stats){.samples = b->samples,
                                .late = b->late,
                                .repeated = b->repeated,
                                .no_number = b->no_number,
                                .alerts = b->episode.alerts,
                                .interval_ns = b->interval_ns,
                                .last_ns = b->last_ns,
                                .period_ns = b->period_ns,
                                .level = b->slow.at,
                                .scale = b->slow.scale};
}

size_t ops_baseline_bytes(const ops_baseline *b)
{
    size_t n = sizeof *b + (b->search != NULL ? sizeof *b->search : 0);
    for (int i = 0; i < SEASONS; i++)
        n += b->season[i] != NULL ? sizeof *b->season[i] : 0;
    return n;
}

bool ops_baseline_stale(const ops_baseline *b, int64_t now_ns)
{
    int64_t gap = ops_since(now_ns, b->last_ns);
    return b->samples >= 2 && gap > 120 * OPS_SECOND_NS && gap / 5 > b->interval_ns;
}
