/* The tenants' owner: takes candidates out of the outbox, keeps each tenant's finding book, writes findings.
 *
 * One thread for all tenants. A turn takes a bounded stretch of the outbox, and commits, tenant by tenant, the book's state, the
 * findings that changed and the effects taken as one synced batch. A batch that can not be written is forgotten
 * together with the book, which is read again from the store: nothing is taken out of the outbox that did not count.
 * With `notices` that batch also holds one notice per state change: the finding as it then stood, encoded. */
#ifndef OPS_SHARD_FINDER_H
#define OPS_SHARD_FINDER_H

#include "base/time/clock.h"
#include "coordinator/analysis/finding/book.h"
#include "coordinator/shard/finding_codec.h"
#include "coordinator/shard/ledger.h"
#include "storage/repo/repo.h"

typedef struct ops_finder ops_finder;

typedef struct ops_finder_conf {
    ops_repo *repo; /* this and the next ones are borrowed */
    ops_ledger *ledger;
    ops_clock *clock;          /* NULL: the system's */
    ops_finding_limits limits; /* tenant, on_change and u are not looked at */
    uint32_t partitions;
    bool notices;            /* write a notice whenever a finding opens, closes or changes its severity */
    bool rule_notices;       /* of what operators' own rules fire, whatever `notices` says */
    size_t alerts_open_max;  /* of a tenant, default 1,000 */
    int64_t alerts_stale_ns; /* an alert not heard of for so long is closed; 0: never */
    size_t tenants_max; /* books in memory, default 64; candidates of further tenants wait in the outbox */
    /* Newest event time known, or INT64_MIN: findings close by it. @thread the finder's */
    int64_t (*event_ns)(void *u);
    /* Findings were written; `revision` is the newest. Must not block. @thread the finder's */
    void (*on_findings)(void *u, uint64_t revision);
    void *u;
} ops_finder_conf;

OPS_MUST_USE ops_status ops_finder_new(const ops_finder_conf *conf, ops_finder **ret, ops_err *reterr);
OPS_MUST_USE ops_status ops_finder_start(ops_finder *f, ops_err *reterr);
/* Takes one last turn, so that what owners committed before is shown. Idempotent. */
void ops_finder_stop(ops_finder *f);
void ops_finder_free(ops_finder *f);
OPS_AUTO_DEFINE(ops_finder, ops_finder_free)

/* There are new effects. Never blocks. @thread any */
void ops_finder_wake(ops_finder *f);

/* The meaning of a template, from a worker; copied. OPS_EAGAIN: too many wait. @thread any */
OPS_MUST_USE ops_status ops_finder_vector(ops_finder *f, ops_slice tenant, uint64_t template_id,
                                          const float *v, size_t dim, ops_err *reterr);
/* Has the tenant's book the meaning of this template, from before? Only before ops_finder_start(). A tenant that can not be
 * opened has none. */
bool ops_finder_has_vector(ops_finder *f, ops_slice tenant, uint64_t template_id);

/* Waits until it is written. OPS_ENOTFOUND, OPS_EAGAIN too many wait, OPS_ETIMEOUT. @thread any but the finder's */
OPS_MUST_USE ops_status ops_finder_feedback(ops_finder *f, ops_slice tenant, ops_slice id,
                                            const ops_finding_feedback *fb, ops_err *reterr);

/* Alerts from another system, encoded; copied. Those known by their id go on in what is known of them: what repeats is written
 * at most once a minute, what ended closes, what fires again opens again. */
typedef struct ops_finder_alert {
    char id[OPS_FINDING_ID_LEN + 1];
    bool firing;
    ops_slice body; /* ops.v1.Finding of kind ALERT, its state as `firing` says */
    ops_slice
        own_id; /* of a finding or an incident, when the alert says that it tells of one of ours; then nothing is written */
} ops_finder_alert;
typedef struct ops_finder_alerts_answer {
    ops_status st; /* OPS_EAGAIN: open alerts are at their bound; only those that are new were not taken */
    const char *message; /* when st is not OPS_OK */
    uint32_t opened, repeated, resolved, unknown /* ended before they were heard of */, own, full;
} ops_finder_alerts_answer;
typedef void (*ops_finder_alerts_fn)(void *u, const ops_finder_alerts_answer *a);
/* `done` comes exactly once after OPS_OK, when all is durable. OPS_EAGAIN: too many wait. @thread any; done: the finder's */
OPS_MUST_USE ops_status ops_finder_alerts(ops_finder *f, ops_slice tenant, const ops_finder_alert *alerts,
                                          size_t count, ops_finder_alerts_fn done, void *du, ops_err *reterr);

/* What a group of rules amounts to: all that fires now (bodies of kind RULE, ids that begin with "r-", fingerprints that begin with the
 * group's id), and the states of its alerts, opaque here; empty: there are none any more. What the group had open and does not
 * tell of any more closes. States, findings and notices are one write. `done` as above; `full` counts what would be open beyond the
 * bound that these share with alerts from elsewhere. */
OPS_MUST_USE ops_status ops_finder_rules(ops_finder *f, ops_slice tenant, ops_slice group,
                                         const ops_finder_alert *firing, size_t count, ops_slice state,
                                         ops_finder_alerts_fn done, void *du, ops_err *reterr);
/* The states as they were written last. @thread any */
OPS_MUST_USE ops_status ops_finder_rule_states(ops_repo *repo, ops_slice tenant,
                                               void (*fn)(void *u, ops_slice group, ops_slice state), void *u,
                                               ops_err *reterr);

#endif
