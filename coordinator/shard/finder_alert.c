/* Alerts from elsewhere, and of rules, as findings: each is one by itself, outside book and budget. An open one goes by its fingerprint, whose
 * sender may move its start; a closed one by its id, which holds the start too. What is open is kept in memory with the time it
 * was last heard of, for the bound and for alerts whose end never comes. */
#include <stdio.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/shard/finder_internal.h"
#include "proto/ops/v1/finding.pb-c.h"

enum {
    REPEAT_MIN_S = 60,
    TICK_S = 60,
    STALE_TURN_MAX = 64,
    KEY_MAX = 1024,
    FINDER_RULES_KEY_MAX = 64,
    NS_PER_S = 1000000000
};

typedef struct one_alert {
    char id[OPS_FINDING_ID_LEN + 1], own_id[OPS_FINDING_ID_LEN + 1];
    bool firing;
    char *body;
    size_t n;
    char *fingerprint;                                  /* once looked at */
    enum { FATE_NOTHING, FATE_OPEN, FATE_CLOSED } fate; /* what becomes of it in memory once it is written */
} one_alert;

struct ops_finder_alert_mail {
    one_alert *v;
    size_t n;
    ops_finder_record
        group; /* of rules: its id and the states of its alerts; key NULL: alerts from elsewhere */
    int64_t now_ns;
    ops_finder_alerts_fn done;
    void *du;
};

/* Rules say of what they fired whether it goes on; nobody waits for word of it. */
static bool is_rules(ops_slice id)
{
    return ops_slice_starts(id, OPS_SLICE("r-"));
}

static int64_t now_s(const ops_finder *f)
{
    return ops_clock_wall_ns(f->clock) / NS_PER_S;
}

typedef struct open_alert {
    char id[OPS_FINDING_ID_LEN + 1];
    int64_t seen_s;
} open_alert;

static void key_of(ops_strbuf *b, ops_slice tenant, const char *fingerprint)
{
    ops_strbuf_init(b, KEY_MAX);
    ops_strbuf_slice(b, tenant);
    ops_strbuf_char(b, '\0');
    ops_strbuf_str(b, fingerprint);
}

/* Without memory the alert is not in the count, and not closed by age: better than not taking it. */
static void remember(ops_finder *f, ops_slice tenant, const char *fingerprint, const char *id, int64_t seen_s)
{
    ops_strbuf key;
    void *old = NULL;
    open_alert *o = ops_calloc(1, sizeof *o);
    key_of(&key, tenant, fingerprint);
    if (o != NULL) {
        (void)snprintf(o->id, sizeof o->id, "%s", id);
        o->seen_s = seen_s;
    }
    if (o == NULL || key.failed || ops_map_put(f->alerts, ops_strbuf_get(&key), o, &old) != OPS_OK) {
        OPS_LOG(OPS_LOG_WARN, "alert_not_remembered", OPS_KV_STR("finding", id));
        ops_free(o);
    }
    ops_free(old);
    ops_strbuf_done(&key);
}

static void forget(ops_finder *f, ops_slice tenant, const char *fingerprint)
{
    ops_strbuf key;
    key_of(&key, tenant, fingerprint);
    if (!key.failed)
        ops_free(ops_map_del(f->alerts, ops_strbuf_get(&key)));
    ops_strbuf_done(&key);
}

/* NULL: none is open (or the heap is out: then the id decides). */
static const open_alert *known(const ops_finder *f, ops_slice tenant, const char *fingerprint)
{
    ops_strbuf key;
    key_of(&key, tenant, fingerprint);
    const open_alert *o = key.failed ? NULL : ops_map_get(f->alerts, ops_strbuf_get(&key));
    ops_strbuf_done(&key);
    return o;
}

void ops_finder_alerts_free(ops_finder *f)
{
    size_t iter = 0;
    ops_slice key;
    void *o;
    while (ops_map_next(f->alerts, &iter, &key, &o))
        ops_free(o);
    ops_map_free(f->alerts);
}

