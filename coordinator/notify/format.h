/* Bodies for receivers. Times are RFC 3339, UTC, milliseconds. Texts of findings are redacted already; they are cut, and
 * escaped for where they go. Pure.
 *
 * Alertmanager (api/v2 postAlerts): labels alertname="opsd", finding, service, severity, tenant, which stay the same while an
 * alert fires; annotations summary, description, kind, services, evidence; generatorURL where a link is configured. What a rule of
 * opsd's own fired goes as Prometheus would send it: the alert's labels and annotations, the label tenant and the annotation finding
 * added where they are not there.
 *
 * Of an incident (kind INCIDENT) the label is "incident" in place of "finding", and there is an annotation "cause".
 *
 * Webhook, one state change a request:
 *   {"version": "1", "receiver": "pager", "number": 17, "dedupe_key": "tenant/f-0123456789abcdef", "status": "firing" or
 *    "resolved", "time": "...", "link": "...", "finding": {"id", "tenant", "kind", "severity", "state", "version", "services": [],
 *    "summary", "words", "start_time", "last_time", "statistic": {"name", "value", "expected_low", "expected_high", "p_value",
 *    "score"}, "evidence": [{"service", "time", "text", "template"}], "labels": {}, "annotations": {}}}
 * Of an incident, "incident" stands in place of "finding", with "cause" and without "statistic".
 * `number` grows with every state change of the installation; the same number again is the same change told twice.
 * Headers: X-Opsd-Dedupe: the key, a blank and the number; with a secret X-Opsd-Timestamp: Unix seconds, and X-Opsd-Signature:
 * "sha256=" and the hexadecimal HMAC-SHA-256 over timestamp, ".", body.
 *
 * Slack-compatible: {"text", "attachments": [{"color", "title", "title_link", "text", "fallback", "fields"}]}; what could call
 * people or make links out of a log line (&, <, >) is escaped as Slack asks. */
#ifndef OPS_NOTIFY_FORMAT_H
#define OPS_NOTIFY_FORMAT_H

#include "base/text/strbuf.h"
#include "proto/ops/v1/finding.pb-c.h"

/* One state change, or, for Alertmanager, an alert that goes on. */
typedef struct ops_notify_item {
    const Ops__V1__Finding *f;
    uint64_t number;
    int64_t time_ns; /* when it was decided, wall time */
    int64_t end_ns;  /* Alertmanager: endsAt, past when resolved */
} ops_notify_item;

/* `link`: what comes before "/incidents/ID" and "/findings/ID"; "" for no links. Check out->failed. */
void ops_notify_format_alertmanager(const ops_notify_item *items, size_t count, const char *link,
                                    ops_strbuf *out);
void ops_notify_format_webhook(const ops_notify_item *item, const char *receiver, const char *link,
                               ops_strbuf *out);
void ops_notify_format_slack(const ops_notify_item *item, const char *link, ops_strbuf *out);
bool ops_notify_ended(const Ops__V1__Finding *f);
/* The value of one of its labels; "": it has none. */
const char *ops_notify_label(const Ops__V1__Finding *f, const char *name);

#endif
