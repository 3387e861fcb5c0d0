/* The tenants' owner of incidents: reads findings by revision, groups them, ranks causes, and does what people say.
 *
 * One thread for all tenants. A turn takes a bounded stretch of findings after the stored position and commits, for all
 * tenants it concerned, incidents with their timeline, what was learnt, notices, and the new position as ONE synced batch. A
 * batch that can not be written is forgotten together with everything in memory, which is read again from the store: so
 * a crash or a full disk loses and doubles nothing. What people do is a batch of its own, with its entry in the audit.
 *
 * Who belongs where is decided by coordinator/analysis/incident (`relate`, `culprit`); this room keeps, bounds and tells.
 *
 * An incident opens with a finding of at least `level_min` that is clear: of level error, from elsewhere, or so unusual that with
 * what came beside it a cause has OPS_CULPRIT_CLEAR_BITS. What is less waits, and belongs to what opens later. It resolves when all of its findings have closed for
 * `resolve_after_ns`. A finding that belongs to it and comes within `reopen_within_ns` after that opens it again. What people
 * opened again they resolve themselves. Times are event time, but those of what people do.
 *
 * Full: at `open_max` the one longest untouched is resolved to make room, and says so; at OPS_INCIDENT_FINDINGS_MAX findings
 * further ones are counted in it; of the timeline the first OPS_INCIDENT_TIMELINE_HEAD entries and the newest stay. */
#ifndef OPS_INCIDENT_CORRELATOR_H
#define OPS_INCIDENT_CORRELATOR_H

#include "base/mem/auto.h"
#include "base/text/strbuf.h"
#include "base/time/clock.h"
#include "storage/repo/repo.h"

enum {
    OPS_INCIDENT_FINDINGS_MAX = 128,
    OPS_INCIDENT_TIMELINE_MAX = 256,
    OPS_INCIDENT_TIMELINE_HEAD = 32,
    OPS_INCIDENT_FEEDBACK_MAX = 64,
    OPS_INCIDENT_SERVICES_MAX = 64,
    OPS_INCIDENT_COMMENT_MAX = 4096
};

typedef struct ops_correlator ops_correlator;

/* Zero in any number takes the default. */
typedef struct ops_correlator_conf {
    ops_repo *repo;           /* borrowed */
    ops_clock *clock;         /* NULL: the system's */
    size_t tenants_max;       /* default 64; findings of further ones make no incident, and are counted */
    size_t open_max;          /* of a tenant, default 64 */
    int level_min;            /* ops.v1.Level that opens one, default warning */
    int64_t resolve_after_ns; /* default 5 min */
    int64_t reopen_within_ns; /* default 30 min */
    bool notices;             /* write one whenever an incident opens, resolves, or gets worse */
    /* Names of the tenant's components, as far as they are known: what evidence is read for. NULL: those with findings alone.
     * @thread the correlator's */
    void (*components)(void *u, ops_slice tenant, void (*fn)(void *fu, ops_slice name), void *fu);
    /* Newest event time known, or INT64_MIN. @thread the correlator's */
    int64_t (*event_ns)(void *u);
    /* Incidents were written; `revision` is the newest. Must not block. @thread the correlator's */
    void (*on_incidents)(void *u, uint64_t revision);
    void *u;
} ops_correlator_conf;

OPS_MUST_USE ops_status ops_correlator_new(const ops_correlator_conf *conf, ops_correlator **ret,
                                           ops_err *reterr);
OPS_MUST_USE ops_status ops_correlator_start(ops_correlator *c, ops_err *reterr);
/* Takes last turns until no finding is left, so that what was found before is grouped. Idempotent. */
void ops_correlator_stop(ops_correlator *c);
void ops_correlator_free(ops_correlator *c);
OPS_AUTO_DEFINE(ops_correlator, ops_correlator_free)

/* There are new findings. Never blocks. @thread any */
void ops_correlator_wake(ops_correlator *c);

/* A stored incident as a notice of it: appended, in the shape of an ops.v1.Finding of kind INCIDENT. @thread any */
OPS_MUST_USE ops_status ops_incident_as_notice(ops_slice body, ops_strbuf *out, ops_err *reterr);

/* Spans showed a call. What was told before costs a look-up; beyond 8,192 calls, or when too much waits, it is left for another
 * time. Never blocks. @thread any */
void ops_correlator_call(ops_correlator *c, ops_slice tenant, ops_slice caller, ops_slice callee);

typedef enum ops_incident_act_kind {
    OPS_INCIDENT_ACKNOWLEDGE,
    OPS_INCIDENT_RESOLVE,
    OPS_INCIDENT_REOPEN,
    OPS_INCIDENT_MERGE, /* `other` goes into `id` */
    OPS_INCIDENT_SPLIT, /* `findings` leave `id` */
    OPS_INCIDENT_SAY,   /* feedback */
    OPS_INCIDENT_ACTS
} ops_incident_act_kind;

const char *ops_incident_act_name(ops_incident_act_kind kind);

/* Borrowed. Texts are UTF-8. */
typedef struct ops_incident_act {
    ops_incident_act_kind kind;
    ops_slice tenant, id, who, comment, request_id;
    ops_slice other;           /* of a merge */
    const ops_slice *findings; /* of a split */
    size_t finding_count;
    int verdict;         /* of feedback: ops.v1.IncidentVerdict */
    ops_slice component; /* of feedback; empty: the leading cause */
} ops_incident_act;

/* Waits until it is written; *ret_id is then the incident to show (of a split the new one). OPS_ENOTFOUND; OPS_ECONFLICT what
 * its state does not allow; OPS_EINVAL begins with the field at fault; OPS_EAGAIN too many wait; OPS_ETIMEOUT.
 * @thread any but the correlator's */
OPS_MUST_USE ops_status ops_correlator_act(ops_correlator *c, const ops_incident_act *act, ops_strbuf *ret_id,
                                           ops_err *reterr);

typedef struct ops_correlator_stats {
    uint64_t position; /* revision of the last finding taken in */
    uint64_t open, acknowledged, tenants;
    uint64_t opened, joined, reopened, resolved, left_out, refused; /* since the start */
} ops_correlator_stats;
/* @thread any */
void ops_correlator_stats_get(ops_correlator *c, ops_correlator_stats *ret);

#endif
