/* What the API asks of the rest of the coordinator; the daemon fills it in, tests use fakes.
 *
 * Rows are handed over as messages whose fields are borrowed until the callback returns; false from it ends the walk.
 * Calls may wait for the disk: they come from the API's own threads, never from the transport's. */
#ifndef OPS_API_PORTS_H
#define OPS_API_PORTS_H

#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"
#include "proto/ops/v1/cluster.pb-c.h"
#include "proto/ops/v1/finding.pb-c.h"
#include "proto/ops/v1/incident.pb-c.h"
#include "proto/ops/v1/silence.pb-c.h"

/* `body`: ops.v1.Finding, or ops.v1.Incident, its revision left 0. */
typedef bool (*ops_api_finding_fn)(void *u, ops_slice tenant, uint64_t revision, ops_slice body);

typedef struct ops_api_feedback {
    ops_slice tenant, id, author, comment;
    int verdict;
} ops_api_feedback;

typedef enum ops_api_incident_act_kind {
    OPS_API_ACKNOWLEDGE,
    OPS_API_RESOLVE,
    OPS_API_REOPEN,
    OPS_API_MERGE,
    OPS_API_SPLIT,
    OPS_API_SAY
} ops_api_incident_act_kind;

typedef struct ops_api_incident_act {
    ops_api_incident_act_kind kind;
    ops_slice tenant, who, id, comment, request_id;
    ops_slice other;           /* of a merge */
    const ops_slice *findings; /* of a split */
    size_t finding_count;
    int verdict; /* of feedback */
    ops_slice component;
} ops_api_incident_act;

typedef struct ops_api_record_query {
    ops_slice tenant, service, grep;
    int64_t since_ns, until_ns; /* 0: open */
    uint32_t severity_min;
    uint64_t template_id; /* 0: any */
    bool any_template;
    bool follow;
} ops_api_record_query;

typedef enum ops_api_template_order {
    OPS_API_TEMPLATES_BY_COUNT = 0,
    OPS_API_TEMPLATES_BY_FIRST,
    OPS_API_TEMPLATES_BY_LAST,
    OPS_API_TEMPLATES_BY_ID
} ops_api_template_order;

typedef struct ops_api_template_query {
    ops_slice tenant, contains;
    ops_api_template_order order;
    uint64_t count_min;
    uint64_t skip; /* matching rows passed over */
} ops_api_template_query;

typedef struct ops_api_series_query {
    ops_slice tenant, service, contains; /* service and contains: empty for any */
    bool buckets;
} ops_api_series_query;

typedef struct ops_api_ports {
    void *u;
    /* In order of revision, those above `after`. */
    ops_status (*findings_since)(void *u, uint64_t after, ops_api_finding_fn fn, void *fu, ops_err *reterr);
    ops_status (*finding_get)(void *u, ops_slice tenant, ops_slice id, ops_api_finding_fn fn, void *fu,
                              ops_err *reterr);
    uint64_t (*revision)(void *u);
    ops_status (*feedback)(void *u, const ops_api_feedback *fb, ops_err *reterr);
    /* As those of findings. */
    ops_status (*incidents_since)(void *u, uint64_t after, ops_api_finding_fn fn, void *fu, ops_err *reterr);
    ops_status (*incident_get)(void *u, ops_slice tenant, ops_slice id, ops_api_finding_fn fn, void *fu,
                               ops_err *reterr);
    uint64_t (*incident_revision)(void *u);
    /* Appends the id of the incident to show. A failure's message begins with the field at fault when it is OPS_EINVAL. */
    ops_status (*incident_act)(void *u, const ops_api_incident_act *act, ops_strbuf *ret_id, ops_err *reterr);
    /* Newest first, those with a number below `before` (0: all). */
    ops_status (*incident_acts)(void *u, ops_slice tenant, uint64_t before,
                                bool (*fn)(void *fu, const Ops__V1__IncidentAct *m), void *fu,
                                ops_err *reterr);
    /* Strings of *ret are static or live as long as the daemon, or stand in `why` of why_max bytes. */
    void (*status)(void *u, Ops__V1__Status *ret, char *why, size_t why_max);
    ops_status (*partitions)(void *u, bool (*fn)(void *fu, const Ops__V1__Partition *m), void *fu,
                             ops_err *reterr);
    ops_status (*workers)(void *u, bool (*fn)(void *fu, const Ops__V1__Worker *m), void *fu, ops_err *reterr);
    ops_status (*streams)(void *u, ops_slice tenant, bool (*fn)(void *fu, const Ops__V1__Stream *m), void *fu,
                          ops_err *reterr);
    ops_status (*series)(void *u, const ops_api_series_query *q,
                         bool (*fn)(void *fu, const Ops__V1__Series *m), void *fu, ops_err *reterr);
    ops_status (*rule_groups)(void *u, ops_slice tenant, bool (*fn)(void *fu, const Ops__V1__RuleGroup *m),
                              void *fu, ops_err *reterr);
    /* Those that match, in order, from the first not skipped on. *ret_lines and *ret_all are of the tenant as a whole. */
    ops_status (*templates)(void *u, const ops_api_template_query *q,
                            bool (*fn)(void *fu, const Ops__V1__Template *m), void *fu, uint64_t *ret_lines,
                            uint64_t *ret_all, ops_err *reterr);
    /* What `id` is or became. OPS_ENOTFOUND. */
    ops_status (*template_get)(void *u, ops_slice tenant, uint64_t id,
                               void (*fn)(void *fu, const Ops__V1__TemplateDetail *m), void *fu,
                               ops_err *reterr);
    /* Newest first, those with a number below `before` (0: all). */
    ops_status (*pin_changes)(void *u, uint64_t before, bool (*fn)(void *fu, const Ops__V1__PinChange *m),
                              void *fu, ops_err *reterr);
    /* Newest first, those with a number below `before` (0: all). */
    ops_status (*deadletters)(void *u, ops_slice tenant, uint64_t before,
                              bool (*fn)(void *fu, const Ops__V1__DeadLetter *m), void *fu,
                              uint64_t *ret_dropped, ops_err *reterr);
    /* May run long: fn is called for each record that matches, and with NULL now and then, so that it can end the walk. */
    ops_status (*records)(void *u, const ops_api_record_query *q,
                          bool (*fn)(void *fu, const Ops__V1__Record *m), void *fu, ops_err *reterr);
    ops_status (*check_storage)(void *u, Ops__V1__CheckStorageResponse *ret, char *damage, size_t damage_max,
                                ops_err *reterr);
    /* As coordinator/silence has them: a failure's message begins with the field at fault when it is OPS_EINVAL. */
    ops_status (*silence_create)(void *u, ops_slice tenant, ops_slice creator,
                                 const Ops__V1__CreateSilenceRequest *q,
                                 bool (*fn)(void *fu, const Ops__V1__Silence *m), void *fu, ops_err *reterr);
    ops_status (*silence_expire)(void *u, ops_slice tenant, ops_slice id,
                                 bool (*fn)(void *fu, const Ops__V1__Silence *m), void *fu, ops_err *reterr);
    ops_status (*silences)(void *u, ops_slice tenant, bool expired,
                           bool (*fn)(void *fu, const Ops__V1__Silence *m), void *fu, ops_err *reterr);
    /* Ids of what silences an open finding now, separated by blanks; false: nothing. NULL: there are no silences. */
    bool (*silenced_by)(void *u, const Ops__V1__Finding *f, ops_strbuf *ret_ids);
} ops_api_ports;

#endif
