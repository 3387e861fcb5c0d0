/* The parts of a baseline, for its own files. */
#ifndef OPS_METRIC_BASELINE_STATE_H
#define OPS_METRIC_BASELINE_STATE_H

#include "coordinator/analysis/metric/baseline.h"
#include "coordinator/analysis/metric/episode.h"
#include "coordinator/analysis/metric/level.h"
#include "coordinator/analysis/metric/period.h"
#include "coordinator/analysis/metric/season.h"
#include "coordinator/analysis/metric/tail.h"

enum { TAILS = OPS_BASELINE_STUCK + 1, SEASONS = OPS_BASELINE_KINDS - TAILS };

struct ops_baseline {
    double samples_per_false_alert;
    int64_t time_per_false_alert_ns;
    uint64_t samples, late, repeated, no_number;
    int64_t first_ns, last_ns, interval_ns;
    uint32_t late_run; /* late samples in a row */
    uint32_t same_run; /* equal values in a row */
    uint32_t calm_run; /* usual samples since the last odd one */
    ops_settling settling;
    double last, quantum; /* newest value; least step seen, 0 before */
    ops_level slow, slower;
    double fast;                /* mean of the last few */
    double shift, drift, noise; /* smoothed distances, in mean distances */
    int64_t odd_since_ns, same_since_ns;
    ops_episode episode;
    int64_t period_ns;
    int64_t need_interval_ns; /* not saved: what `need` was worked out for */
    float need;
    ops_tail tail[TAILS];
    ops_season *season[SEASONS]; /* day, week, found */
    ops_period *search;
};

/* Makes what the next sample will need, so that adding it can not fail. Doing it twice does it once. */
OPS_MUST_USE ops_status ops_baseline_prepare(ops_baseline *b);

#endif
