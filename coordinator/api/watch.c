/* Watches of findings and of incidents: one thread feeds all watchers, each from the revision it has reached. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "base/time/clock.h"
#include "coordinator/api/revised.h"
#include "coordinator/api/rows.h"

typedef struct api_watch {
    ops_rpc_call *call; /* a reference, while in the list */
    const api_revised *kind;
    api_filter filter;
    uint64_t reached;
    int64_t told_mono_ns;
    bool full, gone;
} api_watch;

void api_watch_done(void *user, void *svc)
{
    (void)svc;
    ops_free(user);
}

static ops_status add(ops_api *a, const api_revised *kind, ops_rpc_call *c, ops_slice msg, ops_err *reterr)
{
    Ops__V1__WatchFindingsRequest *q =
        ops__v1__watch_findings_request__unpack(NULL, msg.n, (const uint8_t *)msg.p);
    api_watch *w = ops_calloc(1, sizeof *w);
    ops_status st = q == NULL   ? ops_fail(reterr, OPS_EINVAL, "the request does not read")
                    : w == NULL ? ops_fail(reterr, OPS_ENOMEM, "a watch")
                                : api_filter_parse(q->filter, &kind->words, &w->filter, reterr);
    if (st == OPS_OK) {
        w->call = c;
        w->kind = kind;
        w->reached = q->from_revision;
        w->told_mono_ns = ops_clock_mono_ns(ops_clock_system());
        (void)pthread_mutex_lock(&a->lock);
        if (atomic_load(&a->stopping))
            st = ops_fail(reterr, OPS_EUNAVAILABLE, "opsd is stopping");
        else if (a->watches.n >= a->conf.watchers_max || !ops_vec_push(&a->watches, w))
            st = ops_fail(reterr, OPS_EAGAIN, "%zu watch already", a->watches.n);
        if (st == OPS_OK) {
            ops_rpc_call_set_user(ops_rpc_call_ref(c), w);
            a->news++;
            (void)pthread_cond_broadcast(&a->changed);
        }
        (void)pthread_mutex_unlock(&a->lock);
    }
    if (st != OPS_OK)
        ops_free(w);
    if (q != NULL)
        ops__v1__watch_findings_request__free_unpacked(q, NULL);
    return st;
}

static bool begin(const api_revised *kind, ops_rpc_call *c, ops_slice msg, void *svc)
{
    ops_err err = {0};
    const ops_rpc_details d = {.retry_ms = 1000, .reason = "WATCHERS_MAX", .domain = "opsd"};
    ops_status st = add(svc, kind, c, msg, &err);
    if (st != OPS_OK)
        ops_rpc_finish(c, st, err.msg, st == OPS_EAGAIN ? &d : NULL);
    return false;
}

bool api_on_watch_findings(ops_rpc_call *c, ops_slice msg, void *svc)
{
    return begin(&api_findings, c, msg, svc);
}

bool api_on_watch_incidents(ops_rpc_call *c, ops_slice msg, void *svc)
{
    return begin(&api_incidents, c, msg, svc);
}

static void mark(ops_rpc_call *c, ops_api *a, bool gone)
{
    (void)pthread_mutex_lock(&a->lock);
    api_watch *w = ops_rpc_call_user(c);
    if (w != NULL) {
        w->full = false;
        w->gone = w->gone || gone;
    }
    a->news++;
    (void)pthread_cond_broadcast(&a->changed);
    (void)pthread_mutex_unlock(&a->lock);
}

void api_on_watch_gone(ops_rpc_call *c, void *svc)
{
    mark(c, svc, true);
}

void api_on_watch_room(ops_rpc_call *c, void *svc)
{
    mark(c, svc, false);
}

