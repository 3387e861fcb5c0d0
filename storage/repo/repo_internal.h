/* The repository's insides, shared by its files. Private to storage/repo. */
#ifndef OPS_REPO_INTERNAL_H
#define OPS_REPO_INTERNAL_H

#include <pthread.h>

#include "storage/repo/repo.h"

enum {
    FAMILY_STATE,
    FAMILY_OUTBOX,
    FAMILY_TENANT,
    FAMILY_FINDINGS,
    FAMILY_META,
    FAMILY_NOTIFY,
    FAMILY_INCIDENTS,
    REPO_PARTITIONS_MAX = 256
};

struct ops_repo {
    ops_kv *kv;
    uint32_t partitions;
    pthread_mutex_t lock; /* all below: short critical sections around one write */
    ops_fold_state fold[REPO_PARTITIONS_MAX];
    ops_fold_state durable[REPO_PARTITIONS_MAX]; /* fold as it was at the newest synced write */
    uint64_t revision;
    uint64_t notice; /* number of the newest */
    uint64_t incident_revision;
};

/* After a synced write, under the lock: writes keep their order on disk, so all before it are durable too. */
void ops_repo_note_durable(ops_repo *r);
/* Appends "tenant 0 rest" to `b`. */
void ops_repo_tenant_key(ops_strbuf *b, char prefix, ops_slice tenant, ops_slice rest);
/* The first key after all that start with `b`'s bytes; changes b. */
void ops_repo_after_prefix(ops_strbuf *b);

/* Puts notices into the batch; under the lock. */
void ops_repo_put_notices(ops_repo *r, ops_kv_batch *b, const ops_slice *notices, size_t count,
                          int64_t time_ns, ops_strbuf *scratch);
/* Puts an entry of the audit into the batch, at most one a topic; under the lock. *ret_number is its number. */
OPS_MUST_USE ops_status ops_repo_put_audit(ops_repo *r, ops_kv_batch *b, ops_slice topic, ops_slice body,
                                           uint64_t *ret_number, ops_err *reterr);

bool ops_repo_good_name(ops_slice s);

/* revised.c: rows whose newest revision is indexed. Keys: KIND tenant 0 id holds u64 revision and the body; 'r' u64 revision
 * holds tenant 0 id. */
typedef struct ops_repo_revised {
    unsigned family;
    char kind;
    const char *noun;
} ops_repo_revised;
typedef struct ops_repo_scratch {
    ops_strbuf key, val;
} ops_repo_scratch;
void ops_repo_scratch_init(ops_repo_scratch *s);
void ops_repo_scratch_done(ops_repo_scratch *s);
/* The tenant's name, and that no row comes twice. */
OPS_MUST_USE ops_status ops_repo_revised_check(const ops_repo_revised *t, ops_slice tenant,
                                               const ops_repo_finding *rows, size_t count, ops_err *reterr);
OPS_MUST_USE ops_status ops_repo_revised_put(ops_repo *r, const ops_repo_revised *t, ops_kv_batch *b,
                                             ops_repo_scratch *s, ops_slice tenant,
                                             const ops_repo_finding *row, uint64_t revision, ops_err *reterr);
OPS_MUST_USE ops_status ops_repo_revised_since(ops_repo *r, const ops_repo_revised *t, uint64_t after,
                                               ops_repo_finding_fn fn, void *u, ops_err *reterr);
OPS_MUST_USE ops_status ops_repo_revised_get(ops_repo *r, const ops_repo_revised *t, ops_slice tenant,
                                             ops_slice id, ops_repo_finding_fn fn, void *u, ops_err *reterr);

#endif
