/* Which models there are, and refusals. */
#include "coordinator/openai/internal.h"

#include <stdio.h>

#include "base/mem/alloc.h"

enum { RETRY_MS = 1000 };

void openai_refuse(ops_http_req *req, ops_status st, const char *message, const char *param, const char *code)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_openai_error(st, message, param, code, &b);
    if (ops_status_retriable(st))
        ops_http_retry_after(req, RETRY_MS);
    ops_http_reply_buf(req, st == OPS_ETOOBIG ? 400 : ops_http_code(st), OPENAI_JSON, &b);
}

static size_t find(const openai_models *m, ops_slice name)
{
    size_t i = 0;
    while (i < m->n && !ops_slice_eq(m->v[i].name, name))
        i++;
    return i;
}

const ops_openai_model *openai_models_find(const openai_models *m, ops_slice name)
{
    const size_t i = find(m, name);
    return i < m->n ? &m->v[i] : NULL;
}

static void add(openai_models *m, const ops_dispatch_model *model, int64_t since_s)
{
    const ops_slice name = ops_slice_str(model->name);
    const size_t i = find(m, name);
    if (i == m->n)
        m->v[m->n++] = (ops_openai_model){name, since_s};
    else if (since_s < m->v[i].created_s)
        m->v[i].created_s = since_s;
    m->jobs[i] |=
        ops_slice_eq(ops_slice_str(model->job), OPS_SLICE("generate")) ? OPENAI_WRITES : OPENAI_EMBEDS;
}

openai_models *openai_models_now(ops_dispatch *d)
{
    openai_models *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    size_t workers = ops_dispatch_workers(d, m->worker, OPS_DISPATCH_WORKERS_MAX);
    workers = workers < OPS_DISPATCH_WORKERS_MAX ? workers : OPS_DISPATCH_WORKERS_MAX;
    for (size_t i = 0; i < workers; i++)
        for (size_t k = 0; k < m->worker[i].model_count; k++)
            add(m, &m->worker[i].models[k], m->worker[i].attached_unix_ns / 1000000000);
    return m;
}

void openai_models_refuse(ops_http_req *req, const openai_models *m, ops_slice name)
{
    char message[OPS_DISPATCH_NAME_MAX + 80];
    if (m->n == 0) {
        openai_refuse(req, OPS_EUNAVAILABLE, "no worker is attached, so no model is there", NULL,
                      "no_worker");
        return;
    }
    (void)snprintf(message, sizeof message, "no worker has the model '" OPS_SLICE_FMT "'",
                   OPS_SLICE_ARG(ops_slice_sub(name, 0, OPS_DISPATCH_NAME_MAX)));
    openai_refuse(req, OPS_ENOTFOUND, message, "model", "model_not_found");
}

bool openai_model_is_there(ops_dispatch *d, ops_http_req *req, ops_slice name, enum openai_job job)
{
    char message[OPS_DISPATCH_NAME_MAX + 80];
    OPS_AUTO(ops_free) void *block = openai_models_now(d);
    const openai_models *m = block;
    if (m == NULL) {
        openai_refuse(req, OPS_ENOMEM, "out of memory", NULL, NULL);
        return false;
    }
    const size_t i = find(m, name);
    if (i == m->n) {
        openai_models_refuse(req, m, name);
        return false;
    }
    if ((m->jobs[i] & job) != 0)
        return true;
    (void)snprintf(message, sizeof message, "the model '" OPS_SLICE_FMT "' %s", OPS_SLICE_ARG(name),
                   job == OPENAI_WRITES ? "makes vectors and writes no text"
                                        : "writes text and makes no vectors");
    openai_refuse(req, OPS_EINVAL, message, "model", "model_not_supported");
    return false;
}
