/* The models of all workers, each name and job once: what a client can ask for now. */
#ifndef OPS_COORDINATOR_SERVED_H
#define OPS_COORDINATOR_SERVED_H

#include "coordinator/dispatch/dispatch.h"

/* Borrowed for the call. A worker is named once, whatever number of streams it has. */
typedef struct ops_served {
    ops_dispatch_model model;            /* as the first worker has it; `use` is the sum over all */
    const char *const *workers;          /* [n] ids */
    const ops_dispatch_model *const *at; /* [n] as each of them has it */
    size_t n;
    int64_t since_unix_ns; /* when the first of them attached */
} ops_served;

/* In order of first being there; fn false ends the walk. OPS_ENOMEM. @thread any */
OPS_MUST_USE ops_status ops_served_walk(ops_dispatch *d, bool (*fn)(void *u, const ops_served *s), void *u,
                                        ops_err *reterr);

#endif
