/* Handlers. A request waits in the dispatch, not on a thread. */
#include "coordinator/vertex/routes.h"

#include "base/mem/alloc.h"
#include "coordinator/dispatch/served.h"
#include "coordinator/vertex/internal.h"

enum { RETRY_MS = 1000 };

typedef struct call {
    ops_http_req *req;
    ops_predict *asked;
} call;

void vertex_refuse(ops_http_req *req, ops_status st, const char *message)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_predict_error(message, &b);
    if (ops_status_retriable(st))
        ops_http_retry_after(req, RETRY_MS);
    ops_http_reply_buf(req, ops_http_code(st), VERTEX_JSON, &b);
}

static void on_health(ops_http_req *req, void *user)
{
    const bool there = ops_dispatch_counts_get(user).with_models > 0;
    ops_http_reply(req, there ? 200 : 503, "text/plain",
                   there ? OPS_SLICE("ok\n") : OPS_SLICE("no model yet\n"));
}

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    call *c = ctx;
    if (r->status != OPS_OK)
        vertex_refuse(c->req, r->status, r->message);
    else {
        ops_strbuf b;
        ops_strbuf_init(&b, VERTEX_ANSWER_BYTES_MAX);
        ops_predict_answer(r->vectors, r->rows, r->dim, &b);
        ops_http_reply_buf(c->req, 200, VERTEX_JSON, &b);
    }
    ops_predict_free(c->asked);
    ops_free(c);
}

static void embed(ops_http_req *req, ops_dispatch *d, ops_predict *take_asked)
{
    uint64_t id;
    ops_err err = {0};
    call *c = ops_calloc(1, sizeof *c);
    if (c == NULL) {
        ops_predict_free(take_asked);
        vertex_refuse(req, OPS_ENOMEM, "out of memory");
        return;
    }
    *c = (call){req, take_asked};
    ops_dispatch_task task = {.work_class = OPS_DISPATCH_INTERACTIVE,
                              .key = ops_slice_str(ops_http_identity(req)->tenant),
                              .deadline_ms = OPS_VERTEX_DEADLINE_MS,
                              .done = on_done,
                              .ctx = c};
    task.texts = ops_predict_texts(take_asked, &task.text_count);
    const ops_status st = ops_dispatch_submit(d, &task, &id, &err);
    if (st == OPS_OK)
        return; /* on_done has it now */
    ops_predict_free(take_asked);
    ops_free(c);
    vertex_refuse(req, st, err.msg);
}

typedef struct look {
    const char *job;
    bool any, fits;
} look;

static bool look_at(void *u, const ops_served *s)
{
    look *l = u;
    l->any = true;
    l->fits |= ops_slice_eq(ops_slice_str(s->model.job), ops_slice_str(l->job));
    return !l->fits;
}

/* Models are there, and none of them can do this: waiting would not help. */
static bool in_vain(ops_dispatch *d, const char *job)
{
    look l = {.job = job};
    return ops_served_walk(d, look_at, &l, NULL) == OPS_OK && l.any && !l.fits;
}

static void on_predict(ops_http_req *req, void *user)
{
    size_t texts = 0;
    ops_err err = {0};
    ops_predict *asked = NULL;
    const ops_status st = ops_predict_read(ops_http_body(req), &asked, &err);
    if (st != OPS_OK) {
        vertex_refuse(req, st, err.msg);
        return;
    }
    (void)ops_predict_texts(asked, &texts);
    if (in_vain(user, texts > 0 ? "embed" : "generate")) {
        ops_predict_free(asked);
        vertex_refuse(req, OPS_EINVAL,
                      texts > 0 ? "no model here makes vectors: an instance must have 'prompt' or 'messages'"
                                : "no model here writes text: an instance must be a text");
    } else if (texts > 0) {
        embed(req, user, asked);
    } else {
        vertex_write(req, user, asked);
    }
}

ops_status ops_vertex_routes(ops_http *h, ops_dispatch *d, const char *health, const char *predict,
                             ops_err *reterr)
{
    const ops_http_route routes[] = {
        {.method = "GET", .path = health, .role = OPS_ROLE_NONE, .handler = on_health, .user = d},
        {.method = "POST",
         .path = predict,
         .body_max = OPS_VERTEX_BODY_MAX,
         .role = OPS_ROLE_VIEWER,
         .handler = on_predict,
         .user = d}};
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < sizeof routes / sizeof *routes; i++)
        st = ops_http_route_add(h, &routes[i], reterr);
    return st;
}
