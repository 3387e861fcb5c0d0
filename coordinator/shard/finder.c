#include "coordinator/shard/finder.h"

#include <pthread.h>
#include <stdio.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "base/sched/mailbox.h"
#include "base/sched/thread.h"
#include "coordinator/shard/candidate_codec.h"

enum {
    TURN_EFFECTS_MAX = 512,
    IDLE_WAIT_MS = 1000,
    RETRY_WAIT_MS = 1000,
    MAIL_MAX = 4096,
    MAIL_BYTES_MAX = 32 << 20,
    BODY_BYTES_MAX = 1 << 20,
    FEEDBACK_WAIT_S = 10
};

typedef struct changed {
    char id[OPS_FINDING_ID_LEN + 1];
    char *body;
    size_t n;
} changed;

typedef struct tenant {
    struct ops_finder *finder;
    char *name;
    ops_finding_book *book;
    int64_t event_ns; /* the newest this tenant's candidates told */
    OPS_VEC(changed) changed;
    OPS_VEC(ops_effect_id) taken;
    ops_status failed; /* of the turn under way */
    ops_err err;
} tenant;

struct ops_finder {
    ops_finder_conf conf;
    ops_clock *clock;
    ops_map *tenants; /* name -> tenant; the thread's alone */
    ops_mailbox *mail;
    ops_thread *thread;
    int64_t event_ns, event_mono_ns; /* event time moves on with the clock when nothing arrives */
};

typedef enum mail_kind { MAIL_WAKE, MAIL_VECTOR, MAIL_FEEDBACK } mail_kind;

/* A caller that waits for its feedback; whoever lets go last frees it. */
typedef struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool finished;
    int refs;
    ops_status st;
    ops_err err;
} waiting;

typedef struct mail {
    mail_kind kind;
    char *tenant;
    uint64_t template_id;
    float *vector;
    size_t dim;
    char *id, *author, *comment;
    int verdict;
    int64_t time_ns;
    waiting *waiting;
} mail;

/* Posted when there is something new; one in the box is enough, and it is never freed. */
static mail wake_mail = {.kind = MAIL_WAKE};

static void waiting_unref(waiting *w)
{
    (void)pthread_mutex_lock(&w->lock);
    bool last = --w->refs == 0;
    (void)pthread_mutex_unlock(&w->lock);
    if (!last)
        return;
    (void)pthread_cond_destroy(&w->done);
    (void)pthread_mutex_destroy(&w->lock);
    ops_free(w);
}

static void mail_free(mail *m)
{
    if (m == NULL || m == &wake_mail)
        return;
    if (m->waiting != NULL)
        waiting_unref(m->waiting);
    ops_free(m->tenant);
    ops_free(m->vector);
    ops_free(m->id);
    ops_free(m->author);
    ops_free(m->comment);
    ops_free(m);
}

static void turn_clear(tenant *t)
{
    for (size_t i = 0; i < t->changed.n; i++)
        ops_free(t->changed.v[i].body);
    t->changed.n = t->taken.n = 0;
    t->failed = OPS_OK;
}

static void tenant_free(tenant *t)
{
    if (t == NULL)
        return;
    turn_clear(t);
    ops_vec_done(&t->changed);
    ops_vec_done(&t->taken);
    ops_finding_book_free(t->book);
    ops_free(t->name);
    ops_free(t);
}

struct copy {
    ops_strbuf *out;
};

static ops_status copy_body(void *u, ops_slice name, uint64_t revision, const ops_repo_finding *f,
                            ops_err *reterr)
{
    (void)name;
    (void)revision;
    (void)reterr;
    ops_strbuf_slice(((struct copy *)u)->out, f->body);
    return OPS_OK;
}

/* The finding as it will stand: in this turn's changes, else in the store; empty when new. */
static ops_status stored_body(tenant *t, ops_slice id, ops_strbuf *out, ops_err *reterr)
{
    for (size_t i = 0; i < t->changed.n; i++)
        if (ops_slice_eq(ops_slice_str(t->changed.v[i].id), id)) {
            ops_strbuf_put(out, t->changed.v[i].body, t->changed.v[i].n);
            return OPS_OK;
        }
    struct copy c = {out};
    ops_status st =
        ops_repo_finding_get(t->finder->conf.repo, ops_slice_str(t->name), id, copy_body, &c, reterr);
    return st;
}

