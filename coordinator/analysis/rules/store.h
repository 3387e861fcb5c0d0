/* Samples in memory for rules to look at: one store a tenant, bounded in series and bytes. Samples lie in chunks of 120,
 * compressed as in Pelkonen et al., "Gorilla: a fast, scalable, in-memory time series database" (VLDB 2015): the difference of
 * differences of times, and values as what changed of the bits of the one before.
 *
 * Takes samples as Prometheus' head does without an out-of-order window: within a series times rise; the last sample again with the
 * same value is no error and no sample; with another value it is refused, and so is an earlier time.
 *
 * @thread one owner; that of the evaluator that reads it. */
#ifndef OPS_RULES_STORE_H
#define OPS_RULES_STORE_H

#include "base/mem/auto.h"
#include "coordinator/analysis/rules/source.h"

typedef struct ops_rules_store ops_rules_store;

typedef struct ops_rules_store_limits {
    size_t series_max; /* 0: 1,000,000 */
    size_t bytes_max;  /* 0: 1 GiB; chunks, labels, books */
} ops_rules_store_limits;

typedef struct ops_rules_store_stats {
    size_t series, bytes;
    uint64_t samples; /* held */
    uint64_t late, duplicate, full,
        wrong; /* refused: out of order; same time, other value; a limit; labels */
} ops_rules_store_stats;

/* `limits` may be NULL. */
OPS_MUST_USE ops_status ops_rules_store_new(const ops_rules_store_limits *limits, ops_rules_store **ret);
void ops_rules_store_free(ops_rules_store *s);
OPS_AUTO_DEFINE(ops_rules_store, ops_rules_store_free)

/* Labels in any order, borrowed for the call. A value may be the stale mark. OPS_ERANGE: earlier than the last; OPS_ECONFLICT: the
 * last one's time, another value; OPS_ENOSPC: a limit; OPS_EINVAL: more than OPS_RULES_LABELS_MAX labels. */
OPS_MUST_USE ops_status ops_rules_store_append(ops_rules_store *s, const ops_rules_label *labels, size_t n,
                                               int64_t t_ms, double v);
/* The same of a histogram; copied. Whether one of a time is the same as another of that time is not looked at. */
OPS_MUST_USE ops_status ops_rules_store_append_hist(ops_rules_store *s, const ops_rules_label *labels,
                                                    size_t n, int64_t t_ms, const ops_rules_hist *h);
/* Forgets chunks that end before, and series without any left. */
void ops_rules_store_trim(ops_rules_store *s, int64_t before_ms);
void ops_rules_store_stats_get(const ops_rules_store *s, ops_rules_store_stats *ret);
/* The port over it; valid while the store and the regexes are. */
void ops_rules_store_source(ops_rules_store *s, const ops_rules_regex *regex, ops_rules_source *ret);

#endif
