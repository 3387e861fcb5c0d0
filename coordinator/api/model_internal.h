/* What the files of ModelService share. Private to coordinator/api. */
#ifndef OPS_MODEL_INTERNAL_H
#define OPS_MODEL_INTERNAL_H

#include "coordinator/api/internal.h"
#include "coordinator/api/model_service.h"
#include "proto/ops/v1/model.pb-c.h"

enum { MODEL_METHODS = 6, MODEL_RETRY_MS = 1000, MODEL_DEADLINE_MS_MAX = 600000 };

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

/* model_list.c, model_change.c, model_embed.c, model_generate.c: the methods' `message`. */
bool model_on_list(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_get(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_load(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_unload(ops_rpc_call *c, ops_slice req, void *svc);
bool model_on_embed(ops_rpc_call *c, ops_slice req, void *svc);
void model_embed_gone(ops_rpc_call *c, void *svc);
bool model_on_generate(ops_rpc_call *c, ops_slice req, void *svc);
void model_generate_room(ops_rpc_call *c, void *svc);
void model_generate_gone(ops_rpc_call *c, void *svc);
void model_free_user(void *user, void *svc); /* `done` of calls whose user pointer is a block alone */
void model_generate_done(void *user, void *svc);

#endif
