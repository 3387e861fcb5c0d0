/* Several series of one component seen together: how unusual a row of them is.
 *
 * From the normal stretch it learns, in one pass and with no row kept: mean and spread of every column, a profile over
 * the day for those columns that follow it, and what moves with what. A row is then measured by its Mahalanobis distance
 * from what is expected, in which a unit of noise of its own is added to every column (ridge): columns that nearly
 * repeat each other do not make a small difference a large one. No column counts for more than twenty of its standard
 * deviations. The distance is smoothed over 5 and 120 rows, for what is short and what lasts, and both are joined.
 *
 * Before the first fit a row is judged by the baselines of its columns alone. Alerts follow the budget of baseline.h: the
 * joined distance is asked for its chance as a magnitude is, and the columns' own answers are paid for by their number.
 *
 * Where others judge the columns (ops_component_new_rows, of live series), each column is asked against the others instead:
 * what is left of it when they are known is a series of its own, held to the same budget and paid for by the number of
 * columns and questions (component_alone.h). A pair that parts, each in its own range, is told by that, and the score is that
 * answer. Rows are then of what lies beside the series' own levels, so no profile over the day is learnt; the first
 * `quiet_ns` are for learning, and the fit is renewed when the rows have grown by a quarter.
 *
 * The fit: after `train` rows, else after 256; again whenever the rows learnt have doubled. Rows that are unusual (score of
 * 3 and more) do not teach.
 *
 * Hostile input: a value that is no number stands for what is expected of it; late and repeated rows change nothing.
 *
 * Memory: per column a baseline; per component 8 x (2 x columns^2 + 103 x columns) bytes. Where others judge the columns,
 * 24 x columns^2 + 612 x columns bytes: 44 KiB at 32. Time per row grows with columns^2.
 *
 * @thread: one owner at a time. Pure: no clock, no I/O. */
#ifndef OPS_ANALYSIS_COMPONENT_H
#define OPS_ANALYSIS_COMPONENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/metric/baseline.h"

enum { OPS_COMPONENT_COLUMNS_MAX = 256 };

typedef struct ops_component ops_component;

typedef struct ops_component_verdict {
    double score; /* joined distance, 0 and more; until the first fit the highest score of a column */
    bool alert;
    bool fitted;
    float unusual;           /* -log10 of the chance of such a score, as far as the past tells */
    size_t column;           /* the one that adds most, or whose own answer is the most unusual */
    double value, low, high; /* of that column */
    int64_t since_ns;        /* start of the unusual stretch that this row ends */
} ops_component_verdict;

/* Of a component whose columns others judge. */
typedef struct ops_component_rows {
    double samples_per_false_alert; /* in rows; the budget in time is that of baseline.h */
    int64_t quiet_ns;               /* event time from the first row in which nothing is told */
    int64_t step_ns;                /* from row to row */
} ops_component_rows;

/* How a column stands against what the others let expect of it. */
typedef struct ops_component_pull {
    size_t column;
    double seen, expected, sd; /* sd: of what is seen around what is expected */
    double share;              /* of the pull of all columns, 0 to 1 */
} ops_component_pull;

/* `train` rows are taken as normal, 0: not known. */
OPS_MUST_USE ops_status ops_component_new(size_t columns, uint64_t train, ops_component **ret,
                                          ops_err *reterr);
/* Without baselines of columns: whoever leads the rows judges them. */
OPS_MUST_USE ops_status ops_component_new_rows(size_t columns, const ops_component_rows *conf,
                                               ops_component **ret, ops_err *reterr);
void ops_component_free(ops_component *c);
OPS_AUTO_DEFINE(ops_component, ops_component_free)

/* Judges a row and learns it. On OPS_ENOMEM nothing of the row is lost when it is added again. */
OPS_MUST_USE ops_status ops_component_add(ops_component *c, int64_t time_ns, const double *values,
                                          ops_component_verdict *ret);

/* The columns that pull the newest row away most, at most `max` of them, first the strongest; 0 before the first fit. */
size_t ops_component_pulls(ops_component *c, ops_component_pull *ret, size_t max);

size_t ops_component_columns(const ops_component *c);
size_t ops_component_bytes(const ops_component *c);

void ops_component_save(ops_component *c, ops_strbuf *ret);
OPS_MUST_USE ops_status ops_component_load(ops_slice saved, ops_component **ret, ops_err *reterr);

#endif
