/* The parts of a component, for its own files. */
#ifndef OPS_METRIC_COMPONENT_STATE_H
#define OPS_METRIC_COMPONENT_STATE_H

#include "coordinator/analysis/metric/baseline_state.h"
#include "coordinator/analysis/metric/component.h"
#include "coordinator/analysis/metric/component_alone.h"
#include "coordinator/analysis/metric/episode.h"
#include "coordinator/analysis/metric/tail.h"

enum { DAY_BINS = 48 };

struct ops_component {
    size_t columns, bins; /* bins of the day: DAY_BINS, or 1 where no profile is learnt */
    uint64_t train, rows;
    int64_t first_ns, last_ns;
    uint32_t late_run;
    bool fitted;
    double taught, fit_rows, since_fit; /* rows: in the moments, when fitted, since then */
    double typical;                     /* mean distance of what was taught */
    double brief, lasting;              /* smoothed distance */
    double score;
    ops_tail tail;
    ops_episode episode;
    ops_baseline **column; /* NULL: others judge them; then */
    ops_alone *alone;      /* what each shows against the others */
    double *inverse;       /* columns x columns: of the correlations, a row scaled to a residual of 1 */
    ops_component_rows conf;
    int64_t odd_since_ns;
    uint32_t calm_run;
    double bin_rows[DAY_BINS];
    /* All of these lie in one block of ops_component_doubles() doubles, in this order. */
    double *origin, *sum, *off_mean, *off_day, *sd, *row, *solved; /* columns */
    double *bin_sum, *profile;                                     /* bins x columns */
    double *cross, *factor;                                        /* columns x columns; lower triangles */
};

static inline size_t ops_component_doubles(size_t columns, size_t bins)
{
    return 7 * columns + 2 * bins * columns + 2 * columns * columns;
}

static inline int ops_component_bin(const ops_component *c, int64_t time_ns)
{
    if (c->bins == 1)
        return 0;
    int64_t phase = time_ns % OPS_DAY_NS;
    return (int)((phase < 0 ? phase + OPS_DAY_NS : phase) / (OPS_DAY_NS / DAY_BINS));
}

/* Adds a row (relative to origin) to the moments. */
void ops_component_teach(ops_component *c, int64_t time_ns, const double *row);
/* Learns profile, spread and factor from the moments. */
void ops_component_fit(ops_component *c);
/* Cholesky factor of correlation + `ridge`, from the moments: a lower triangle of columns x columns. */
void ops_component_factor(const ops_component *c, double ridge, double *ret);
/* The inverse, as above, after a fit. Uses `ret` and c->solved. */
void ops_component_invert(ops_component *c, double *ret);
/* The most unusual answer of a column against the others in the newest row, and which. */
float ops_component_ask_alone(ops_component *c, int64_t time_ns, size_t *ret_column);
/* Distance of a row (relative to origin) from what is expected; the most deviant column and its distance. */
double ops_component_distance(ops_component *c, int64_t time_ns, const double *row, size_t *ret_column);

#endif
