/* Two threads a stream: one opens it, reads it and opens it again; one sends what the session posted, and heartbeats. */
#include "worker/serve/serve.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "base/sched/mailbox.h"
#include "base/sched/thread.h"
#include "base/text/hash.h"
#include "base/text/strbuf.h"
#include "base/time/clock.h"
#include "worker/serve/session.h"

enum {
    OUT_MAX = 1024,
    OUT_BEHIND = 128, /* from here on pieces of answers are gathered, so that a slow reader costs no answer */
    OUT_BYTES_MAX = 64 << 20,
    MESSAGE_BYTES_MAX = 64 << 20,
    WAIT_MS_MIN = 200,
    WAIT_MS_MAX = 10000,
    ID_BYTES = 128
};
static const Ops__V1__WorkClass classes[] = {OPS__V1__WORK_CLASS__WORK_CLASS_INTERACTIVE,
                                             OPS__V1__WORK_CLASS__WORK_CLASS_TRIAGE,
                                             OPS__V1__WORK_CLASS__WORK_CLASS_BULK};
enum { CLASSES = sizeof classes / sizeof *classes };

typedef struct packed {
    size_t n;
    char bytes[];
} packed;

typedef struct link {
    ops_worker *w;
    ops_rpc_channel *channel;
    char target[ID_BYTES];
    Ops__V1__WorkClass work_class;
    ops_thread *thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    ops_rpc_stream *stream; /* under the lock, as all below */
    ops_session *session;
    ops_mailbox *out;
    bool closed; /* the session let go */
    bool welcomed;
} link_;

struct ops_worker {
    ops_runner *runner;
    char id[ID_BYTES];
    uint32_t credits;
    ops_rpc_channel *channels[OPS_WORKER_COORDINATORS_MAX];
    link_ *links;
    size_t link_count;
    pthread_mutex_t lock; /* stopping; taken after none and before none */
    pthread_cond_t stop;
    bool stopping, draining;
};

static bool is_stopping(ops_worker *w)
{
    pthread_mutex_lock(&w->lock);
    const bool stopping = w->stopping || w->draining;
    pthread_mutex_unlock(&w->lock);
    return stopping;
}

/* --- the session's wire --- */

static ops_status wire_send(void *ctx, const Ops__V1__WorkerMessage *m)
{
    link_ *l = ctx;
    const size_t n = ops__v1__worker_message__get_packed_size(m);
    packed *p = ops_malloc(sizeof *p + n);
    if (p == NULL)
        return OPS_ENOMEM;
    p->n = ops__v1__worker_message__pack(m, (uint8_t *)p->bytes);
    const ops_status st = ops_mailbox_post(l->out, p, n);
    if (st != OPS_OK)
        ops_free(p);
    return st;
}

static bool wire_behind(void *ctx)
{
    const link_ *l = ctx;
    return ops_mailbox_count(l->out) >= OUT_BEHIND;
}

static void wire_hang_up(void *ctx, ops_status why, const char *message)
{
    link_ *l = ctx;
    OPS_LOG(OPS_LOG_WARN, "worker_hangs_up", OPS_KV_STR("coordinator", l->target),
            OPS_KV_STR("status", ops_status_name(why)), OPS_KV_STR("why", message));
    ops_rpc_stream_cancel(l->stream); /* set before the session was made, and there until it closed */
}