void ops_finder_alert_seen(ops_finder *f, ops_slice tenant, const ops_repo_finding *finding)
{
    if (!ops_slice_starts(finding->id, OPS_SLICE("a-")) && !is_rules(finding->id))
        return;
    Ops__V1__Finding *m = ops__v1__finding__unpack(NULL, finding->body.n, (const uint8_t *)finding->body.p);
    if (m != NULL && m->state == OPS__V1__FINDING_STATE__FINDING_STATE_OPEN)
        remember(f, tenant, m->fingerprint, m->id, m->last_time_unix_nano / NS_PER_S);
    if (m != NULL)
        ops__v1__finding__free_unpacked(m, NULL);
}

static size_t open_count(const ops_finder *f, ops_slice tenant)
{
    size_t n = 0, iter = 0;
    ops_slice key;
    void *seen;
    while (ops_map_next(f->alerts, &iter, &key, &seen))
        n += key.n > tenant.n && key.p[tenant.n] == '\0' && ops_slice_starts(key, tenant);
    return n;
}

static ops_status repack(const Ops__V1__Finding *m, ops_strbuf *out)
{
    const size_t n = ops__v1__finding__get_packed_size(m);
    char *to = ops_strbuf_room(out, n);
    if (to == NULL)
        return OPS_ENOMEM;
    out->n += ops__v1__finding__pack(m, (uint8_t *)to);
    out->p[out->n] = '\0';
    return OPS_OK;
}

static ops_status keep(ops_finder_tenant *t, const Ops__V1__Finding *m, bool changed, ops_err *reterr)
{
    ops_strbuf body;
    ops_strbuf_init(&body, FINDER_BODY_BYTES_MAX);
    ops_status st = repack(m, &body);
    if (st == OPS_OK && changed &&
        (t->finder->conf.notices ||
         (t->finder->conf.rule_notices && m->kind == OPS__V1__FINDING_KIND__FINDING_KIND_RULE)))
        st = ops_finder_keep_notice(t, &body);
    if (st == OPS_OK)
        st = ops_finder_keep_change(t, ops_slice_str(m->id), &body);
    ops_strbuf_done(&body);
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "alert %s", m->id);
}

static bool same_labels(Ops__V1__Label *const *a, size_t an, Ops__V1__Label *const *b, size_t bn)
{
    bool same = an == bn;
    for (size_t i = 0; same && i < an; i++)
        same = strcmp(a[i]->name, b[i]->name) == 0 && strcmp(a[i]->value, b[i]->value) == 0;
    return same;
}

/* Nothing new and just told: a sender that tried again. */
static bool repeats(const Ops__V1__Finding *old, const Ops__V1__Finding *m)
{
    return old->state == m->state &&
           (m->state == OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED ||
            (m->last_time_unix_nano - old->last_time_unix_nano < (int64_t)REPEAT_MIN_S * NS_PER_S &&
             same_labels(old->annotations, old->n_annotations, m->annotations, m->n_annotations)));
}

/* What is known of the alert goes on in what comes: the count, the version, what people said. */
static ops_status go_on(ops_finder_tenant *t, one_alert *a, Ops__V1__Finding *old, Ops__V1__Finding *m,
                        ops_finder_alerts_answer *ans, ops_err *reterr)
{
    const bool was_open = old->state == OPS__V1__FINDING_STATE__FINDING_STATE_OPEN;
    const bool changed = was_open != a->firing || old->severity != m->severity;
    a->fate = a->firing ? FATE_OPEN : FATE_CLOSED;
    if (a->firing)
        ++*(was_open ? &ans->repeated : &ans->opened);
    else
        ++*(was_open ? &ans->resolved : &ans->repeated);
    if (repeats(old, m))
        return OPS_OK;
    Ops__V1__Feedback **none = m->feedback;
    m->version = old->version + 1;
    m->candidates = old->candidates + (a->firing ? 1 : 0);
    m->start_time_unix_nano = old->start_time_unix_nano;
    m->feedback = old->feedback;
    m->n_feedback = old->n_feedback;
    ops_status st = keep(t, m, changed, reterr);
    m->feedback = none;
    m->n_feedback = 0;
    return st;
}

