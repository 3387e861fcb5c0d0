/* Matchers over the labels of a finding, as Alertmanager writes them: name="value", name!="value", name=~"regex",
 * name!~"regex"; the quotes may be left out. A label that is not there is the empty string. Regexes are PCRE2, match the whole
 * value, and are bounded: one that meets its limit matches nothing, with =~ and with !~ alike, so that it silences nothing.
 *
 * Labels: finding, tenant, service (the first one), kind, severity, alertname ("opsd" but for alerts that came in), and an alert's own
 * labels where these names are not taken. */
#ifndef OPS_SILENCE_MATCHER_H
#define OPS_SILENCE_MATCHER_H

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "proto/ops/v1/finding.pb-c.h"

enum { OPS_MATCHERS_MAX = 16, OPS_MATCHER_BYTES_MAX = 1024 };

typedef struct ops_matchers ops_matchers;
/* OPS_EINVAL names the matcher and what is wrong; also without any, and when all of them match a finding without labels. */
OPS_MUST_USE ops_status ops_matchers_new(const ops_slice *texts, size_t count, ops_matchers **ret,
                                         ops_err *reterr);
void ops_matchers_free(ops_matchers *m);
OPS_AUTO_DEFINE(ops_matchers, ops_matchers_free)
/* All of them. @thread one at a time each */
bool ops_matchers_match(const ops_matchers *m, const Ops__V1__Finding *f);

/* False when a matcher of the label "tenant" excludes this one. */
bool ops_matchers_may_concern(const ops_matchers *m, ops_slice tenant);

/* The value of a label, in `buf` or in the finding. */
ops_slice ops_finding_label(const Ops__V1__Finding *f, ops_slice name, char buf[64]);

#endif
