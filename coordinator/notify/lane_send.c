#include <inttypes.h>
#include <stdio.h>

#include "base/log/log.h"
#include "base/text/codec.h"
#include "base/text/hash.h"
#include "coordinator/digest/digest.h"
#include "coordinator/notify/lane_internal.h"

enum { NS_PER_MS = 1000000, DEDUPE_MAX = 600 };

void ops_notify_lane_count(ops_notify_lane *l, enum ops_notify_row row, const char *what, uint64_t n)
{
    const ops_slice labels[] = {ops_slice_str(l->conf.receiver->name), ops_slice_str(what)};
    ops_metric_add(ops_metric_at_n(l->conf.metrics, row, labels, what != NULL ? 2 : 1), n);
}

int64_t ops_notify_ends(const ops_notify_lane *l)
{
    return ops_clock_wall_ns(l->conf.clock) + 4 * l->conf.resend_ms * NS_PER_MS;
}

static void format(const ops_notify_lane *l, const ops_notify_item *items, size_t count, ops_strbuf *out)
{
    const ops_notify_receiver *r = l->conf.receiver;
    if (r->kind == OPS_NOTIFY_ALERTMANAGER)
        ops_notify_format_alertmanager(items, count, l->conf.link, out);
    else if (r->kind == OPS_NOTIFY_WEBHOOK)
        ops_notify_format_webhook(items, r->name, l->conf.link, out);
    else
        ops_notify_format_slack(items, l->conf.link, out);
}

typedef struct heads {
    char dedupe[DEDUPE_MAX], stamp[64], signature[128];
} heads;

static void dedupe_head(const ops_notify_item *x, heads *h)
{
    int n = snprintf(h->dedupe, sizeof h->dedupe, "X-Opsd-Dedupe: %.250s/%.250s %" PRIu64, x->f->tenant,
                     x->f->id, x->number);
    for (int i = 0; i < n && i < DEDUPE_MAX - 1; i++)
        if (h->dedupe[i] < ' ' || h->dedupe[i] > '~')
            h->dedupe[i] = '_';
}

/* The signed text holds the time, so that a body caught on its way can not be played again much later. */
static ops_status sign(const ops_notify_lane *l, ops_slice body, heads *h, ops_err *reterr)
{
    uint8_t mac[OPS_DIGEST_BYTES];
    char hex[2 * OPS_DIGEST_BYTES + 1];
    ops_strbuf text;
    const int64_t now_s = ops_clock_wall_ns(l->conf.clock) / 1000000000;
    ops_strbuf_init(&text, OPS_NOTIFY_BODY_MAX + 64);
    ops_strbuf_printf(&text, "%" PRId64 ".", now_s);
    ops_strbuf_slice(&text, body);
    ops_status st = text.failed ? OPS_ENOMEM
                                : ops_digest_hmac_sha256(ops_slice_str(l->conf.receiver->secret),
                                                         ops_strbuf_get(&text), mac);
    ops_strbuf_done(&text);
    if (st != OPS_OK)
        return ops_fail(reterr, st, "signing a body of %zu bytes", body.n);
    ops_hex_put(hex, mac, sizeof mac);
    (void)snprintf(h->stamp, sizeof h->stamp, "X-Opsd-Timestamp: %" PRId64, now_s);
    (void)snprintf(h->signature, sizeof h->signature, "X-Opsd-Signature: sha256=%s", hex);
    return OPS_OK;
}

static ops_status request(ops_notify_lane *l, const ops_notify_item *items, ops_slice body,
                          ops_notify_answer *ret, ops_err *reterr)
{
    const ops_notify_receiver *r = l->conf.receiver;
    heads h;
    size_t n = 0;
    ops_status st = OPS_OK;
    ops_notify_request q = {.url = r->url,
                            .token = r->token,
                            .ca_file = r->ca_file,
                            .body = body,
                            .timeout_ms = l->conf.timeout_ms};
    if (r->kind == OPS_NOTIFY_WEBHOOK) {
        dedupe_head(items, &h);
        q.headers[n++] = h.dedupe;
    }
    if (r->secret[0] != '\0') {
        st = sign(l, body, &h, reterr);
        q.headers[n++] = h.stamp;
        q.headers[n++] = h.signature;
    }
    return st == OPS_OK ? l->conf.port.post(l->conf.port.u, &q, ret, reterr) : st;
}

