/* How many distinct values: HyperLogLog with 256 registers (Flajolet et al. 2007), read out by the estimator of Ertl 2017
 * ("New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284, section 4), which needs no tables
 * and is unbiased from one value up. Standard error 1.04 / sqrt(256) = 6.5 %. Up to 32 values it is a list and exact.
 *
 * Values come as 64-bit hashes with full avalanche (base/text/hash.h). The estimate does not depend on their order. */
#ifndef OPS_BASE_HLL_H
#define OPS_BASE_HLL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

enum { OPS_HLL_LIST_MAX = 32, OPS_HLL_REGISTERS = 256 };

typedef struct ops_hll {
    void *mem;      /* a list of n hashes, or the registers */
    uint8_t n, cap; /* of the list */
    bool dense;
} ops_hll;

void ops_hll_init(ops_hll *h); /* allocates nothing yet */
void ops_hll_done(ops_hll *h);
/* OPS_ENOMEM: the value is left out. Allocates while it grows, never once it has its registers. */
OPS_MUST_USE ops_status ops_hll_add(ops_hll *h, uint64_t hash);
/* The estimate of `h` becomes that of both streams together. OPS_ENOMEM: a part of `from` may be left out. */
OPS_MUST_USE ops_status ops_hll_merge(ops_hll *h, const ops_hll *from);
uint64_t ops_hll_count(const ops_hll *h);
size_t ops_hll_bytes(const ops_hll *h); /* on the heap */

/* Appends at most 257 bytes: 0..32 and so many hashes, or 255 and 256 registers of 6 bits. */
void ops_hll_save(const ops_hll *h, ops_strbuf *out);
/* Reads what save wrote off the front of *rest into an initialised, empty sketch. OPS_ECORRUPT when it is none (then *rest
 * and *h are untouched). */
OPS_MUST_USE ops_status ops_hll_load(ops_hll *h, ops_slice *rest);

#endif
