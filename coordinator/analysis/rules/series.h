/* Series as Prometheus' tests write them: name{a="b"} 1 2+3x4 _ _x5 stale -1-2x3. */
#ifndef OPS_RULES_SERIES_H
#define OPS_RULES_SERIES_H

#include "coordinator/analysis/rules/store.h"

enum { OPS_RULES_SERIES_VALUES_MAX = 1000000 };

/* Reads name and labels at the start of `text`; *ret_used bytes of it. */
OPS_MUST_USE ops_status ops_rules_series_labels(ops_slice text, ops_arena *a, const ops_rules_labels **ret,
                                                size_t *ret_used, ops_err *reterr);
/* One value of the expanded notation: `present` false for "_". `h`: as in a sample, in the arena. */
typedef struct ops_rules_series_value {
    bool present;
    double v;
    const ops_rules_hist *h;
} ops_rules_series_value;
OPS_MUST_USE ops_status ops_rules_series_values(ops_slice text, ops_arena *a, ops_rules_series_value **ret,
                                                size_t *ret_n, ops_err *reterr);
#endif
