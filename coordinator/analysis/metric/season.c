#include "coordinator/analysis/metric/season.h"

#include <math.h>
#include <string.h>

#include "coordinator/analysis/metric/episode.h"

#define OFFSET_RATE (1.0 / 200) /* as the level's */
#define CYCLE_RATE  0.15F       /* a cycle's share once seven were seen: a week of days */
#define LEARN       30          /* samples compared before a distance is told */
#define TELLS_LEAST 28.0F       /* place of two mean distances */
#define BEYOND      32.0F       /* of four: the cap */

void ops_season_init(ops_season *s, int64_t period_ns, int64_t step_ns, double near)
{
    memset(s, 0, sizeof *s);
    int64_t rows = period_ns / (step_ns > 0 ? step_ns : 1);
    s->period_ns = period_ns;
    int64_t bins = period_ns > OPS_DAY_NS ? OPS_SEASON_BINS : OPS_SEASON_DAY_BINS;
    s->bins = (uint16_t)(rows < 4 ? 4 : rows > bins ? bins : rows);
    int64_t warm = rows / 2;
    s->warm = (uint32_t)(warm < OPS_TAIL_WARM       ? OPS_TAIL_WARM
                         : warm > OPS_TAIL_FULL / 2 ? OPS_TAIL_FULL / 2
                                                    : warm);
    s->origin = near;
    s->at = -1;
}

/* Where in its cycle a time lies, in bins. */
static float position_of(const ops_season *s, int64_t time_ns)
{
    int64_t phase = time_ns % s->period_ns;
    if (phase < 0)
        phase += s->period_ns;
    float position = (float)((double)phase * s->bins / (double)s->period_ns);
    return position < s->bins ? position : 0;
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

/* The profile at a position, in bins and between the middles of bins; false when a phase there is unknown yet. */
static bool profile_at(const ops_season *s, float position, float *ret)
{
    float whole = floorf(position - 0.5F), part = position - 0.5F - whole;
    int i = (int)whole < 0 ? (int)whole + s->bins : (int)whole, j = i + 1 == s->bins ? 0 : i + 1;
    *ret = s->mean[i] + part * (s->mean[j] - s->mean[i]);
    return s->cycles[i] >= OPS_SEASON_CYCLES && s->cycles[j] >= OPS_SEASON_CYCLES;
}

/* What the profile holds within half a bin of a position, and there. */
static bool expect(const ops_season *s, float position, float *ret_low, float *ret_at, float *ret_high)
{
    float before = position < 0.5F ? position - 0.5F + s->bins : position - 0.5F;
    float after = position + 0.5F >= s->bins ? position + 0.5F - s->bins : position + 0.5F;
    float a, b;
    if (!profile_at(s, before, &a) || !profile_at(s, position, ret_at) || !profile_at(s, after, &b))
        return false;
    *ret_low = fminf(*ret_at, fminf(a, b));
    *ret_high = fmaxf(*ret_at, fmaxf(a, b));
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

/* Moves offset and scale towards a sample that lies `d` from profile and offset. */
static void follow(ops_season *s, double d)
{
    if (ops_level_settles(&s->settling, d, s->scale)) {
        s->offset += d;
        if (s->settling.rare)
            ops_tail_forget(&s->tail, OPS_LEVEL_SETTLE, BEYOND);
        return;
    }
    if (s->scored > LEARN)
        d = ops_level_cap(d, s->scale);
    double first = 1.0 / s->scored;
    s->scale += (first > OFFSET_RATE / 2 ? first : OFFSET_RATE / 2) * (fabs(d) - s->scale);
    s->offset += OFFSET_RATE * d;
}

void ops_season_add(ops_season *s, int64_t time_ns, double x, double least_scale, ops_season_view *ret)
{
    float position = position_of(s, time_ns), low, at, high;
    double y = x - s->origin - s->offset;
    memset(ret, 0, sizeof *ret);
    if (expect(s, position, &low, &at, &high)) {
        ret->low = s->origin + s->offset + low;
        ret->high = s->origin + s->offset + high;
        s->scored += s->scored < UINT32_MAX;
        if (s->scored > LEARN + s->bins / 4U)
            judge(s, y > high ? y - high : y < low ? y - low : 0, least_scale, ret);
        follow(s, y - at);
    }
    int b = (int)position;
    if (b != s->at) {
        end_visit(s);
        s->at = (int16_t)b;
    }
    s->sum += x - s->origin;
    s->visit++;
}

double ops_season_reach(const ops_season *s, float score, double least_scale)
{
    double scale = s->scale > least_scale ? s->scale : least_scale;
    return scale * ops_tail_magnitude(ops_tail_at(&s->tail, score, TELLS_LEAST));
}