static ops_status begin(ops_finder_tenant *t, one_alert *a, const Ops__V1__Finding *m, size_t *open,
                        ops_finder_alerts_answer *ans, ops_err *reterr)
{
    if (!a->firing) {
        ans->unknown++; /* over before it was heard of */
        return OPS_OK;
    }
    if (*open >= t->finder->conf.alerts_open_max) {
        ans->full++; /* the others of the request are taken: ends among them make room */
        return OPS_OK;
    }
    ++*open;
    ans->opened++;
    a->fate = FATE_OPEN;
    return keep(t, m, true, reterr);
}

static ops_status stored(ops_finder_tenant *t, const char *id, Ops__V1__Finding **ret, ops_err *reterr)
{
    ops_strbuf body;
    *ret = NULL;
    ops_strbuf_init(&body, FINDER_BODY_BYTES_MAX);
    ops_status st = ops_finder_stored_body(t, ops_slice_str(id), &body, reterr);
    if (st == OPS_OK && (*ret = ops__v1__finding__unpack(NULL, body.n, (const uint8_t *)body.p)) == NULL)
        st = ops_fail(reterr, OPS_ECORRUPT, "finding %s does not read", id);
    ops_strbuf_done(&body);
    return st;
}

static ops_status there(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                        ops_err *reterr)
{
    (void)u;
    (void)tenant;
    (void)revision;
    (void)f;
    (void)reterr;
    return OPS_OK;
}

static bool is_own(ops_finder_tenant *t, const one_alert *a)
{
    Ops__V1__Finding *m = NULL;
    const ops_slice id = ops_slice_str(a->own_id);
    if (id.n > 0 &&
        ops_repo_incident_get(t->finder->conf.repo, ops_slice_str(t->name), id, there, NULL, NULL) == OPS_OK)
        return true;
    if (a->own_id[0] == '\0' || stored(t, a->own_id, &m, NULL) != OPS_OK)
        return false;
    ops__v1__finding__free_unpacked(m, NULL);
    return true;
}

/* The id under which the alert is known: of the one that is open with its fingerprint, before this request or by it. */
static ops_status settle_id(ops_finder_tenant *t, ops_finder_alert_mail *x, size_t at,
                            const Ops__V1__Finding *m, ops_err *reterr)
{
    one_alert *a = &x->v[at];
    const open_alert *o = known(t->finder, ops_slice_str(t->name), m->fingerprint);
    a->fingerprint = ops_strdup(m->fingerprint);
    if (a->fingerprint == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "alert %s", a->id);
    const char *id = o != NULL ? o->id : NULL;
    for (size_t i = 0; i < at; i++)
        if (x->v[i].fate == FATE_OPEN && strcmp(x->v[i].fingerprint, a->fingerprint) == 0)
            id = x->v[i].id;
    if (id != NULL)
        (void)memmove(a->id, id, sizeof a->id);
    return OPS_OK;
}

static ops_status take_one(ops_finder_tenant *t, ops_finder_alert_mail *x, size_t at, size_t *open,
                           ops_finder_alerts_answer *ans, ops_err *reterr)
{
    Ops__V1__Finding *old = NULL;
    if (is_own(t, &x->v[at])) {
        ans->own++;
        return OPS_OK;
    }
    one_alert *a = &x->v[at];
    Ops__V1__Finding *m = ops__v1__finding__unpack(NULL, a->n, (const uint8_t *)a->body);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "alert %s", a->id);
    char *given_id = m->id;
    ops_status st = settle_id(t, x, at, m, reterr);
    if (st == OPS_OK)
        st = stored(t, a->id, &old, reterr);
    m->id = a->id;
    if (st == OPS_ENOTFOUND)
        st = begin(t, a, m, open, ans, reterr);
    else if (st == OPS_OK)
        st = go_on(t, a, old, m, ans, reterr);
    m->id = given_id;
    if (old != NULL)
        ops__v1__finding__free_unpacked(old, NULL);
    ops__v1__finding__free_unpacked(m, NULL);
    return st;
}

