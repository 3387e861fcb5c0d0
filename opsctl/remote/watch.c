#include "opsctl/remote/watch.h"

#include <string.h>

#include "base/time/clock.h"
#include "proto/ops/v1/finding.pb-c.h"

static const ProtobufCMessage *first_field(const ProtobufCMessage *m)
{
    const ProtobufCMessage *row;
    memcpy(&row, (const char *)m + m->descriptor->fields[0].offset, sizeof row);
    return row;
}

/* *ret_shown: it was no heartbeat. */
static ops_status show_one(ops_remote *r, const ops_watch *w, ops_slice bytes, bool *ret_shown,
                           ops_err *reterr)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(w->response, NULL, bytes.n, (const uint8_t *)bytes.p);
    if (m == NULL)
        return ops_fail(reterr, OPS_EINTERNAL, "the answer does not read");
    const ProtobufCMessage *row = first_field(m);
    *ret_shown = row != NULL;
    if (row != NULL) {
        w->show(r, row);
        (void)fflush(r->ctx->out);
    }
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

ops_status ops_remote_watch(ops_remote *r, const ops_watch *w, ops_err *reterr)
{
    Ops__V1__WatchFindingsRequest q = OPS__V1__WATCH_FINDINGS_REQUEST__INIT;
    ops_rpc_stream *s = NULL;
    q.from_revision = w->from_revision;
    q.filter = (char *)(uintptr_t)w->filter;
    const int64_t end_ns = ops_clock_mono_ns(ops_clock_system()) + (int64_t)w->for_ms * 1000000;
    ops_status st = ops_remote_stream(r, w->path, &q.base, &s, reterr);
    bool ended = st != OPS_OK;
    while (!ended) {
        ops_strbuf in;
        bool shown = false;
        const int64_t left_ms =
            w->for_ms == 0 ? -1 : (end_ns - ops_clock_mono_ns(ops_clock_system())) / 1000000;
        if (w->for_ms != 0 && left_ms <= 0)
            break;
        ops_strbuf_init(&in, 64 << 20);
        st = ops_rpc_stream_recv(s, left_ms, &in, &ended, reterr);
        if (st == OPS_OK && !ended)
            st = show_one(r, w, ops_strbuf_get(&in), &shown, reterr);
        ops_strbuf_done(&in);
        if (st == OPS_ETIMEOUT)
            st = OPS_OK; /* --for is over; the loop's head sees it */
        ended = ended || st != OPS_OK || (shown && w->until_first);
    }
    ops_rpc_stream_free(s);
    return st;
}