static ops_status keep_change(tenant *t, ops_slice id, ops_strbuf *body)
{
    size_t n = body->n, i = 0;
    while (i < t->changed.n && !ops_slice_eq(ops_slice_str(t->changed.v[i].id), id))
        i++;
    if (i == t->changed.n) {
        changed c = {0};
        (void)snprintf(c.id, sizeof c.id, OPS_SLICE_FMT, OPS_SLICE_ARG(id));
        if (!ops_vec_push(&t->changed, c))
            return OPS_ENOMEM;
    }
    ops_free(t->changed.v[i].body);
    t->changed.v[i].body = ops_strbuf_take(body);
    t->changed.v[i].n = n;
    return t->changed.v[i].body != NULL ? OPS_OK : OPS_ENOMEM;
}

static void on_change(void *u, ops_finding_change change, const ops_finding *f)
{
    static const char *const names[] = {"", "opened", "updated", "closed"};
    tenant *t = u;
    ops_strbuf before, body;
    ops_strbuf_init(&before, BODY_BYTES_MAX);
    ops_strbuf_init(&body, BODY_BYTES_MAX);
    ops_slice id = ops_slice_str(f->id);
    ops_status st = stored_body(t, id, &before, &t->err);
    if (st == OPS_ENOTFOUND)
        st = OPS_OK;
    if (st == OPS_OK)
        st = ops_finding_encode(f, ops_strbuf_get(&before), t->finder->conf.partitions, &body, &t->err);
    if (st == OPS_OK)
        st = keep_change(t, id, &body);
    if (st == OPS_OK)
        ops_ledger_count(t->finder->conf.ledger, OPS_LEDGER_FINDINGS, names[change], 1);
    else
        t->failed = st;
    ops_strbuf_done(&before);
    ops_strbuf_done(&body);
}

static ops_status load_record(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    return ops_finding_book_load(((tenant *)u)->book, key, val, reterr);
}

static ops_status tenant_open(ops_finder *f, ops_slice name, tenant **ret, ops_err *reterr)
{
    tenant *t = ops_map_get(f->tenants, name);
    if (t != NULL) {
        *ret = t;
        return OPS_OK;
    }
    if (ops_map_count(f->tenants) >= f->conf.tenants_max)
        return ops_fail(reterr, OPS_EAGAIN,
                        "tenant " OPS_SLICE_FMT ": %zu tenants have findings, no more fit",
                        OPS_SLICE_ARG(name), f->conf.tenants_max);
    t = ops_calloc(1, sizeof *t);
    if (t == NULL || (t->name = ops_strndup(name.p, name.n)) == NULL) {
        tenant_free(t);
        return ops_fail(reterr, OPS_ENOMEM, "tenant " OPS_SLICE_FMT, OPS_SLICE_ARG(name));
    }
    t->finder = f;
    t->event_ns = INT64_MIN;
    ops_finding_limits limits = f->conf.limits;
    limits.tenant = ops_slice_str(t->name);
    limits.on_change = on_change;
    limits.u = t;
    ops_status st = ops_finding_book_new(&limits, &t->book, reterr);
    if (st == OPS_OK)
        st = ops_repo_tenant_scan(f->conf.repo, name, load_record, t, reterr);
    if (st == OPS_OK)
        st = ops_finding_book_load_done(t->book, reterr);
    if (st == OPS_OK)
        st = ops_map_put(f->tenants, name, t, NULL);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "tenant " OPS_SLICE_FMT, OPS_SLICE_ARG(name));
        tenant_free(t);
        return st;
    }
    *ret = t;
    return OPS_OK;
}

static void tenant_forget(ops_finder *f, tenant *t)
{
    (void)ops_map_del(f->tenants, ops_slice_str(t->name));
    tenant_free(t);
}

struct state {
    OPS_VEC(ops_delta_write) writes;
    OPS_VEC(char *) owned;
};

static ops_status save_record(void *u, ops_slice key, ops_slice val)
{
    struct state *s = u;
    char *copy = ops_malloc(key.n + val.n + 1);
    if (copy == NULL || !ops_vec_push(&s->owned, copy)) {
        ops_free(copy);
        return OPS_ENOMEM;
    }
    memcpy(copy, key.p, key.n);
    if (val.n > 0)
        memcpy(copy + key.n, val.p, val.n);
    const ops_delta_write w = {ops_slice_of(copy, key.n), ops_slice_of(copy + key.n, val.n)};
    return ops_vec_push(&s->writes, w) ? OPS_OK : OPS_ENOMEM;
}

