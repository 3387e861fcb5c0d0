/* What is usual for one series, and how unusual a sample is, in bounded memory.
 *
 * Eight questions are asked of every sample, each with its own drifting error distribution (tail.h): is it far from the
 * level of late (spike), is the mean of the last few (shift) or of the last fifty (drift), is it outside of what this
 * hour of the day, this hour of the week, or this phase of a period that the series showed by itself usually holds
 * (season), did the noise grow or shrink (spread), and has the value stood still for unusually long (stuck). The score of
 * a sample is that of the most unusual answer: -log10 of its chance.
 *
 * Alerts. The threshold is a budget, the same for every series: one false alert in `samples_per_false_alert` samples or in
 * `time_per_false_alert_ns`, whichever is rarer. Each question's chance is held to it; that they are several is made up for
 * by the silence after an alert (the unit tests count on quiet series of every kind). An episode is told once: then there
 * is silence for half a day of event time, at least ten samples and as long as the stretch goes on, unless it grows a
 * thousand times more unusual. Nothing is told in the first OPS_TAIL_WARM (150) samples.
 *
 * A lasting change of level becomes the new usual after sixty samples beyond its edge on one side.
 *
 * Hostile input: no number (NaN), infinite, late and repeated samples are counted and change nothing else; after
 * OPS_BASELINE_LATE_MAX late samples in a row the clock is taken to have been set back. Values beyond 1e30 count as 1e30.
 *
 * Memory: 1.3 KiB, and 1.1 KiB for each of at most three seasons, and 2 KiB while a period is searched for (at most
 * 16,384 samples). The answer to a sample depends on it and on earlier ones only.
 *
 * @thread: one owner at a time. Pure: no clock, no I/O. */
#ifndef OPS_ANALYSIS_BASELINE_H
#define OPS_ANALYSIS_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

#define OPS_BASELINE_LATE_MAX 16

typedef struct ops_baseline ops_baseline;

/* Zero in any field takes the default. */
typedef struct ops_baseline_budget {
    double samples_per_false_alert;  /* default 1,000 */
    int64_t time_per_false_alert_ns; /* default two days */
} ops_baseline_budget;

typedef enum ops_baseline_kind {
    OPS_BASELINE_SPIKE,
    OPS_BASELINE_SHIFT,
    OPS_BASELINE_DRIFT,
    OPS_BASELINE_SPREAD,
    OPS_BASELINE_STUCK,
    OPS_BASELINE_DAY, /* from here on the seasons */
    OPS_BASELINE_WEEK,
    OPS_BASELINE_PERIOD,
    OPS_BASELINE_KINDS
} ops_baseline_kind;

typedef enum ops_baseline_taken {
    OPS_BASELINE_TAKEN,
    OPS_BASELINE_LATE,   /* before the newest */
    OPS_BASELINE_REPEAT, /* at the time of the newest */
    OPS_BASELINE_NO_NUMBER
} ops_baseline_taken;

typedef struct ops_baseline_verdict {
    ops_baseline_taken taken;
    bool alert;
    ops_baseline_kind kind; /* of the most unusual answer */
    float score;            /* 0 to 12: -log10 of its chance; 0 when not taken */
    double value;           /* the sample, or what the question is about: a mean, samples unchanged, noise */
    double low, high;       /* what is usual of `value` */
    double level,
        scale; /* the level of late before the sample, and the mean distance from it; 0 while learning */
    int64_t time_ns;
    int64_t since_ns; /* start of the unusual stretch that this sample ends */
} ops_baseline_verdict;

typedef struct ops_baseline_stats {
    uint64_t samples, late, repeated, no_number, alerts;
    int64_t interval_ns; /* typical; 0 before the second sample */
    int64_t last_ns;
    int64_t period_ns; /* found in the series itself; 0: none */
    double level, scale;
} ops_baseline_stats;

OPS_MUST_USE ops_status ops_baseline_new(const ops_baseline_budget *budget, ops_baseline **ret,
                                         ops_err *reterr);
void ops_baseline_free(ops_baseline *b);
OPS_AUTO_DEFINE(ops_baseline, ops_baseline_free)

/* Judges a sample and learns it. On OPS_ENOMEM the baseline is as before the call. */
OPS_MUST_USE ops_status ops_baseline_add(ops_baseline *b, int64_t time_ns, double value,
                                         ops_baseline_verdict *ret);

/* Hints that `b` is asked soon: with tens of thousands of series the memory is what an answer waits for. Two calls, some
 * series ahead: the first brings the baseline, the second (`parts`) what it points to. */
void ops_baseline_prefetch(const ops_baseline *b, bool parts);

void ops_baseline_stats_get(const ops_baseline *b, ops_baseline_stats *ret);
size_t ops_baseline_bytes(const ops_baseline *b);

/* No sample for so long before now_ns that one is missing: five typical intervals, and two minutes. */
bool ops_baseline_stale(const ops_baseline *b, int64_t now_ns);

/* One sentence for people: value, expected range, since when, how unusual. `name` is the series. */
void ops_baseline_words(const ops_baseline_verdict *v, ops_slice name, ops_strbuf *ret);
const char *ops_baseline_kind_name(ops_baseline_kind kind);

/* Appends the whole state, and changes nothing. A baseline loaded from it answers the same from there on. */
void ops_baseline_save(ops_baseline *b, ops_strbuf *ret);
/* A new baseline; OPS_ECORRUPT for what save did not write. */
OPS_MUST_USE ops_status ops_baseline_load(ops_slice saved, ops_baseline **ret, ops_err *reterr);

#endif
