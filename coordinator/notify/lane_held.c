/* What a silence kept from a receiver that is told each change once: kept, in the store too, and told when the silence ends and the
 * finding goes on. An Alertmanager hears of it with the next round of what fires. */
#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "coordinator/notify/lane_internal.h"

enum { LOOK_MS = 5000, NS_PER_MS = 1000000, HEAD_BYTES = 16, BODY_MAX = 1 << 20 };

typedef struct held {
    Ops__V1__Finding *f;
    uint64_t number;
    int64_t time_ns;
} held;

static void let_go(held *h)
{
    if (h == NULL)
        return;
    if (h->f != NULL)
        ops__v1__finding__free_unpacked(h->f, NULL);
    ops_free(h);
}

static ops_status remember(ops_notify_lane *l, ops_slice tenant, ops_slice id, ops_slice body,
                           ops_err *reterr)
{
    ops_strbuf key;
    void *old = NULL;
    held *h = body.n >= HEAD_BYTES ? ops_calloc(1, sizeof *h) : NULL;
    if (h == NULL)
        return ops_fail(reterr, body.n >= HEAD_BYTES ? OPS_ENOMEM : OPS_ECORRUPT,
                        "a change held back, of %zu bytes", body.n);
    h->number = ops_get_be64(body.p);
    h->time_ns = (int64_t)ops_get_be64(body.p + 8);
    h->f = ops__v1__finding__unpack(NULL, body.n - HEAD_BYTES, (const uint8_t *)body.p + HEAD_BYTES);
    ops_notify_key(tenant, id, &key);
    ops_status st = h->f == NULL ? OPS_ECORRUPT
                    : key.failed ? OPS_ENOMEM
                                 : ops_map_put(l->held, ops_strbuf_get(&key), h, &old);
    ops_strbuf_done(&key);
    let_go(st == OPS_OK ? old : h);
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "a change held back, of %zu bytes", body.n);
}

static ops_status load_one(void *u, ops_slice tenant, ops_slice id, ops_slice body, ops_err *reterr)
{
    return remember(u, tenant, id, body, reterr);
}

ops_status ops_notify_held_load(ops_notify_lane *l, ops_err *reterr)
{
    if ((l->held = ops_map_new()) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "receiver %s", l->conf.receiver->name);
    return ops_repo_held_scan(l->conf.repo, ops_slice_str(l->conf.receiver->name), load_one, l, reterr);
}

void ops_notify_held_free(ops_notify_lane *l)
{
    size_t iter = 0;
    ops_slice key;
    void *h;
    while (ops_map_next(l->held, &iter, &key, &h))
        let_go(h);
    ops_map_free(l->held);
}

ops_status ops_notify_held_drop(ops_notify_lane *l, const Ops__V1__Finding *f, ops_err *reterr)
{
    ops_strbuf key;
    const ops_slice tenant = ops_slice_str(f->tenant), id = ops_slice_str(f->id);
    if (l->held == NULL || ops_map_count(l->held) == 0)
        return OPS_OK;
    ops_notify_key(tenant, id, &key);
    ops_status st = key.failed ? ops_fail(reterr, OPS_ENOMEM, "finding %s", f->id) : OPS_OK;
    if (st == OPS_OK && ops_map_has(l->held, ops_strbuf_get(&key)))
        st = ops_repo_held_put(l->conf.repo, ops_slice_str(l->conf.receiver->name), tenant, id,
                               (ops_slice){0}, reterr);
    if (st == OPS_OK)
        let_go(ops_map_del(l->held, ops_strbuf_get(&key)));
    ops_strbuf_done(&key);
    return st;
}

ops_status ops_notify_held_keep(ops_notify_lane *l, const Ops__V1__Finding *f, const ops_repo_notice *n,
                                ops_err *reterr)
{
    uint8_t head[HEAD_BYTES];
    ops_strbuf body;
    if (l->held == NULL)
        return OPS_OK;
    if (ops_notify_ended(f))
        return ops_notify_held_drop(l, f, reterr);
    if (ops_map_count(l->held) >= OPS_NOTIFY_OPEN_MAX) {
        ops_notify_lane_count(l, OPS_NOTIFY_ROW_NOTICES, "not_held", 1);
        OPS_LOG(OPS_LOG_ERROR, "notify_held_full", OPS_KV_STR("receiver", l->conf.receiver->name),
                OPS_KV_INT("held_max", OPS_NOTIFY_OPEN_MAX));
        return OPS_OK;
    }
    ops_put_be64(head, n->number);
    ops_put_be64(head + 8, (uint64_t)n->time_ns);
    ops_strbuf_init(&body, BODY_MAX + HEAD_BYTES);
    ops_strbuf_put(&body, head, sizeof head);
    ops_strbuf_slice(&body, n->body);
    const ops_slice tenant = ops_slice_str(f->tenant), id = ops_slice_str(f->id);
    ops_status st = body.failed ? ops_fail(reterr, OPS_ENOMEM, "finding %s", f->id) : OPS_OK;
    if (st == OPS_OK)
        st = ops_repo_held_put(l->conf.repo, ops_slice_str(l->conf.receiver->name), tenant, id,
                               ops_strbuf_get(&body), reterr);
    if (st == OPS_OK)
        st = remember(l, tenant, id, ops_strbuf_get(&body), reterr);
    ops_strbuf_done(&body);
    return st;
}

/* One that is silenced no more; NULL: none. */
static const held *next_free(ops_notify_lane *l)
{
    size_t iter = 0;
    ops_slice key;
    void *h;
    const int64_t now_ns = ops_clock_wall_ns(l->conf.clock);
    while (ops_map_next(l->held, &iter, &key, &h))
        if (l->conf.silenced == NULL || !l->conf.silenced(l->conf.u, ((const held *)h)->f, now_ns))
            return h;
    return NULL;
}

void ops_notify_held_tell(ops_notify_lane *l)
{
    ops_err err = {0};
    ops_status st = OPS_OK;
    const held *h;
    const int64_t now = ops_clock_mono_ns(l->conf.clock);
    if (l->held == NULL || now < l->held_mono_ns)
        return;
    while (st == OPS_OK && (h = next_free(l)) != NULL) {
        const ops_notify_item item = {.f = h->f, .number = h->number, .time_ns = h->time_ns};
        const ops_notify_verdict v = ops_notify_lane_send(l, &item, 1);
        if (v == OPS_NOTIFY_AGAIN)
            return; /* after its wait */
        ops_notify_lane_count(l, OPS_NOTIFY_ROW_NOTICES, v == OPS_NOTIFY_DELIVERED ? "delivered" : "rejected",
                              1);
        st = ops_notify_held_drop(l, h->f, &err);
    }
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_ERROR, "notify_held_not_written", OPS_KV_STR("receiver", l->conf.receiver->name),
                OPS_KV_STR("why", err.msg));
    l->held_mono_ns = now + (int64_t)LOOK_MS * NS_PER_MS;
}