/* Writes what the turn did to one tenant; *ret_revision moves when findings were written. */
static ops_status tenant_commit(tenant *t, uint64_t *ret_revision, ops_err *reterr)
{
    struct state s = {0};
    ops_repo_finding *findings = ops_calloc(t->changed.n + 1, sizeof *findings);
    ops_status st = findings != NULL ? ops_finding_book_save_dirty(t->book, save_record, &s, reterr)
                                     : ops_fail(reterr, OPS_ENOMEM, "%zu findings", t->changed.n);
    for (size_t i = 0; st == OPS_OK && i < t->changed.n; i++)
        findings[i] = (ops_repo_finding){ops_slice_str(t->changed.v[i].id),
                                         ops_slice_of(t->changed.v[i].body, t->changed.v[i].n)};
    const ops_tenant_commit c = {.tenant = ops_slice_str(t->name),
                                 .writes = s.writes.v,
                                 .write_count = s.writes.n,
                                 .findings = findings,
                                 .finding_count = t->changed.n,
                                 .taken = t->taken.v,
                                 .taken_count = t->taken.n};
    if (st == OPS_OK && (s.writes.n > 0 || t->changed.n > 0 || t->taken.n > 0))
        st = ops_repo_commit_tenant(t->finder->conf.repo, &c, ret_revision, reterr);
    for (size_t i = 0; i < s.owned.n; i++)
        ops_free(s.owned.v[i]);
    ops_vec_done(&s.owned);
    ops_vec_done(&s.writes);
    ops_free(findings);
    return st;
}

struct turn {
    ops_finder *f;
    size_t effects;
    bool left_some; /* a tenant that could not be opened, or more than a turn takes */
};

static ops_status on_effect(void *u, ops_effect_id id, ops_slice effect, ops_err *reterr)
{
    struct turn *turn = u;
    ops_candidate c;
    char statistic[64];
    tenant *t = NULL;
    if (turn->effects == TURN_EFFECTS_MAX) {
        turn->left_some = true;
        return OPS_ECANCELLED;
    }
    ops_status st = ops_candidate_get(effect, &c, statistic, reterr);
    if (st != OPS_OK)
        return st;
    ops_err err;
    st = tenant_open(turn->f, c.tenant, &t, &err);
    if (st == OPS_EAGAIN) {
        OPS_LOG(OPS_LOG_WARN, "findings_wait", OPS_KV_STR("why", err.msg));
        return OPS_OK;
    }
    if (st != OPS_OK) {
        if (reterr != NULL)
            *reterr = err;
        return st;
    }
    if (c.end_ns > t->event_ns)
        t->event_ns = c.end_ns;
    st = ops_finding_book_add(t->book, &c, t->event_ns, reterr);
    if (st == OPS_OK && !ops_vec_push(&t->taken, id))
        st = ops_fail(reterr, OPS_ENOMEM, "an effect of partition %u", id.part);
    if (st != OPS_OK)
        t->failed = st;
    turn->effects++;
    return st;
}

/* Event time as it stands now: the newest seen, moved on by the clock while nothing arrives. */
static int64_t event_now(ops_finder *f)
{
    int64_t mono = ops_clock_mono_ns(f->clock);
    int64_t seen = f->conf.event_ns != NULL ? f->conf.event_ns(f->conf.u) : INT64_MIN;
    if (seen == INT64_MIN)
        return INT64_MIN;
    if (seen != f->event_ns) {
        f->event_ns = seen;
        f->event_mono_ns = mono;
    }
    return seen + (mono - f->event_mono_ns);
}

static void tick_all(ops_finder *f)
{
    int64_t now = event_now(f);
    size_t iter = 0;
    ops_slice name;
    void *value;
    while (now != INT64_MIN && ops_map_next(f->tenants, &iter, &name, &value)) {
        tenant *t = value;
        ops_status st = ops_finding_book_tick(t->book, now, &t->err);
        if (st != OPS_OK)
            t->failed = st;
    }
}

/* Commits every tenant; the ones that fail are forgotten and come again from the store. True when all went well. */
static bool commit_all(ops_finder *f)
{
    bool all = true;
    for (bool again = true; again;) {
        size_t iter = 0;
        ops_slice name;
        void *value;
        again = false;
        while (!again && ops_map_next(f->tenants, &iter, &name, &value)) {
            tenant *t = value;
            uint64_t revision = 0;
            ops_err err = t->err;
            ops_status st = t->failed;
            if (st == OPS_OK)
                st = tenant_commit(t, &revision, &err);
            if (st == OPS_OK) {
                bool told = t->changed.n > 0 && f->conf.on_findings != NULL;
                turn_clear(t);
                if (told)
                    f->conf.on_findings(f->conf.u, revision);
                continue;
            }
            OPS_LOG(OPS_LOG_ERROR, "findings_not_written", OPS_KV_STR("tenant", t->name),
                    OPS_KV_STR("why", err.msg));
            tenant_forget(f, t);
            all = false;
            again = true; /* the map changed under the walk */
        }
    }
    return all;
}

