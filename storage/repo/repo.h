/* What opsd knows, typed, over the key-value port: partition state with its position, the outbox between partitions and
 * tenants, tenant state and findings. One room owns the keys.
 *
 * Keys, integers big-endian:
 *   state     u32 part 'h'                    fold state (delta.h)
 *             u32 part 's' key                what the analysis emitted
 *   outbox    u32 part u64 seq u16 ordinal    one effect, until its tenant took it
 *   tenant    tenant 0 key                    the finding book's state
 *   findings  'f' tenant 0 id                 u64 revision, then the finding as the caller encoded it
 *             'r' u64 revision                tenant 0 id, for the newest revision of each
 *   incidents 'i' tenant 0 id                 u64 revision, then the incident as the caller encoded it
 *             'r' u64 revision                tenant 0 id, for the newest revision of each
 *             'm' tenant 0                    what the tenant's owner remembers, as the caller encoded it
 *             'p'                             u64 revision of the last finding that was taken in
 *   meta      "schema", "revision", "incident_revision", "notice"
 *             'a' topic 0 u64 ~number         an entry of the audit, as the caller encoded it
 *   notify    'n' u64 number                  i64 time, then a notice as the caller encoded it
 *             'h' receiver 0 tenant 0 id        what a silence keeps from a receiver, as the caller encoded it
 *             's' tenant 0 id                   a silence as the caller encoded it
 *             'c' receiver                    u64 number of the last notice that it is done with
 * @thread any; commits of one partition or one tenant come from its owner. */
#ifndef OPS_STORAGE_REPO_H
#define OPS_STORAGE_REPO_H

#include "base/mem/auto.h"
#include "storage/kv/kv.h"
#include "storage/repo/delta.h"

typedef struct ops_repo ops_repo;

enum { OPS_REPO_FAMILIES = 7, OPS_REPO_SCHEMA = 1, OPS_REPO_NAME_BYTES_MAX = 256 };
extern const char *const ops_repo_families[];

/* Borrows `kv` (opened with ops_repo_families). OPS_ECORRUPT names a damaged record; OPS_ECONFLICT a schema this version
 * does not read. */
OPS_MUST_USE ops_status ops_repo_open(ops_kv *kv, uint32_t partitions, ops_repo **ret, ops_err *reterr);
void ops_repo_free(ops_repo *r);
OPS_AUTO_DEFINE(ops_repo, ops_repo_free)

/* Takes a partition over: a new epoch, durable before the call returns; *ret is where the owner starts. */
OPS_MUST_USE ops_status ops_repo_fence(ops_repo *r, uint32_t part, ops_fold_state *ret, ops_err *reterr);
OPS_MUST_USE ops_status ops_repo_position(ops_repo *r, uint32_t part, ops_fold_state *ret, ops_err *reterr);
/* Where the owner would start after a power cut now: the input below it is not needed any more. */
OPS_MUST_USE ops_status ops_repo_durable(ops_repo *r, uint32_t part, ops_fold_state *ret, ops_err *reterr);
/* Makes every earlier commit durable, and so ops_repo_durable equal to ops_repo_position. */
OPS_MUST_USE ops_status ops_repo_sync(ops_repo *r, ops_err *reterr);
/* Folds one DELTA in one write batch: state, position, effects into the outbox. OPS_ECONFLICT: it does not count, says
 * why, and nothing changed. *ret (may be NULL) is the new state. A DELTA with effects must be synced to be shown. */
OPS_MUST_USE ops_status ops_repo_commit(ops_repo *r, const ops_delta *d, bool sync, ops_fold_state *ret,
                                        ops_err *reterr);
/* The partition's state records; keys as the analysis gave them. */
OPS_MUST_USE ops_status ops_repo_state_scan(ops_repo *r, uint32_t part, ops_kv_fn fn, void *u,
                                            ops_err *reterr);