static void failed(ops_notify_lane *l, int64_t retry_ms, const char *why)
{
    const uint64_t seed = ops_hash64(l->conf.receiver->name, strlen(l->conf.receiver->name),
                                     (uint64_t)ops_clock_wall_ns(l->conf.clock));
    l->failures++;
    const int64_t wait_ms = ops_notify_wait_ms(l->failures, ops_hash_mix(seed + l->draws++), retry_ms);
    l->retry_mono_ns = ops_clock_mono_ns(l->conf.clock) + wait_ms * NS_PER_MS;
    OPS_LOG(OPS_LOG_WARN, "notify_failed", OPS_KV_STR("receiver", l->conf.receiver->name),
            OPS_KV_STR("why", why), OPS_KV_INT("failures", l->failures), OPS_KV_INT("wait_ms", wait_ms));
    if (l->failures == OPS_NOTIFY_CIRCUIT_AFTER)
        OPS_LOG(OPS_LOG_ERROR, "notify_circuit_open", OPS_KV_STR("receiver", l->conf.receiver->name));
}

static void note_circuit(ops_notify_lane *l)
{
    ops_metric_set(ops_metric_at(l->conf.metrics, OPS_NOTIFY_ROW_CIRCUIT, l->conf.receiver->name),
                   l->failures >= OPS_NOTIFY_CIRCUIT_AFTER ? 1 : 0);
}

/* An answer of whatever kind shows that the receiver is there. */
static void reached(ops_notify_lane *l)
{
    if (l->failures > 0)
        OPS_LOG(OPS_LOG_INFO, "notify_recovered", OPS_KV_STR("receiver", l->conf.receiver->name),
                OPS_KV_INT("failures", l->failures));
    l->failures = 0;
}

ops_notify_verdict ops_notify_lane_send(ops_notify_lane *l, const ops_notify_item *items, size_t count)
{
    static const char *const outcomes[] = {"delivered", "again", "rejected"};
    ops_notify_answer a = {.retry_ms = -1};
    ops_err err = {0};
    ops_strbuf body;
    ops_strbuf_init(&body, OPS_NOTIFY_BODY_MAX);
    format(l, items, count, &body);
    ops_status st = body.failed ? ops_fail(&err, OPS_ENOMEM, "a body for %zu alerts", count)
                                : request(l, items, ops_strbuf_get(&body), &a, &err);
    ops_strbuf_done(&body);
    if (st == OPS_ECANCELLED) { /* stopping: as if it had not been tried */
        l->retry_mono_ns = ops_clock_mono_ns(l->conf.clock) + (int64_t)OPS_NOTIFY_WAIT_FIRST_MS * NS_PER_MS;
        return OPS_NOTIFY_AGAIN;
    }
    const ops_notify_verdict v = ops_notify_judge(st, &a);
    char why[OPS_NOTIFY_WORDS_MAX + 64];
    (void)snprintf(why, sizeof why, "HTTP %ld: %s", a.status, a.words);
    ops_notify_lane_count(l, OPS_NOTIFY_ROW_REQUESTS, outcomes[v], 1);
    if (v == OPS_NOTIFY_AGAIN)
        failed(l, a.retry_ms, st != OPS_OK ? err.msg : why);
    else
        reached(l);
    if (v == OPS_NOTIFY_REJECTED && count == 1)
        OPS_LOG(OPS_LOG_ERROR, "notify_rejected", OPS_KV_STR("receiver", l->conf.receiver->name),
                OPS_KV_STR("finding", items->f->id), OPS_KV_STR("why", why));
    note_circuit(l);
    return v;
}