/* One turn; *ret_more: the outbox holds more. False: something failed, wait before the next. */
static bool take_turn(ops_finder *f, bool *ret_more)
{
    struct turn turn = {.f = f};
    ops_err err = {0};
    ops_status st = ops_repo_outbox_scan(f->conf.repo, on_effect, &turn, &err);
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_ERROR, "outbox_not_read", OPS_KV_STR("why", err.msg));
    tick_all(f);
    bool ok = commit_all(f) && st == OPS_OK;
    *ret_more = turn.left_some;
    return ok;
}

static ops_status give_feedback(ops_finder *f, const mail *m, ops_err *reterr)
{
    tenant *t;
    ops_status st = tenant_open(f, ops_slice_str(m->tenant), &t, reterr);
    if (st != OPS_OK)
        return st;
    const ops_finding_feedback fb = {ops_slice_str(m->author), ops_slice_str(m->comment), m->verdict,
                                     m->time_ns};
    ops_strbuf before, body;
    ops_strbuf_init(&before, BODY_BYTES_MAX);
    ops_strbuf_init(&body, BODY_BYTES_MAX);
    ops_slice id = ops_slice_str(m->id);
    st = stored_body(t, id, &before, reterr);
    if (st == OPS_OK)
        st = ops_finding_add_feedback(ops_strbuf_get(&before), &fb, &body, reterr);
    if (st == OPS_OK && (st = keep_change(t, id, &body)) != OPS_OK)
        (void)ops_fail(reterr, st, "feedback to %s", m->id);
    ops_strbuf_done(&before);
    ops_strbuf_done(&body);
    uint64_t revision = 0;
    if (st == OPS_OK) {
        st = tenant_commit(t, &revision, reterr);
        if (st == OPS_OK)
            turn_clear(t);
        else
            tenant_forget(f, t);
    }
    if (st == OPS_OK && f->conf.on_findings != NULL)
        f->conf.on_findings(f->conf.u, revision);
    return st;
}

static void open_mail(ops_finder *f, mail *m)
{
    ops_err err = {0};
    tenant *t;
    if (m->kind == MAIL_VECTOR) {
        ops_status st = tenant_open(f, ops_slice_str(m->tenant), &t, &err);
        if (st == OPS_OK)
            st = ops_finding_book_vector(t->book, m->template_id, m->vector, m->dim, &err);
        if (st != OPS_OK)
            OPS_LOG(OPS_LOG_WARN, "meaning_not_taken", OPS_KV_STR("why", err.msg));
    } else if (m->kind == MAIL_FEEDBACK) {
        ops_status st = give_feedback(f, m, &err);
        (void)pthread_mutex_lock(&m->waiting->lock);
        m->waiting->st = st;
        m->waiting->err = err;
        m->waiting->finished = true;
        (void)pthread_cond_broadcast(&m->waiting->done);
        (void)pthread_mutex_unlock(&m->waiting->lock);
    }
    mail_free(m);
}

static void run(void *u)
{
    ops_finder *f = u;
    bool more = false;
    int wait_ms = 0;
    for (;;) {
        void *m = NULL;
        ops_status st = ops_mailbox_take(f->mail, more ? 0 : wait_ms, &m);
        while (st == OPS_OK) {
            open_mail(f, m);
            st = ops_mailbox_take(f->mail, 0, &m);
        }
        wait_ms = take_turn(f, &more) ? IDLE_WAIT_MS : RETRY_WAIT_MS;
        if (st == OPS_ECANCELLED && (!more || wait_ms == RETRY_WAIT_MS))
            return;
    }
}

/* Tenants that have findings are opened at once: theirs may have to close although nothing new comes. */
static ops_status open_tenant(void *u, ops_slice name, uint64_t revision, const ops_repo_finding *finding,
                              ops_err *reterr)
{
    tenant *t;
    (void)revision;
    (void)finding;
    ops_status st = tenant_open(u, name, &t, reterr);
    return st == OPS_EAGAIN ? OPS_OK : st;
}

