/* Quantiles of a stream of numbers with a bounded relative error: DDSketch (Masson, Rim, Lee 2019, "DDSketch: a fast and
 * fully-mergeable quantile sketch with relative-error guarantees", VLDB 12) with logarithmic bins, and the uniform
 * collapse of UDDSketch (Epicoco et al. 2020): when the 64 bins are used up, neighbours join in pairs and the error of
 * every quantile grows alike, rather than that of the lowest ones without a bound.
 *
 * The error starts at 1 % and about doubles with a collapse: ops_quant_error tells what it is. Least and greatest are exact.
 * Negative numbers and zero are numbers like others; not-a-number and the infinities are no values. */
#ifndef OPS_BASE_QUANT_H
#define OPS_BASE_QUANT_H

#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

enum { OPS_QUANT_BINS_MAX = 64 };

typedef struct ops_quant {
    void *mem;             /* keys, ascending, and their counts */
    uint64_t total, carry; /* weight in all; weight not yet in a bin, below 1 << scale */
    double min, max;
    uint8_t bins, cap;
    uint8_t level; /* collapses so far */
    uint8_t scale; /* a bin's count stands for count << scale; 0 below 2^32 a bin */
} ops_quant;

void ops_quant_init(ops_quant *q); /* allocates nothing yet */
void ops_quant_done(ops_quant *q);
/* OPS_EINVAL: not finite, or weight 0. OPS_ENOMEM: left out. Allocates while it grows to 64 bins, never after. */
OPS_MUST_USE ops_status ops_quant_add(ops_quant *q, double v, uint64_t weight);
/* OPS_ENOMEM: a part of `from` may be left out. */
OPS_MUST_USE ops_status ops_quant_merge(ops_quant *q, const ops_quant *from);
/* The value of rank p * (total - 1), p in [0, 1]; NaN when there is none. */
double ops_quant_at(const ops_quant *q, double p);
double ops_quant_error(const ops_quant *q); /* 0.01 is 1 % */
size_t ops_quant_bytes(const ops_quant *q); /* on the heap */

/* Appends at most 40 + 64 x 10 bytes. */
void ops_quant_save(const ops_quant *q, ops_strbuf *out);
/* Reads what save wrote off the front of *rest into an initialised, empty sketch. OPS_ECORRUPT when it is none (then *rest
 * and *q are untouched). */
OPS_MUST_USE ops_status ops_quant_load(ops_quant *q, ops_slice *rest);

#endif
