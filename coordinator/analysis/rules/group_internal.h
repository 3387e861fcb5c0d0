/* The state of a group. Private to the room. */
#ifndef OPS_RULES_GROUP_INTERNAL_H
#define OPS_RULES_GROUP_INTERNAL_H

#include "base/coll/vec.h"
#include "coordinator/analysis/rules/group.h"

typedef struct rules_active {
    ops_arena arena; /* its labels; annotations are replaced at every evaluation */
    ops_arena texts;
    ops_rules_alert a;
    bool seen; /* in this evaluation */
} rules_active;

typedef struct rules_rule {
    ops_slice name, expr;
    bool alerts;
    int64_t for_ms, keep_ms;
    ops_rules_label *labels, *annotations;
    size_t label_n, annotation_n;
    ops_rules_query *query;
    OPS_VEC(rules_active *) active;
    ops_arena made[2]; /* series made by this evaluation and by the one before */
    OPS_VEC(const ops_rules_labels *) made_labels[2];
    unsigned turn;
} rules_rule;

struct ops_rules_group {
    ops_arena arena; /* texts */
    ops_slice name;
    int64_t interval_ms;
    size_t limit;
    rules_rule *rules;
    size_t n;
};

rules_active *rules_active_new(const ops_rules_labels *labels);
void rules_active_free(rules_active *x);

#endif