ops_status ops_finder_new(const ops_finder_conf *conf, ops_finder **ret, ops_err *reterr)
{
    OPS_AUTO(ops_finder_free) ops_finder *f = ops_calloc(1, sizeof *f);
    if (f == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "finder");
    f->conf = *conf;
    if (f->conf.tenants_max == 0)
        f->conf.tenants_max = 64;
    f->clock = conf->clock != NULL ? conf->clock : ops_clock_system();
    f->event_ns = INT64_MIN;
    f->tenants = ops_map_new();
    if (f->tenants == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "finder");
    ops_status st = ops_mailbox_new(MAIL_MAX, MAIL_BYTES_MAX, &f->mail, reterr);
    if (st == OPS_OK)
        st = ops_repo_findings_since(conf->repo, 0, open_tenant, f, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(f);
    return st;
}

bool ops_finder_has_vector(ops_finder *f, ops_slice tenant_name, uint64_t template_id)
{
    tenant *t = NULL;
    return tenant_open(f, tenant_name, &t, NULL) == OPS_OK &&
           ops_finding_book_has_vector(t->book, template_id);
}

ops_status ops_finder_start(ops_finder *f, ops_err *reterr)
{
    return ops_thread_start(run, f, "finder", &f->thread, reterr);
}

void ops_finder_stop(ops_finder *f)
{
    ops_mailbox_close(f->mail);
    ops_thread_join(OPS_STEAL(f->thread));
}

void ops_finder_free(ops_finder *f)
{
    if (f == NULL)
        return;
    if (f->mail != NULL) {
        ops_finder_stop(f);
        void *m;
        while (ops_mailbox_take(f->mail, 0, &m) == OPS_OK)
            mail_free(m);
        ops_mailbox_free(f->mail);
    }
    size_t iter = 0;
    ops_slice name;
    void *value;
    while (ops_map_next(f->tenants, &iter, &name, &value))
        tenant_free(value);
    ops_map_free(f->tenants);
    ops_free(f);
}

void ops_finder_wake(ops_finder *f)
{
    /* A full box is awake already. */
    if (ops_mailbox_count(f->mail) == 0)
        (void)!ops_mailbox_post(f->mail, &wake_mail, 0);
}

ops_status ops_finder_vector(ops_finder *f, ops_slice tenant_name, uint64_t template_id, const float *v,
                             size_t dim, ops_err *reterr)
{
    mail *m = ops_calloc(1, sizeof *m);
    if (m != NULL) {
        m->kind = MAIL_VECTOR;
        m->tenant = ops_strndup(tenant_name.p, tenant_name.n);
        m->template_id = template_id;
        m->vector = ops_memdup(v, dim * sizeof *v);
        m->dim = dim;
    }
    ops_status st = m != NULL && m->tenant != NULL && m->vector != NULL ? OPS_OK : OPS_ENOMEM;
    if (st == OPS_OK)
        st = ops_mailbox_post(f->mail, m, dim * sizeof *v);
    if (st != OPS_OK)
        mail_free(m);
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "the meaning of a template");
}

static mail *feedback_mail(ops_slice tenant_name, ops_slice id, const ops_finding_feedback *fb)
{
    mail *m = ops_calloc(1, sizeof *m);
    waiting *w = ops_calloc(1, sizeof *w);
    if (m == NULL || w == NULL) {
        ops_free(m);
        ops_free(w);
        return NULL;
    }
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->done, NULL);
    w->refs = 1;
    *m = (mail){.kind = MAIL_FEEDBACK,
                .tenant = ops_strndup(tenant_name.p, tenant_name.n),
                .id = ops_strndup(id.p, id.n),
                .author = ops_strndup(fb->author.p, fb->author.n),
                .comment = ops_strndup(fb->comment.p != NULL ? fb->comment.p : "", fb->comment.n),
                .verdict = fb->verdict,
                .time_ns = fb->time_ns,
                .waiting = w};
    if (m->tenant == NULL || m->id == NULL || m->author == NULL || m->comment == NULL) {
        mail_free(m);
        return NULL;
    }
    return m;
}

ops_status ops_finder_feedback(ops_finder *f, ops_slice tenant_name, ops_slice id,
                               const ops_finding_feedback *fb, ops_err *reterr)
{
    mail *m = feedback_mail(tenant_name, id, fb);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "feedback");
    waiting *w = m->waiting;
    w->refs = 2;
    ops_status st = ops_mailbox_post(f->mail, m, 0);
    if (st != OPS_OK) {
        w->refs = 1;
        mail_free(m);
        return ops_fail(reterr, st, "feedback: %s", ops_status_text(st));
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FEEDBACK_WAIT_S;
    (void)pthread_mutex_lock(&w->lock);
    int rc = 0;
    while (!w->finished && rc == 0)
        rc = pthread_cond_timedwait(&w->done, &w->lock, &until);
    st = w->finished ? w->st : OPS_ETIMEOUT;
    if (st != OPS_OK && reterr != NULL) {
        if (w->finished)
            *reterr = w->err;
        else
            (void)ops_fail(reterr, st, "feedback: not written within %d s", FEEDBACK_WAIT_S);
    }
    (void)pthread_mutex_unlock(&w->lock);
    waiting_unref(w);
    return st;
}
