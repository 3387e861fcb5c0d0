/* What fires at an Alertmanager: kept and sent again until it ends. */
#include "base/log/log.h"
#include "base/text/strbuf.h"
#include "coordinator/notify/lane_internal.h"

enum { NS_PER_MS = 1000000, KEY_MAX = 1024 };

bool ops_notify_lane_wants(const ops_notify_lane *l, const Ops__V1__Finding *f)
{
    return ops_notify_receiver_wants(l->conf.receiver, ops_slice_str(f->tenant), (int)f->severity);
}

bool ops_notify_is_echo(const Ops__V1__Finding *f)
{
    if (f->kind != OPS__V1__FINDING_KIND__FINDING_KIND_INCIDENT)
        return f->kind == OPS__V1__FINDING_KIND__FINDING_KIND_ALERT;
    return strcmp(ops_notify_label(f, "origin"), "alerts") == 0;
}

void ops_notify_key(ops_slice tenant, ops_slice id, ops_strbuf *b)
{
    ops_strbuf_init(b, KEY_MAX);
    ops_strbuf_slice(b, tenant);
    ops_strbuf_char(b, '\0');
    ops_strbuf_slice(b, id);
}

static void key_of(const Ops__V1__Finding *f, ops_strbuf *b)
{
    ops_notify_key(ops_slice_str(f->tenant), ops_slice_str(f->id), b);
}

const Ops__V1__Finding *ops_notify_open_get(const ops_notify_lane *l, const Ops__V1__Finding *f)
{
    ops_strbuf key;
    if (l->open == NULL)
        return NULL;
    key_of(f, &key);
    const Ops__V1__Finding *got = key.failed ? NULL : ops_map_get(l->open, ops_strbuf_get(&key));
    ops_strbuf_done(&key);
    return got;
}

static void let_go(Ops__V1__Finding *f)
{
    if (f != NULL)
        ops__v1__finding__free_unpacked(f, NULL);
}

/* Without room or memory the alert is not sent again: Alertmanager then takes it for ended, which the log says. */
static void keep(ops_notify_lane *l, ops_slice key, Ops__V1__Finding *take_f)
{
    void *old = NULL;
    const bool full = ops_map_count(l->open) >= OPS_NOTIFY_OPEN_MAX && !ops_map_has(l->open, key);
    if (!full && ops_map_put(l->open, key, take_f, &old) == OPS_OK) {
        let_go(old);
        return;
    }
    let_go(take_f);
    if (!l->full_told)
        OPS_LOG(OPS_LOG_ERROR, "notify_open_full", OPS_KV_STR("receiver", l->conf.receiver->name),
                OPS_KV_INT("open_max", OPS_NOTIFY_OPEN_MAX));
    l->full_told = true;
    ops_notify_lane_count(l, OPS_NOTIFY_ROW_NOTICES, "not_resent", 1);
}

void ops_notify_open_told(ops_notify_lane *l, Ops__V1__Finding *take_f)
{
    ops_strbuf key;
    if (l->open == NULL) {
        let_go(take_f);
        return;
    }
    key_of(take_f, &key);
    if (ops_notify_ended(take_f) || key.failed) {
        if (!key.failed)
            let_go(ops_map_del(l->open, ops_strbuf_get(&key)));
        let_go(take_f);
    } else {
        keep(l, ops_strbuf_get(&key), take_f);
    }
    ops_strbuf_done(&key);
}

static ops_status load_one(void *u, ops_slice body, ops_err *reterr)
{
    ops_notify_lane *l = u;
    (void)reterr;
    Ops__V1__Finding *m = ops__v1__finding__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (m == NULL)
        return OPS_OK; /* whoever reads findings tells of it */
    if (ops_notify_ended(m) || ops_notify_is_echo(m) || !ops_notify_lane_wants(l, m))
        let_go(m);
    else
        ops_notify_open_told(l, m);
    return OPS_OK;
}

static ops_status load_finding(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                               ops_err *reterr)
{
    (void)tenant;
    (void)revision;
    return load_one(u, f->body, reterr);
}

ops_status ops_notify_open_load(ops_notify_lane *l, ops_err *reterr)
{
    if ((l->open = ops_map_new()) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "receiver %s", l->conf.receiver->name);
    return l->conf.firing != NULL ? l->conf.firing(l->conf.u, load_one, l, reterr)
                                  : ops_repo_findings_since(l->conf.repo, 0, load_finding, l, reterr);
}

void ops_notify_open_free(ops_notify_lane *l)
{
    size_t iter = 0;
    ops_slice key;
    void *f;
    while (ops_map_next(l->open, &iter, &key, &f))
        let_go(f);
    ops_map_free(l->open);
}

static ops_notify_verdict send_again(ops_notify_lane *l, const ops_notify_item *items, size_t count)
{
    ops_notify_verdict v = ops_notify_lane_send(l, items, count);
    if (v == OPS_NOTIFY_DELIVERED)
        ops_notify_lane_count(l, OPS_NOTIFY_ROW_RESENT, NULL, count);
    return v;
}

ops_notify_verdict ops_notify_open_resend(ops_notify_lane *l)
{
    ops_notify_item items[OPS_NOTIFY_BATCH_MAX];
    ops_notify_verdict v = OPS_NOTIFY_DELIVERED;
    size_t n = 0, iter = 0;
    ops_slice key;
    void *f;
    const int64_t now_mono = ops_clock_mono_ns(l->conf.clock), now_ns = ops_clock_wall_ns(l->conf.clock);
    if (l->open == NULL || now_mono < l->resend_mono_ns)
        return v;
    while (v != OPS_NOTIFY_AGAIN && ops_map_next(l->open, &iter, &key, &f)) {
        if (l->conf.silenced != NULL && l->conf.silenced(l->conf.u, f, now_ns))
            continue;
        items[n++] = (ops_notify_item){.f = f, .time_ns = now_ns, .end_ns = ops_notify_ends(l)};
        if (n == OPS_NOTIFY_BATCH_MAX) {
            v = send_again(l, items, n);
            n = 0;
        }
    }
    if (n > 0 && v != OPS_NOTIFY_AGAIN)
        v = send_again(l, items, n);
    if (v != OPS_NOTIFY_AGAIN)
        l->resend_mono_ns = now_mono + l->conf.resend_ms * NS_PER_MS;
    return v;
}
