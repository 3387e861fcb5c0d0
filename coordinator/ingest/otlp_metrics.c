#include "coordinator/ingest/otlp_metrics.h"

typedef struct decoding {
    ops_samples *s;
    ops_slice service;
    ops_attr labels[2 * OPS_RECORD_ATTRS_MAX]; /* of the resource first, then the point's */
    size_t own_count;
} decoding;

static bool tells_instances_apart(ops_slice key)
{
    static const char *const keys[] = {
        "service.namespace",  "service.instance.id",    "host.name",
        "k8s.namespace.name", "k8s.pod.name",           "k8s.container.name",
        "k8s.node.name",      "deployment.environment", "deployment.environment.name"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (ops_slice_eq(key, ops_slice_str(keys[i])))
            return true;
    return false;
}

static ops_status on_resource(void *u, const ops_walk_group *r, ops_err *reterr)
{
    decoding *d = u;
    (void)reterr;
    d->service = ops_ingest_service(r->attrs, r->attr_count);
    d->own_count = 0;
    for (uint32_t i = 0; i < r->attr_count && d->own_count < OPS_RECORD_ATTRS_MAX; i++)
        if (tells_instances_apart(r->attrs[i].key))
            d->labels[d->own_count++] = r->attrs[i];
    return OPS_OK;
}

/* The resource's labels that the point does not have itself, then the point's. */
static size_t labels_of(decoding *d, const ops_walk_point *p, ops_attr out[static 2 * OPS_RECORD_ATTRS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < d->own_count; i++) {
        bool twice = false;
        for (uint32_t k = 0; k < p->attr_count && !twice; k++)
            twice = ops_slice_eq(p->attrs[k].key, d->labels[i].key);
        if (!twice)
            out[n++] = d->labels[i];
    }
    for (uint32_t k = 0; k < p->attr_count && n < 2 * OPS_RECORD_ATTRS_MAX; k++)
        out[n++] = p->attrs[k];
    return n;
}

static ops_status number_point(decoding *d, const ops_walk_point *p, const ops_attr *labels, size_t n,
                               ops_err *reterr)
{
    ops_series_kind kind = OPS_SERIES_GAUGE;
    ops_samples_point(d->s, false);
    if (p->flaw != OPS_WALK_FLAW_NONE) {
        ops_samples_refuse(d->s,
                           p->flaw == OPS_WALK_FLAW_ATTRS ? OPS_SAMPLE_LABEL_COUNT : OPS_SAMPLE_LABEL_LENGTH,
                           p->metric, ops_walk_flaw_text(p->flaw));
        return OPS_OK;
    }
    if (p->kind == OPS_WALK_POINT_SUM) {
        if (p->temporality == OPS_WALK_TEMPORALITY_DELTA)
            kind = OPS_SERIES_DELTA;
        else if (p->temporality != OPS_WALK_TEMPORALITY_CUMULATIVE) {
            ops_samples_refuse(d->s, OPS_SAMPLE_TEMPORALITY, p->metric, NULL);
            return OPS_OK;
        } else if (p->monotonic)
            kind = OPS_SERIES_COUNTER;
    }
    ops_status st = ops_samples_begin(d->s, kind, d->service, p->metric, labels, n, reterr);
    if (st == OPS_OK)
        st = ops_samples_add(d->s, (int64_t)p->time_ns, p->value, p->no_value, reterr);
    return st == OPS_OK ? ops_samples_end(d->s, reterr) : st;
}

static ops_status on_point(void *u, const ops_walk_point *point, ops_err *reterr)
{
    decoding *d = u;
    ops_attr labels[2 * OPS_RECORD_ATTRS_MAX];
    ops_walk_point p = *point;
    const size_t n = labels_of(d, &p, labels);
    if (p.time_ns > INT64_MAX)
        p.time_ns = INT64_MAX;
    return p.kind == OPS_WALK_POINT_GAUGE || p.kind == OPS_WALK_POINT_SUM
               ? number_point(d, &p, labels, n, reterr)
               : ops_samples_histogram(d->s, d->service, p.metric, labels, n, &p, reterr);
}

ops_status ops_otlp_metrics_decode(ops_slice msg, const ops_ingest_limits *limits, ops_samples *s,
                                   ops_err *reterr)
{
    static const ops_walk_point_visitor visitor = {.resource = on_resource, .point = on_point};
    const ops_walk_limits walk_limits = {
        .depth_max = limits->depth_max,
        .attrs_max = limits->attrs_max < OPS_RECORD_ATTRS_MAX ? limits->attrs_max : OPS_RECORD_ATTRS_MAX,
        .message_bytes_max = limits->request_bytes_max,
        .render_bytes_max = limits->render_bytes_max,
        .items_max = limits->records_max};
    decoding d = {.s = s, .service = OPS_SLICE("unknown_service")};
    ops_walk *w = NULL;
    ops_status st = ops_walk_new(&walk_limits, &w, reterr);
    if (st == OPS_OK)
        st = ops_walk_points(w, msg, &visitor, &d, reterr);
    ops_walk_free(w);
    return st;
}
