/* The log's insides, shared by its files. Private to storage/streamlog. */
#ifndef OPS_STREAMLOG_INTERNAL_H
#define OPS_STREAMLOG_INTERNAL_H

#include <pthread.h>

#include "storage/streamlog/dedupe_internal.h"
#include "storage/streamlog/entry_internal.h"
#include "storage/streamlog/footer_internal.h"

enum { PARTITIONS_MAX = 256 };

struct pending {
    struct pending *next;
    uint32_t part, record_count;
    int64_t recv_ns;
    bool has_dedupe;
    uint8_t dedupe[OPS_STREAMLOG_DEDUPE_BYTES];
    size_t payload_bytes;
    ops_strbuf value; /* as it will be stored */
    char *note;       /* key and value in one; NULL: none */
    size_t note_key_n, note_n;
    ops_footer footer; /* sums and order time are set by the commit */
    ops_streamlog_ack ack;
    void *ack_u;
    uint64_t offset; /* set by the commit */
};

/* The committer's own memory, and that of whoever steps. */
struct commit {
    uint64_t next[PARTITIONS_MAX];
    ops_footer last[PARTITIONS_MAX]; /* of the entry before next; zero: none */
    int64_t forgot_ns;
};

struct ops_streamlog {
    ops_kv *kv;
    ops_streamlog_conf conf;
    pthread_t committer;
    bool started;

    pthread_mutex_t lock; /* everything below */
    pthread_cond_t work, grown;
    struct pending *head, **tail;
    bool closing;
    uint64_t change; /* grows with every group that became durable */
    uint64_t first[PARTITIONS_MAX], next[PARTITIONS_MAX];
    ops_streamlog_stats stats;

    ops_dedupe *dedupe; /* committer only, after open */
    struct commit commit;
};

void ops_streamlog_pending_free(struct pending *p);
/* The commit thread's body. */
void *ops_streamlog_commit_loop(void *u);
/* One group; with `wait`, until there is one or the log closes. false: there was none. */
bool ops_streamlog_commit_group(ops_streamlog *sl, bool wait);
/* Fills first, next and the dedupe keys from the store. */
ops_status ops_streamlog_recover(ops_streamlog *sl, ops_err *reterr);
/* The footer of a kept entry. OPS_ERANGE when it was trimmed meanwhile, OPS_ECORRUPT when it is missing or damaged. */
ops_status ops_streamlog_footer(ops_streamlog *sl, uint32_t part, uint64_t offset, ops_footer *ret,
                                ops_err *reterr);
/* The first offset of [from, to) whose footer is not `before`; *ret is `to` when all are. Footers must be so ordered. */
typedef bool (*ops_footer_before)(const ops_footer *f, const void *u);
ops_status ops_streamlog_search(ops_streamlog *sl, uint32_t part, uint64_t from, uint64_t to,
                                ops_footer_before before, const void *u, uint64_t *ret, ops_err *reterr);

#endif
