/* The filter of findings: terms joined by AND (or by nothing): state=open, severity>=warning, kind=silent,
 * service=NAME, since=RFC3339, until=RFC3339. Private to coordinator/api. */
#ifndef OPS_API_FILTER_H
#define OPS_API_FILTER_H

#include "base/status/status.h"
#include "proto/ops/v1/finding.pb-c.h"

typedef struct api_filter {
    int state, kind; /* 0: any */
    int severity_min, severity_max;
    char service[256];
    int64_t since_ns, until_ns; /* of the last event; 0: open */
} api_filter;

/* OPS_EINVAL names the term. */
OPS_MUST_USE ops_status api_filter_parse(const char *text, api_filter *ret, ops_err *reterr);
bool api_filter_match(const api_filter *f, const Ops__V1__Finding *m);

#endif
