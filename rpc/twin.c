/* The twin's server: one thread goes round the live calls and does what is next with each. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "rpc/twin_internal.h"

enum { CODE_CANCELLED = 1, CODE_DEADLINE = 4, CODE_EXHAUSTED = 8, CODE_UNAVAILABLE = 14 };

static twin_host *host_of(ops_rpc_server *s)
{
    return (twin_host *)(void *)s;
}

static twin_call *of(ops_rpc_call *c)
{
    return (twin_call *)(void *)c;
}

twin_message *twin_message_of(ops_slice s)
{
    twin_message *m = ops_malloc(sizeof *m + s.n);
    if (m == NULL)
        return NULL;
    m->next = NULL;
    m->n = s.n;
    if (s.n > 0)
        memcpy(m->bytes, s.p, s.n);
    return m;
}

void twin_queue_init(twin_queue *q)
{
    *q = (twin_queue){.tail = &q->head};
}

bool twin_put(twin_queue *q, ops_slice s)
{
    twin_message *m = twin_message_of(s);
    if (m == NULL)
        return false;
    *q->tail = m;
    q->tail = &m->next;
    q->count++;
    q->bytes += m->n;
    return true;
}

twin_message *twin_take(twin_queue *q)
{
    twin_message *m = q->head;
    if (m == NULL)
        return NULL;
    q->head = m->next;
    if (q->head == NULL)
        q->tail = &q->head;
    q->count--;
    q->bytes -= m->n;
    return m;
}

void twin_drop(twin_queue *q)
{
    for (twin_message *m; (m = twin_take(q)) != NULL;)
        ops_free(m);
}

int64_t twin_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void twin_wait(twin_host *h, int64_t until_ns)
{
    if (until_ns == INT64_MAX) {
        (void)pthread_cond_wait(&h->changed, &h->lock);
        return;
    }
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    (void)pthread_cond_timedwait(&h->changed, &h->lock, &until);
}

void twin_call_begin(twin_host *h, twin_call *c)
{
    c->base.transport = &twin_transport;
    atomic_store(&c->base.refs, 2);
    c->host = h;
    c->holders = 2;
    *h->last = c;
    h->last = &c->next;
    h->live++;
    if (atomic_load(&h->base.stopping))
        twin_call_close(c, CODE_UNAVAILABLE);
    (void)pthread_cond_broadcast(&h->changed);
}

void twin_call_close(twin_call *c, int code)
{
    if (twin_call_ended(c))
        return;
    c->closed = true;
    c->closed_code = code;
    (void)pthread_cond_broadcast(&c->host->changed);
}

void twin_call_release(twin_call *c)
{
    if (--c->holders > 0)
        return;
    twin_drop(&c->in);
    twin_drop(&c->out);
    ops_free(c->held);
    ops_free(c->details);
    ops_free(c->message);
    ops_free(c->path);
    ops_free(c->authorization);
    ops_free(c->base.peer);
    ops_free(c);
}

ops_status twin_call_ending(const twin_call *c, ops_rpc_details *ret_details, ops_err *reterr)
{
    const int code = c->closed ? c->closed_code : c->code;
    if (ret_details != NULL)
        *ret_details = (ops_rpc_details){0};
    if (code == 0)
        return OPS_OK;
    if (!c->closed && c->details != NULL && ret_details != NULL &&
        !ops_rpc_status_get(ops_slice_of(c->details->bytes, c->details->n), ret_details))
        *ret_details = (ops_rpc_details){0};
    const ops_status st = ops_status_from_grpc(code);
    const bool words = !c->closed && c->message != NULL && c->message[0] != '\0';
    return ops_fail(reterr, st, "%s", words ? c->message : ops_status_text(st));
}

/* --- what the handler's side does --- */

static ops_status call_send(ops_rpc_call *base, ops_slice msg)
{
    twin_call *c = of(base);
    const ops_rpc_server_conf *conf = &c->host->base.table.conf;
    ops_status st = OPS_OK;
    (void)pthread_mutex_lock(&c->host->lock);
    if (twin_call_ended(c))
        st = OPS_ECANCELLED;
    else if (c->out.count >= conf->send_queue_max ||
             (c->out.count > 0 && c->out.bytes + msg.n > conf->send_queue_bytes_max)) {
        c->want_writable = true;
        st = OPS_EAGAIN;
    } else if (!twin_put(&c->out, msg))
        st = OPS_ENOMEM;
    (void)pthread_cond_broadcast(&c->host->changed);
    (void)pthread_mutex_unlock(&c->host->lock);
    return st;
}

