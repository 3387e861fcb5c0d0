/* An episode is told once: after an alert there is silence for half a day of event time and at least ten samples, and as
 * long as the stretch goes on, unless it grows a thousand times more unusual. And the budget: how unusual an alert must be. Inside the room. */
#ifndef OPS_METRIC_EPISODE_H
#define OPS_METRIC_EPISODE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define OPS_SECOND_NS       INT64_C(1000000000)
#define OPS_DAY_NS          (86400 * OPS_SECOND_NS)
#define OPS_EPISODE_NS      (OPS_DAY_NS / 2)
#define OPS_EPISODE_SAMPLES 10
#define OPS_EPISODE_WORSE   3.0F
#define OPS_BUDGET_SAMPLES  1000.0
#define OPS_BUDGET_NS       (2 * OPS_DAY_NS)

typedef struct ops_episode {
    uint64_t alerts;
    int64_t alert_ns;
    uint32_t since; /* samples since the last alert */
    float score;    /* of the last alert */
} ops_episode;

/* Time from `earlier` to `later`, at most INT64_MAX: the two may lie as far apart as they like. */
static inline int64_t ops_since(int64_t later, int64_t earlier)
{
    int64_t gap;
    if (__builtin_sub_overflow(later, earlier, &gap))
        return later > earlier ? INT64_MAX : INT64_MIN;
    return gap;
}

/* Score that is reached once in `samples` samples or once in `budget_ns`, whichever is rarer. */
static inline float ops_budget_score(double samples, int64_t budget_ns, int64_t interval_ns)
{
    double in_time = interval_ns > 0 ? (double)budget_ns / (double)interval_ns : 0;
    return (float)log10(samples > in_time ? samples : in_time);
}

/* Whether a person is told of a sample with this score; `same`: the stretch it belongs to was told already. */
static inline bool ops_episode_tell(ops_episode *e, int64_t time_ns, float score, bool same, float need)
{
    e->since += e->since < UINT32_MAX;
    if (score < need)
        return false;
    bool silent =
        e->alerts > 0 && (ops_since(time_ns, e->alert_ns) < OPS_EPISODE_NS || e->since < OPS_EPISODE_SAMPLES);
    if ((silent || same) && score < e->score + OPS_EPISODE_WORSE)
        return false;
    e->alerts++;
    e->alert_ns = time_ns;
    e->score = score;
    e->since = 0;
    return true;
}

#endif
