/* The partitions' owners: read the log from where the state stands, analyse, commit state, position and effects as one.
 *
 * Partition p belongs to thread p modulo `threads`. A commit comes about once a second, at once when there are effects, and
 * at stop; after a crash the stretch since the last one is analysed again, from the state that stood there. A partition whose log or
 * state is damaged, or that another owner took over, stops and says so in its info; the others go on.
 *
 * Event time: a partition that has read all there is moves on to the greatest event time of any partition, so that a stream
 * which fell silent alone in its partition is noticed also when a recording is replayed faster than the clock. */
#ifndef OPS_SHARD_OWNER_H
#define OPS_SHARD_OWNER_H

#include "base/time/clock.h"
#include "coordinator/analysis/monitor/monitor.h"
#include "coordinator/analysis/pipeline/pipeline.h"
#include "coordinator/pin/pinset.h"
#include "coordinator/shard/ledger.h"
#include "proto/codec/sample.h"
#include "storage/repo/repo.h"
#include "storage/streamlog/streamlog.h"

typedef struct ops_owners ops_owners;

typedef struct ops_owners_conf {
    ops_streamlog *log; /* this and the next ones are borrowed */
    ops_repo *repo;
    ops_ledger *ledger;
    ops_clock *clock; /* NULL: the system's */
    uint32_t partitions;
    unsigned threads;            /* 1..partitions */
    int64_t commit_interval_ns;  /* default 1 s */
    ops_pipeline_limits limits;  /* on_candidate and u are not looked at */
    size_t series_max;           /* series of a tenant in a partition; 0: the monitor's default */
    size_t views_max;            /* of those seen together, likewise */
    bool views_off;              /* none are */
    void (*on_effects)(void *u); /* effects were committed; must not block. @thread an owner's */
    /* A template was born: its meaning is wanted. Must not block. @thread an owner's, under the partition's lock */
    void (*on_template)(void *u, ops_slice tenant, ops_slice service, uint64_t id, ops_slice text);
    /* Samples were judged: others look at them too. Must not block. @thread an owner's, under the partition's lock */
    void (*on_samples)(void *u, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                       size_t n);
    /* Sessions are to be learnt or scored by a worker. `can_work`: one is there and there is room to ask it; then `on_work`
     * is told what is wanted, some at a time, and ops_owners_answer() is owed for each that it took (true). Must not
     * block. Both or neither. @thread an owner's, under the partition's lock */
    bool (*can_work)(void *u);
    bool (*on_work)(void *u, uint32_t part, const ops_pipeline_work *w);
    void *u;
} ops_owners_conf;

/* Fences every partition and loads its state. OPS_ECORRUPT names the record that does not read. */
OPS_MUST_USE ops_status ops_owners_new(const ops_owners_conf *conf, ops_owners **ret, ops_err *reterr);
OPS_MUST_USE ops_status ops_owners_start(ops_owners *o, ops_err *reterr);
/* Finishes the batch at hand and commits. Idempotent. */
void ops_owners_stop(ops_owners *o);
void ops_owners_free(ops_owners *o);
OPS_AUTO_DEFINE(ops_owners, ops_owners_free)

/* Hands every partition a set of pins (NULL: none), in place of the one before: each owner takes it up between two batches,
 * within a fraction of a second when it is idle. `pending`: partitions that have not yet. @thread any */
void ops_owners_pins_set(ops_owners *o, ops_pinset *s);
uint32_t ops_owners_pins_pending(ops_owners *o);

/* What a worker made of what `on_work` was told (copied; NULL: nothing). The partition's owner takes it up between two batches,
 * and refuses what does not fit. OPS_EAGAIN: OPS_OWNERS_ANSWERS_MAX wait; OPS_ENOTFOUND: no such partition; OPS_ETOOBIG;
 * OPS_ENOMEM: as if it was never answered. @thread any */
enum { OPS_OWNERS_ANSWERS_MAX = 256, OPS_OWNERS_SCORES_MAX = 512, OPS_OWNERS_TAIL_MAX = 512 };
OPS_MUST_USE ops_status ops_owners_answer(ops_owners *o, uint32_t part, uint64_t stream, uint64_t ticket,
                                          const ops_session_answer *a, ops_err *reterr);

/* The greatest event time of any partition, of records and of samples; INT64_MIN before the first. @thread any */
int64_t ops_owners_event_ns(ops_owners *o);

typedef struct ops_partition_info {
    uint32_t part;
    uint64_t first, next; /* of the log */
    uint64_t position;    /* durable in the state */
    uint64_t read;        /* analysed, not all of it durable in the state yet */
    uint64_t epoch;
    uint64_t records; /* analysed since the start */
    int64_t event_ns; /* greatest seen, INT64_MIN for none */
    int64_t lag_ns;   /* 0 when all is read, else the age of the newest entry that was read */
    ops_pipeline_stats stats;
    ops_monitor_stats series;
    uint64_t samples;          /* since the start */
    ops_pin_finder_stats pins; /* since the pins were last set */
    uint64_t answers_refused;  /* of workers, about sessions: not what was asked */
    char failure[256];         /* empty: at work */
} ops_partition_info;
/* @thread any */
OPS_MUST_USE ops_status ops_owners_partition(ops_owners *o, uint32_t part, ops_partition_info *ret,
                                             ops_err *reterr);

/* Its series of metrics, as the next ones. */
void ops_owners_series(ops_owners *o, uint32_t part, bool (*fn)(void *u, const ops_monitor_info *s), void *u);
/* What the partition knows, under its lock: fn must be quick and not call back. false ends the walk. @thread any */
void ops_owners_streams(ops_owners *o, uint32_t part, bool (*fn)(void *u, const ops_stream_info *s), void *u);
void ops_owners_templates(ops_owners *o, uint32_t part,
                          bool (*fn)(void *u, ops_slice tenant, const ops_template_info *t), void *u);
/* Hands out the whole analysis of the partition on the same terms. False when there is no such partition. */
bool ops_owners_look(ops_owners *o, uint32_t part, void (*fn)(void *u, uint32_t part, const ops_pipeline *p),
                     void *u);

#endif
