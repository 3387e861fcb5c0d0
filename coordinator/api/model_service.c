#include "coordinator/api/model_service.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/api/model_internal.h"

void model_fail(ops_rpc_call *c, ops_status st, const char *message)
{
    const bool later = st == OPS_EAGAIN || st == OPS_ENOMEM || st == OPS_EUNAVAILABLE;
    ops_rpc_details d = {.retry_ms = later ? MODEL_RETRY_MS : 0, .domain = "opsd"};
    (void)snprintf(d.reason, sizeof d.reason, "%s",
                   st == OPS_EAGAIN         ? "MODELS_BUSY"
                   : st == OPS_EUNAVAILABLE ? "MODELS_UNAVAILABLE"
                                            : "MODEL_REQUEST");
    ops_rpc_finish(c, st, message, &d);
}

ops_dispatch_class model_class(Ops__V1__WorkClass asked)
{
    return asked == OPS__V1__WORK_CLASS__WORK_CLASS_TRIAGE ? OPS_DISPATCH_TRIAGE
           : asked == OPS__V1__WORK_CLASS__WORK_CLASS_BULK ? OPS_DISPATCH_BULK
                                                           : OPS_DISPATCH_INTERACTIVE;
}

uint32_t model_deadline_ms(const ops_rpc_call *c)
{
    const int64_t left = ops_rpc_call_left_ms(c);
    return left < 1 ? 1 : left < MODEL_DEADLINE_MS_MAX ? (uint32_t)left : MODEL_DEADLINE_MS_MAX;
}

void model_free_user(void *user, void *svc)
{
    (void)svc;
    ops_free(user);
}

ops_status ops_model_service_add(ops_rpc_server *s, ops_dispatch *d, int view, int operate,
                                 ops_model_service **ret, ops_err *reterr)
{
    OPS_AUTO(ops_model_service_free) ops_model_service *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "ModelService");
    m->d = d;
    const ops_rpc_method rows[MODEL_METHODS] = {
        {"/ops.v1.ModelService/ListModels", OPS_RPC_UNARY, .role = view, .message = model_on_list},
        {"/ops.v1.ModelService/GetModel", OPS_RPC_UNARY, .role = view, .message = model_on_get},
        {"/ops.v1.ModelService/LoadModel", OPS_RPC_UNARY, .role = operate, .message = model_on_load,
         .done = model_free_user},
        {"/ops.v1.ModelService/UnloadModel", OPS_RPC_UNARY, .role = operate, .message = model_on_unload,
         .done = model_free_user},
        {"/ops.v1.ModelService/Embed", OPS_RPC_UNARY, .role = view, .message = model_on_embed,
         .cancelled = model_task_gone, .done = model_free_user},
        {"/ops.v1.ModelService/Rerank", OPS_RPC_UNARY, .role = view, .message = model_on_rerank,
         .cancelled = model_task_gone, .done = model_free_user},
        {"/ops.v1.ModelService/Classify", OPS_RPC_UNARY, .role = view, .message = model_on_classify,
         .cancelled = model_task_gone, .done = model_free_user},
        {"/ops.v1.ModelService/Generate", OPS_RPC_SERVER_STREAM, .role = view, .message = model_on_generate,
         .writable = model_generate_room, .cancelled = model_generate_gone, .done = model_generate_done},
    };
    memcpy(m->methods, rows, sizeof rows);
    for (size_t i = 0; i < MODEL_METHODS; i++)
        m->methods[i].svc = m;
    const ops_status st = ops_rpc_server_add(s, m->methods, MODEL_METHODS, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(m);
    return st;
}

void ops_model_service_free(ops_model_service *m)
{
    ops_free(m);
}
