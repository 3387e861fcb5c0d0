/* When something runs out: a disk that fills, connections or a quota that are used up.
 *
 * The use is fitted by a straight line whose past fades (recursive least squares with a forgetting of `memory` samples). The
 * time to the limit has an interval, from the line's own uncertainty: the variance of what is left over, made larger by
 * how much neighbouring leftovers resemble each other (they then tell less than their number), is propagated to the crossing
 * (Fieller's interval for a ratio, E. C. Fieller 1954).
 *
 * It speaks only when the growth is certain: when the interval of the slope excludes zero.
 *
 * Memory: 120 bytes, no heap. @thread: one owner at a time. Pure. */
#ifndef OPS_ANALYSIS_RUNOUT_H
#define OPS_ANALYSIS_RUNOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

enum { OPS_RUNOUT_SAMPLES_MIN = 20 };

typedef struct ops_runout {
    int64_t last_ns;
    double memory;          /* samples */
    double n, t, x, tt, tx; /* faded sums; t in seconds before last_ns (0 and less), x from base */
    double n2, t2, tt2;     /* the same with the weights squared: what the line's variance needs */
    double base;
    double last_left;          /* leftover of the sample before */
    double left_sq, left_next; /* faded sums of squares and of neighbours' products */
    uint64_t samples;
} ops_runout;

typedef struct ops_runout_forecast {
    bool certain;         /* it grows towards the limit, with 95 % */
    bool reached;         /* the limit is reached or passed */
    double in_s;          /* seconds after the newest sample; valid when certain */
    double low_s, high_s; /* 95 % interval of it; high_s may be infinite */
    double per_s;         /* growth per second */
    double sure;          /* of it, in its own standard errors; 0: not known */
} ops_runout_forecast;

/* `memory` samples tell the slope, 20 and more; 0 takes 240 (an hour of 15 s, ten hours of 150 s). */
void ops_runout_init(ops_runout *r, double memory);
/* Samples that are late, repeated or no number are left out. */
void ops_runout_add(ops_runout *r, int64_t time_ns, double value);
/* Forecast of reaching `limit` from below, or from above when `falling` (free space down to 0). */
void ops_runout_ask(const ops_runout *r, double limit, bool falling, ops_runout_forecast *ret);
/* "full in 3 h, between 2 h 40 min and 3 h 20 min"; "not filling" when it is not certain. */
void ops_runout_words(const ops_runout_forecast *f, ops_strbuf *ret);

#endif
