/* Native histograms: counts of observations in buckets whose bounds follow from a schema, as Prometheus has them.
 *
 * Exponential (schema -4..8): bucket i of the positive side holds (2^((i-1)/2^schema), 2^(i/2^schema)], the negative side mirrors it, and
 * what is nearer to zero than the threshold is in the zero bucket. Custom bounds (OPS_RULES_HIST_CUSTOM): bucket i holds
 * (bounds[i-1], bounds[i]], the first from -Inf, the one after the last bound to +Inf; there is no negative side.
 *
 * Immutable once made; they live in the arena they were made in. @thread one owner of the arena. */
#ifndef OPS_RULES_HIST_H
#define OPS_RULES_HIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem/arena.h"
#include "base/status/status.h"
#include "base/text/strbuf.h"

enum {
    OPS_RULES_HIST_SCHEMA_MIN = -4,
    OPS_RULES_HIST_SCHEMA_MAX = 8,
    OPS_RULES_HIST_CUSTOM = -53,
    OPS_RULES_HIST_BUCKETS_MAX = 4096 /* of a side */
};

/* What a sender says of the histogram before: whether counting began anew. */
typedef enum ops_rules_hint {
    OPS_RULES_HINT_UNKNOWN,
    OPS_RULES_HINT_RESET,
    OPS_RULES_HINT_NO_RESET,
    OPS_RULES_HINT_GAUGE
} ops_rules_hint;

typedef struct ops_rules_bucket {
    int32_t index;
    double count;
} ops_rules_bucket;

typedef struct ops_rules_hist {
    int32_t schema;
    ops_rules_hint hint;
    double count, sum, zero_threshold, zero_count;
    const ops_rules_bucket *pos, *neg; /* ascending by index; empty ones may be among them */
    size_t pos_n, neg_n;
    const double *bounds;
    size_t bound_n;
} ops_rules_hist;

static inline bool ops_rules_hist_custom(const ops_rules_hist *h)
{
    return h->schema == OPS_RULES_HIST_CUSTOM;
}

/* All of it copied; NULL: the arena is full. */
const ops_rules_hist *ops_rules_hist_copy(ops_arena *a, const ops_rules_hist *h);
/* Without its empty buckets. */
const ops_rules_hist *ops_rules_hist_compact(ops_arena *a, const ops_rules_hist *h);
/* Bytes of one allocation that holds a copy, and that copy made in it. */
size_t ops_rules_hist_bytes(const ops_rules_hist *h);
const ops_rules_hist *ops_rules_hist_put(void *room, const ops_rules_hist *h);
/* Bit for bit, hints aside. */
bool ops_rules_hist_eq(const ops_rules_hist *a, const ops_rules_hist *b);

/* As tests write it: {{schema:1 sum:2 count:3 buckets:[1 2]}}; *ret_used bytes of `text`. OPS_EINVAL says what is wrong. */
OPS_MUST_USE ops_status ops_rules_hist_parse(ops_slice text, ops_arena *a, const ops_rules_hist **ret,
                                             size_t *ret_used, ops_err *reterr);
/* For people: {count:3, sum:2, (0.5,1]:1, (1,2]:2}. */
void ops_rules_hist_print(const ops_rules_hist *h, ops_strbuf *out);

/* a + sign * b, at the coarser of both resolutions and with one zero bucket for both. OPS_EINVAL: their bounds do not fit each other. */
OPS_MUST_USE ops_status ops_rules_hist_add(ops_arena *a, const ops_rules_hist *x, const ops_rules_hist *y,
                                           double sign, const ops_rules_hist **ret);

#endif