/* One effect's place in the outbox; stable, so it serves as its id. */
typedef struct ops_effect_id {
    uint32_t part;
    uint64_t seq;
    uint16_t ordinal;
} ops_effect_id;
typedef ops_status (*ops_repo_effect_fn)(void *u, ops_effect_id id, ops_slice effect, ops_err *reterr);
/* In order of partition, then of commit. */
OPS_MUST_USE ops_status ops_repo_outbox_scan(ops_repo *r, ops_repo_effect_fn fn, void *u, ops_err *reterr);

typedef struct ops_repo_finding {
    ops_slice id, body;
} ops_repo_finding;

/* Everything one turn of a tenant's owner did. */
typedef struct ops_tenant_commit {
    ops_slice tenant; /* 1..OPS_REPO_NAME_BYTES_MAX bytes, no NUL */
    const ops_delta_write *writes;
    size_t write_count;
    const ops_repo_finding *findings; /* added or replaced */
    size_t finding_count;
    const ops_effect_id *taken; /* leave the outbox */
    size_t taken_count;
    const ops_slice *notices; /* what is to be told to the outside, in order; opaque here */
    size_t notice_count;
    int64_t notice_ns; /* wall time, kept with each notice */
} ops_tenant_commit;
/* One synced write batch. *ret_revision (may be NULL): the newest finding's. Revisions grow by one per finding written. */
OPS_MUST_USE ops_status ops_repo_commit_tenant(ops_repo *r, const ops_tenant_commit *c,
                                               uint64_t *ret_revision, ops_err *reterr);
OPS_MUST_USE ops_status ops_repo_tenant_scan(ops_repo *r, ops_slice tenant, ops_kv_fn fn, void *u,
                                             ops_err *reterr);

typedef ops_status (*ops_repo_finding_fn)(void *u, ops_slice tenant, uint64_t revision,
                                          const ops_repo_finding *f, ops_err *reterr);
/* Findings whose newest revision is above `after`, in order of revision. */
OPS_MUST_USE ops_status ops_repo_findings_since(ops_repo *r, uint64_t after, ops_repo_finding_fn fn, void *u,
                                                ops_err *reterr);
/* One finding; OPS_ENOTFOUND names it. */
OPS_MUST_USE ops_status ops_repo_finding_get(ops_repo *r, ops_slice tenant, ops_slice id,
                                             ops_repo_finding_fn fn, void *u, ops_err *reterr);
uint64_t ops_repo_revision(ops_repo *r);

/* The outbox to the outside: notices are numbered from 1 and written by ops_repo_commit_tenant, so that what was decided and
 * the word of it are one write. Each receiver has a cursor of its own; notices stay until ops_repo_notices_trim. */
typedef struct ops_repo_notice {
    uint64_t number;
    int64_t time_ns;
    ops_slice body;
} ops_repo_notice;
typedef ops_status (*ops_repo_notice_fn)(void *u, const ops_repo_notice *n, ops_err *reterr);
/* In order, those with a number above `after`. OPS_ECANCELLED from fn ends the walk. */
OPS_MUST_USE ops_status ops_repo_notices_since(ops_repo *r, uint64_t after, ops_repo_notice_fn fn, void *u,
                                               ops_err *reterr);
uint64_t ops_repo_notice_last(ops_repo *r); /* 0: none ever */
/* Removes those up to and with `number`. */
OPS_MUST_USE ops_status ops_repo_notices_trim(ops_repo *r, uint64_t number, ops_err *reterr);
/* `receiver`: 1..OPS_REPO_NAME_BYTES_MAX bytes. OPS_ENOTFOUND: it never had one. A cursor that a power cut takes back means
 * notices told twice, never one untold. */
OPS_MUST_USE ops_status ops_repo_cursor_get(ops_repo *r, ops_slice receiver, uint64_t *ret, ops_err *reterr);
OPS_MUST_USE ops_status ops_repo_cursor_put(ops_repo *r, ops_slice receiver, uint64_t number,
                                            ops_err *reterr);

/* What a silence keeps back from a receiver, by finding; an empty body removes. As durable as a cursor, and in order with it. */
OPS_MUST_USE ops_status ops_repo_held_put(ops_repo *r, ops_slice receiver, ops_slice tenant, ops_slice id,
                                          ops_slice body, ops_err *reterr);
