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
};

/* After a synced write, under the lock: writes keep their order on disk, so all before it are durable too. */
void ops_repo_note_durable(ops_repo *r);
/* Appends "tenant 0 rest" to `b`. */
void ops_repo_tenant_key(ops_strbuf *b, char prefix, ops_slice tenant, ops_slice rest);
/* The first key after all that start with `b`'s bytes; changes b. */
void ops_repo_after_prefix(ops_strbuf *b);

/* Puts the commit's notices into the batch; under the lock. */
void ops_repo_put_notices(ops_repo *r, ops_kv_batch *b, const ops_tenant_commit *c, ops_strbuf *scratch);

#endif
