#include "coordinator/analysis/metric/season.h"

#include <math.h>
#include <string.h>

#include "coordinator/analysis/metric/level.h"

#define OFFSET_RATE (1.0 / 200) /* as the level's */
#define CYCLE_RATE  0.15F       /* a cycle's share once seven were seen: a week of days */
#define LEARN       30          /* samples compared before a distance is told */
#define TELLS_LEAST 28.0F       /* place of two mean distances */

void ops_season_init(ops_season *s, int64_t period_ns, int64_t step_ns, double near)
{
    memset(s, 0, sizeof *s);
    int64_t rows = period_ns / (step_ns > 0 ? step_ns : 1);
    s->period_ns = period_ns;
    s->bins = (uint16_t)(rows < 4 ? 4 : rows > OPS_SEASON_BINS ? OPS_SEASON_BINS : rows);
    int64_t warm = rows / 2;
    s->warm = (uint32_t)(warm < OPS_TAIL_WARM       ? OPS_TAIL_WARM
                         : warm > OPS_TAIL_FULL / 2 ? OPS_TAIL_FULL / 2
                                                    : warm);
    s->origin = near;
    s->at = -1;
}

static int bin_of(const ops_season *s, int64_t time_ns)
{
    int64_t phase = time_ns % s->period_ns;
    if (phase < 0)
        phase += s->period_ns;
    int b = (int)((double)phase * s->bins / (double)s->period_ns);
    return b < s->bins ? b : s->bins - 1;
}

static void end_visit(ops_season *s)
{
    if (s->at >= 0 && s->visit > 0) {
        int b = s->at;
        if (s->cycles[b] < UINT8_MAX)
            s->cycles[b]++;
        float rate = 1.0F / (float)s->cycles[b];
        s->mean[b] += (rate > CYCLE_RATE ? rate : CYCLE_RATE) * ((float)(s->sum / s->visit) - s->mean[b]);
    }
    s->sum = 0;
    s->visit = 0;
}

/* Distance outside the profile around bin b, with its sign; false when a phase there is unknown yet. */
static bool outside(const ops_season *s, int b, double y, double *ret, ops_season_view *view)
{
    float lo = s->mean[b], hi = s->mean[b];
    for (int i = b - 1; i <= b + 1; i++) {
        int j = i < 0 ? s->bins - 1 : i == s->bins ? 0 : i;
        if (s->cycles[j] < OPS_SEASON_CYCLES)
            return false;
        lo = fminf(lo, s->mean[j]);
        hi = fmaxf(hi, s->mean[j]);
    }
    *ret = y > hi ? y - hi : y < lo ? y - lo : 0;
    view->low = s->origin + s->offset + lo;
    view->high = s->origin + s->offset + hi;
    return true;
}

static void judge(ops_season *s, double e, double least_scale, ops_season_view *view)
{
    double scale = s->scale > least_scale ? s->scale : least_scale;
    float place = ops_tail_place((float)(fabs(e) / scale));
    view->score = ops_tail_score(&s->tail, place, TELLS_LEAST, s->warm);
    view->ready = s->tail.n >= s->warm * OPS_TAIL_UNIT;
    ops_tail_add(&s->tail, place);
}

void ops_season_add(ops_season *s, int64_t time_ns, double x, double least_scale, ops_season_view *ret)
{
    int b = bin_of(s, time_ns);
    double y = x - s->origin, e = 0;
    memset(ret, 0, sizeof *ret);
    if (outside(s, b, y - s->offset, &e, ret)) {
        if (s->scored < UINT32_MAX)
            s->scored++;
        if (s->scored > LEARN + s->bins / 4U)
            judge(s, e, least_scale, ret);
        double d = y - s->offset - s->mean[b];
        if (s->scored > LEARN)
            d = ops_level_cap(d, s->scale);
        double first = 1.0 / s->scored;
        s->scale += (first > OFFSET_RATE / 2 ? first : OFFSET_RATE / 2) * (fabs(d) - s->scale);
        s->offset += OFFSET_RATE * d;
    }
    if (b != s->at) {
        end_visit(s);
        s->at = (int16_t)b;
    }
    s->sum += y;
    s->visit++;
}

double ops_season_reach(const ops_season *s, float score, double least_scale)
{
    double scale = s->scale > least_scale ? s->scale : least_scale;
    return scale * ops_tail_magnitude(ops_tail_at(&s->tail, score, TELLS_LEAST));
}
