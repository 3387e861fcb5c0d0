#include "coordinator/incident/correlator.h"

#include <string.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/incident/correlator_internal.h"

enum {
    TURN_FINDINGS_MAX = 256,
    IDLE_WAIT_MS = 1000,
    MAIL_MAX = 1024,
    MAIL_BYTES_MAX = 16 << 20,
    ACT_WAIT_MS = 10000,
    ID_BYTES_MAX = 512,
    CALLS_MAX = 8192
};

/* Posted when there is something new; one in the box is enough, and it is never freed. */
static incident_mail wake_mail;

void incident_mail_free(incident_mail *m)
{
    if (m == NULL || m == &wake_mail)
        return;
    ops_reply_unref(m->reply);
    ops_arena_done(&m->text);
    ops_free(m);
}

typedef struct turn {
    ops_correlator *c;
    uint64_t position;
    size_t taken;
    bool more;
} turn;

static ops_status on_finding(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                             ops_err *reterr)
{
    turn *x = u;
    incident_tenant *t = NULL;
    ops_err err = {0};
    if (x->taken == TURN_FINDINGS_MAX) {
        x->more = true;
        return OPS_ECANCELLED;
    }
    x->taken++;
    x->position = revision;
    ops_status st = incident_tenant_open(x->c, tenant, &t, &err);
    if (st == OPS_EAGAIN) {
        x->c->turn.refused++;
        OPS_LOG(OPS_LOG_WARN, "incidents_refused", OPS_KV_STR("why", err.msg));
        return OPS_OK;
    }
    if (st != OPS_OK) {
        if (reterr != NULL)
            *reterr = err;
        return st;
    }
    Ops__V1__Finding *m = ops__v1__finding__unpack(NULL, f->body.n, (const uint8_t *)f->body.p);
    if (m == NULL) { /* never again readable: it must not stop all others */
        x->c->turn.refused++;
        OPS_LOG(OPS_LOG_ERROR, "finding_does_not_read", OPS_KV_SLICE("finding", f->id));
        return OPS_OK;
    }
    st = incident_take(t, m, reterr);
    ops__v1__finding__free_unpacked(m, NULL);
    return st;
}

static ops_status tick_all(ops_correlator *c, ops_err *reterr)
{
    int64_t seen = c->conf.event_ns != NULL ? c->conf.event_ns(c->conf.u) : INT64_MIN;
    if (c->newest_ns > seen)
        seen = c->newest_ns;
    const int64_t now = ops_event_time_now(&c->event, seen, ops_clock_mono_ns(c->clock));
    size_t iter = 0;
    ops_slice name;
    void *t;
    ops_status st = OPS_OK;
    while (now != INT64_MIN && st == OPS_OK && ops_map_next(c->tenants, &iter, &name, &t))
        st = incident_tick(t, now, reterr);
    return st;
}

static ops_incident_commit commit_of(ops_correlator *c, incident_tenant *t)
{
    return (ops_incident_commit){.tenant = ops_slice_str(t->name),
                                 .incidents = t->rows.v,
                                 .incident_count = t->rows.n,
                                 .memory = t->packed_memory,
                                 .audit = t->packed_audit.p != NULL ? &t->packed_audit : NULL,
                                 .notices = t->notices.v,
                                 .notice_count = t->notices.n,
                                 .notice_ns = ops_clock_wall_ns(c->clock)};
}

typedef struct written {
    incident_tenant **tenants;
    ops_incident_commit *commits;
    size_t n;
} written;

