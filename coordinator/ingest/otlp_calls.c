#include "coordinator/ingest/otlp_calls.h"

#include <stdlib.h>

#include "base/coll/vec.h"
#include "base/mem/arena.h"
#include "base/text/codec.h"
#include "proto/otlp/walk.h"

enum { SPAN_ID_BYTES = 8, SERVICES_MAX = 4096 };

typedef struct seen_span {
    uint64_t id, parent;
    uint32_t service;
} seen_span;

typedef struct pair {
    uint32_t caller, callee;
} pair;

typedef struct calls {
    ops_arena names;
    OPS_VEC(ops_slice) services;
    OPS_VEC(seen_span) spans;
    OPS_VEC(pair) told;
    uint32_t service; /* of the resource under way */
} calls;

/* A batch comes resource by resource, and often one service's together: the last one is looked at first. */
static ops_status on_resource(void *u, const ops_walk_group *resource, ops_err *reterr)
{
    calls *x = u;
    const ops_slice name = ops_ingest_service(resource->attrs, resource->attr_count);
    for (size_t i = x->services.n; i-- > 0;)
        if (ops_slice_eq(x->services.v[i], name)) {
            x->service = (uint32_t)i;
            return OPS_OK;
        }
    x->service = (uint32_t)x->services.n;
    if (x->services.n == SERVICES_MAX)
        return OPS_ECANCELLED;
    const ops_slice copy = ops_arena_dup(&x->names, name);
    return copy.p != NULL && ops_vec_push(&x->services, copy) ? OPS_OK
                                                              : ops_fail(reterr, OPS_ENOMEM, "calls");
}

static uint64_t id_of(ops_slice s)
{
    return s.n == SPAN_ID_BYTES ? ops_get_be64(s.p) : 0;
}

static ops_status on_span(void *u, const ops_walk_span *s, ops_err *reterr)
{
    calls *x = u;
    const seen_span one = {id_of(s->span_id), id_of(s->parent_id), x->service};
    if (x->spans.n == OPS_OTLP_CALL_SPANS_MAX)
        return OPS_ECANCELLED;
    if (one.id == 0)
        return OPS_OK;
    return ops_vec_push(&x->spans, one) ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "calls");
}

static int by_id(const void *pa, const void *pb)
{
    const seen_span *a = pa, *b = pb;
    return a->id < b->id ? -1 : a->id > b->id;
}

static ops_status tell(calls *x, ops_otlp_call_fn fn, void *u, ops_err *reterr)
{
    if (x->spans.n > 1)
        qsort(x->spans.v, x->spans.n, sizeof *x->spans.v, by_id);
    for (size_t i = 0; i < x->spans.n && x->told.n < OPS_OTLP_CALLS_MAX; i++) {
        const seen_span want = {.id = x->spans.v[i].parent};
        const seen_span *parent =
            want.id != 0 ? bsearch(&want, x->spans.v, x->spans.n, sizeof want, by_id) : NULL;
        if (parent == NULL || parent->service == x->spans.v[i].service)
            continue;
        const pair p = {parent->service, x->spans.v[i].service};
        bool known = false;
        for (size_t k = 0; !known && k < x->told.n; k++)
            known = x->told.v[k].caller == p.caller && x->told.v[k].callee == p.callee;
        if (known)
            continue;
        if (!ops_vec_push(&x->told, p))
            return ops_fail(reterr, OPS_ENOMEM, "calls");
        fn(u, x->services.v[p.caller], x->services.v[p.callee]);
    }
    return OPS_OK;
}

ops_status ops_otlp_calls(const uint8_t *p, size_t n, const ops_ingest_limits *limits, ops_otlp_call_fn fn,
                          void *u, ops_err *reterr)
{
    static const ops_walk_span_visitor visitor = {.resource = on_resource, .span = on_span};
    const ops_walk_limits walk_limits = {
        .depth_max = limits->depth_max,
        .attrs_max = limits->attrs_max,
        .message_bytes_max = limits->request_bytes_max,
        .render_bytes_max = limits->render_bytes_max,
        .items_max = limits->records_max,
    };
    ops_walk *w = NULL;
    calls x = {.service = 0};
    ops_status st = ops_walk_new(&walk_limits, &w, reterr);
    if (st != OPS_OK)
        return st;
    ops_arena_init(&x.names, 1 << 20);
    st = ops_walk_spans(w, ops_slice_of(p, n), &visitor, &x, reterr);
    if (st == OPS_OK || st == OPS_ECANCELLED) /* enough was seen */
        st = tell(&x, fn, u, reterr);
    ops_walk_free(w);
    ops_vec_done(&x.services);
    ops_vec_done(&x.spans);
    ops_vec_done(&x.told);
    ops_arena_done(&x.names);
    return st;
}
