/* What the files of ModelService share. Private to coordinator/api. */
#ifndef OPS_MODEL_INTERNAL_H
#define OPS_MODEL_INTERNAL_H

#include <pthread.h>

#include "coordinator/api/internal.h"
#include "coordinator/api/model_service.h"
#include "proto/ops/v1/model.pb-c.h"

enum { MODEL_METHODS = 8, MODEL_RETRY_MS = 1000, MODEL_DEADLINE_MS_MAX = 600000 };

struct ops_model_service {
    ops_dispatch *d;
    ops_rpc_method methods[MODEL_METHODS];
};

/* Ends the call; with RetryInfo where the same call may succeed later. */
void model_fail(ops_rpc_call *c, ops_status st, const char *message);
/* The class that a client asked for; interactive when it did not say. */
ops_dispatch_class model_class(Ops__V1__WorkClass asked);
/* Until the client gives up, ten minutes at most. */
uint32_t model_deadline_ms(const ops_rpc_call *c);

/* A task with one answer, behind a unary call: the call's user pointer until it is over. */
typedef struct model_task {
    ops_rpc_call *call;
    ops_dispatch *d;
    pthread_mutex_t lock; /* never destroyed: a plain mutex holds nothing */
    uint64_t id;          /* 0: not submitted yet */
    bool gone;
    /* Answers the call with what came; otherwise says why not, and the call fails with it. @thread the dispatch's */
    ops_status (*reply)(const struct model_task *t, const ops_dispatch_result *r, ops_err *reterr);
    size_t texts; /* that were asked about */
    uint32_t top_n;
} model_task;

/* How many texts a request may have; OPS_EINVAL, OPS_ETOOBIG. `what`: its field. */
OPS_MUST_USE ops_status model_task_texts(const char *what, size_t n, ops_err *reterr);
/* model_task.c: submits `task` (key, deadline, `done` and `ctx` are set here) for the call; `like` is copied. OPS_OK: the call has
 * been or will be ended. */
ops_status model_task_submit(ops_model_service *m, ops_rpc_call *c, const model_task *like,
                             ops_dispatch_task *task, ops_err *reterr);
void model_task_gone(ops_rpc_call *c, void *svc); /* `cancelled` of those calls */

/* model_list.c, model_change.c, model_embed.c, model_score.c, model_generate.c: the methods' `message`. */
bool model_on_list(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_get(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_load(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_unload(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_embed(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_rerank(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_classify(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_generate(ops_rpc_call *c, ops_slice req, void *svc);
void model_generate_room(ops_rpc_call *c, void *svc);
void model_generate_gone(ops_rpc_call *c, void *svc);
void model_free_user(void *user, void *svc); /* `done` of calls whose user pointer is a block alone */
void model_generate_done(void *user, void *svc);

#endif
