/* Receivers, silences and maintenance windows, by configuration. */
#include <string.h>

#include "base/mem/alloc.h"
#include "opsd/daemon.h"

typedef struct receivers {
    ops_notify_receiver *v;
    size_t n;
} receivers;

static void receivers_done(receivers *r)
{
    if (r->v != NULL)
        explicit_bzero(r->v, r->n * sizeof *r->v);
    ops_free(r->v);
    *r = (receivers){0};
}

static ops_status read_receivers(const ops_conf *c, receivers *ret, ops_err *reterr)
{
    const char *const *lines = ops_conf_list(c, KEY_NOTIFY_RECEIVERS, &ret->n);
    ret->v = ops_calloc(ret->n + 1, sizeof *ret->v);
    ops_status st = ret->v != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "receivers");
    if (st == OPS_OK && ret->n > OPS_NOTIFY_RECEIVERS_MAX)
        st = ops_fail(reterr, OPS_EINVAL, "%zu of them, at most %d", ret->n, OPS_NOTIFY_RECEIVERS_MAX);
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++)
        st = ops_notify_receiver_parse(ops_slice_str(lines[i]), &ret->v[i], reterr);
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++)
        for (size_t k = 0; st == OPS_OK && k < i; k++)
            if (strcmp(ret->v[i].name, ret->v[k].name) == 0)
                st = ops_fail(reterr, OPS_EINVAL, "two receivers are called %s", ret->v[i].name);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "%s: notify.receivers", ops_conf_origin(c, KEY_NOTIFY_RECEIVERS));
        receivers_done(ret);
    }
    return st;
}

typedef struct windows {
    ops_window *v;
    size_t n;
} windows;

static void windows_done(windows *w)
{
    for (size_t i = 0; i < w->n; i++)
        ops_window_done(&w->v[i]);
    ops_free(w->v);
    *w = (windows){0};
}

static ops_status read_windows(const ops_conf *c, windows *ret, ops_err *reterr)
{
    size_t n = 0;
    const char *const *lines = ops_conf_list(c, KEY_NOTIFY_WINDOWS, &n);
    const int64_t now_s = ops_clock_wall_ns(ops_clock_system()) / 1000000000;
    ops_status st = n <= OPS_WINDOWS_MAX
                        ? OPS_OK
                        : ops_fail(reterr, OPS_EINVAL, "%zu of them, at most %d", n, OPS_WINDOWS_MAX);
    if (st == OPS_OK && (ret->v = ops_calloc(n + 1, sizeof *ret->v)) == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "windows");
    for (size_t i = 0; st == OPS_OK && i < n; i++, ret->n += st == OPS_OK) {
        st = ops_window_parse(ops_slice_str(lines[i]), now_s, &ret->v[i], reterr);
        for (size_t k = 0; st == OPS_OK && k < i; k++)
            if (strcmp(ret->v[i].name, ret->v[k].name) == 0) {
                ops_window_done(&ret->v[i]);
                st = ops_fail(reterr, OPS_EINVAL, "two windows are called %s", ret->v[k].name);
            }
    }
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "%s: notify.windows", ops_conf_origin(c, KEY_NOTIFY_WINDOWS));
        windows_done(ret);
    }
    return st;
}

static ops_status open_silences(opsd_daemon *d, ops_err *reterr)
{
    windows w = {0};
    ops_status st = read_windows(d->conf, &w, reterr);
    if (st == OPS_OK)
        st = ops_silences_new(d->stores.repo, NULL, w.v, w.n, &d->silences, reterr);
    windows_done(&w);
    return st;
}

struct telling {
    ops_notify_firing_fn fn;
    void *fu;
};

static ops_status tell_finding(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                               ops_err *reterr)
{
    const struct telling *t = u;
    (void)tenant;
    (void)revision;
    return t->fn(t->fu, f->body, reterr);
}

static ops_status tell_rule(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                            ops_err *reterr)
{
    return ops_slice_starts(f->id, OPS_SLICE("r-")) ? tell_finding(u, tenant, revision, f, reterr) : OPS_OK;
}

static ops_status tell_incident(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                                ops_err *reterr)
{
    ops_strbuf body;
    ops_strbuf_init(&body, 1 << 20);
    ops_status st = ops_incident_as_notice(f->body, &body, reterr);
    const ops_repo_finding notice = {f->id, ops_strbuf_get(&body)};
    if (st == OPS_OK)
        st = tell_finding(u, tenant, revision, &notice, reterr);
    ops_strbuf_done(&body);
    return st;
}

static ops_status firing(void *u, ops_notify_firing_fn fn, void *fu, ops_err *reterr)
{
    opsd_daemon *d = u;
    struct telling t = {fn, fu};
    const uint64_t tell = ops_conf_uint(d->conf, KEY_NOTIFY_TELL);
    ops_status st = ops_repo_findings_since(
        d->stores.repo, 0, tell == OPSD_TELL_INCIDENTS ? tell_rule : tell_finding, &t, reterr);
    if (st == OPS_OK && tell != OPSD_TELL_FINDINGS)
        st = ops_repo_incidents_since(d->stores.repo, 0, tell_incident, &t, reterr);
    return st;
}

static bool silenced(void *u, const Ops__V1__Finding *f, int64_t now_ns)
{
    return ops_silences_match(((opsd_daemon *)u)->silences, f, now_ns, NULL);
}

ops_status opsd_notify_check(const ops_conf *c, ops_err *reterr)
{
    receivers r = {0};
    windows w = {0};
    ops_status st = read_receivers(c, &r, reterr);
    receivers_done(&r);
    if (st == OPS_OK)
        st = read_windows(c, &w, reterr);
    windows_done(&w);
    return st;
}

ops_status opsd_notify_open(opsd_daemon *d, ops_err *reterr)
{
    const ops_conf *c = d->conf;
    receivers r = {0};
    ops_status st = open_silences(d, reterr);
    if (st == OPS_OK)
        st = read_receivers(c, &r, reterr);
    if (st != OPS_OK)
        return st;
    const ops_notify_conf nc = {.repo = d->stores.repo,
                                .receivers = r.v,
                                .receiver_count = r.n,
                                .link = ops_conf_str(c, KEY_NOTIFY_LINK),
                                .resend_ms = (int64_t)ops_conf_uint(c, KEY_NOTIFY_RESEND),
                                .age_max_ms = (int64_t)ops_conf_uint(c, KEY_NOTIFY_AGE),
                                .timeout_ms = (unsigned)ops_conf_uint(c, KEY_NOTIFY_TIMEOUT),
                                .queue_max = ops_conf_uint(c, KEY_NOTIFY_QUEUE),
                                .rules_grouped = ops_conf_uint(c, KEY_NOTIFY_TELL) == OPSD_TELL_INCIDENTS,
                                .firing = firing,
                                .silenced = silenced,
                                .u = d};
    st = ops_notify_new(&nc, &d->notify, reterr);
    receivers_done(&r);
    return st;
}
