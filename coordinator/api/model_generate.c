/* Generate: pieces go out as they come from the dispatch. What a slow reader has not taken waits here, within a bound. */
#include <pthread.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/api/model_internal.h"
#include "coordinator/api/model_list.h"

enum { WAITING_BYTES_MAX = 4 << 20, ANSWER_TOKENS = 256, BYTES_A_TOKEN = 4 };

typedef struct generating {
    ops_rpc_call *call;
    ops_dispatch *d;
    pthread_mutex_t lock;
    uint64_t id;        /* 0: not submitted yet */
    ops_strbuf waiting; /* messages, each behind its length as a size_t */
    size_t sent;        /* bytes of `waiting` that are out */
    bool gone, behind;  /* behind: the reader left more than the bound */
    bool over, ended;   /* over: the dispatch is done with it; ended: the call */
    ops_status status;  /* when over */
    char message[256];
} generating;

#define UNCONST(s) ((char *)(uintptr_t)(s)) /* messages that are only packed from */

void model_generate_done(void *user, void *svc)
{
    (void)svc;
    generating *g = user;
    ops_strbuf_done(&g->waiting);
    pthread_mutex_destroy(&g->lock);
    ops_free(g);
}

/* With the lock held: sends what waits. True: nothing does any more. */
static bool flush(generating *g)
{
    while (g->sent < g->waiting.n) {
        size_t n;
        memcpy(&n, g->waiting.p + g->sent, sizeof n);
        const ops_status st = ops_rpc_send(g->call, ops_slice_of(g->waiting.p + g->sent + sizeof n, n));
        if (st == OPS_EAGAIN)
            return false;        /* `writable` comes */
        g->sent += sizeof n + n; /* else nobody listens: it is as good as sent */
    }
    ops_strbuf_clear(&g->waiting);
    g->sent = 0;
    return true;
}

/* With the lock held. */
static void put(generating *g, ops_slice message)
{
    if (g->behind || g->gone)
        return;
    if (flush(g)) {
        const ops_status st = ops_rpc_send(g->call, message);
        if (st != OPS_EAGAIN)
            return;
    }
    ops_strbuf_put(&g->waiting, &message.n, sizeof message.n);
    ops_strbuf_put(&g->waiting, message.p, message.n);
    g->behind = g->waiting.failed;
}

/* With the lock held; lets it go and ends the call when all is out. `g` may be gone afterwards. */
static void unlock_and_end(generating *g)
{
    const bool now = g->over && !g->ended && (g->gone || g->behind || flush(g));
    g->ended |= now;
    const bool behind = g->behind;
    const ops_status st = g->status;
    ops_rpc_call *c = g->call;
    char message[sizeof g->message];
    memcpy(message, g->message, sizeof message);
    pthread_mutex_unlock(&g->lock);
    if (!now)
        return;
    if (behind)
        model_fail(c, OPS_EAGAIN, "the reader takes the answer more slowly than it comes");
    else if (st != OPS_OK)
        model_fail(c, st, message);
    else
        ops_rpc_finish(c, OPS_OK, "", NULL);
}

static void pack_and_put(generating *g, const Ops__V1__GenerateResponse *m)
{
    ops_strbuf b;
    ops_strbuf_init(&b, API_REPLY_BYTES_MAX);
    if (api_pack(&m->base, &b))
        put(g, ops_strbuf_get(&b));
    else
        g->behind = true;
    ops_strbuf_done(&b);
}

/* A packed delta as field 1 of a GenerateResponse, without reading it. */
static void on_delta(void *ctx, ops_slice delta)
{
    generating *g = ctx;
    ops_strbuf b;
    ops_strbuf_init(&b, API_REPLY_BYTES_MAX);
    ops_strbuf_char(&b, 1 << 3 | 2);
    size_t n = delta.n;
    do
        ops_strbuf_char(&b, (char)((n & 0x7F) | (n > 0x7F ? 0x80 : 0)));
    while ((n >>= 7) > 0);
    ops_strbuf_slice(&b, delta);
    pthread_mutex_lock(&g->lock);
    const bool was_behind = g->behind;
    if (b.failed)
        g->behind = true;
    else
        put(g, ops_strbuf_get(&b));
    const bool stop = g->behind && !was_behind;
    const uint64_t id = g->id;
    pthread_mutex_unlock(&g->lock);
    ops_strbuf_done(&b);
    if (stop)
        ops_dispatch_cancel(g->d, id);
}

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    generating *g = ctx;
    Ops__V1__GenerateEnd *end =
        r->status == OPS_OK ? ops__v1__generate_end__unpack(NULL, r->end.n, (const uint8_t *)r->end.p) : NULL;
    pthread_mutex_lock(&g->lock);
    g->over = true;
    g->status = r->status == OPS_OK && end == NULL ? OPS_ENOMEM : r->status;
    const size_t n = strnlen(r->message, sizeof g->message - 1);
    memcpy(g->message, r->message, n);
    if (end != NULL) {
        Ops__V1__GenerateResponse m = OPS__V1__GENERATE_RESPONSE__INIT;
        m.kind_case = OPS__V1__GENERATE_RESPONSE__KIND_END;
        m.end = end;
        m.model = UNCONST(r->model);
        pack_and_put(g, &m);
    }
    unlock_and_end(g);
    if (end != NULL)
        ops__v1__generate_end__free_unpacked(end, NULL);
}

