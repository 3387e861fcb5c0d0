/* One repeating pattern of a series: a profile over the phases of a period, learnt by the cycle.
 *
 * A sample is judged by how far it lies outside of what the profile holds within half a bin of its phase, so that an
 * edge which comes a little early or late is none. Until a phase was seen in two cycles it says nothing.
 * Inside the room. @thread: one owner at a time. */
#ifndef OPS_METRIC_SEASON_H
#define OPS_METRIC_SEASON_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/analysis/metric/level.h"
#include "coordinator/analysis/metric/tail.h"

/* Hours of a week: a week's working days end where a bin ends. A day has quarters of hours. */
enum { OPS_SEASON_BINS = 168, OPS_SEASON_DAY_BINS = 96, OPS_SEASON_CYCLES = 2 };

typedef struct ops_season {
    int64_t period_ns;
    double origin; /* profile and offset are relative to it */
    double offset; /* how far the series lies from its profile of late */
    double scale;  /* mean capped distance from profile and offset */
    double sum;    /* of the visit to bin `at` */
    uint32_t visit;
    uint32_t scored; /* samples compared with the profile */
    uint32_t warm;   /* samples before its tail says anything */
    uint16_t bins;
    int16_t at; /* -1 before the first sample */
    ops_settling settling;
    float mean[OPS_SEASON_BINS];
    uint8_t cycles[OPS_SEASON_BINS]; /* stops at 255 */
    ops_tail tail;
} ops_season;

typedef struct ops_season_view {
    bool ready;
    double low, high; /* the profile around this phase */
    float score;      /* of the sample; see tail.h */
} ops_season_view;

/* A period of at least four samples of `step_ns` each; `near` is a value of the series. */
void ops_season_init(ops_season *s, int64_t period_ns, int64_t step_ns, double near);
/* Judges a sample by the cycles before, then learns it. `least_scale` is the least distance that means anything. */
void ops_season_add(ops_season *s, int64_t time_ns, double x, double least_scale, ops_season_view *ret);
/* Distance outside the profile at which the score is `score`. */
double ops_season_reach(const ops_season *s, float score, double least_scale);

#endif