typedef ops_status (*ops_repo_held_fn)(void *u, ops_slice tenant, ops_slice id, ops_slice body,
                                       ops_err *reterr);
OPS_MUST_USE ops_status ops_repo_held_scan(ops_repo *r, ops_slice receiver, ops_repo_held_fn fn, void *u,
                                           ops_err *reterr);

/* Incidents: grouped from findings by an owner that reads them by revision. Rows are as findings are (id, body). */
typedef struct ops_incident_commit {
    ops_slice tenant;                  /* as of ops_tenant_commit */
    const ops_repo_finding *incidents; /* added or replaced */
    size_t incident_count;
    ops_slice memory;       /* replaces what is remembered of the tenant; p NULL: leaves it */
    const ops_slice *audit; /* entries of the topic "incidents/TENANT", at most one; NULL: none */
    const ops_slice *notices;
    size_t notice_count;
    int64_t notice_ns;
} ops_incident_commit;
/* One synced write batch over several tenants: their incidents, memory, audit and notices, and with them the revision of
 * the last finding taken in (`position`; one below the stored one leaves that). *ret_revision (may be NULL): the newest
 * incident's. Revisions grow by one per incident written, in a count of their own. */
OPS_MUST_USE ops_status ops_repo_commit_incidents(ops_repo *r, const ops_incident_commit *commits,
                                                  size_t count, uint64_t position, uint64_t *ret_revision,
                                                  ops_err *reterr);
/* 0 before the first commit. */
OPS_MUST_USE ops_status ops_repo_incidents_position(ops_repo *r, uint64_t *ret, ops_err *reterr);
/* Appends what is remembered of a tenant; nothing when there is nothing. */
OPS_MUST_USE ops_status ops_repo_incident_memory(ops_repo *r, ops_slice tenant, ops_strbuf *out,
                                                 ops_err *reterr);
/* As the findings' ones. */
OPS_MUST_USE ops_status ops_repo_incidents_since(ops_repo *r, uint64_t after, ops_repo_finding_fn fn, void *u,
                                                 ops_err *reterr);
OPS_MUST_USE ops_status ops_repo_incident_get(ops_repo *r, ops_slice tenant, ops_slice id,
                                              ops_repo_finding_fn fn, void *u, ops_err *reterr);
uint64_t ops_repo_incident_revision(ops_repo *r);
/* The audit's topic of a tenant's incidents. */
void ops_repo_incident_topic(ops_slice tenant, ops_strbuf *out);

/* Silences: kept until removed; an empty body removes. Durable when the call returns. */
OPS_MUST_USE ops_status ops_repo_silence_put(ops_repo *r, ops_slice tenant, ops_slice id, ops_slice body,
                                             ops_err *reterr);
typedef ops_status (*ops_repo_silence_fn)(void *u, ops_slice tenant, ops_slice id, ops_slice body,
                                          ops_err *reterr);
OPS_MUST_USE ops_status ops_repo_silences_scan(ops_repo *r, ops_repo_silence_fn fn, void *u, ops_err *reterr);

/* What was done to opsd, by topic: entries are numbered from 1 and never change; of a topic the newest OPS_REPO_AUDIT_MAX
 * are kept. `topic`: 1..OPS_REPO_NAME_BYTES_MAX bytes, no NUL. Durable when the call returns. */
enum { OPS_REPO_AUDIT_MAX = 1000 };
OPS_MUST_USE ops_status ops_repo_audit_add(ops_repo *r, ops_slice topic, ops_slice body, uint64_t *ret_number,
                                           ops_err *reterr);
typedef ops_status (*ops_repo_audit_fn)(void *u, uint64_t number, ops_slice body, ops_err *reterr);
/* Newest first, those with a number below `before` (0: all). OPS_ECANCELLED from fn ends the walk. */
OPS_MUST_USE ops_status ops_repo_audit_scan(ops_repo *r, ops_slice topic, uint64_t before,
                                            ops_repo_audit_fn fn, void *u, ops_err *reterr);

#endif
