/* Series of every quiet kind, the same on every machine: one generator of whole numbers, and sums of them for noise. */
#ifndef TESTS_METRIC_SYNTH_H
#define TESTS_METRIC_SYNTH_H

#include <math.h>
#include <stdint.h>

#define SECOND_NS INT64_C(1000000000)
#define START_NS  (INT64_C(1700000000) * SECOND_NS)

typedef struct synth {
    uint64_t state;
    double walk;
} synth;

static inline uint64_t synth_next(synth *s) /* splitmix64, S. Vigna, public domain */
{
    uint64_t z = (s->state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline double synth_share(synth *s) /* 0 to 1 */
{
    return (double)(synth_next(s) >> 11) * 0x1p-53;
}

static inline double synth_noise(synth *s) /* mean 0, deviation 1, near a bell */
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += synth_share(s);
    return sum - 6;
}

typedef enum quiet_kind {
    QUIET_STEADY,   /* a level with noise */
    QUIET_HEAVY,    /* latencies: noise with a heavy tail */
    QUIET_COUNTS,   /* small whole numbers */
    QUIET_SPARSE,   /* nearly always 0 */
    QUIET_DAILY,    /* a day and noise */
    QUIET_WEEKLY,   /* quiet weekends too */
    QUIET_HOURLY,   /* a period that is no calendar's */
    QUIET_GROWING,  /* a disk that fills */
    QUIET_CLINGING, /* noise that is like its neighbour (AR 0.9) */
    QUIET_SAWTOOTH, /* a heap between two collections */
    QUIET_CONSTANT,
    QUIET_KINDS
} quiet_kind;

static inline double synth_day(int64_t time_ns)
{
    return sin((double)(time_ns / SECOND_NS % 86400) / 86400 * 6.283185307);
}

static inline double synth_quiet(synth *s, quiet_kind kind, int64_t time_ns, int64_t i)
{
    switch (kind) {
    case QUIET_STEADY:
        return 100 + 5 * synth_noise(s);
    case QUIET_HEAVY:
        return 20 * exp(0.6 * synth_noise(s));
    case QUIET_COUNTS:
        return floor(8 + 2.5 * synth_noise(s));
    case QUIET_SPARSE:
        return synth_share(s) < 0.02 ? 1 : 0;
    case QUIET_DAILY:
        return 200 + 100 * synth_day(time_ns) + 5 * synth_noise(s);
    case QUIET_WEEKLY:
        return (time_ns / SECOND_NS / 86400 % 7 < 5 ? 300 + 100 * synth_day(time_ns) : 100) +
               5 * synth_noise(s);
    case QUIET_HOURLY:
        return 50 + 30 * sin((double)(time_ns / SECOND_NS % 7000) / 7000 * 6.283185307) + 2 * synth_noise(s);
    case QUIET_GROWING:
        return 1000 + 0.05 * (double)i + 3 * synth_noise(s);
    case QUIET_CLINGING:
        s->walk = 0.9 * s->walk + synth_noise(s);
        return 60 + 4 * s->walk;
    case QUIET_SAWTOOTH:
        return (double)(i % 37) * 4 + synth_noise(s);
    default:
        return 7;
    }
}

#endif
