#include "coordinator/ingest/remote_write.h"

enum { NS_PER_MS = 1000000 };

typedef struct decoding {
    ops_samples *s;
    ops_attr labels[OPS_RECORD_ATTRS_MAX];
    size_t label_count;
    ops_slice service, name;
    ops_series_kind kind;
    bool open; /* the series was begun for samples */
    bool gauge_histogram;
    ops_walk_flaw flaw;
} decoding;

static ops_series_kind kind_of(ops_slice name, bool has_le, ops_walk_metric_type type)
{
    switch (type) {
    case OPS_WALK_METRIC_COUNTER:
        return OPS_SERIES_COUNTER;
    case OPS_WALK_METRIC_GAUGE:
    case OPS_WALK_METRIC_GAUGEHISTOGRAM:
    case OPS_WALK_METRIC_INFO:
    case OPS_WALK_METRIC_STATESET:
        return OPS_SERIES_GAUGE;
    case OPS_WALK_METRIC_UNKNOWN:
    case OPS_WALK_METRIC_HISTOGRAM: /* their parts are told apart by their names */
    case OPS_WALK_METRIC_SUMMARY:
        break;
    }
    return ops_samples_kind_of_name(name, has_le);
}

static ops_status on_series(void *u, const ops_walk_series *w, ops_err *reterr)
{
    decoding *d = u;
    bool has_le = false;
    (void)reterr;
    d->label_count = 0;
    d->name = (ops_slice){0};
    d->open = false;
    d->flaw = w->flaw;
    for (uint32_t i = 0; i < w->label_count; i++) {
        if (ops_slice_eq(w->labels[i].key, OPS_SLICE("__name__")))
            d->name = w->labels[i].val;
        else if (d->label_count < OPS_RECORD_ATTRS_MAX)
            d->labels[d->label_count++] = w->labels[i];
        has_le |= ops_slice_eq(w->labels[i].key, OPS_SLICE("le"));
    }
    d->service = ops_samples_service(d->labels, d->label_count);
    d->kind = kind_of(d->name, has_le, w->type);
    d->gauge_histogram = w->type == OPS_WALK_METRIC_GAUGEHISTOGRAM;
    ops_samples_exemplars(d->s, w->exemplars);
    return OPS_OK;
}

static void refuse_flaw(decoding *d)
{
    ops_samples_refuse(d->s, d->flaw == OPS_WALK_FLAW_ATTRS ? OPS_SAMPLE_LABEL_COUNT : OPS_SAMPLE_LABEL_FORM,
                       d->name, ops_walk_flaw_text(d->flaw));
}

/* Saturates. The epoch itself is one nanosecond off: 0 would say that no time was given. */
static int64_t ns_of_ms(int64_t ms)
{
    int64_t ns;
    if (ms == 0)
        return 1;
    if (__builtin_mul_overflow(ms, (int64_t)NS_PER_MS, &ns))
        return ms < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static ops_status on_sample(void *u, double value, int64_t time_ms, ops_err *reterr)
{
    decoding *d = u;
    ops_status st = OPS_OK;
    ops_samples_point(d->s, false);
    if (d->flaw != OPS_WALK_FLAW_NONE) {
        refuse_flaw(d);
        return OPS_OK;
    }
    if (!d->open)
        st = ops_samples_begin(d->s, d->kind, d->service, d->name, d->labels, d->label_count, reterr);
    d->open = true;
    return st == OPS_OK ? ops_samples_add(d->s, ns_of_ms(time_ms), value, ops_sample_is_stale(value), reterr)
                        : st;
}

static ops_status on_end(void *u, ops_err *reterr)
{
    decoding *d = u;
    const bool open = d->open;
    d->open = false;
    return open ? ops_samples_end(d->s, reterr) : OPS_OK;
}

static ops_status on_histogram(void *u, const ops_walk_point *point, ops_err *reterr)
{
    decoding *d = u;
    ops_walk_point p = *point;
    ops_status st =
        on_end(d, reterr); /* samples and histograms in one series: not by the specification, harmless */
    if (st != OPS_OK)
        return st;
    if (d->flaw != OPS_WALK_FLAW_NONE) {
        ops_samples_point(d->s, true);
        refuse_flaw(d);
        return OPS_OK;
    }
    const int64_t ns = ns_of_ms((int64_t)p.time_ns);
    p.time_ns = ns > 0 ? (uint64_t)ns : 1; /* before 1970: too old under any limit */
    p.no_value = p.has_sum && ops_sample_is_stale(p.sum);
    if (d->gauge_histogram)
        p.temporality = OPS_WALK_TEMPORALITY_DELTA; /* each stands for itself */
    return ops_samples_histogram(d->s, d->service, d->name, d->labels, d->label_count, &p, reterr);
}

ops_status ops_remote_write_decode(ops_slice msg, unsigned version, const ops_ingest_limits *limits,
                                   ops_samples *s, ops_err *reterr)
{
    static const ops_walk_write_visitor visitor = {
        .series = on_series, .sample = on_sample, .histogram = on_histogram, .end = on_end};
    const ops_walk_limits walk_limits = {.depth_max = limits->depth_max,
                                         .attrs_max = OPS_RECORD_ATTRS_MAX,
                                         .message_bytes_max = limits->request_bytes_max,
                                         .render_bytes_max = 1,
                                         .items_max = limits->records_max};
    decoding d = {.s = s};
    ops_walk *w = NULL;
    ops_status st = ops_walk_new(&walk_limits, &w, reterr);
    if (st == OPS_OK)
        st = ops_walk_write(w, msg, version, &visitor, &d, reterr);
    ops_walk_free(w);
    return st;
}

unsigned ops_remote_write_version(ops_slice content_type)
{
    ops_slice rest = content_type, part = {0};
    unsigned version = 1;
    if (content_type.p == NULL || !ops_slice_split(&rest, ';', &part) ||
        !ops_slice_eq_nocase(ops_slice_trim(part), OPS_SLICE("application/x-protobuf")))
        return 0;
    while (ops_slice_split(&rest, ';', &part)) {
        part = ops_slice_trim(part);
        if (!ops_slice_starts(part, OPS_SLICE("proto=")))
            continue;
        part = ops_slice_sub(part, 6, part.n);
        if (part.n >= 2 && part.p[0] == '"' && part.p[part.n - 1] == '"')
            part = ops_slice_sub(part, 1, part.n - 2);
        version = ops_slice_eq(part, OPS_SLICE("io.prometheus.write.v2.Request")) ? 2
                  : ops_slice_eq(part, OPS_SLICE("prometheus.WriteRequest"))      ? 1
                                                                                  : 0;
    }
    return version;
}
