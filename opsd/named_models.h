/* Which models a worker starts with, by configuration. */
#ifndef OPSD_NAMED_MODELS_H
#define OPSD_NAMED_MODELS_H

#include "base/conf/conf.h"
#include "base/status/status.h"
#include "worker/serve/open_model.h"

typedef struct opsd_named_model {
    char path[OPS_RUNNER_PATH_MAX]; /* empty: none */
    bool given;                     /* by the operator; else the default one, which is there */
} opsd_named_model;

typedef struct opsd_named_models {
    opsd_named_model embeds, writes;
    bool off; /* both: no worker is wanted */
} opsd_named_models;

/* worker.model and worker.generator. A default that is not there is none; OPS_EINVAL names the key of a given one that cannot
 * be read. */
OPS_MUST_USE ops_status opsd_named_models_find(const ops_conf *c, opsd_named_models *ret, ops_err *reterr);
void opsd_model_conf(const ops_conf *c, ops_model_conf *ret);
/* Opens one and adds it. OPS_OK when there is none to open. */
OPS_MUST_USE ops_status opsd_named_model_add(const opsd_named_model *m, const ops_model_conf *conf,
                                             ops_runner *r, ops_err *reterr);

#endif
