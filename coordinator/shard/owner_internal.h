/* One partition at work. Private to coordinator/shard. */
#ifndef OPS_SHARD_OWNER_INTERNAL_H
#define OPS_SHARD_OWNER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/coll/vec.h"
#include "base/sched/thread.h"
#include "coordinator/shard/owner.h"

/* A copy of a key, a value or an effect inside the DELTA under construction. */
typedef struct piece {
    size_t at, n;
} piece;

typedef struct work_answer work_answer; /* partition_work.c */

typedef struct partition {
    ops_owners *owners;
    uint32_t part;
    pthread_mutex_t lock; /* the pipeline and `records`; held by the owner while it analyses */
    ops_pipeline *pipeline;
    ops_monitor *monitor; /* of metrics, as the pipeline is of records */
    uint64_t records, samples;
    /* the owner's alone */
    ops_fold_state fold;
    uint64_t read;        /* next offset to read */
    int64_t read_recv_ns; /* receive time of the newest entry read */
    int64_t committed_mono_ns, ticked_mono_ns;
    bool unsaved;
    ops_strbuf bytes; /* what the pieces point into */
    OPS_VEC(piece) effects;
    OPS_VEC(piece) keys;
    OPS_VEC(piece) vals;
    bool pending; /* a DELTA is built and waits for its commit */
    ops_status effect_failed;
    ops_pin_finder *finder; /* of the pins that the pipeline has; NULL: none */
    ops_pin_set pins;       /* its view */
    uint64_t pins_taken;    /* which posting */
    size_t work_at;         /* stream whose sessions are asked about next */
    /* of anybody who answers */
    pthread_mutex_t answers_lock; /* answers; taken last */
    work_answer *answers;         /* in order */
    size_t answers_n;
    /* for readers */
    _Atomic uint64_t answers_refused;
    _Atomic uint64_t shown_read, shown_position, shown_epoch, shown_pins;
    _Atomic int64_t shown_event_ns, shown_recv_ns;
    _Atomic bool failed;
    char failure[256]; /* written once, before `failed` */
} partition;

struct ops_owners {
    ops_owners_conf conf;
    ops_clock *clock;
    partition *parts;
    ops_thread **threads;
    struct owner_thread {
        ops_owners *owners;
        unsigned number;
    } * args;
    atomic_bool stopping;
    bool started;
    _Atomic int64_t event_ns;        /* of records */
    _Atomic int64_t sample_event_ns; /* of samples, none later than its receive time */
    pthread_mutex_t pins_lock;       /* pins */
    ops_pinset *pins;
    _Atomic uint64_t pins_posted; /* grows with each posting, under the lock */
};

ops_status ops_partition_open(partition *p, ops_owners *o, uint32_t part, ops_err *reterr);
void ops_partition_close(partition *p);
/* Reads and analyses up to about a mebibyte; *ret_more: something was read. */
ops_status ops_partition_step(partition *p, bool *ret_more, ops_err *reterr);
/* Takes up what was posted; nothing when there is nothing new. OPS_ENOMEM: tried again at the next call. */
ops_status ops_partition_pins(partition *p, ops_err *reterr);
/* Idle work: clocks. */
ops_status ops_partition_tick(partition *p, ops_err *reterr);
/* Takes up what workers said of sessions. Before more is read: it is of the time before that. */
void ops_partition_answers(partition *p);
/* Tells what is wanted of them. */
void ops_partition_work(partition *p);
void ops_partition_work_free(partition *p);
/* Writes state, position and effects. `force`: also when the interval is not over. OPS_EIO and OPS_ENOSPC: nothing is lost,
 * the same DELTA is tried again at the next call. */
ops_status ops_partition_commit(partition *p, bool force, ops_err *reterr);

#endif