static bool told(const ops_finder_alert_mail *x, ops_slice fingerprint)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->v[i].fate == FATE_OPEN && ops_slice_eq(ops_slice_str(x->v[i].fingerprint), fingerprint))
            return true;
    return false;
}

static ops_status close_one(ops_finder_tenant *t, const char *id, int64_t now_ns, ops_err *reterr)
{
    Ops__V1__Finding *m = NULL;
    ops_status st = stored(t, id, &m, reterr);
    if (st != OPS_OK)
        return st == OPS_ENOTFOUND ? OPS_OK : st;
    m->state = OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED;
    m->version++;
    if (now_ns > m->last_time_unix_nano)
        m->last_time_unix_nano = now_ns;
    st = keep(t, m, true, reterr);
    ops__v1__finding__free_unpacked(m, NULL);
    return st;
}

typedef OPS_VEC(char *) gone_list;

/* What a group of rules had open and does not tell of any more ends, and the states are written with it. */
static ops_status settle_group(ops_finder_tenant *t, const ops_finder_alert_mail *x, gone_list *gone,
                               ops_finder_alerts_answer *ans, ops_err *reterr)
{
    size_t iter = 0, skip = strlen(t->name) + 1;
    ops_slice key, group = ops_slice_of(x->group.key, x->group.key_n);
    void *v;
    char record[FINDER_RULES_KEY_MAX];
    ops_status st = OPS_OK;
    while (st == OPS_OK && ops_map_next(t->finder->alerts, &iter, &key, &v)) {
        const open_alert *o = v;
        const ops_slice fingerprint = ops_slice_sub(key, skip, key.n);
        if (key.n <= skip || memcmp(key.p, t->name, skip) != 0 || !is_rules(ops_slice_str(o->id)) ||
            !ops_slice_starts(fingerprint, group) || told(x, fingerprint))
            continue;
        char *copy = ops_strndup(fingerprint.p, fingerprint.n);
        if (copy == NULL || !ops_vec_push(gone, copy)) {
            ops_free(copy);
            return ops_fail(reterr, OPS_ENOMEM, "alerts of a group");
        }
        ans->resolved++;
        st = close_one(t, o->id, x->now_ns, reterr);
    }
    const int n = snprintf(record, sizeof record, "%c" OPS_SLICE_FMT, FINDER_RULES, OPS_SLICE_ARG(group));
    if (st == OPS_OK && (st = ops_finder_keep_record(t, ops_slice_of(record, (size_t)n),
                                                     ops_slice_of(x->group.val, x->group.val_n))) != OPS_OK)
        (void)ops_fail(reterr, st, "states of a group");
    return st;
}

/* Writes what was gathered for the tenant; a failure forgets both. */
static ops_status finish(ops_finder *f, ops_finder_tenant *t, ops_status st, ops_err *reterr)
{
    uint64_t revision = 0;
    const bool wrote = t->changed.n > 0;
    if (st == OPS_OK && (wrote || t->records.n > 0))
        st = ops_finder_tenant_commit(t, &revision, reterr);
    if (st != OPS_OK) {
        ops_finder_tenant_forget(f, t);
        return st;
    }
    ops_finder_turn_clear(t);
    if (wrote && f->conf.on_findings != NULL)
        f->conf.on_findings(f->conf.u, revision);
    return OPS_OK;
}