static ops_status gather(ops_correlator *c, written *w, ops_err *reterr)
{
    size_t iter = 0;
    ops_slice name;
    void *value;
    ops_status st = OPS_OK;
    w->tenants = ops_calloc(ops_map_count(c->tenants) + 1, sizeof *w->tenants);
    w->commits = ops_calloc(ops_map_count(c->tenants) + 1, sizeof *w->commits);
    if (w->tenants == NULL || w->commits == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a turn of incidents");
    while (st == OPS_OK && ops_map_next(c->tenants, &iter, &name, &value)) {
        incident_tenant *t = value;
        if (!incident_tenant_changed(t))
            continue;
        st = incident_tenant_pack(t, reterr);
        w->tenants[w->n] = t;
        w->commits[w->n++] = commit_of(c, t);
    }
    return st;
}

static void count_up(ops_correlator *c)
{
    ops_correlator_stats *s = &c->stats, *d = &c->turn;
    size_t iter = 0;
    ops_slice name;
    void *value;
    uint64_t open = 0, acknowledged = 0;
    while (ops_map_next(c->tenants, &iter, &name, &value)) {
        const incident_tenant *t = value;
        for (size_t i = 0; i < t->live.n; i++) {
            open += t->live.v[i]->state == OPS__V1__INCIDENT_STATE__INCIDENT_STATE_OPEN;
            acknowledged += t->live.v[i]->state == OPS__V1__INCIDENT_STATE__INCIDENT_STATE_ACKNOWLEDGED;
        }
    }
    (void)pthread_mutex_lock(&c->lock);
    s->position = c->position;
    s->open = open;
    s->acknowledged = acknowledged;
    s->tenants = ops_map_count(c->tenants);
    s->opened += d->opened;
    s->joined += d->joined;
    s->reopened += d->reopened;
    s->resolved += d->resolved;
    s->left_out += d->left_out;
    s->refused += d->refused;
    (void)pthread_mutex_unlock(&c->lock);
    *d = (ops_correlator_stats){0};
}

static void clear_all(ops_correlator *c)
{
    size_t iter = 0;
    ops_slice name;
    void *t;
    while (ops_map_next(c->tenants, &iter, &name, &t))
        incident_tenant_turn_clear(t);
}

/* Writes what was drafted, as one batch with the position; then it is what is in memory. */
static ops_status commit(ops_correlator *c, uint64_t position, ops_err *reterr)
{
    written w = {0};
    uint64_t revision = 0;
    bool told = false;
    ops_status st = gather(c, &w, reterr);
    if (st == OPS_OK && (w.n > 0 || position > c->position)) {
        st = ops_repo_commit_incidents(c->conf.repo, w.commits, w.n, position, &revision, reterr);
        for (size_t i = 0; st == OPS_OK && i < w.n; i++) {
            told = told || w.tenants[i]->rows.n > 0;
            st = incident_tenant_adopt(w.tenants[i], reterr);
        }
    }
    if (st == OPS_OK)
        c->position = position > c->position ? position : c->position;
    ops_free(w.tenants);
    ops_free(w.commits);
    if (told && c->conf.on_incidents != NULL)
        c->conf.on_incidents(c->conf.u, revision);
    return st;
}

/* After a failure memory is what the store says. */
static ops_status settle(ops_correlator *c, ops_status st)
{
    if (st == OPS_OK) {
        clear_all(c);
        count_up(c);
        return OPS_OK;
    }
    c->turn = (ops_correlator_stats){0};
    ops_err again = {0};
    if (incident_tenants_load(c, &again) != OPS_OK)
        OPS_LOG(OPS_LOG_ERROR, "incidents_not_read", OPS_KV_STR("why", again.msg));
    return st;
}

/* One turn over the findings; *ret_more: there are more. False: something failed, wait before the next. */
static bool take_turn(ops_correlator *c, bool *ret_more)
{
    turn x = {.c = c, .position = c->position};
    ops_err err = {0};
    *ret_more = false;
    if (c->tenants == NULL && incident_tenants_load(c, &err) != OPS_OK)
        return false;
    x.position = c->position;
    ops_status st = ops_repo_findings_since(c->conf.repo, c->position, on_finding, &x, &err);
    if (st == OPS_OK)
        st = tick_all(c, &err);
    if (st == OPS_OK)
        st = commit(c, x.position, &err);
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_ERROR, "incidents_not_written", OPS_KV_STR("why", err.msg));
    if (settle(c, st) != OPS_OK)
        return false;
    *ret_more = x.more;
    if (!x.more)
        c->catching_up = false;
    return true;
}

static ops_status act_now(ops_correlator *c, const ops_incident_act *act, ops_strbuf *ret_id, ops_err *reterr)
{
    incident_tenant *t = NULL;
    if (c->tenants == NULL && incident_tenants_load(c, reterr) != OPS_OK)
        return OPS_EUNAVAILABLE;
    ops_status st = incident_tenant_open(c, act->tenant, &t, reterr);
    if (st == OPS_OK)
        st = incident_act(t, act, ops_clock_wall_ns(c->clock), ret_id, reterr);
    const bool refused = st == OPS_ENOTFOUND || st == OPS_ECONFLICT || st == OPS_EINVAL || st == OPS_ERANGE;
    if (refused) { /* drafts of what was not done */
        clear_all(c);
        return st;
    }
    if (st == OPS_OK)
        st = commit(c, c->position, reterr);
    return settle(c, st);
}