void model_generate_room(ops_rpc_call *c, void *svc)
{
    (void)svc;
    generating *g = ops_rpc_call_user(c);
    if (g == NULL)
        return;
    pthread_mutex_lock(&g->lock);
    (void)flush(g);
    unlock_and_end(g);
}

void model_generate_gone(ops_rpc_call *c, void *svc)
{
    (void)svc;
    generating *g = ops_rpc_call_user(c);
    if (g == NULL)
        return;
    pthread_mutex_lock(&g->lock);
    g->gone = true;
    const uint64_t id = g->over ? 0 : g->id;
    ops_dispatch *d = g->d;
    unlock_and_end(g);
    if (id != 0)
        ops_dispatch_cancel(d, id);
}

/* What it may cost, as far as can be seen from here. */
static uint32_t cost(const Ops__V1__GenerateTask *t, size_t bytes)
{
    const size_t answer = t->tokens_max > 0 ? t->tokens_max : ANSWER_TOKENS,
                 sum = bytes / BYTES_A_TOKEN + answer;
    return sum < INT32_MAX ? (uint32_t)sum : INT32_MAX;
}

static ops_status submit_packed(ops_model_service *m, ops_rpc_call *c, const Ops__V1__GenerateRequest *q,
                                ops_slice payload, ops_err *reterr)
{
    generating *g = ops_calloc(1, sizeof *g);
    if (g == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request");
    g->call = c;
    g->d = m->d;
    ops_strbuf_init(&g->waiting, WAITING_BYTES_MAX);
    pthread_mutex_init(&g->lock, NULL);
    const ops_dispatch_task task = {.work_class = model_class(q->work_class),
                                    .job = OPS_DISPATCH_GENERATE,
                                    .key = api_tenant(c),
                                    .model = ops_slice_str(q->task->model),
                                    .payload = payload,
                                    .tokens = cost(q->task, payload.n),
                                    .deadline_ms = model_deadline_ms(c),
                                    .delta = on_delta,
                                    .done = on_done,
                                    .ctx = g};
    ops_rpc_call *keep = ops_rpc_call_ref(c); /* the end may come before the submit is back */
    ops_rpc_call_set_user(c, g);
    pthread_mutex_lock(&g->lock);
    uint64_t id = 0;
    const ops_status st = ops_dispatch_submit(m->d, &task, &id, reterr);
    g->id = st == OPS_OK ? id : 0;
    g->over = g->ended = st != OPS_OK;
    const bool gone = g->gone;
    pthread_mutex_unlock(&g->lock);
    if (st == OPS_OK && gone)
        ops_dispatch_cancel(m->d, id);
    if (st != OPS_OK)
        model_fail(c, st, reterr->msg);
    ops_rpc_call_unref(keep);
    return OPS_OK;
}

static ops_status submit(ops_model_service *m, ops_rpc_call *c, Ops__V1__GenerateRequest *q, ops_err *reterr)
{
    if (q->task == NULL)
        return ops_fail(reterr, OPS_EINVAL, "task: is wanted");
    const ops_status st = model_served(m->d, "generate", q->task->model, reterr);
    if (st != OPS_OK)
        return st;
    char *theirs = q->task->salt;
    q->task->salt = UNCONST(ops_rpc_call_identity(c)->tenant);
    const size_t n = ops__v1__generate_task__get_packed_size(q->task);
    OPS_AUTO(ops_free) void *bytes = n <= OPS_DISPATCH_PAYLOAD_MAX ? ops_malloc(n) : NULL;
    if (bytes != NULL)
        (void)ops__v1__generate_task__pack(q->task, bytes);
    q->task->salt = theirs;
    if (n > OPS_DISPATCH_PAYLOAD_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a request of %zu bytes, at most %d", n,
                        OPS_DISPATCH_PAYLOAD_MAX);
    if (bytes == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes", n);
    return submit_packed(m, c, q, ops_slice_of(bytes, n), reterr);
}

bool model_on_generate(ops_rpc_call *c, ops_slice req, void *svc)
{
    ops_err err = {.msg = ""};
    Ops__V1__GenerateRequest *q = ops__v1__generate_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    const ops_status st =
        q != NULL ? submit(svc, c, q, &err) : ops_fail(&err, OPS_EINVAL, "GenerateRequest does not read");
    if (st != OPS_OK)
        model_fail(c, st, err.msg);
    if (q != NULL)
        ops__v1__generate_request__free_unpacked(q, NULL);
    return false;
}
