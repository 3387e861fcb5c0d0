#include "coordinator/shard/finder.h"

#include <stdio.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/shard/candidate_codec.h"
#include "coordinator/shard/finder_internal.h"

enum {
    TURN_EFFECTS_MAX = 512,
    IDLE_WAIT_MS = 1000,
    RETRY_WAIT_MS = 1000,
    MAIL_MAX = 4096,
    MAIL_BYTES_MAX = 32 << 20
};

void ops_finder_turn_clear(ops_finder_tenant *t)
{
    for (size_t i = 0; i < t->changed.n; i++)
        ops_free(t->changed.v[i].body);
    for (size_t i = 0; i < t->notices.n; i++)
        ops_free(t->notices.v[i].body);
    for (size_t i = 0; i < t->records.n; i++) {
        ops_free(t->records.v[i].key);
        ops_free(t->records.v[i].val);
    }
    t->changed.n = t->taken.n = t->notices.n = t->records.n = 0;
    t->failed = OPS_OK;
}

static void tenant_free(ops_finder_tenant *t)
{
    if (t == NULL)
        return;
    ops_finder_turn_clear(t);
    ops_vec_done(&t->changed);
    ops_vec_done(&t->taken);
    ops_vec_done(&t->notices);
    ops_vec_done(&t->records);
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
ops_status ops_finder_stored_body(ops_finder_tenant *t, ops_slice id, ops_strbuf *out, ops_err *reterr)
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

ops_status ops_finder_keep_change(ops_finder_tenant *t, ops_slice id, ops_strbuf *body)
{
    size_t n = body->n, i = 0;
    while (i < t->changed.n && !ops_slice_eq(ops_slice_str(t->changed.v[i].id), id))
        i++;
    if (i == t->changed.n) {
        ops_finder_changed c = {0};
        (void)snprintf(c.id, sizeof c.id, OPS_SLICE_FMT, OPS_SLICE_ARG(id));
        if (!ops_vec_push(&t->changed, c))
            return OPS_ENOMEM;
    }
    ops_free(t->changed.v[i].body);
    t->changed.v[i].body = ops_strbuf_take(body);
    t->changed.v[i].n = n;
    return t->changed.v[i].body != NULL ? OPS_OK : OPS_ENOMEM;
}

ops_status ops_finder_keep_notice(ops_finder_tenant *t, const ops_strbuf *body)
{
    const ops_finder_notice n = {ops_memdup(body->p, body->n), body->n};
    if (n.body != NULL && ops_vec_push(&t->notices, n))
        return OPS_OK;
    ops_free(n.body);
    return OPS_ENOMEM;
}

ops_status ops_finder_keep_record(ops_finder_tenant *t, ops_slice key, ops_slice val)
{
    const ops_finder_record r = {ops_memdup(key.p, key.n), ops_strndup(val.n > 0 ? val.p : "", val.n), key.n,
                                 val.n};
    if (r.key != NULL && r.val != NULL && ops_vec_push(&t->records, r))
        return OPS_OK;
    ops_free(r.key);
    ops_free(r.val);
    return OPS_ENOMEM;
}

static void on_change(void *u, ops_finding_change change, const ops_finding *f)
{
    static const char *const names[] = {"", "opened", "updated", "closed"};
    ops_finder_tenant *t = u;
    ops_strbuf before, body;
    ops_strbuf_init(&before, FINDER_BODY_BYTES_MAX);
    ops_strbuf_init(&body, FINDER_BODY_BYTES_MAX);
    ops_slice id = ops_slice_str(f->id);
    ops_status st = ops_finder_stored_body(t, id, &before, &t->err);
    if (st == OPS_ENOTFOUND)
        st = OPS_OK;
    if (st == OPS_OK)
        st = ops_finding_encode(f, ops_strbuf_get(&before), t->finder->conf.partitions, &body, &t->err);
    if (st == OPS_OK && t->finder->conf.notices &&
        (change != OPS_FINDING_UPDATED || ops_finding_severity(ops_strbuf_get(&before)) != (int)f->severity))
        st = ops_finder_keep_notice(t, &body);
    if (st == OPS_OK)
        st = ops_finder_keep_change(t, id, &body);
    if (st == OPS_OK)
        ops_ledger_count(t->finder->conf.ledger, OPS_LEDGER_FINDINGS, names[change], 1);
    else
        t->failed = st;
    ops_strbuf_done(&before);
    ops_strbuf_done(&body);
}

static ops_status load_record(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    if (key.n > 0 && key.p[0] == FINDER_RULES)
        return OPS_OK;
    return ops_finding_book_load(((ops_finder_tenant *)u)->book, key, val, reterr);
}

ops_status ops_finder_tenant_open(ops_finder *f, ops_slice name, ops_finder_tenant **ret, ops_err *reterr)
{
    ops_finder_tenant *t = ops_map_get(f->tenants, name);
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

void ops_finder_tenant_forget(ops_finder *f, ops_finder_tenant *t)
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
ops_status ops_finder_tenant_commit(ops_finder_tenant *t, uint64_t *ret_revision, ops_err *reterr)
{
    struct state s = {0};
    ops_repo_finding *findings = ops_calloc(t->changed.n + 1, sizeof *findings);
    ops_slice *notices = ops_calloc(t->notices.n + 1, sizeof *notices);
    ops_status st = findings != NULL && notices != NULL
                        ? ops_finding_book_save_dirty(t->book, save_record, &s, reterr)
                        : ops_fail(reterr, OPS_ENOMEM, "%zu findings", t->changed.n);
    for (size_t i = 0; st == OPS_OK && i < t->records.n; i++) {
        const ops_finder_record *r = &t->records.v[i];
        const ops_delta_write w = {ops_slice_of(r->key, r->key_n), ops_slice_of(r->val, r->val_n)};
        if (!ops_vec_push(&s.writes, w))
            st = ops_fail(reterr, OPS_ENOMEM, "states of rules");
    }
    for (size_t i = 0; st == OPS_OK && i < t->changed.n; i++)
        findings[i] = (ops_repo_finding){ops_slice_str(t->changed.v[i].id),
                                         ops_slice_of(t->changed.v[i].body, t->changed.v[i].n)};
    const ops_tenant_commit c = {.tenant = ops_slice_str(t->name),
                                 .writes = s.writes.v,
                                 .write_count = s.writes.n,
                                 .findings = findings,
                                 .finding_count = t->changed.n,
                                 .taken = t->taken.v,
                                 .taken_count = t->taken.n,
                                 .notices = notices,
                                 .notice_count = t->notices.n,
                                 .notice_ns = ops_clock_wall_ns(t->finder->clock)};
    for (size_t i = 0; st == OPS_OK && i < t->notices.n; i++)
        notices[i] = ops_slice_of(t->notices.v[i].body, t->notices.v[i].n);
    if (st == OPS_OK && (s.writes.n > 0 || t->changed.n > 0 || t->taken.n > 0))
        st = ops_repo_commit_tenant(t->finder->conf.repo, &c, ret_revision, reterr);
    for (size_t i = 0; i < s.owned.n; i++)
        ops_free(s.owned.v[i]);
    ops_vec_done(&s.owned);
    ops_vec_done(&s.writes);
    ops_free(findings);
    ops_free(notices);
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
    ops_finder_tenant *t = NULL;
    if (turn->effects == TURN_EFFECTS_MAX) {
        turn->left_some = true;
        return OPS_ECANCELLED;
    }
    ops_status st = ops_candidate_get(effect, &c, statistic, reterr);
    if (st != OPS_OK)
        return st;
    ops_err err;
    st = ops_finder_tenant_open(turn->f, c.tenant, &t, &err);
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

static void tick_all(ops_finder *f)
{
    const int64_t seen = f->conf.event_ns != NULL ? f->conf.event_ns(f->conf.u) : INT64_MIN;
    const int64_t now = ops_event_time_now(&f->event, seen, ops_clock_mono_ns(f->clock));
    size_t iter = 0;
    ops_slice name;
    void *value;
    while (now != INT64_MIN && ops_map_next(f->tenants, &iter, &name, &value)) {
        ops_finder_tenant *t = value;
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
            ops_finder_tenant *t = value;
            uint64_t revision = 0;
            ops_err err = t->err;
            ops_status st = t->failed;
            if (st == OPS_OK)
                st = ops_finder_tenant_commit(t, &revision, &err);
            if (st == OPS_OK) {
                bool told = t->changed.n > 0 && f->conf.on_findings != NULL;
                ops_finder_turn_clear(t);
                if (told)
                    f->conf.on_findings(f->conf.u, revision);
                continue;
            }
            OPS_LOG(OPS_LOG_ERROR, "findings_not_written", OPS_KV_STR("tenant", t->name),
                    OPS_KV_STR("why", err.msg));
            ops_finder_tenant_forget(f, t);
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
    ops_finder_alert_tick(f);
    *ret_more = turn.left_some;
    return ok;
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
            ops_finder_mail_open(f, m);
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
    ops_finder_tenant *t;
    (void)revision;
    ops_finder_alert_seen(u, name, finding);
    ops_status st = ops_finder_tenant_open(u, name, &t, reterr);
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
    f->event = (ops_event_time)OPS_EVENT_TIME;
    if (f->conf.alerts_open_max == 0)
        f->conf.alerts_open_max = 1000;
    f->tenants = ops_map_new();
    f->alerts = ops_map_new();
    if (f->tenants == NULL || f->alerts == NULL)
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
    ops_finder_tenant *t = NULL;
    return ops_finder_tenant_open(f, tenant_name, &t, NULL) == OPS_OK &&
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
            ops_finder_mail_free(m);
        ops_mailbox_free(f->mail);
    }
    size_t iter = 0;
    ops_slice name;
    void *value;
    while (ops_map_next(f->tenants, &iter, &name, &value))
        tenant_free(value);
    ops_map_free(f->tenants);
    ops_finder_alerts_free(f);
    ops_free(f);
}

void ops_finder_wake(ops_finder *f)
{
    /* A full box is awake already. */
    if (ops_mailbox_count(f->mail) == 0)
        (void)!ops_mailbox_post(f->mail, &ops_finder_wake_mail, 0);
}
