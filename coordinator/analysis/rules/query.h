/* PromQL: an expression, and what it is at one instant or over a range. Semantics are those of Prometheus 3 (ranges and
 * the lookback are open on the left); what is not taken is refused by its name and place.
 *
 * Native histograms are values beside numbers (hist.h). Not taken: info(), `anchored` and `smoothed`, functions of durations, and what came
 * after Prometheus 3.5. Annotations (warnings, infos) are not made: what they go with has no result, as there.
 *
 * @thread a query may be asked by one thread at a time. */
#ifndef OPS_RULES_QUERY_H
#define OPS_RULES_QUERY_H

#include "base/mem/auto.h"
#include "coordinator/analysis/rules/source.h"

enum { OPS_RULES_EXPR_BYTES_MAX = 64 * 1024, OPS_RULES_DEPTH_MAX = 100, OPS_RULES_NODES_MAX = 8192 };

typedef enum ops_rules_type {
    OPS_RULES_SCALAR,
    OPS_RULES_VECTOR,
    OPS_RULES_MATRIX,
    OPS_RULES_STRING
} ops_rules_type;

typedef struct ops_rules_query ops_rules_query;
typedef struct ops_rules_result ops_rules_result;

typedef struct ops_rules_limits {
    int64_t lookback_ms;     /* 0: 5 min */
    int64_t default_step_ms; /* of a subquery that names none; 0: 1 min */
    uint64_t samples_max;    /* read, over all steps; 0: 50,000,000 */
    uint64_t evals_max;      /* nodes evaluated, over all steps; 0: 50,000,000 */
    size_t steps_max;        /* of a range; 0: 11,000 */
    size_t series_max;       /* of any vector; 0: 200,000 */
    size_t bytes_max;        /* of each of two working arenas; 0: 256 MiB */
    bool
        late_names; /* the metric's name is dropped at the end (Prometheus' delayed name removal), not at once */
    bool type_and_unit; /* __type__ and __unit__ go with the name (Prometheus' type-and-unit-labels) */
} ops_rules_limits;

/* `regex` must outlive the query. OPS_EINVAL: not PromQL; OPS_EUNIMPL: PromQL that is not taken. Both with "LINE:COLUMN: ". */
OPS_MUST_USE ops_status ops_rules_query_parse(ops_slice text, const ops_rules_regex *regex,
                                              ops_rules_query **ret, ops_err *reterr);
void ops_rules_query_free(ops_rules_query *q);
OPS_AUTO_DEFINE(ops_rules_query, ops_rules_query_free)
ops_rules_type ops_rules_query_type(const ops_rules_query *q);
/* How far before the instant asked for (ms) samples are looked at; INT64_MAX when `@` names a time of its own. */
int64_t ops_rules_query_reach_ms(const ops_rules_query *q, const ops_rules_limits *limits);
/* The matchers of each of its selectors, in the order of the text; borrowed from the query. */
void ops_rules_query_selectors(const ops_rules_query *q,
                               void (*fn)(void *u, const ops_rules_matcher *m, size_t n), void *u);

/* `limits` may be NULL. OPS_ETOOBIG names the limit; OPS_EINVAL what the data make impossible (many-to-many matching). */
OPS_MUST_USE ops_status ops_rules_query_instant(ops_rules_query *q, const ops_rules_source *source,
                                                const ops_rules_limits *limits, int64_t t_ms,
                                                ops_rules_result **ret, ops_err *reterr);
/* The expression must be a scalar or a vector. */
OPS_MUST_USE ops_status ops_rules_query_range(ops_rules_query *q, const ops_rules_source *source,
                                              const ops_rules_limits *limits, int64_t from_ms, int64_t to_ms,
                                              int64_t step_ms, ops_rules_result **ret, ops_err *reterr);

void ops_rules_result_free(ops_rules_result *r);
OPS_AUTO_DEFINE(ops_rules_result, ops_rules_result_free)
ops_rules_type ops_rules_result_type(const ops_rules_result *r); /* of a range: MATRIX */
/* Vectors have one sample a series; a scalar is one series without labels. */
const ops_rules_series *ops_rules_result_series(const ops_rules_result *r, size_t *ret_n);
ops_slice ops_rules_result_string(const ops_rules_result *r);

/* A number as Prometheus prints it (shortest decimal that reads back the same, no exponent when `plain`). */
void ops_rules_number(double v, bool plain, ops_strbuf *out);
/* "1h30m", "90", "1.5" to milliseconds; false when it is none. */
bool ops_rules_duration(ops_slice s, int64_t *ret_ms);

#endif
