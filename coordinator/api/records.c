/* ClusterService.QueryRecords: records read back, in messages of some hundred, no faster than they are read. */
#include <string.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "coordinator/api/internal.h"

enum { BATCH_BYTES = 64 * 1024, STALL_MS = 30000, POLL_MS = 5 };

typedef struct reading {
    ops_api *api;
    ops_rpc_call *call;
    ops_strbuf batch; /* QueryRecordsResponse: repeated field 1 */
    ops_strbuf one;
    uint64_t limit, sent;
    ops_status st;
} reading;

static void nap(void)
{
    const struct timespec ts = {0, POLL_MS * 1000000};
    (void)nanosleep(&ts, NULL);
}

/* A reader that takes nothing for half a minute is given up. */
static bool flush(reading *r)
{
    for (int waited = 0; r->batch.n > 0; waited += POLL_MS) {
        ops_status st = ops_rpc_send(r->call, ops_strbuf_get(&r->batch));
        if (st == OPS_OK)
            ops_strbuf_clear(&r->batch);
        else if (st != OPS_EAGAIN || waited >= STALL_MS || atomic_load(&r->api->stopping)) {
            r->st = st == OPS_EAGAIN ? OPS_EUNAVAILABLE : st;
            return false;
        } else
            nap();
    }
    return true;
}

static bool on_record(void *u, const Ops__V1__Record *m)
{
    reading *r = u;
    if (ops_rpc_call_is_cancelled(r->call) || atomic_load(&r->api->stopping)) {
        r->st = OPS_ECANCELLED;
        return false;
    }
    if (m == NULL)
        return flush(r);
    ops_strbuf_clear(&r->one);
    if (!api_pack(&m->base, &r->one)) {
        r->st = OPS_ENOMEM;
        return false;
    }
    ops_strbuf_char(&r->batch, 1 << 3 | 2);
    for (size_t n = r->one.n;; n >>= 7) {
        ops_strbuf_char(&r->batch, (char)((n & 0x7F) | (n > 0x7F ? 0x80 : 0)));
        if (n <= 0x7F)
            break;
    }
    ops_strbuf_slice(&r->batch, ops_strbuf_get(&r->one));
    r->sent++;
    if (r->batch.n >= BATCH_BYTES && !flush(r))
        return false;
    return r->limit == 0 || r->sent < r->limit;
}

void api_query_records(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__QueryRecordsRequest *m =
        ops__v1__query_records_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    if (m == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "QueryRecordsRequest does not read", NULL);
        return;
    }
    ops_api_record_query q = {.tenant = api_tenant(c),
                              .service = ops_slice_str(m->service),
                              .grep = ops_slice_str(m->grep),
                              .since_ns = m->since_unix_nano,
                              .until_ns = m->until_unix_nano,
                              .severity_min = m->severity_min,
                              .any_template = m->template_id[0] == '\0',
                              .follow = m->follow};
    uint8_t id[8] = {0};
    bool good_id = q.any_template || ops_hex_get(m->template_id, strlen(m->template_id), id, sizeof id);
    q.template_id = ops_get_be64(id);
    if (!good_id)
        api_bad_field(c, "template_id", "is no 16 hex digits");
    else {
        reading r = {.api = a, .call = c, .limit = m->limit};
        ops_err err = {0};
        ops_strbuf_init(&r.batch, API_REPLY_BYTES_MAX);
        ops_strbuf_init(&r.one, API_REPLY_BYTES_MAX);
        ops_status st = a->ports.records(a->ports.u, &q, on_record, &r, &err);
        if (st == OPS_OK && r.st == OPS_OK)
            (void)flush(&r);
        if (st == OPS_OK)
            st = r.st;
        ops_rpc_finish(c, st, st == OPS_OK ? "" : err.msg[0] != '\0' ? err.msg : ops_status_text(st), NULL);
        ops_strbuf_done(&r.batch);
        ops_strbuf_done(&r.one);
    }
    ops__v1__query_records_request__free_unpacked(m, NULL);
}
