/* A runner's models as the messages that say what a worker has. */
#ifndef OPS_WORKER_CATALOGUE_H
#define OPS_WORKER_CATALOGUE_H

#include "proto/ops/v1/worker.pb-c.h"
#include "worker/serve/runner.h"

/* `messages` point into it: it stays where it is. */
typedef struct ops_catalogue {
    ops_runner_model model[OPS_RUNNER_MODELS_MAX];
    Ops__V1__Model message[OPS_RUNNER_MODELS_MAX], *messages[OPS_RUNNER_MODELS_MAX];
    Ops__V1__ModelUse use[OPS_RUNNER_MODELS_MAX];
    size_t n;
    uint64_t cache_tokens; /* that the caches of all have room for */
    bool writes;           /* one of them does */
} ops_catalogue;

void ops_catalogue_read(ops_runner *r, ops_catalogue *ret);

#endif