/* `m` NULL: a heartbeat. OPS_EAGAIN: comes again when there is room. */
static ops_status send(api_watch *w, const ProtobufCMessage *m, uint64_t revision)
{
    Ops__V1__WatchFindingsResponse tail = OPS__V1__WATCH_FINDINGS_RESPONSE__INIT;
    api_rows rows; /* one row, field 1 here too */
    tail.revision = revision;
    api_rows_init(&rows, 0, 1);
    bool ok = m == NULL || api_rows_add(&rows, m);
    ok = ok && api_pack(&tail.base, &rows.out) && !rows.out.failed;
    ops_status st = ok ? ops_rpc_send(w->call, ops_strbuf_get(&rows.out)) : OPS_ENOMEM;
    api_rows_done(&rows);
    if (st == OPS_OK)
        w->told_mono_ns = ops_clock_mono_ns(ops_clock_system());
    return st;
}

struct feeding {
    ops_api *a;
    api_watch *w;
    ops_status st;
};

static bool feed_one(void *u, ops_slice tenant, uint64_t revision, ops_slice body)
{
    struct feeding *f = u;
    api_watch *w = f->w;
    if (ops_slice_eq(tenant, api_tenant(w->call))) {
        ProtobufCMessage *m = w->kind->read(f->a, body, revision);
        if (m == NULL)
            f->st = OPS_ECORRUPT;
        else if (w->kind->match(&w->filter, m))
            f->st = send(w, m, revision);
        if (m != NULL)
            protobuf_c_message_free_unpacked(m, NULL);
    }
    if (f->st == OPS_OK)
        w->reached = revision;
    return f->st == OPS_OK;
}

static ops_status feed(ops_api *a, api_watch *w)
{
    struct feeding f = {.a = a, .w = w};
    ops_err err = {0};
    ops_status st = OPS_OK;
    if (w->kind->newest(a) > w->reached)
        st = w->kind->since(a, w->reached, feed_one, &f, &err);
    if (st == OPS_OK)
        st = f.st;
    int64_t silent_ns = ops_clock_mono_ns(ops_clock_system()) - w->told_mono_ns;
    if (st == OPS_OK && silent_ns > (int64_t)a->conf.heartbeat_ms * 1000000)
        st = send(w, NULL, w->reached);
    return st;
}

/* Takes the watch off the list and ends its call. Under the lock, which is given up meanwhile. */
static void drop(ops_api *a, size_t i, ops_status st)
{
    ops_rpc_call *c = a->watches.v[i]->call;
    a->watches.v[i] = a->watches.v[--a->watches.n];
    (void)pthread_mutex_unlock(&a->lock);
    ops_rpc_finish(c, st, st == OPS_EUNAVAILABLE ? "opsd is stopping" : ops_status_text(st), NULL);
    ops_rpc_call_unref(c);
    (void)pthread_mutex_lock(&a->lock);
}

static void feed_all(ops_api *a)
{
    for (size_t i = 0; i < a->watches.n;) {
        api_watch *w = a->watches.v[i];
        ops_status st = w->gone ? OPS_ECANCELLED : atomic_load(&a->stopping) ? OPS_EUNAVAILABLE : OPS_OK;
        if (st == OPS_OK && !w->full) {
            w->full = true; /* until told otherwise: the room may come while the lock is away */
            (void)pthread_mutex_unlock(&a->lock);
            st = feed(a, w);
            (void)pthread_mutex_lock(&a->lock);
            if (st == OPS_OK)
                w->full = false;
        }
        if (st == OPS_OK || st == OPS_EAGAIN)
            i++;
        else
            drop(a, i, st);
    }
}

void api_watch_run(void *api)
{
    ops_api *a = api;
    uint64_t seen = 0;
    (void)pthread_mutex_lock(&a->lock);
    for (;;) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        int rc = 0;
        while (a->news == seen && rc == 0)
            rc = pthread_cond_timedwait(&a->changed, &a->lock, &until);
        seen = a->news;
        feed_all(a);
        if (atomic_load(&a->stopping) && a->watches.n == 0)
            break;
    }
    (void)pthread_mutex_unlock(&a->lock);
}
