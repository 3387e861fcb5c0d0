/* Failed spans to records: one walk for who is whose parent, one for the records. */
#include "coordinator/ingest/otlp_spans.h"

#include "base/coll/vec.h"
#include "base/text/codec.h"
#include "base/text/strbuf.h"
#include "coordinator/ingest/otlp_logs_internal.h"

#include <stdlib.h>

enum { SPAN_ID_BYTES = 8, SEVERITY_ERROR = 17 };

typedef OPS_VEC(uint64_t) span_ids;

typedef struct spans {
    otlp_decode *d;
    span_ids parents; /* of failed spans; sorted before the second walk */
    ops_strbuf message;
} spans;

static bool id_of(ops_slice s, uint64_t *ret)
{
    if (s.n != SPAN_ID_BYTES)
        return false;
    *ret = ops_get_be64(s.p);
    return *ret != 0;
}

static ops_status on_parent(void *u, const ops_walk_span *s, ops_err *reterr)
{
    spans *x = u;
    uint64_t parent = 0, own = 0;

    if (!id_of(s->parent_id, &parent) || (id_of(s->span_id, &own) && own == parent))
        return OPS_OK;
    return ops_vec_push(&x->parents, parent) ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "failed spans");
}

static int ascending(const void *pa, const void *pb)
{
    const uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;
    return a < b ? -1 : a > b;
}

static bool has_failed_child(const spans *x, const ops_walk_span *s)
{
    uint64_t own = 0;

    return x->parents.n > 0 && id_of(s->span_id, &own) &&
           bsearch(&own, x->parents.v, x->parents.n, sizeof own, ascending) != NULL;
}

/* The first of `names` that is there and not empty. */
static ops_slice attr_of(const ops_walk_span *s, const char *const *names, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        for (uint32_t i = 0; i < s->attr_count; i++) {
            if (s->attrs[i].val.n > 0 && ops_slice_eq(s->attrs[i].key, ops_slice_str(names[k])))
                return s->attrs[i].val;
        }
    }
    return (ops_slice){0};
}
#define ATTR_OF(s, names) attr_of((s), (names), sizeof(names) / sizeof *(names))

static void put(ops_strbuf *b, const char *head, ops_slice s, const char *tail)
{
    enum { PART_BYTES_MAX = OPS_OTLP_SPAN_MESSAGE_MAX / 4 };

    s = ops_slice_trim(s);
    if (s.n == 0)
        return;
    size_t n = s.n < PART_BYTES_MAX ? s.n : PART_BYTES_MAX;
    while (n < s.n && n > 0 && ((uint8_t)s.p[n] & 0xc0) == 0x80)
        n--; /* not inside a code point */
    ops_strbuf_str(b, head);
    ops_strbuf_put(b, s.p, n);
    ops_strbuf_str(b, tail);
}

static void put_reason(ops_strbuf *b, const ops_walk_span *s)
{
    static const char *const types[] = {"error.type"}, *const codes[] = {"http.response.status_code",
                                                                         "http.status_code"};

    if (ops_slice_trim(s->status_message).n > 0) {
        put(b, ": ", s->status_message, "");
    } else if (s->exception_type.n > 0 || s->exception_message.n > 0) {
        put(b, ": ", s->exception_type, "");
        put(b, ": ", s->exception_message, "");
    } else if (ATTR_OF(s, types).n > 0) {
        put(b, ": ", ATTR_OF(s, types), "");
    } else {
        put(b, ": status ", ATTR_OF(s, codes), "");
    }
}

static void put_message(ops_strbuf *b, const ops_walk_span *s)
{
    static const char *const peers[] = {"peer.service", "db.system.name", "db.system", "messaging.system",
                                        "rpc.service"},
                             *const addresses[] = {"server.address", "net.peer.name", "network.peer.address"};
    const ops_slice peer = ATTR_OF(s, peers), address = ATTR_OF(s, addresses);

    ops_strbuf_clear(b);
    put(b, "", s->name.n > 0 ? s->name : OPS_SLICE("a span without a name"), " failed");
    if (peer.n > 0 && ops_slice_find(s->name, peer) < 0)
        put(b, " at ", peer, "");
    if (address.n > 0 && !ops_slice_eq(address, peer))
        put(b, " (", address, ")");
    put_reason(b, s);
}

static ops_status on_resource(void *u, const ops_walk_group *resource, ops_err *reterr)
{
    (void)reterr;
    otlp_resource(((spans *)u)->d, resource);
    return OPS_OK;
}

static ops_status on_span(void *u, const ops_walk_span *s, ops_err *reterr)
{
    spans *x = u;

    if (has_failed_child(x, s))
        return OPS_OK;
    put_message(&x->message, s);
    if (x->message.failed)
        return ops_fail(reterr, OPS_ENOMEM, "the words of a failed span");
    const bool whole = s->flaw == OPS_WALK_FLAW_NONE;
    const ops_walk_log log = {.time_ns = s->end_ns != 0 ? s->end_ns : s->start_ns,
                              .severity_number = SEVERITY_ERROR,
                              .body = ops_strbuf_get(&x->message),
                              .event_name = OPS_SLICE("span.failed"),
                              .trace_id = s->trace_id,
                              .span_id = s->span_id,
                              .attrs = whole ? s->attrs : NULL,
                              .attr_count = whole ? s->attr_count : 0,
                              .offset = s->offset};
    return otlp_emit(x->d, &log, NULL, reterr);
}

static ops_status walk_both(spans *x, ops_walk *w, ops_slice msg, ops_err *reterr)
{
    static const ops_walk_span_visitor parents = {.span = on_parent},
                                       records = {.resource = on_resource, .span = on_span};

    ops_status st = ops_walk_failed_spans(w, msg, &parents, x, reterr);
    if (st != OPS_OK)
        return st;
    if (x->parents.n > 1)
        qsort(x->parents.v, x->parents.n, sizeof *x->parents.v, ascending);
    return ops_walk_failed_spans(w, msg, &records, x, reterr);
}

ops_status ops_otlp_failed_spans(const uint8_t *p, size_t n, const ops_ingest_limits *limits, int64_t recv_ns,
                                 ops_ingest_sink sink, ops_ingest_reject reject, void *u,
                                 ops_ingest_counters *counters, ops_err *reterr)
{
    const ops_walk_limits walk_limits = {
        .depth_max = limits->depth_max,
        .attrs_max = limits->attrs_max,
        .message_bytes_max = limits->request_bytes_max,
        .render_bytes_max = limits->render_bytes_max,
        .items_max = limits->records_max,
    };
    OPS_AUTO(otlp_decode_free) otlp_decode *d = NULL;
    ops_walk *w = NULL;

    ops_status st = otlp_decode_new(limits, recv_ns, sink, reject, u, &d, reterr);
    if (st == OPS_OK)
        st = ops_walk_new(&walk_limits, &w, reterr);
    if (st != OPS_OK)
        return st;
    d->mark = OPS_RECORD_SPAN;
    spans x = {.d = d};
    ops_strbuf_init(&x.message, 2 * OPS_OTLP_SPAN_MESSAGE_MAX);
    st = walk_both(&x, w, ops_slice_of(p, n), reterr);
    ops_walk_free(w);
    ops_vec_done(&x.parents);
    ops_strbuf_done(&x.message);
    if (st == OPS_OK)
        otlp_count(d, counters);
    return st;
}
