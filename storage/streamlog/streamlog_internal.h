/* The log's insides, shared by its files. Private to storage/streamlog. */
#ifndef OPS_STREAMLOG_INTERNAL_H
#define OPS_STREAMLOG_INTERNAL_H

#include <pthread.h>

#include "storage/streamlog/dedupe_internal.h"
#include "storage/streamlog/entry_internal.h"

enum { PARTITIONS_MAX = 256 };

struct pending {
    struct pending *next;
    uint32_t part, record_count;
    int64_t recv_ns;
    bool has_dedupe;
    uint8_t dedupe[OPS_STREAMLOG_DEDUPE_BYTES];
    size_t payload_bytes;
    ops_strbuf value; /* as it will be stored */
    ops_streamlog_ack ack;
    void *ack_u;
    uint64_t offset; /* set by the commit */
};

struct ops_streamlog {
    ops_kv *kv;
    ops_streamlog_conf conf;
    pthread_t committer;
    bool started;

    pthread_mutex_t lock; /* everything below */
    pthread_cond_t work, grown;
    struct pending *head, **tail;
    bool closing, broken;
    uint64_t change; /* grows with every group that became durable */
    uint64_t first[PARTITIONS_MAX], next[PARTITIONS_MAX];
    ops_streamlog_stats stats;

    ops_dedupe *dedupe; /* committer only, after open */
};

/* The commit thread's body. */
void *ops_streamlog_commit_loop(void *u);
/* Fills first, next and the dedupe keys from the store. */
ops_status ops_streamlog_recover(ops_streamlog *sl, ops_err *reterr);

#endif