static void call_read(ops_rpc_call *base)
{
    twin_call *c = of(base);
    (void)pthread_mutex_lock(&c->host->lock);
    c->reading = true;
    (void)pthread_cond_broadcast(&c->host->changed);
    (void)pthread_mutex_unlock(&c->host->lock);
}

static void call_finish(ops_rpc_call *base, int code, const char *message, ops_slice details, ops_slice reply)
{
    twin_call *c = of(base);
    (void)pthread_mutex_lock(&c->host->lock);
    c->code = code;
    if (reply.p != NULL && !twin_put(&c->out, reply)) {
        c->code = CODE_EXHAUSTED;
        message = "out of memory";
    }
    c->message = ops_strdup(message); /* without memory: the code's own words */
    if (details.n > 0)
        c->details = twin_message_of(details);
    c->finishing = true;
    (void)pthread_cond_broadcast(&c->host->changed);
    (void)pthread_mutex_unlock(&c->host->lock);
    ops_rpc_call_unref(base); /* the handler's */
}

static ops_slice call_metadata(const ops_rpc_call *base, const char *key)
{
    const twin_call *c = (const twin_call *)(const void *)base;
    return c->authorization != NULL && strcmp(key, "authorization") == 0 ? ops_slice_str(c->authorization)
                                                                         : (ops_slice){0};
}

static int64_t call_left_ms(const ops_rpc_call *base)
{
    const twin_call *c = (const twin_call *)(const void *)base;
    if (c->deadline_ns == INT64_MAX)
        return INT64_MAX;
    const int64_t left = (c->deadline_ns - twin_now_ns()) / 1000000;
    return left > 0 ? left : 0;
}

static bool call_is_cancelled(ops_rpc_call *base)
{
    twin_call *c = of(base);
    (void)pthread_mutex_lock(&c->host->lock);
    const bool gone = c->closed;
    (void)pthread_mutex_unlock(&c->host->lock);
    return gone;
}

