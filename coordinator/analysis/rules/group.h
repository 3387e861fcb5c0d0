/* Groups of recording and alert rules, evaluated instant by instant: the caller brings the time and the samples, and takes what comes
 * out. States and their turns are Prometheus': a result makes an alert pending, `for` later it fires; without a result a pending one is
 * forgotten, a firing one is resolved, after keep_firing_for if that is set; resolved ones are kept 15 minutes.
 *
 * @thread one owner. */
#ifndef OPS_RULES_GROUP_H
#define OPS_RULES_GROUP_H

#include "coordinator/analysis/rules/query.h"

enum {
    OPS_RULES_RULES_MAX = 1000,
    OPS_RULES_ALERTS_MAX = 10000,
    OPS_RULES_RESOLVED_KEPT_MS = 15 * 60 * 1000
};

typedef struct ops_rules_rule_def {
    ops_slice record, alert; /* one of them */
    ops_slice expr;
    int64_t for_ms, keep_ms;
    const ops_rules_label *labels, *annotations;
    size_t label_n, annotation_n;
} ops_rules_rule_def;

typedef struct ops_rules_group ops_rules_group;

/* Texts are copied. On failure *ret_rule (may be NULL) is the number of the rule at fault. */
OPS_MUST_USE ops_status ops_rules_group_new(ops_slice name, int64_t interval_ms, size_t limit,
                                            const ops_rules_rule_def *defs, size_t n,
                                            const ops_rules_regex *regex, ops_rules_group **ret,
                                            size_t *ret_rule, ops_err *reterr);
void ops_rules_group_free(ops_rules_group *g);
OPS_AUTO_DEFINE(ops_rules_group, ops_rules_group_free)
ops_slice ops_rules_group_name(const ops_rules_group *g);
int64_t ops_rules_group_interval_ms(const ops_rules_group *g); /* 0: not said */
size_t ops_rules_group_rules(const ops_rules_group *g, size_t *ret_alerts);

typedef struct ops_rules_rule_info {
    ops_slice name, expr;
    bool alerts; /* false: it records */
    int64_t for_ms, keep_ms;
    const ops_rules_query *query;
    const ops_rules_label *labels, *annotations; /* templates, of alerts */
    size_t label_n, annotation_n;
} ops_rules_rule_info;
/* Rule `i` of the group; borrowed from it. */
void ops_rules_group_rule(const ops_rules_group *g, size_t i, ops_rules_rule_info *ret);

typedef enum ops_rules_state { OPS_RULES_INACTIVE, OPS_RULES_PENDING, OPS_RULES_FIRING } ops_rules_state;

typedef struct ops_rules_alert {
    const ops_rules_labels *labels; /* alertname among them */
    const ops_rules_labels *annotations;
    ops_rules_state state; /* inactive: resolved */
    double value;
    int64_t active_ms, fired_ms, resolved_ms, keep_since_ms; /* INT64_MIN: not (yet) */
} ops_rules_alert;

typedef struct ops_rules_sink {
    /* A sample that a rule made (recorded, ALERTS, ALERTS_FOR_STATE, or the stale mark of one that it makes no longer). */
    OPS_MUST_USE ops_status (*sample)(void *u, const ops_rules_labels *labels, const ops_rules_sample *s,
                                      ops_err *reterr);
    /* Rule `number` of the group failed; the others go on. */
    void (*failed)(void *u, size_t number, const ops_err *err);
    void *u;
} ops_rules_sink;

typedef struct ops_rules_context {
    const ops_rules_source *source;
    const ops_rules_limits *limits;   /* may be NULL */
    const ops_rules_labels *external; /* may be NULL */
} ops_rules_context;

/* Rules in order; what one records the next ones see, when the sink puts it into the source. */
OPS_MUST_USE ops_status ops_rules_group_eval(ops_rules_group *g, const ops_rules_context *c, int64_t t_ms,
                                             const ops_rules_sink *sink, ops_err *reterr);
/* Alerts of all rules of this name, pending, firing or lately resolved. */
void ops_rules_group_alerts(const ops_rules_group *g, ops_slice alert_name,
                            void (*fn)(void *u, const ops_rules_alert *a), void *u);

/* The same of rule `i`. */
void ops_rules_group_rule_alerts(const ops_rules_group *g, size_t i,
                                 void (*fn)(void *u, const ops_rules_alert *a), void *u);

/* States of all alerts as bytes, and back into a group of the same rules. Rules are known by name and expression: a rule that changed
 * starts anew. OPS_ECORRUPT: the bytes are no states; the group is as before. */
OPS_MUST_USE ops_status ops_rules_group_save(const ops_rules_group *g, ops_strbuf *out);
OPS_MUST_USE ops_status ops_rules_group_load(ops_rules_group *g, ops_slice bytes, ops_err *reterr);

#endif