static void take_call(ops_correlator *c, const incident_mail *m)
{
    ops_err err = {0};
    incident_tenant *t = NULL;
    ops_status st = OPS_OK;
    if (c->tenants == NULL)
        st = incident_tenants_load(c, &err);
    if (st == OPS_OK)
        st = incident_tenant_open(c, m->act.tenant, &t, &err);
    if (st == OPS_OK)
        st = incident_call(t, m->caller, m->callee, &err);
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_WARN, "call_not_learnt", OPS_KV_STR("why", err.msg));
}

static void open_mail(ops_correlator *c, incident_mail *m)
{
    ops_err err = {0};
    if (m->callee.n > 0)
        take_call(c, m);
    if (m->reply != NULL) {
        ops_strbuf *out = ops_reply_out(m->reply);
        ops_status st = act_now(c, &m->act, out, &err);
        if (st == OPS_OK && out->failed)
            st = ops_fail(&err, OPS_ENOMEM, "an answer");
        ops_reply_give(m->reply, st, &err);
    }
    incident_mail_free(m);
}

static void run(void *u)
{
    ops_correlator *c = u;
    bool more = false;
    for (;;) {
        void *m = NULL;
        ops_status st = ops_mailbox_take(c->mail, more ? 0 : IDLE_WAIT_MS, &m);
        while (st == OPS_OK) {
            open_mail(c, m);
            st = ops_mailbox_take(c->mail, 0, &m);
        }
        const bool good = take_turn(c, &more);
        if (st == OPS_ECANCELLED && (!more || !good))
            return;
    }
}

ops_status ops_correlator_new(const ops_correlator_conf *conf, ops_correlator **ret, ops_err *reterr)
{
    ops_correlator *c = ops_calloc(1, sizeof *c);
    if (c == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "incidents");
    (void)pthread_mutex_init(&c->lock, NULL);
    OPS_AUTO(ops_correlator_free) ops_correlator *owned = c;
    c->conf = *conf;
    c->clock = conf->clock != NULL ? conf->clock : ops_clock_system();
    c->newest_ns = INT64_MIN;
    if ((c->calls = ops_map_new()) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "incidents");
    c->event = (ops_event_time)OPS_EVENT_TIME;
    if (c->conf.tenants_max == 0)
        c->conf.tenants_max = 64;
    if (c->conf.open_max == 0)
        c->conf.open_max = 64;
    if (c->conf.level_min == 0)
        c->conf.level_min = OPS__V1__LEVEL__LEVEL_WARNING;
    if (c->conf.resolve_after_ns == 0)
        c->conf.resolve_after_ns = 300ll * 1000000000;
    if (c->conf.reopen_within_ns == 0)
        c->conf.reopen_within_ns = 1800ll * 1000000000;
    ops_status st = ops_mailbox_new(MAIL_MAX, MAIL_BYTES_MAX, &c->mail, reterr);
    if (st == OPS_OK)
        st = incident_tenants_load(c, reterr);
    if (st != OPS_OK)
        return st;
    count_up(c);
    *ret = OPS_STEAL(owned);
    return OPS_OK;
}

ops_status ops_correlator_start(ops_correlator *c, ops_err *reterr)
{
    return ops_thread_start(run, c, "incidents", &c->thread, reterr);
}

void ops_correlator_stop(ops_correlator *c)
{
    ops_mailbox_close(c->mail);
    ops_thread_join(OPS_STEAL(c->thread));
}

void ops_correlator_free(ops_correlator *c)
{
    if (c == NULL)
        return;
    if (c->mail != NULL) {
        void *m;
        ops_correlator_stop(c);
        while (ops_mailbox_take(c->mail, 0, &m) == OPS_OK)
            incident_mail_free(m);
        ops_mailbox_free(c->mail);
    }
    incident_tenants_forget(c);
    ops_map_free(c->calls);
    (void)pthread_mutex_destroy(&c->lock);
    ops_free(c);
}

void ops_correlator_wake(ops_correlator *c)
{
    /* A full box is awake already. */
    if (ops_mailbox_count(c->mail) == 0)
        (void)!ops_mailbox_post(c->mail, &wake_mail, 0);
}

