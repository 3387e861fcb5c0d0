/* The part of Go's text/template that labels and annotations of alert rules use: {{ $labels.x }}, {{ .Labels.x }}, {{ $value }},
 * {{ .Value }}, {{ $externalLabels.x }}, strings and numbers, pipes, printf with %s %v %q %f %g %e %d, humanize, humanize1024,
 * humanizeDuration, humanizePercentage, humanizeTimestamp, toUpper, toLower, title; {{- and -}} take blanks away.
 * Everything else (if, range, query, variables...) is refused by name. @thread any */
#ifndef OPS_RULES_TEMPLATE_H
#define OPS_RULES_TEMPLATE_H

#include "coordinator/analysis/rules/labels.h"

enum { OPS_RULES_TEMPLATE_BYTES_MAX = 64 * 1024 };

typedef struct ops_rules_template_data {
    const ops_rules_labels *labels, *external; /* external may be NULL */
    double value;
} ops_rules_template_data;

/* OPS_EINVAL: no template; OPS_EUNIMPL: one that is not taken. */
OPS_MUST_USE ops_status ops_rules_template_check(ops_slice text, ops_err *reterr);
/* Appends the text; OPS_EINVAL also where a value does not fit (humanize of a label that is no number). */
OPS_MUST_USE ops_status ops_rules_template_expand(ops_slice text, const ops_rules_template_data *d,
                                                  ops_strbuf *out, ops_err *reterr);

#endif
