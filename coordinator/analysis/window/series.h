/* One count per window, and what it teaches.
 *
 * Level and spread are exponentially weighted with a weight that starts as 1/n and settles at OPS_SERIES_WEIGHT
 * (half-life about 4 minutes of 10 s windows): fast enough to follow a ramp of load, slow enough not
 * to learn a fault before it is told. A count above what the series can explain teaches only its clipped value.
 * Pure values: no allocation. */
#ifndef OPS_ANALYSIS_SERIES_H
#define OPS_ANALYSIS_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/analysis/window/record.h"

#define OPS_SERIES_WEIGHT 0.03

typedef struct ops_series {
    double mean, var;      /* of the count per window */
    double peak;           /* greatest count learned, halved every week of windows */
    uint32_t windows;      /* how many taught it */
    uint32_t gap, gap_max; /* empty windows in a row: now, and the most before now */
} ops_series;

void ops_series_learn(ops_series *s, double count);
/* As `windows` empty windows in a row; constant time. */
void ops_series_learn_empty(ops_series *s, uint64_t windows);

void ops_series_put(ops_strbuf *b, const ops_series *s);
ops_series ops_series_get(ops_record_reader *r);

#endif
