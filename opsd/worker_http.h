/* A worker's own HTTP port: the OpenAI API over the model that it has, and on Vertex AI the contract of a custom container.
 *
 * Where it listens: worker.http; or, where AIP_HTTP_PORT is set, every address at that port (the platform alone reaches it and
 * shows no tokens), with AIP_HEALTH_ROUTE and AIP_PREDICT_ROUTE. */
#ifndef OPSD_WORKER_HTTP_H
#define OPSD_WORKER_HTTP_H

#include "base/conf/conf.h"
#include "base/mem/auto.h"
#include "base/status/status.h"
#include "worker/serve/runner.h"

typedef struct opsd_worker_http opsd_worker_http;

/* Is a port of its own wanted? */
bool opsd_worker_http_wanted(const ops_conf *c);
/* Does the container's contract hold, so that no coordinator is needed? */
bool opsd_worker_http_aip(void);
/* The runner is borrowed. */
OPS_MUST_USE ops_status opsd_worker_http_open(const ops_conf *c, ops_runner *runner, opsd_worker_http **ret,
                                              ops_err *reterr);
unsigned opsd_worker_http_port(const opsd_worker_http *w);
/* NULL is fine. Before the runner goes. */
void opsd_worker_http_close(opsd_worker_http *w, unsigned grace_ms);

#endif
