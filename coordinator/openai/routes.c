/* Handlers. A request waits in the dispatch, not on a thread. */
#include "coordinator/openai/routes.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/openai/answer.h"
#include "coordinator/openai/embeddings.h"

#define JSON         "application/json"
#define MODEL_PREFIX "/v1/models/"
enum { ANSWER_BYTES_MAX = 64 << 20, RETRY_MS = 1000 };

typedef struct call {
    ops_http_req *req;
    ops_embeddings *asked;
} call;

static void refuse(ops_http_req *req, ops_status st, const char *message, const char *param, const char *code)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_openai_error(st, message, param, code, &b);
    if (ops_status_retriable(st))
        ops_http_retry_after(req, RETRY_MS);
    ops_http_reply_buf(req, st == OPS_ETOOBIG ? 400 : ops_http_code(st), JSON, &b);
}

typedef struct models {
    ops_dispatch_worker worker[OPS_DISPATCH_WORKERS_MAX];
    ops_openai_model v[OPS_DISPATCH_WORKERS_MAX * OPS_DISPATCH_MODELS_MAX];
    size_t n;
} models;

static ops_openai_model *find(models *m, ops_slice name)
{
    for (size_t i = 0; i < m->n; i++)
        if (ops_slice_eq(m->v[i].name, name))
            return &m->v[i];
    return NULL;
}

/* Every model that some worker has, once, since the first of them attached; freed with ops_free. NULL: no memory. */
static models *models_now(ops_dispatch *d)
{
    models *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    size_t workers = ops_dispatch_workers(d, m->worker, OPS_DISPATCH_WORKERS_MAX);
    workers = workers < OPS_DISPATCH_WORKERS_MAX ? workers : OPS_DISPATCH_WORKERS_MAX;
    for (size_t i = 0; i < workers; i++)
        for (size_t k = 0; k < m->worker[i].model_count; k++) {
            const ops_slice name = ops_slice_str(m->worker[i].models[k].name);
            const int64_t since_s = m->worker[i].attached_unix_ns / 1000000000;
            ops_openai_model *known = find(m, name);
            if (known == NULL)
                m->v[m->n++] = (ops_openai_model){name, since_s};
            else if (since_s < known->created_s)
                known->created_s = since_s;
        }
    return m;
}

static void refuse_model(ops_http_req *req, const models *m, ops_slice name)
{
    char message[OPS_DISPATCH_NAME_MAX + 80];
    if (m->n == 0) {
        refuse(req, OPS_EUNAVAILABLE, "no worker is attached, so no model is there", NULL, "no_worker");
        return;
    }
    (void)snprintf(message, sizeof message, "no worker has the model '" OPS_SLICE_FMT "'",
                   OPS_SLICE_ARG(ops_slice_sub(name, 0, OPS_DISPATCH_NAME_MAX)));
    refuse(req, OPS_ENOTFOUND, message, "model", "model_not_found");
}

static void on_models(ops_http_req *req, void *user)
{
    ops_strbuf b;
    ops_strbuf_init(&b, ANSWER_BYTES_MAX);
    OPS_AUTO(ops_free) void *block = models_now(user);
    models *m = block;
    const ops_slice path = ops_http_path(req), prefix = OPS_SLICE(MODEL_PREFIX);
    if (m == NULL) {
        refuse(req, OPS_ENOMEM, "out of memory", NULL, NULL);
        return;
    }
    if (path.n <= prefix.n) {
        ops_openai_model_list(m->v, m->n, &b);
        ops_http_reply_buf(req, 200, JSON, &b);
        return;
    }
    const ops_slice name = ops_slice_sub(path, prefix.n, path.n);
    const ops_openai_model *one = find(m, name);
    if (one == NULL) {
        refuse_model(req, m, name);
        return;
    }
    ops_openai_model_one(one, &b);
    ops_http_reply_buf(req, 200, JSON, &b);
}

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    call *c = ctx;
    const uint32_t dimensions = ops_embeddings_dimensions(c->asked);
    if (r->status != OPS_OK)
        refuse(c->req, r->status, r->message, NULL, NULL);
    else if (dimensions != 0 && dimensions != r->dim)
        refuse(c->req, OPS_EINVAL, "'dimensions' must be the model's own: it has no shorter form",
               "dimensions", NULL);
    else {
        ops_strbuf b;
        ops_strbuf_init(&b, ANSWER_BYTES_MAX);
        ops_openai_embeddings(r->vectors, r->rows, r->dim, ops_slice_str(r->model), r->tokens,
                              ops_embeddings_base64(c->asked), &b);
        ops_http_reply_buf(c->req, 200, JSON, &b);
    }
    ops_embeddings_free(c->asked);
    ops_free(c);
}

static void submit(ops_dispatch *d, ops_http_req *req, ops_embeddings *take_asked)
{
    uint64_t id;
    ops_err err = {0};
    call *c = ops_calloc(1, sizeof *c);
    if (c == NULL) {
        ops_embeddings_free(take_asked);
        refuse(req, OPS_ENOMEM, "out of memory", NULL, NULL);
        return;
    }
    *c = (call){req, take_asked};
    ops_dispatch_task task = {.work_class = OPS_DISPATCH_INTERACTIVE,
                              .key = ops_slice_str(ops_http_identity(req)->tenant),
                              .model = ops_embeddings_model(take_asked),
                              .deadline_ms = OPS_OPENAI_DEADLINE_MS,
                              .done = on_done,
                              .ctx = c};
    task.texts = ops_embeddings_texts(take_asked, &task.text_count);
    const ops_status st = ops_dispatch_submit(d, &task, &id, &err);
    if (st == OPS_OK)
        return;
    ops_embeddings_free(take_asked);
    ops_free(c);
    refuse(req, st, err.msg, NULL, st == OPS_EAGAIN ? "queue_full" : NULL);
}

static void on_embeddings(ops_http_req *req, void *user)
{
    ops_dispatch *d = user;
    ops_embeddings *asked = NULL;
    const char *param = "";
    ops_err err = {0};
    const ops_status st = ops_embeddings_read(ops_http_body(req), &asked, &param, &err);
    if (st != OPS_OK) {
        refuse(req, st, err.msg, param, NULL);
        return;
    }
    OPS_AUTO(ops_free) void *block = models_now(d);
    models *m = block;
    if (m != NULL && find(m, ops_embeddings_model(asked)) != NULL) {
        submit(d, req, asked);
        return;
    }
    if (m == NULL)
        refuse(req, OPS_ENOMEM, "out of memory", NULL, NULL);
    else
        refuse_model(req, m, ops_embeddings_model(asked));
    ops_embeddings_free(asked);
}

ops_status ops_openai_routes(ops_http *h, ops_dispatch *d, ops_err *reterr)
{
    const ops_http_route routes[] = {{.method = "GET", .path = "/v1/models", .handler = on_models},
                                     {.method = "GET", .path = MODEL_PREFIX "*", .handler = on_models},
                                     {.method = "POST",
                                      .path = "/v1/embeddings",
                                      .body_max = OPS_OPENAI_BODY_MAX,
                                      .handler = on_embeddings}};
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < sizeof routes / sizeof *routes; i++) {
        ops_http_route r = routes[i];
        r.role = OPS_ROLE_VIEWER;
        r.user = d;
        st = ops_http_route_add(h, &r, reterr);
    }
    return st;
}
