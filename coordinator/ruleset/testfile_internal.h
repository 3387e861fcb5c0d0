/* A test file as read. Private to the room. */
#ifndef OPS_RULESET_TESTFILE_INTERNAL_H
#define OPS_RULESET_TESTFILE_INTERNAL_H

#include "base/coll/vec.h"
#include "coordinator/analysis/rules/series.h"
#include "coordinator/ruleset/testfile.h"
#include "coordinator/ruleset/yaml_internal.h"

typedef struct ruletest_series {
    const ops_rules_labels *labels;
    ops_rules_series_value *v;
    size_t n;
} ruletest_series;

typedef struct ruletest_sample {
    const ops_rules_labels *labels, *annotations; /* annotations: of alerts */
    double value;
    const ops_rules_hist *h; /* without empty buckets; NULL: a number */
} ruletest_sample;

/* A check: of an expression, or of an alert. */
typedef struct ruletest_check {
    bool alert;
    ops_slice text; /* expression, or alertname */
    int64_t at_ms;
    unsigned long line;
    OPS_VEC(ruletest_sample) want;
} ruletest_check;

typedef struct ruletest {
    ops_slice name;
    unsigned long line;
    int64_t interval_ms;
    const ops_rules_labels *external;
    OPS_VEC(ruletest_series) series;
    OPS_VEC(ruletest_check) checks;
} ruletest;

typedef OPS_VEC(ops_slice) ruletest_texts;

typedef struct ruletest_file {
    int64_t interval_ms;
    bool fuzzy;
    ruletest_texts rule_files, order;
    OPS_VEC(ruletest) tests;
} ruletest_file;

ops_status ruletest_read(ruletest_file *f, ops_slice yaml, const char *name, ops_arena *arena,
                         ops_err *reterr);
void ruletest_done(ruletest_file *f);

#endif
