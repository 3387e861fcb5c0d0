/* Requests under way, for the intake's own files. */
#ifndef OPS_SHARD_INTAKE_INTERNAL_H
#define OPS_SHARD_INTAKE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/sched/pool.h"
#include "coordinator/shard/cardinality.h"
#include "coordinator/shard/intake.h"
#include "coordinator/shard/packer.h"

enum { PACKERS_MAX = 64, TENANT_MAX = 64 };

struct ops_intake {
    ops_intake_conf conf;
    ops_clock *clock;
    ops_pool *pool;
    atomic_int_least64_t calls_due_ns; /* the next request of traces that is read for calls */
    pthread_mutex_t lock;              /* everything below */
    pthread_cond_t idle;
    ops_redactor *redactor;
    ops_cardinality *series; /* has a lock of its own */
    ops_packer *packers[PACKERS_MAX];
    size_t packer_count, under_way;
};

typedef struct request {
    ops_intake *in;
    char tenant[TENANT_MAX];
    const char *door;
    ops_intake_kind kind;
    ops_slice body;
    ops_strbuf plain; /* a JSON body as protobuf; `body` is it then */
    ops_intake_done done;
    void *done_u;
    int64_t start_mono_ns, recv_ns;
    ops_redactor *redactor; /* a reference */
    uint64_t accepted, rejected, signals;
    ops_sample_counters samples;
    bool is_samples;
    ops_intake_fill fill; /* of OPS_INTAKE_SAMPLES */
    void *fill_u;
    atomic_size_t open_entries;
    _Atomic int worst; /* ops_status */
    char message[sizeof((ops_err *)0)->msg];
} request;

/* NULL with *reterr. */
request *ops_request_new(ops_intake *in, ops_slice tenant, const char *door, ops_intake_done done, void *u,
                         ops_err *reterr);
void ops_request_dead_letter(request *q, const char *reason, ops_slice detail);
/* Everything between the packer and the answer: `pack` puts into the packer what the request holds. On any thread. */
void ops_request_run(request *q, ops_status (*pack)(request *q, ops_packer *p, ops_err *reterr), bool keyed);

/* intake_samples.c: metrics of a request. */
ops_status ops_request_decode_samples(request *q, ops_packer *p, ops_err *reterr);

#endif
