/* Finds the period of a series by itself: the first strong peak of the autocorrelation of the last 512 samples, then of
 * every second, every fourth and so on, until one is found or 32 were tried together. Inside the room. */
#ifndef OPS_METRIC_PERIOD_H
#define OPS_METRIC_PERIOD_H

#include <stdint.h>

enum { OPS_PERIOD_SAMPLES = 512, OPS_PERIOD_STRIDE_MAX = 32 };

typedef struct ops_period {
    double origin;
    uint32_t n;      /* samples kept */
    uint32_t stride; /* one sample in so many is kept; more than OPS_PERIOD_STRIDE_MAX: given up */
    uint32_t skipped;
    float v[OPS_PERIOD_SAMPLES];
} ops_period;

void ops_period_init(ops_period *p, double near);
/* Takes a sample. Answers the period in samples when it is found, else 0; a part of a sample is told as far as later
 * peaks show it. */
double ops_period_add(ops_period *p, double x);

#endif
