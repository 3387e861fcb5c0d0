/* The filter of findings and of incidents: terms joined by AND (or by nothing): state=open, severity>=warning, kind=silent (of
 * findings), service=NAME, since=RFC3339, until=RFC3339. Private to coordinator/api. */
#ifndef OPS_API_FILTER_H
#define OPS_API_FILTER_H

#include "base/status/status.h"
#include "proto/ops/v1/finding.pb-c.h"
#include "proto/ops/v1/incident.pb-c.h"

typedef struct api_filter {
    int state, kind; /* 0: any */
    int severity_min, severity_max;
    char service[256];
    int64_t since_ns, until_ns; /* of the last event; 0: open */
} api_filter;

/* What the terms of one kind of thing may say. */
typedef struct api_filter_words {
    const ProtobufCEnumDescriptor *state;
    const char *state_prefix, *states; /* "STATE_", "open or closed" */
    bool kinds;                        /* it has a FindingKind */
} api_filter_words;

/* OPS_EINVAL names the term. */
OPS_MUST_USE ops_status api_filter_parse(const char *text, const api_filter_words *words, api_filter *ret,
                                         ops_err *reterr);
bool api_filter_finding(const api_filter *f, const Ops__V1__Finding *m);
bool api_filter_incident(const api_filter *f, const Ops__V1__Incident *m);

#endif
