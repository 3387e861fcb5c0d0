/* The commonest values of a stream: space-saving (Metwally, Agrawal, El Abbadi 2005, "Efficient computation of frequent and
 * top-k elements in data streams"), 8 entries; merged as Agarwal et al. 2012 ("Mergeable summaries") show.
 *
 * An entry's count is never below the truth and above it by at most its error, which is at most total / 8; a value with
 * more than total / 8 of the weight is always among the entries. While there were at most 8 values, counts are exact.
 *
 * A value is known by its whole (by the hash that the caller hands in) and shown by its first 48 bytes, cut at the end of
 * a code point. */
#ifndef OPS_BASE_TOPK_H
#define OPS_BASE_TOPK_H

#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

enum { OPS_TOPK_ENTRIES_MAX = 8, OPS_TOPK_VALUE_BYTES_MAX = 48 };

typedef struct ops_topk {
    void *mem;      /* hashes, counts, errors, values: one block */
    uint8_t n, cap; /* entries */
} ops_topk;

typedef struct ops_topk_entry {
    ops_slice value; /* lives until the sketch changes */
    uint64_t count, error;
} ops_topk_entry;

void ops_topk_init(ops_topk *t); /* allocates nothing yet */
void ops_topk_done(ops_topk *t);
/* `hash` is of the whole value. OPS_ENOMEM: left out. Allocates while it grows to 8 entries, never after. */
OPS_MUST_USE ops_status ops_topk_add(ops_topk *t, ops_slice value, uint64_t hash, uint64_t weight);
OPS_MUST_USE ops_status ops_topk_merge(ops_topk *t, const ops_topk *from);
/* Commonest first, equals by value; returns how many. */
size_t ops_topk_get(const ops_topk *t, ops_topk_entry ret[OPS_TOPK_ENTRIES_MAX]);
size_t ops_topk_bytes(const ops_topk *t); /* on the heap */

/* Appends at most 1 + 8 x 77 bytes. */
void ops_topk_save(const ops_topk *t, ops_strbuf *out);
/* Reads what save wrote off the front of *rest into an initialised, empty sketch. OPS_ECORRUPT when it is none (then *rest
 * and *t are untouched). */
OPS_MUST_USE ops_status ops_topk_load(ops_topk *t, ops_slice *rest);

#endif
