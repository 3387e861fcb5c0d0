/* Alerts of another system's Alertmanager: its webhook's JSON (version "4",
 * https://prometheus.io/docs/alerting/latest/configuration/#webhook_config) into findings of kind ALERT.
 *
 * The bytes are anybody's: what is not of this form is refused as a whole, by place and reason ("alerts[3].labels.job: ..."),
 * and nothing of an alert is ever more than text. Texts go through redaction before they are encoded. Pure. @thread any */
#ifndef OPS_ALERT_ALERT_H
#define OPS_ALERT_ALERT_H

#include "base/mem/arena.h"
#include "base/status/status.h"
#include "base/text/strbuf.h"
#include "coordinator/redact/redact.h"

enum {
    OPS_ALERT_BODY_MAX = 4 << 20,
    OPS_ALERT_DEPTH_MAX = 16,
    OPS_ALERT_TREE_MAX = 64 << 20, /* estimated bytes of the parsed body */
    OPS_ALERT_COUNT_MAX = 1000,    /* alerts of a body */
    OPS_ALERT_PAIRS_MAX = 64,      /* labels, and as many annotations */
    OPS_ALERT_NAME_MAX = 256,
    OPS_ALERT_LABEL_MAX = 2048,      /* a longer value is refused */
    OPS_ALERT_ANNOTATION_MAX = 4096, /* a longer one is cut between characters */
    OPS_ALERT_ID_LEN = 18            /* "a-" or "r-", and 16 hex digits */
};

typedef struct ops_alert_pair {
    ops_slice name, value; /* UTF-8, no NUL */
} ops_alert_pair;

/* Borrowed until the callback returns. */
typedef struct ops_alert {
    bool firing;
    bool own;              /* of a rule that opsd evaluates: kind RULE, and an id that begins with "r-" */
    ops_slice fingerprint; /* 1..OPS_ALERT_NAME_MAX bytes; names the label set */
    int64_t start_ns;      /* Unix */
    int64_t end_ns;        /* of a resolved one; 0: the sender gave none */
    ops_alert_pair labels[OPS_ALERT_PAIRS_MAX], annotations[OPS_ALERT_PAIRS_MAX];
    size_t label_count, annotation_count;
} ops_alert;

typedef ops_status (*ops_alert_fn)(void *u, const ops_alert *a, ops_err *reterr);
/* Checks all of the body first, then calls fn per alert, in order; a failure of fn ends the walk and is returned. *ret_truncated
 * (may be NULL): alerts that the sender left out. OPS_EINVAL, OPS_ETOOBIG: the body; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_alert_decode(ops_slice body, ops_alert_fn fn, void *u, uint64_t *ret_truncated,
                                         ops_err *reterr);

/* The value of a label, of an annotation; .p NULL without it. */
ops_slice ops_alert_label(const ops_alert *a, ops_slice name);
ops_slice ops_alert_annotation(const ops_alert *a, ops_slice name);
/* Same tenant, fingerprint and start: the same alert. */
void ops_alert_id(ops_slice tenant, const ops_alert *a, char ret[OPS_ALERT_ID_LEN + 1]);
/* The alert as an ops.v1.Finding, appended to `out` (check nothing but the status). Severity comes from the label of that name,
 * the service from "service", "service_name", "job" or "app", the summary from the annotation of that name, else from the
 * alert's name. `redactor` NULL: nothing is redacted. `arena` is cleared. */
OPS_MUST_USE ops_status ops_alert_encode(const ops_alert *a, ops_slice tenant, int64_t now_ns,
                                         const ops_redactor *redactor, ops_redact_scratch *scratch,
                                         ops_arena *arena, ops_strbuf *out, ops_err *reterr);

#endif
