/* What the files of aggregations share. Private to the room. */
#ifndef OPS_RULES_AGGREGATE_INTERNAL_H
#define OPS_RULES_AGGREGATE_INTERNAL_H

#include "coordinator/analysis/rules/eval.h"

typedef struct rules_group {
    const ops_rules_labels *labels;
    bool drop;
    size_t from, n; /* its elements, after sorting by group */
} rules_group;

/* How many: a number that fits. */
ops_status rules_agg_check_k(rules_eval *e, const rules_node *n, double k);
ops_status rules_agg_limit(rules_eval *e, const rules_node *n, const rules_value *v, const rules_group *g,
                           size_t groups, double p, rules_value *ret);

#endif