void ops_finder_alert_mail_open(ops_finder *f, mail *m)
{
    ops_finder_alerts_answer ans = {0};
    ops_err err = {0};
    ops_finder_tenant *t = NULL;
    const ops_slice name = ops_slice_str(m->tenant);
    ops_finder_alert_mail *x = m->alerts;
    gone_list gone = {0};
    size_t open = open_count(f, name);
    ops_status st = ops_finder_tenant_open(f, name, &t, &err);
    for (size_t i = 0; st == OPS_OK && i < x->n; i++)
        st = take_one(t, x, i, &open, &ans, &err);
    if (st == OPS_OK && x->group.key != NULL)
        st = settle_group(t, x, &gone, &ans, &err);
    if (t != NULL)
        st = finish(f, t, st, &err);
    for (size_t i = 0; st == OPS_OK && i < x->n; i++)
        if (x->v[i].fate == FATE_OPEN)
            remember(f, name, x->v[i].fingerprint, x->v[i].id, now_s(f));
        else if (x->v[i].fate == FATE_CLOSED)
            forget(f, name, x->v[i].fingerprint);
    for (size_t i = 0; i < gone.n; i++) {
        if (st == OPS_OK)
            forget(f, name, gone.v[i]);
        ops_free(gone.v[i]);
    }
    ops_vec_done(&gone);
    if (st == OPS_OK && ans.full > 0)
        st = ops_fail(&err, OPS_EAGAIN, "tenant %s has %zu open alerts: %u new ones were not taken",
                      m->tenant, open, ans.full);
    ans.st = st;
    ans.message = err.msg;
    x->done(x->du, &ans);
    x->done = NULL;
}

void ops_finder_alert_mail_free(ops_finder_alert_mail *x)
{
    if (x == NULL)
        return;
    if (x->done != NULL) {
        const ops_finder_alerts_answer ans = {.st = OPS_EUNAVAILABLE, .message = "opsd is stopping"};
        x->done(x->du, &ans);
    }
    for (size_t i = 0; x->v != NULL && i < x->n; i++) {
        ops_free(x->v[i].body);
        ops_free(x->v[i].fingerprint);
    }
    ops_free(x->v);
    ops_free(x->group.key);
    ops_free(x->group.val);
    ops_free(x);
}

static bool copy_one(one_alert *to, const ops_finder_alert *from)
{
    (void)snprintf(to->id, sizeof to->id, "%s", from->id);
    if (from->own_id.n < sizeof to->own_id)
        (void)snprintf(to->own_id, sizeof to->own_id, OPS_SLICE_FMT, OPS_SLICE_ARG(from->own_id));
    to->firing = from->firing;
    to->n = from->body.n;
    to->body = ops_memdup(from->body.p, from->body.n);
    return to->body != NULL;
}

static bool copy_group(ops_finder_record *to, ops_slice group, ops_slice state)
{
    if (group.n == 0)
        return true;
    to->key = ops_strndup(group.p, group.n);
    to->key_n = group.n;
    to->val = ops_strndup(state.n > 0 ? state.p : "", state.n);
    to->val_n = state.n;
    return to->key != NULL && to->val != NULL;
}

static ops_status post(ops_finder *f, ops_slice tenant, const ops_finder_alert *alerts, size_t count,
                       ops_slice group, ops_slice state, ops_finder_alerts_fn done, void *du, ops_err *reterr)
{
    size_t bytes = state.n;
    mail *m = ops_calloc(1, sizeof *m);
    ops_finder_alert_mail *x = ops_calloc(1, sizeof *x);
    bool ok = m != NULL && x != NULL && (x->v = ops_calloc(count + 1, sizeof *x->v)) != NULL &&
              (m->tenant = ops_strndup(tenant.p, tenant.n)) != NULL && copy_group(&x->group, group, state);
    for (size_t i = 0; ok && i < count; i++, x->n++) {
        ok = copy_one(&x->v[i], &alerts[i]);
        bytes += alerts[i].body.n;
    }
    ops_status st = ok ? OPS_OK : OPS_ENOMEM;
    if (ok) {
        m->kind = MAIL_ALERTS;
        m->alerts = x;
        x->now_ns = ops_clock_wall_ns(f->clock);
        x->done = done;
        x->du = du;
        st = ops_mailbox_post(f->mail, m, bytes);
    }
    if (st == OPS_OK)
        return OPS_OK;
    if (x != NULL)
        x->done = NULL;
    if (m != NULL)
        m->alerts = NULL;
    ops_finder_alert_mail_free(x);
    ops_finder_mail_free(m);
    return ops_fail(reterr, st == OPS_ECANCELLED ? OPS_EUNAVAILABLE : st, "%zu alerts: %s", count,
                    st == OPS_EAGAIN ? "too many wait to be written" : ops_status_text(st));
}

