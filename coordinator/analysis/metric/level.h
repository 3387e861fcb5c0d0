/* A level that follows a series slowly and is not dragged by what is far off, with the mean distance from it.
 * Steps are capped at four mean distances (Huber's influence function), so one spike moves it no more than a wave does.
 * Inside the room. */
#ifndef OPS_METRIC_LEVEL_H
#define OPS_METRIC_LEVEL_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define OPS_LEVEL_CAP   4.0
#define OPS_LEVEL_LEARN 20 /* samples that are taken as they come */

typedef struct ops_level {
    double at;    /* the level */
    double scale; /* mean capped distance from it */
} ops_level;

/* A capped step: `e` within OPS_LEVEL_CAP mean distances. */
static inline double ops_level_cap(double e, double scale)
{
    double most = OPS_LEVEL_CAP * scale;
    return e > most ? most : e < -most ? -most : e;
}

/* After so many the change is taken to last. */
#define OPS_LEVEL_SETTLE 60

/* Changes that come more often than this are the nature of the series, and stay among its errors. */
#define OPS_LEVEL_RARE 4000

/* Samples in a row that lie beyond the cap on one side. */
typedef struct ops_settling {
    uint32_t run;
    uint32_t since; /* samples since the level last started anew */
    int16_t side;
    bool rare; /* that had not happened for long */
} ops_settling;

/* True when a change has lasted and the level must start anew. */
static inline bool ops_level_settles(ops_settling *s, double e, double scale)
{
    double most = OPS_LEVEL_CAP * scale;
    int16_t side = e > most ? 1 : e < -most ? -1 : 0;
    s->run = side != 0 && side == s->side ? s->run + 1 : 0;
    s->side = side;
    s->since += s->since < UINT32_MAX;
    if (s->run < OPS_LEVEL_SETTLE)
        return false;
    s->rare = s->since >= OPS_LEVEL_RARE;
    s->since = 0;
    s->run = 0;
    return true;
}

/* Takes the n-th sample (from 0); `rate` is the share of a sample once enough were seen. */
static inline void ops_level_add(ops_level *l, double x, uint64_t n, double rate)
{
    double first = 1.0 / ((double)n + 1.0);
    double e = x - l->at;
    if (n > OPS_LEVEL_LEARN)
        e = ops_level_cap(e, l->scale);
    l->at += (rate > first ? rate : first) * e;
    l->scale += (rate / 2 > first ? rate / 2 : first) * (fabs(e) - l->scale);
}

#endif
