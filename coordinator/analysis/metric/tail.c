#include "coordinator/analysis/metric/tail.h"

#include <math.h>
#include <string.h>

/* One value in this many is in the tail: enough of them for a slope in a day of minutes, and far enough out to be one. */
#define TAIL_SHARE 100
/* The prior of the slope: as if so many values had exceeded the start by one bin on average. As much as a series shows by
 * itself in 800 samples. */
#define PRIOR_COUNT  8.0F
#define PRIOR_EXCESS 1.0F
/* The tail is looked at again after so many values that did not touch it. */
#define LOOK_EVERY 64
#define LN10       2.302585093F

float ops_tail_place(float magnitude)
{
    uint32_t bits;
    if (!(magnitude > 0.015625F)) /* 2^OPS_TAIL_FIRST */
        return 0;
    memcpy(&bits, &magnitude, sizeof bits);
    float octave = (float)((int)(bits >> 23) - 127);
    uint32_t mantissa = (bits & 0x7FFFFFU) | 0x3F800000U;
    float m;
    memcpy(&m, &mantissa, sizeof m);
    /* log2 by its chord inside an octave: exact at powers of two, rising, and off by less than 0.09 octaves */
    float place = (octave + m - 1.0F - OPS_TAIL_FIRST) * OPS_TAIL_OCTAVE;
    return place < OPS_TAIL_BINS - 1.01F ? place : OPS_TAIL_BINS - 1.01F;
}

float ops_tail_magnitude(float place)
{
    float octaves = place / OPS_TAIL_OCTAVE + OPS_TAIL_FIRST;
    float whole = floorf(octaves);
    return ldexpf(1.0F + octaves - whole, (int)whole);
}

/* Where the outermost hundredth starts, and the mean excess over it. */
static void look(ops_tail *t)
{
    if (t->n == 0)
        return;
    float k = (float)t->n / TAIL_SHARE, c = 0, sum = 0;
    if (k < 4.0F * OPS_TAIL_UNIT)
        k = 4.0F * OPS_TAIL_UNIT;
    int j = OPS_TAIL_BINS - 1;
    while (j > 0 && c + (float)t->bin[j] < k) {
        c += (float)t->bin[j];
        sum += (float)t->bin[j] * ((float)j + 0.5F);
        j--;
    }
    float take = k - c;
    float from = t->bin[j] > 0 ? (float)(j + 1) - take / (float)t->bin[j] : (float)j;
    if (from < (float)j)
        from = (float)j;
    sum += take * (from + (float)(j + 1)) * 0.5F;
    float values = k / OPS_TAIL_UNIT;
    float excess = ((sum / k - from) * values + PRIOR_EXCESS * PRIOR_COUNT) / (values + PRIOR_COUNT);
    t->from = from;
    t->base = k < (float)t->n ? -log10f(k / (float)t->n) : 0;
    t->per_bin = 1.0F / (excess * LN10);
    t->unseen = 0;
}

static void halve(ops_tail *t)
{
    t->n = 0;
    for (int i = 0; i < OPS_TAIL_BINS; i++) {
        t->bin[i] /= 2;
        t->n += t->bin[i];
    }
}

void ops_tail_add(ops_tail *t, float place)
{
    int b = (int)place;
    t->bin[b] = (uint16_t)(t->bin[b] + OPS_TAIL_UNIT);
    t->n += OPS_TAIL_UNIT;
    if (t->n >= OPS_TAIL_FULL * OPS_TAIL_UNIT)
        halve(t);
    t->unseen++;
    if ((float)(b + 1) > t->from || t->unseen >= LOOK_EVERY)
        look(t);
}

void ops_tail_forget(ops_tail *t, uint32_t values, float least)
{
    uint32_t left = values * OPS_TAIL_UNIT;
    for (int i = OPS_TAIL_BINS - 1; left > 0 && (float)i >= least; i--) {
        uint16_t n = t->bin[i] < left ? t->bin[i] : (uint16_t)left;
        t->bin[i] = (uint16_t)(t->bin[i] - n);
        t->n -= n;
        left -= n;
    }
    look(t);
}

float ops_tail_score(const ops_tail *t, float place, float least, uint32_t warm)
{
    if (t->n < warm * OPS_TAIL_UNIT || t->n == 0)
        return 0;
    float from = t->from > least ? t->from : least;
    if (place <= from)
        return from > 0 ? t->base * place / from : 0;
    float score = t->base + (place - from) * t->per_bin;
    uint32_t above = 0;
    for (int i = (int)place + 1; i < OPS_TAIL_BINS; i++)
        above += t->bin[i];
    if (above > 0) {
        float seen = -log10f((float)above / (float)t->n);
        score = seen < score ? seen : score;
    }
    return score < OPS_TAIL_SCORE_MAX ? score : OPS_TAIL_SCORE_MAX;
}

float ops_tail_at(const ops_tail *t, float score, float least)
{
    float from = t->from > least ? t->from : least;
    float place = t->per_bin > 0 && score > t->base ? from + (score - t->base) / t->per_bin : from;
    return place < OPS_TAIL_BINS - 1 ? place : OPS_TAIL_BINS - 1;
}