static void wire_close(void *ctx)
{
    link_ *l = ctx;
    pthread_mutex_lock(&l->lock);
    l->closed = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

/* --- one stream --- */

static int64_t mono_ms(void)
{
    return ops_clock_mono_ns(ops_clock_system()) / 1000000;
}

static void send_all(void *arg)
{
    link_ *l = arg;
    for (;;) {
        const int64_t wait = ops_session_tick(l->session, mono_ms());
        void *m = NULL;
        const ops_status st = ops_mailbox_take(l->out, wait, &m);
        if (st == OPS_ECANCELLED)
            break;
        if (st != OPS_OK)
            continue;
        packed *p = m;
        const ops_status sent = ops_rpc_stream_send(l->stream, ops_slice_of(p->bytes, p->n), NULL);
        ops_free(p);
        if (sent != OPS_OK)
            return; /* the stream is over: the reader learns why */
    }
    (void)(ops_rpc_stream_close_send(l->stream, NULL) == OPS_OK); /* all said */
}

static ops_status read_all(link_ *l, ops_err *reterr)
{
    ops_strbuf bytes;
    ops_strbuf_init(&bytes, MESSAGE_BYTES_MAX);
    ops_status st = OPS_OK;
    for (bool end = false; st == OPS_OK && !end;) {
        ops_strbuf_clear(&bytes);
        st = ops_rpc_stream_recv(l->stream, -1, &bytes, &end, reterr);
        if (st != OPS_OK || end)
            break;
        Ops__V1__CoordinatorMessage *m = ops__v1__coordinator_message__unpack(
            NULL, bytes.n, (const uint8_t *)(bytes.p != NULL ? bytes.p : ""));
        if (m == NULL) {
            st = ops_fail(reterr, OPS_EINVAL, "a message of %zu bytes is no CoordinatorMessage", bytes.n);
            break;
        }
        if (m->kind_case == OPS__V1__COORDINATOR_MESSAGE__KIND_WELCOME) {
            pthread_mutex_lock(&l->lock);
            l->welcomed = true;
            pthread_mutex_unlock(&l->lock);
            OPS_LOG(OPS_LOG_INFO, "worker_attached", OPS_KV_STR("coordinator", l->target),
                    OPS_KV_STR("coordinator_id", m->welcome->coordinator_id),
                    OPS_KV_INT("class", l->work_class));
        }
        st = ops_session_received(l->session, m, reterr);
        ops__v1__coordinator_message__free_unpacked(m, NULL);
    }
    ops_strbuf_done(&bytes);
    return st;
}

/* Takes the stream down whatever state it is in: nobody uses the session after it is out of the link. */
static void end_session(link_ *l, ops_thread *sender)
{
    ops_rpc_stream_cancel(l->stream);
    ops_mailbox_close(l->out);
    ops_thread_join(sender);
    pthread_mutex_lock(&l->lock);
    ops_session *s = l->session;
    l->session = NULL;
    l->welcomed = false;
    pthread_mutex_unlock(&l->lock);
    ops_session_ended(s);
    pthread_mutex_lock(&l->lock);
    while (!l->closed)
        pthread_cond_wait(&l->changed, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

static ops_status run_session(link_ *l, bool *ret_welcomed, ops_err *reterr)
{
    const ops_session_conf conf = {
        .worker_id = l->w->id, .work_class = l->work_class, .credits = l->w->credits};
    const ops_session_wire wire = {wire_send, wire_hang_up, wire_close, l, wire_behind};
    ops_session *s = NULL;
    ops_thread *sender = NULL;
    l->closed = false;
    ops_status st = ops_session_new(l->w->runner, &conf, &wire, &s, reterr);
    if (st != OPS_OK)
        return st;
    pthread_mutex_lock(&l->lock);
    l->session = s;
    pthread_mutex_unlock(&l->lock);
    st = ops_thread_start(send_all, l, "worker-send", &sender, reterr);
    if (st == OPS_OK)
        st = read_all(l, reterr);
    *ret_welcomed = l->welcomed; /* only this thread writes it */
    end_session(l, sender);
    return st;
}

/* One stream from its opening to its end. */
static ops_status attach_once(link_ *l, bool *ret_welcomed, ops_err *reterr)
{
    ops_mailbox *out = NULL;
    ops_rpc_stream *stream = NULL;
    ops_status st = ops_mailbox_new(OUT_MAX, OUT_BYTES_MAX, &out, reterr);
    if (st == OPS_OK)
        st = ops_rpc_stream_open(l->channel, "/ops.v1.WorkerService/Attach", -1, &stream, reterr);
    pthread_mutex_lock(&l->lock);
    l->out = out;
    l->stream = stream;
    pthread_mutex_unlock(&l->lock);
    if (st == OPS_OK && is_stopping(l->w))
        st = ops_fail(reterr, OPS_ECANCELLED, "the worker stops");
    if (st == OPS_OK)
        st = run_session(l, ret_welcomed, reterr);
    pthread_mutex_lock(&l->lock);
    l->out = NULL;
    l->stream = NULL;
    pthread_mutex_unlock(&l->lock);
    ops_rpc_stream_free(stream);
    void *m;
    while (out != NULL && ops_mailbox_take(out, 0, &m) == OPS_OK)
        ops_free(m);
    ops_mailbox_free(out);
    return st;
}

/* Waits, but not past the stop. */
static void pause_ms(ops_worker *w, int64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&w->lock);
    while (!w->stopping && !w->draining && pthread_cond_timedwait(&w->stop, &w->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&w->lock);
}

static void keep_attached(void *arg)
{
    link_ *l = arg;
    int64_t wait = WAIT_MS_MIN;
    while (!is_stopping(l->w)) {
        bool welcomed = false;
        ops_err err = {.msg = ""};
        const ops_status st = attach_once(l, &welcomed, &err);
        if (is_stopping(l->w))
            break;
        if (welcomed)
            wait = WAIT_MS_MIN;
        OPS_LOG(OPS_LOG_WARN, "worker_detached", OPS_KV_STR("coordinator", l->target),
                OPS_KV_INT("class", l->work_class), OPS_KV_STR("status", ops_status_name(st)),
                OPS_KV_STR("why", err.msg), OPS_KV_INT("again_in_ms", wait));
        /* Spread by a fifth, so that a fleet does not come back in step. */
        pause_ms(l->w, wait + (int64_t)(ops_hash_mix((uint64_t)mono_ms() ^ (uintptr_t)l) %
                                        (uint64_t)(wait / 5 + 1)));
        wait = wait * 2 < WAIT_MS_MAX ? wait * 2 : WAIT_MS_MAX;
    }
}

/* --- the worker --- */

static void set_id(ops_worker *w, const char *id)
{
    char host[64] = "worker";
    if (id != NULL) {
        (void)snprintf(w->id, sizeof w->id, "%s", id);
        return;
    }
    (void)gethostname(host, sizeof host);
    host[sizeof host - 1] = '\0';
    (void)snprintf(w->id, sizeof w->id, "%s-%d", host, (int)getpid());
}

static ops_status start_links(ops_worker *w, const ops_worker_conf *conf, ops_err *reterr)
{
    w->links = ops_calloc(conf->coordinator_count * CLASSES, sizeof *w->links);
    if (w->links == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "worker");
    for (size_t i = 0; i < conf->coordinator_count; i++) {
        const ops_rpc_channel_conf channel = {.target = conf->coordinators[i],
                                              .bearer = conf->bearer,
                                              .tls = conf->tls,
                                              .message_bytes_max = MESSAGE_BYTES_MAX};
        ops_status st = ops_rpc_channel_new(&channel, &w->channels[i], reterr);
        for (size_t c = 0; st == OPS_OK && c < CLASSES; c++) {
            link_ *l = &w->links[w->link_count];
            l->w = w;
            l->channel = w->channels[i];
            l->work_class = classes[c];
            (void)snprintf(l->target, sizeof l->target, "%s", conf->coordinators[i]);
            pthread_mutex_init(&l->lock, NULL);
            pthread_cond_init(&l->changed, NULL);
            w->link_count++;
            st = ops_thread_start(keep_attached, l, "worker-link", &l->thread, reterr);
        }
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

ops_status ops_worker_over(const ops_worker_conf *conf, ops_runner *runner, ops_worker **ret, ops_err *reterr)
{
    OPS_AUTO(ops_runner_free) ops_runner *owned = runner;
    if (conf->coordinator_count > OPS_WORKER_COORDINATORS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu coordinators: at most %d", conf->coordinator_count,
                        OPS_WORKER_COORDINATORS_MAX);
    if (conf->worker_id != NULL && (conf->worker_id[0] == '\0' || strlen(conf->worker_id) >= ID_BYTES))
        return ops_fail(reterr, OPS_EINVAL, "a worker id has 1 to %d bytes", ID_BYTES - 1);
    ops_worker *w = ops_calloc(1, sizeof *w);
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "worker");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->stop, &attr);
    pthread_condattr_destroy(&attr);
    set_id(w, conf->worker_id);
    w->credits = conf->credits;
    w->runner = OPS_STEAL(owned);
    const ops_status st = start_links(w, conf, reterr);
    if (st != OPS_OK) {
        ops_worker_free(w);
        return st;
    }
    *ret = w;
    return OPS_OK;
}

ops_status ops_worker_new(const ops_worker_conf *conf, ops_engine *engine, ops_worker **ret, ops_err *reterr)
{
    ops_runner *runner = NULL;
    const ops_status st = ops_runner_new(engine, conf->jobs_max, NULL, &runner, reterr);
    if (st != OPS_OK) {
        ops_engine_free(engine);
        return st;
    }
    return ops_worker_over(conf, runner, ret, reterr);
}

ops_runner *ops_worker_runner(ops_worker *w)
{
    return w->runner;
}

size_t ops_worker_streams(ops_worker *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->link_count; i++) {
        pthread_mutex_lock(&w->links[i].lock);
        n += w->links[i].welcomed;
        pthread_mutex_unlock(&w->links[i].lock);
    }
    return n;
}

/* True when no session runs a task any more; those are told to say so and end their stream. */
static bool drain_links(ops_worker *w, const char *reason)
{
    bool idle = true;
    for (size_t i = 0; i < w->link_count; i++) {
        link_ *l = &w->links[i];
        pthread_mutex_lock(&l->lock);
        if (l->session != NULL) {
            const bool done = ops_session_drain(l->session, reason);
            idle &= done;
            if (done)
                ops_mailbox_close(l->out); /* the sender says the rest and closes its side */
        }
        pthread_mutex_unlock(&l->lock);
    }
    return idle;
}

void ops_worker_drain(ops_worker *w, const char *reason, uint32_t drain_ms)
{
    pthread_mutex_lock(&w->lock);
    w->draining = true;
    pthread_cond_broadcast(&w->stop);
    pthread_mutex_unlock(&w->lock);
    const int64_t until = mono_ms() + drain_ms;
    const struct timespec nap = {0, 10000000};
    while (!drain_links(w, reason) && mono_ms() < until)
        (void)nanosleep(&nap, NULL);
    while (ops_worker_streams(w) > 0 && mono_ms() < until)
        (void)nanosleep(&nap, NULL);
}

void ops_worker_free(ops_worker *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->stop);
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < w->link_count; i++) {
        link_ *l = &w->links[i];
        pthread_mutex_lock(&l->lock);
        if (l->stream != NULL)
            ops_rpc_stream_cancel(l->stream);
        pthread_mutex_unlock(&l->lock);
        ops_thread_join(l->thread);
        pthread_cond_destroy(&l->changed);
        pthread_mutex_destroy(&l->lock);
    }
    for (size_t i = 0; i < OPS_WORKER_COORDINATORS_MAX; i++)
        if (w->channels[i] != NULL)
            ops_rpc_channel_free(w->channels[i]);
    ops_runner_free(w->runner);
    ops_free(w->links);
    pthread_cond_destroy(&w->stop);
    pthread_mutex_destroy(&w->lock);
    ops_free(w);
}
