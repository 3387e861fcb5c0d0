/* The rules in force: files of groups, each for one tenant. Built by one thread, then handed over whole (ruler.h). */
#ifndef OPS_RULER_SET_H
#define OPS_RULER_SET_H

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum { OPS_RULER_GROUPS_MAX = 10000, OPS_RULER_TENANTS_MAX = 64 };

typedef struct ops_ruler_set ops_ruler_set;

/* `interval_ms` is for groups that say none; a rule that looks back further than `keep_max_ms` is refused. */
OPS_MUST_USE ops_status ops_ruler_set_new(int64_t interval_ms, int64_t keep_max_ms, ops_ruler_set **ret);
void ops_ruler_set_free(ops_ruler_set *s);
OPS_AUTO_DEFINE(ops_ruler_set, ops_ruler_set_free)

/* Adds a rule file's groups. A path that the tenant has already is passed over. OPS_EINVAL, OPS_EUNIMPL, OPS_ETOOBIG: with
 * "PATH:LINE: "; the set is then to be freed. */
OPS_MUST_USE ops_status ops_ruler_set_add(ops_ruler_set *s, ops_slice tenant, ops_slice yaml,
                                          const char *path, ops_err *reterr);
size_t ops_ruler_set_groups(const ops_ruler_set *s);

#endif