void ops_correlator_stats_get(ops_correlator *c, ops_correlator_stats *ret)
{
    (void)pthread_mutex_lock(&c->lock);
    *ret = c->stats;
    (void)pthread_mutex_unlock(&c->lock);
}

static bool copy(ops_arena *a, ops_slice from, ops_slice *ret)
{
    *ret = ops_arena_dup(a, ops_slice_of(from.p != NULL ? from.p : "", from.n));
    return ret->p != NULL;
}

static incident_mail *call_mail(ops_slice tenant, ops_slice caller, ops_slice callee)
{
    incident_mail *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    ops_arena_init(&m->text, 1 << 16);
    if (copy(&m->text, tenant, &m->act.tenant) && copy(&m->text, caller, &m->caller) &&
        copy(&m->text, callee, &m->callee))
        return m;
    incident_mail_free(m);
    return NULL;
}

void ops_correlator_call(ops_correlator *c, ops_slice tenant, ops_slice caller, ops_slice callee)
{
    ops_strbuf key;
    incident_mail *m = NULL;
    ops_strbuf_init(&key, 4 * OPS_REPO_NAME_BYTES_MAX);
    ops_strbuf_slice(&key, tenant);
    ops_strbuf_char(&key, '\0');
    ops_strbuf_slice(&key, caller);
    ops_strbuf_char(&key, '\0');
    ops_strbuf_slice(&key, callee);
    (void)pthread_mutex_lock(&c->lock);
    const bool news = !key.failed && caller.n > 0 && callee.n > 0 && ops_map_count(c->calls) < CALLS_MAX &&
                      !ops_map_has(c->calls, ops_strbuf_get(&key));
    if (news && ops_map_put(c->calls, ops_strbuf_get(&key), c, NULL) == OPS_OK) {
        m = call_mail(tenant, caller, callee);
        if (m == NULL || ops_mailbox_post(c->mail, m, ops_arena_bytes(&m->text)) != OPS_OK) {
            incident_mail_free(m);
            (void)ops_map_del(c->calls, ops_strbuf_get(&key));
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
    ops_strbuf_done(&key);
}

static incident_mail *act_mail(const ops_incident_act *act, ops_reply *reply)
{
    incident_mail *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    ops_arena_init(&m->text, 1 << 20);
    m->act = *act;
    ops_slice *ids = ops_arena_alloc(&m->text, (act->finding_count + 1) * sizeof *ids);
    bool ok = ids != NULL && copy(&m->text, act->tenant, &m->act.tenant) &&
              copy(&m->text, act->id, &m->act.id) && copy(&m->text, act->who, &m->act.who) &&
              copy(&m->text, act->comment, &m->act.comment) &&
              copy(&m->text, act->request_id, &m->act.request_id) &&
              copy(&m->text, act->other, &m->act.other) && copy(&m->text, act->component, &m->act.component);
    for (size_t i = 0; ok && i < act->finding_count; i++)
        ok = copy(&m->text, act->findings[i], &ids[i]);
    m->act.findings = ids;
    if (ok)
        m->reply = ops_reply_ref(reply);
    else
        incident_mail_free(m);
    return ok ? m : NULL;
}

ops_status ops_correlator_act(ops_correlator *c, const ops_incident_act *act, ops_strbuf *ret_id,
                              ops_err *reterr)
{
    OPS_AUTO(ops_reply_unref) ops_reply *reply = NULL;
    ops_status st = ops_reply_new(ID_BYTES_MAX, &reply, reterr);
    if (st != OPS_OK)
        return st;
    incident_mail *m = act_mail(act, reply);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", ops_incident_act_name(act->kind));
    st = ops_mailbox_post(c->mail, m, ops_arena_bytes(&m->text));
    if (st != OPS_OK) {
        incident_mail_free(m);
        return ops_fail(reterr, st == OPS_ECANCELLED ? OPS_EUNAVAILABLE : st, "%s: %s",
                        ops_incident_act_name(act->kind),
                        st == OPS_EAGAIN ? "too many wait to be written" : "opsd is stopping");
    }
    st = ops_reply_wait(reply, ACT_WAIT_MS, reterr);
    if (st == OPS_OK)
        ops_strbuf_slice(ret_id, ops_strbuf_get(ops_reply_out(reply)));
    return st;
}
