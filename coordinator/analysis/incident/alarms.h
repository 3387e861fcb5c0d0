/* Inside: the time of a bundle in stretches, and how far off each component is in each. */
#ifndef OPS_INCIDENT_ALARMS_H
#define OPS_INCIDENT_ALARMS_H

#include "coordinator/analysis/incident/bundle_in.h"

typedef struct ops_alarms {
    const ops_bundle *b;
    double first_s, width_s; /* stretch i is [first_s + i * width_s, + width_s) */
    size_t n;                /* stretches */
    size_t lasting;          /* so many stretches in a row make an alarm */
    float *bits;             /* by component, then stretch: lasting bits of its worst track */
    float *failed;           /* by component, then stretch: share of its requests that failed */
} ops_alarms;

OPS_MUST_USE ops_status ops_alarms_init(ops_alarms *a, const ops_bundle *b);
void ops_alarms_done(ops_alarms *a);

static inline size_t ops_alarms_place(const ops_alarms *a, double time_s)
{
    double i = (time_s - a->first_s) / a->width_s;
    return i <= 0 ? 0 : i >= (double)a->n ? a->n - 1 : (size_t)i;
}

#endif
