/* Handlers. A request waits in the dispatch, not on a thread. */
#include "coordinator/openai/routes.h"

#include "base/mem/alloc.h"
#include "coordinator/openai/answer.h"
#include "coordinator/openai/embeddings.h"
#include "coordinator/openai/internal.h"

#define MODEL_PREFIX "/v1/models/"

typedef struct call {
    ops_http_req *req;
    ops_embeddings *asked;
} call;

static void on_models(ops_http_req *req, void *user)
{
    const ops_slice path = ops_http_path(req), prefix = OPS_SLICE(MODEL_PREFIX);
    if (path.n <= prefix.n)
        openai_answer_models(req, user);
    else
        openai_answer_model(req, user, ops_slice_sub(path, prefix.n, path.n));
}

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    call *c = ctx;
    const uint32_t dimensions = ops_embeddings_dimensions(c->asked);
    if (r->status != OPS_OK)
        openai_refuse(c->req, r->status, r->message, NULL, NULL);
    else if (dimensions != 0 && dimensions != r->dim)
        openai_refuse(c->req, OPS_EINVAL, "'dimensions' must be the model's own: it has no shorter form",
                      "dimensions", NULL);
    else {
        ops_strbuf b;
        ops_strbuf_init(&b, OPENAI_ANSWER_BYTES_MAX);
        ops_openai_embeddings(r->vectors, r->rows, r->dim, ops_slice_str(r->model), r->tokens,
                              ops_embeddings_base64(c->asked), &b);
        ops_http_reply_buf(c->req, 200, OPENAI_JSON, &b);
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
        openai_refuse(req, OPS_ENOMEM, "out of memory", NULL, NULL);
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
    openai_refuse(req, st, err.msg, NULL, NULL);
}

static void on_embeddings(ops_http_req *req, void *user)
{
    ops_dispatch *d = user;
    ops_embeddings *asked = NULL;
    const char *param = "";
    ops_err err = {0};
    const ops_status st = ops_embeddings_read(ops_http_body(req), &asked, &param, &err);
    if (st != OPS_OK) {
        openai_refuse(req, st, err.msg, param, NULL);
        return;
    }
    if (openai_model_is_there(d, req, ops_embeddings_model(asked), "embed"))
        submit(d, req, asked);
    else
        ops_embeddings_free(asked);
}

static void write_error(ops_status st, const char *message, ops_strbuf *out)
{
    ops_openai_error(st, message, NULL, NULL, out);
}

ops_status ops_openai_routes(ops_http *h, ops_dispatch *d, ops_err *reterr)
{
    const ops_http_route routes[] = {{.method = "GET", .path = "/v1/models", .handler = on_models},
                                     {.method = "GET", .path = MODEL_PREFIX "*", .handler = on_models},
                                     {.method = "POST",
                                      .path = "/v1/embeddings",
                                      .body_max = OPS_OPENAI_BODY_MAX,
                                      .handler = on_embeddings},
                                     {.method = "POST",
                                      .path = "/v1/rerank",
                                      .body_max = OPS_OPENAI_BODY_MAX,
                                      .handler = openai_on_rerank},
                                     {.method = "POST",
                                      .path = "/v1/classify",
                                      .body_max = OPS_OPENAI_BODY_MAX,
                                      .handler = openai_on_classify},
                                     {.method = "POST",
                                      .path = "/v1/chat/completions",
                                      .body_max = OPS_OPENAI_BODY_MAX,
                                      .handler = openai_on_chat},
                                     {.method = "POST",
                                      .path = "/v1/completions",
                                      .body_max = OPS_OPENAI_BODY_MAX,
                                      .handler = openai_on_completion}};
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < sizeof routes / sizeof *routes; i++) {
        ops_http_route r = routes[i];
        r.role = OPS_ROLE_VIEWER;
        r.user = d;
        r.error = write_error;
        st = ops_http_route_add(h, &r, reterr);
    }
    return st;
}
