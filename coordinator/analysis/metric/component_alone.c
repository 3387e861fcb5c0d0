#include "coordinator/analysis/metric/component_alone.h"

#include <math.h>

/* As in a baseline. */
#define SLOW        (1.0 / 200)
#define LATE        (1.0 / 8)
#define SCALE_LEAST 1e-6
/* One row says no more than so many mean distances. */
#define DISTANCE_MAX 6.0
/* What a row must show for a sum to grow: half of the least change that is looked for, in mean distances. */
#define SLACK_MOVED   0.75
#define SLACK_NOISE   0.7
#define TEACHES_BELOW 3.0F
#define THINS_FROM    5.5F
#define THINNED       8
/* What was seen ends to be told of in a hundred rows or so. */
#define SUM_MAX 94.0

/* Such a sum is beyond s with a chance of about exp(-c s), so a unit of it is a bin: the tail's law, of which c is learnt. */
static float ask(ops_tail *t, uint64_t rows, double sum)
{
    const float place = (float)sum;
    const float score = ops_tail_score(t, place, 0, OPS_TAIL_WARM);
    if (score < THINS_FROM || rows % THINNED == 0)
        ops_tail_add(t, place);
    return score;
}

static double collect(double sum, double grows)
{
    return fmax(0, fmin(SUM_MAX, sum + grows));
}

/* A lasting change is the new usual. */
static void learn(ops_alone *a, double r, bool odd)
{
    if (a->rows == 0)
        a->level.at = a->late = r;
    a->late += LATE * (r - a->late);
    if (!odd)
        ops_level_add(&a->level, r, a->rows++, SLOW);
    if (!ops_level_settles(&a->settling, r - a->level.at, a->level.scale))
        return;
    a->level.at = a->late;
    a->up = a->down = 0;
}

float ops_alone_add(ops_alone *a, double r)
{
    float score = 0;
    if (a->rows > OPS_LEVEL_LEARN) {
        const double z =
            fmax(-DISTANCE_MAX, fmin(DISTANCE_MAX, (r - a->level.at) / fmax(a->level.scale, SCALE_LEAST)));
        a->up = collect(a->up, z - SLACK_MOVED);
        a->down = collect(a->down, -z - SLACK_MOVED);
        a->noise = collect(a->noise, fabs(z) - 1 - SLACK_NOISE);
        score = fmaxf(ask(&a->moved, a->asked, fmax(a->up, a->down)), ask(&a->noisier, a->asked, a->noise));
    }
    a->asked++;
    learn(a, r, score >= TEACHES_BELOW);
    return score;
}