ops_status ops_finder_alerts(ops_finder *f, ops_slice tenant, const ops_finder_alert *alerts, size_t count,
                             ops_finder_alerts_fn done, void *du, ops_err *reterr)
{
    return post(f, tenant, alerts, count, (ops_slice){0}, (ops_slice){0}, done, du, reterr);
}

ops_status ops_finder_rules(ops_finder *f, ops_slice tenant, ops_slice group, const ops_finder_alert *firing,
                            size_t count, ops_slice state, ops_finder_alerts_fn done, void *du,
                            ops_err *reterr)
{
    if (group.n == 0 || group.n >= FINDER_RULES_KEY_MAX - 1)
        return ops_fail(reterr, OPS_EINVAL, "a group's id of %zu bytes", group.n);
    return post(f, tenant, firing, count, group, state, done, du, reterr);
}

struct handing {
    void (*fn)(void *u, ops_slice group, ops_slice state);
    void *u;
};

static ops_status on_record(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    const struct handing *h = u;
    (void)reterr;
    if (key.n > 1 && key.p[0] == FINDER_RULES)
        h->fn(h->u, ops_slice_sub(key, 1, key.n), val);
    return OPS_OK;
}

ops_status ops_finder_rule_states(ops_repo *repo, ops_slice tenant,
                                  void (*fn)(void *u, ops_slice group, ops_slice state), void *u,
                                  ops_err *reterr)
{
    struct handing h = {fn, u};
    return ops_repo_tenant_scan(repo, tenant, on_record, &h, reterr);
}

/* Not heard of for too long: closed, with word of why. */
static void close_stale(ops_finder *f, ops_slice tenant, const char *fingerprint)
{
    ops_err err = {0};
    ops_finder_tenant *t = NULL;
    Ops__V1__Finding *m = NULL;
    const open_alert *o = known(f, tenant, fingerprint);
    char id[OPS_FINDING_ID_LEN + 1];
    if (o == NULL)
        return;
    memcpy(id, o->id, sizeof id);
    ops_status st = ops_finder_tenant_open(f, tenant, &t, &err);
    if (st == OPS_OK)
        st = stored(t, id, &m, &err);
    if (st == OPS_OK) {
        m->state = OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED;
        m->version++;
        st = keep(t, m, true, &err);
        ops__v1__finding__free_unpacked(m, NULL);
        st = finish(f, t, st, &err);
    }
    OPS_LOG(OPS_LOG_WARN, "alert_not_heard_of", OPS_KV_SLICE("tenant", tenant), OPS_KV_STR("finding", id),
            OPS_KV_STR("then", st == OPS_OK ? "closed" : err.msg));
    if (st == OPS_OK || st == OPS_ENOTFOUND)
        forget(f, tenant, fingerprint);
}

void ops_finder_alert_tick(ops_finder *f)
{
    char *stale[STALE_TURN_MAX];
    size_t n = 0, iter = 0;
    ops_slice key;
    void *o;
    const int64_t mono_s = ops_clock_mono_ns(f->clock) / NS_PER_S;
    if (f->conf.alerts_stale_ns == 0 || mono_s < f->alert_tick_s)
        return;
    f->alert_tick_s = mono_s + TICK_S;
    while (n < STALE_TURN_MAX && ops_map_next(f->alerts, &iter, &key, &o))
        if (now_s(f) - ((const open_alert *)o)->seen_s > f->conf.alerts_stale_ns / NS_PER_S &&
            !is_rules(ops_slice_str(((const open_alert *)o)->id)) &&
            (stale[n] = ops_strndup(key.p, key.n)) != NULL)
            n++;
    if (n == STALE_TURN_MAX)
        f->alert_tick_s = mono_s; /* there may be more */
    for (size_t i = 0; i < n; i++) {
        const size_t cut = strlen(stale[i]); /* the NUL between tenant and fingerprint; one more ends it */
        close_stale(f, ops_slice_of(stale[i], cut), stale[i] + cut + 1);
        ops_free(stale[i]);
    }
}
