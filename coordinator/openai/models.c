/* Which models there are, and refusals. */
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/dispatch/served.h"
#include "coordinator/openai/answer.h"
#include "coordinator/openai/internal.h"

enum { RETRY_MS = 1000, MODELS_MAX = 1024 /* that are listed */ };

void openai_refuse(ops_http_req *req, ops_status st, const char *message, const char *param, const char *code)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_openai_error(st, message, param, code, &b);
    if (ops_status_retriable(st))
        ops_http_retry_after(req, RETRY_MS);
    ops_http_reply_buf(req, st == OPS_ETOOBIG || st == OPS_EUNIMPL ? 400 : ops_http_code(st), OPENAI_JSON,
                       &b);
}

/* --- one --- */

typedef struct look {
    ops_slice name;
    const char *job; /* NULL: any */
    bool any, there, fits;
    int64_t since_s;
} look;

static bool look_at(void *u, const ops_served *s)
{
    look *l = u;
    const int64_t since_s = s->since_unix_ns / 1000000000;
    l->any = true;
    if (!ops_slice_eq(ops_slice_str(s->model.name), l->name))
        return true;
    l->since_s = !l->there || since_s < l->since_s ? since_s : l->since_s;
    l->there = true;
    l->fits |= l->job == NULL || ops_slice_eq(ops_slice_str(s->model.job), ops_slice_str(l->job));
    return true;
}

static void refuse_absent(ops_http_req *req, const look *l)
{
    char message[OPS_DISPATCH_NAME_MAX + 80];
    if (!l->any) {
        openai_refuse(req, OPS_EUNAVAILABLE, "no worker has a model yet", NULL, "no_worker");
        return;
    }
    (void)snprintf(message, sizeof message, "no worker has the model '" OPS_SLICE_FMT "'",
                   OPS_SLICE_ARG(ops_slice_sub(l->name, 0, OPS_DISPATCH_NAME_MAX)));
    openai_refuse(req, OPS_ENOTFOUND, message, "model", "model_not_found");
}

/* False: refused. */
static bool find(ops_http_req *req, ops_dispatch *d, look *l)
{
    if (ops_served_walk(d, look_at, l, NULL) != OPS_OK) {
        openai_refuse(req, OPS_ENOMEM, "out of memory", NULL, NULL);
        return false;
    }
    if (!l->there)
        refuse_absent(req, l);
    return l->there;
}

bool openai_model_is_there(ops_dispatch *d, ops_http_req *req, ops_slice name, const char *job)
{
    char message[OPS_DISPATCH_NAME_MAX + 80];
    look l = {.name = name, .job = job};
    if (!find(req, d, &l))
        return false;
    if (l.fits)
        return true;
    static const struct {
        const char *job, *lacks;
    } rows[] = {{"embed", "makes no vectors"},
                {"generate", "writes no text"},
                {"rerank", "does not rerank"},
                {"classify", "does not classify"}};
    const char *lacks = "";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].job, job) == 0)
            lacks = rows[i].lacks;
    (void)snprintf(message, sizeof message, "the model '" OPS_SLICE_FMT "' %s", OPS_SLICE_ARG(name), lacks);
    openai_refuse(req, OPS_EINVAL, message, "model", "model_not_supported");
    return false;
}

void openai_answer_model(ops_http_req *req, ops_dispatch *d, ops_slice name)
{
    look l = {.name = name};
    if (!find(req, d, &l))
        return;
    ops_strbuf b;
    const ops_openai_model m = {name, l.since_s};
    ops_strbuf_init(&b, OPENAI_ANSWER_BYTES_MAX);
    ops_openai_model_one(&m, &b);
    ops_http_reply_buf(req, 200, OPENAI_JSON, &b);
}

/* --- all --- */

typedef struct list {
    size_t n;
    ops_openai_model v[MODELS_MAX];
    char name[MODELS_MAX][OPS_DISPATCH_NAME_MAX];
} list;

static bool list_one(void *u, const ops_served *s)
{
    list *l = u;
    const ops_slice name = ops_slice_str(s->model.name);
    for (size_t i = 0; i < l->n; i++)
        if (ops_slice_eq(l->v[i].name, name)) /* it does another job too */
            return true;
    (void)snprintf(l->name[l->n], OPS_DISPATCH_NAME_MAX, "%s", s->model.name);
    l->v[l->n] = (ops_openai_model){ops_slice_str(l->name[l->n]), s->since_unix_ns / 1000000000};
    return ++l->n < MODELS_MAX;
}

void openai_answer_models(ops_http_req *req, ops_dispatch *d)
{
    ops_strbuf b;
    OPS_AUTO(ops_free) void *block = ops_calloc(1, sizeof(list));
    list *l = block;
    if (l == NULL || ops_served_walk(d, list_one, l, NULL) != OPS_OK) {
        openai_refuse(req, OPS_ENOMEM, "out of memory", NULL, NULL);
        return;
    }
    ops_strbuf_init(&b, OPENAI_ANSWER_BYTES_MAX);
    ops_openai_model_list(l->v, l->n, &b);
    ops_http_reply_buf(req, 200, OPENAI_JSON, &b);
}
