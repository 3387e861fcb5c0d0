/* A rule file of Prometheus: groups of recording and alert rules. @thread one owner. */
#ifndef OPS_RULESET_RULEFILE_H
#define OPS_RULESET_RULEFILE_H

#include "coordinator/analysis/rules/group.h"

enum { OPS_RULESET_GROUPS_MAX = 1000 };

typedef struct ops_rulefile ops_rulefile;

/* `name` is for messages: "NAME:LINE: what is wrong". Any bytes may be handed in. `interval_ms` is for groups that say none. */
OPS_MUST_USE ops_status ops_rulefile_parse(ops_slice yaml, const char *name, int64_t interval_ms,
                                           ops_rulefile **ret, ops_err *reterr);
void ops_rulefile_free(ops_rulefile *f);
OPS_AUTO_DEFINE(ops_rulefile, ops_rulefile_free)
size_t ops_rulefile_count(const ops_rulefile *f);
ops_rules_group *ops_rulefile_group(ops_rulefile *f, size_t i);
/* Where rule `rule` of group `i` begins. */
unsigned long ops_rulefile_line(const ops_rulefile *f, size_t i, size_t rule);

#endif