static void call_destroy(ops_rpc_call *base)
{
    twin_call *c = of(base);
    twin_host *h = c->host;
    rpc_call_over(base);
    (void)pthread_mutex_lock(&h->lock);
    c->over = true; /* the thread takes it off the list */
    h->live--;
    (void)pthread_cond_broadcast(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
}

const rpc_transport twin_transport = {.send = call_send,
                                      .read = call_read,
                                      .finish = call_finish,
                                      .metadata = call_metadata,
                                      .left_ms = call_left_ms,
                                      .is_cancelled = call_is_cancelled,
                                      .destroy = call_destroy};

/* --- the thread --- */

typedef enum action { NOTHING, ADMIT, CANCEL, MESSAGE, HALF_CLOSE, WRITABLE, TELL, LET_GO, LEAVE } action;

static action next_of(twin_call *c, int64_t now_ns)
{
    if (!c->over && c->deadline_ns <= now_ns)
        twin_call_close(c, CODE_DEADLINE);
    if (c->told != NULL && twin_call_ended(c))
        return TELL;
    if (c->over)
        return LEAVE;
    if (c->finishing)
        return c->let_go ? NOTHING : LET_GO;
    if (!c->admitted)
        return ADMIT;
    if (c->closed)
        return c->cancel_told ? NOTHING : CANCEL;
    if (c->reading && c->in.count > 0)
        return MESSAGE;
    if (c->reading && c->send_closed && !c->half_told)
        return HALF_CLOSE;
    if (c->want_writable && c->out.count * 2 <= c->host->base.table.conf.send_queue_max)
        return WRITABLE;
    return NOTHING;
}

static void admit(twin_call *c)
{
    ops_err err = {0};
    ops_rpc_details details;
    const ops_slice token = c->authorization != NULL ? ops_slice_str(c->authorization) : (ops_slice){0};
    const ops_status st =
        rpc_table_admit(&c->host->base.table, &c->base, ops_slice_str(c->path), token, &details, &err);
    if (st == OPS_OK) {
        call_read(&c->base);
        return;
    }
    atomic_store(&c->base.ended, true);
    rpc_call_refuse(&c->base, st, err.msg, &details);
}

static void cancel(twin_call *c)
{
    const ops_rpc_method *m = c->base.method;
    if (m == NULL) /* it was given up before it was looked at */
        return;
    if (m->cancelled != NULL)
        m->cancelled(&c->base, m->svc);
    else if (m->kind != OPS_RPC_UNARY)
        ops_rpc_finish(&c->base, OPS_ECANCELLED, "", NULL);
}

static void deliver(twin_call *c, twin_message *in)
{
    const ops_rpc_method *m = c->base.method;
    const ops_slice msg = ops_slice_of(in->bytes, in->n);
    if (m->kind != OPS_RPC_BIDI) {
        (void)m->message(&c->base, msg, m->svc);
        return;
    }
    if (m->message(&c->base, msg, m->svc))
        call_read(&c->base);
    ops_free(in);
}

static void half_close(twin_call *c)
{
    const ops_rpc_method *m = c->base.method;
    if (m->kind == OPS_RPC_BIDI && m->half_close != NULL)
        m->half_close(&c->base, m->svc);
    else if (m->kind == OPS_RPC_BIDI)
        ops_rpc_finish(&c->base, OPS_OK, "", NULL);
    else if (c->held == NULL)
        ops_rpc_finish(&c->base, OPS_EINVAL, "the request is missing", NULL);
}

static void tell(twin_call *c)
{
    ops_err err = {0};
    ops_rpc_answer a = {0};
    (void)pthread_mutex_lock(&c->host->lock);
    const ops_rpc_told told = c->told;
    void *u = c->told_u;
    c->told = NULL;
    twin_message *reply = c->closed ? NULL : twin_take(&c->out);
    a.st = twin_call_ending(c, &a.details, &err);
    if (a.st == OPS_OK && reply == NULL)
        a.st = ops_fail(&err, OPS_EINTERNAL, "the server answered OK without an answer");
    else if (a.st == OPS_OK && reply->n > c->reply_bytes_max)
        a.st = ops_fail(&err, OPS_EAGAIN, "an answer of %zu bytes, %zu are allowed", reply->n,
                        c->reply_bytes_max);
    else if (a.st == OPS_OK)
        a.reply = ops_slice_of(reply->bytes, reply->n);
    (void)pthread_mutex_unlock(&c->host->lock);
    a.message = err.msg;
    told(u, &a);
    ops_free(reply);
    (void)pthread_mutex_lock(&c->host->lock);
    twin_call_release(c); /* the client's hold */
    (void)pthread_mutex_unlock(&c->host->lock);
}

/* A request above the limit ends the call for its client; the handler of a stream hears of a cancel. */
static twin_message *next_message(twin_call *c)
{
    twin_message *in = twin_take(&c->in);
    c->reading = false;
    if (in->n > c->host->base.table.conf.message_bytes_max) {
        ops_free(in);
        twin_call_close(c, CODE_EXHAUSTED);
        return NULL;
    }
    if (c->base.method->kind != OPS_RPC_BIDI)
        c->held = in;
    return in;
}

/* With the lock held on entry and on return. */
static void perform(twin_host *h, twin_call *c, action what)
{
    const ops_rpc_method *m = c->base.method;
    twin_message *in = NULL;
    c->admitted |= what == ADMIT;
    c->cancel_told |= what == CANCEL;
    c->half_told |= what == HALF_CLOSE;
    c->let_go |= what == LET_GO;
    if (what == WRITABLE)
        c->want_writable = false;
    if (what == MESSAGE && (in = next_message(c)) == NULL)
        return;
    (void)pthread_mutex_unlock(&h->lock);
    if (what == ADMIT)
        admit(c);
    else if (what == CANCEL)
        cancel(c);
    else if (what == MESSAGE)
        deliver(c, in);
    else if (what == HALF_CLOSE)
        half_close(c);
    else if (what == WRITABLE && m->writable != NULL)
        m->writable(&c->base, m->svc);
    else if (what == TELL)
        tell(c);
    else if (what == LET_GO)
        ops_rpc_call_unref(&c->base);
    (void)pthread_mutex_lock(&h->lock);
}

/* A unary call whose request was refused by its size has a handler's reference that nobody else would end. */
static void end_unasked(twin_host *h, twin_call *c)
{
    if (!c->closed || !c->cancel_told || c->finishing || c->base.method == NULL || c->held != NULL ||
        c->base.method->kind == OPS_RPC_BIDI)
        return;
    (void)pthread_mutex_unlock(&h->lock);
    ops_rpc_finish(&c->base, OPS_ECANCELLED, "", NULL);
    (void)pthread_mutex_lock(&h->lock);
}

/* Takes *at off the list, or puts it last, so that each call has its turn. */
static void move(twin_host *h, twin_call **at, bool off)
{
    twin_call *c = *at;
    *at = c->next;
    c->next = NULL;
    if (h->last == &c->next)
        h->last = at;
    if (off) {
        twin_call_release(c);
        return;
    }
    *h->last = c;
    h->last = &c->next;
}

/* One thing done for one call; false when there is nothing to do before *ret_until_ns. */
static bool turn(twin_host *h, int64_t *ret_until_ns)
{
    const int64_t now_ns = twin_now_ns();
    *ret_until_ns = INT64_MAX;
    for (twin_call **at = &h->first; *at != NULL; at = &(*at)->next) {
        twin_call *c = *at;
        const action what = next_of(c, now_ns);
        if (what == NOTHING) {
            if (!twin_call_ended(c) && c->deadline_ns < *ret_until_ns)
                *ret_until_ns = c->deadline_ns;
            continue;
        }
        move(h, at, what == LEAVE);
        if (what != LEAVE) {
            perform(h, c, what);
            if (what == CANCEL || what == MESSAGE)
                end_unasked(h, c);
        }
        return true;
    }
    return false;
}

static void run(void *u)
{
    twin_host *h = u;
    int64_t until_ns;
    (void)pthread_mutex_lock(&h->lock);
    for (;;) {
        if (turn(h, &until_ns))
            continue;
        if (h->ending)
            break;
        twin_wait(h, until_ns);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

/* --- the server --- */

static ops_status host_start(ops_rpc_server *s, ops_err *reterr)
{
    return ops_thread_start(run, host_of(s), "rpc-twin", &host_of(s)->thread, reterr);
}

static void host_stop(ops_rpc_server *s, unsigned grace_ms)
{
    twin_host *h = host_of(s);
    const int64_t until_ns = twin_now_ns() + (int64_t)grace_ms * 1000000;
    (void)pthread_mutex_lock(&h->lock);
    while (h->live > 0 && twin_now_ns() < until_ns)
        twin_wait(h, until_ns);
    for (twin_call *c = h->first; c != NULL; c = c->next)
        twin_call_close(c, CODE_UNAVAILABLE);
    while (h->live > 0)
        twin_wait(h, INT64_MAX);
    (void)pthread_mutex_unlock(&h->lock);
}

static void host_free(ops_rpc_server *s)
{
    twin_host *h = host_of(s);
    (void)pthread_mutex_lock(&h->lock);
    h->ending = true;
    (void)pthread_cond_broadcast(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
    if (h->thread != NULL)
        ops_thread_join(h->thread);
    rpc_table_done(&h->base.table);
    (void)pthread_cond_destroy(&h->changed);
    (void)pthread_mutex_destroy(&h->lock);
    ops_free(h);
}

static ops_status host_reload_tls(ops_rpc_server *s, const ops_rpc_tls *tls, ops_err *reterr)
{
    (void)s;
    (void)tls;
    return ops_fail(reterr, OPS_EINVAL, "rpc twin: it was started without TLS");
}

ops_status ops_rpc_twin_new(const ops_rpc_server_conf *conf, ops_rpc_server **ret, ops_err *reterr)
{
    static const rpc_server_ops ops = {
        .start = host_start, .stop = host_stop, .free = host_free, .reload_tls = host_reload_tls};
    pthread_condattr_t mono;
    if (conf->tls != NULL)
        return ops_fail(reterr, OPS_EUNIMPL, "rpc twin: TLS has no meaning without a socket");
    twin_host *h = ops_calloc(1, sizeof *h);
    if (h == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "rpc twin");
    h->base.ops = &ops;
    h->last = &h->first;
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_condattr_init(&mono);
    (void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&h->changed, &mono);
    (void)pthread_condattr_destroy(&mono);
    const ops_status st = rpc_table_init(&h->base.table, conf, reterr);
    if (st != OPS_OK) {
        ops_rpc_server_free(&h->base);
        return st;
    }
    *ret = &h->base;
    return OPS_OK;
}
