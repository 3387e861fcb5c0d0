/* Where samples come from and how regexes match: ports, because this room has neither storage nor a regex library.
 * Times are milliseconds since 1970 (may be negative). */
#ifndef OPS_RULES_SOURCE_H
#define OPS_RULES_SOURCE_H

#include <string.h>

#include "coordinator/analysis/rules/hist.h"
#include "coordinator/analysis/rules/labels.h"

/* The mark that ends a series (Prometheus, model/value: the bit pattern of a NaN). */
#define OPS_RULES_STALE_BITS 0x7ff0000000000002ull

static inline uint64_t ops_rules_bits(double v)
{
    uint64_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}
static inline double ops_rules_of_bits(uint64_t b)
{
    double v;
    memcpy(&v, &b, sizeof v);
    return v;
}
static inline bool ops_rules_is_stale(double v)
{
    return ops_rules_bits(v) == OPS_RULES_STALE_BITS;
}

typedef struct ops_rules_sample {
    int64_t t_ms;
    double v;
    const ops_rules_hist *h; /* not NULL: the sample is this histogram, and v says nothing */
} ops_rules_sample;

typedef struct ops_rules_series {
    const ops_rules_labels *labels;
    const ops_rules_sample *v; /* in order of time, times differ */
    size_t n;
} ops_rules_series;

enum { OPS_RULES_GROUPS_MAX = 32 };
/* A regex of Prometheus (RE2): the whole text must match, `.` matches a newline too. */
typedef struct ops_rules_regex {
    OPS_MUST_USE ops_status (*compile)(void *u, ops_slice pattern, void **ret, ops_err *reterr);
    /* ret_groups (may be NULL) takes OPS_RULES_GROUPS_MAX slices, [0] is the whole; those that did not match have p NULL. */
    OPS_MUST_USE ops_status (*match)(void *u, void *re, ops_slice text, bool *ret, ops_slice *ret_groups,
                                     ops_err *reterr);
    int (*group)(void *u, void *re, ops_slice name); /* number of a named group, -1 */
    void (*free)(void *u, void *re);
    void *u;
} ops_rules_regex;

typedef enum ops_rules_op { OPS_RULES_EQ, OPS_RULES_NE, OPS_RULES_RE, OPS_RULES_NRE } ops_rules_op;
typedef struct ops_rules_matcher {
    ops_rules_op op;
    ops_slice name, value;
    void *re; /* compiled; of the two regex operators */
} ops_rules_matcher;

/* Does the set match all? A label that is absent reads as "". */
OPS_MUST_USE ops_status ops_rules_match(const ops_rules_regex *regex, const ops_rules_matcher *m, size_t n,
                                        const ops_rules_labels *l, bool *ret, ops_err *reterr);

typedef struct ops_rules_source {
    /* Series with all matchers and their samples with from_ms <= t <= to_ms, stale marks among them; series without a sample
     * there may be left out. Labels and samples stay valid while `a` does. OPS_ETOOBIG: more than samples_max. */
    OPS_MUST_USE ops_status (*select)(void *u, const ops_rules_matcher *m, size_t n, int64_t from_ms,
                                      int64_t to_ms, uint64_t samples_max, ops_arena *a,
                                      ops_rules_series **ret, size_t *ret_n, ops_err *reterr);
    void *u;
} ops_rules_source;

#endif
