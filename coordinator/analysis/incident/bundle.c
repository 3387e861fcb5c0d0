#include "coordinator/analysis/incident/bundle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "coordinator/analysis/incident/bundle_in.h"

static size_t or_default(size_t v, size_t d)
{
    return v != 0 ? v : d;
}

ops_status ops_bundle_new(const ops_bundle_limits *limits, ops_bundle **ret, ops_err *reterr)
{
    static const ops_bundle_limits none = {0};
    const ops_bundle_limits *l = limits != NULL ? limits : &none;
    OPS_AUTO(ops_bundle_free) ops_bundle *b = ops_calloc(1, sizeof *b);
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a bundle");
    b->lim.components_max = or_default(l->components_max, 4096);
    b->lim.names_max = or_default(l->names_max, 65536);
    b->lim.samples_max = or_default(l->samples_max, (size_t)4 << 20);
    b->lim.lines_max = or_default(l->lines_max, (size_t)1 << 20);
    b->lim.spans_max = or_default(l->spans_max, (size_t)2 << 20);
    b->lim.text_bytes_max = or_default(l->text_bytes_max, (size_t)256 << 20);
    b->lim.name_bytes_max = or_default(l->name_bytes_max, 512);
    b->lim.line_bytes_max = or_default(l->line_bytes_max, 2048);
    ops_arena_init(&b->text, b->lim.text_bytes_max);
    b->components.ids = ops_map_new();
    b->names.ids = ops_map_new();
    if (b->components.ids == NULL || b->names.ids == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a bundle");
    *ret = OPS_STEAL(b);
    return OPS_OK;
}

void ops_bundle_free(ops_bundle *b)
{
    if (b == NULL)
        return;
    ops_map_free(b->components.ids);
    ops_map_free(b->names.ids);
    ops_vec_done(&b->components.list);
    ops_vec_done(&b->names.list);
    ops_vec_done(&b->samples);
    ops_vec_done(&b->lines);
    ops_vec_done(&b->spans);
    ops_arena_done(&b->text);
    ops_free(b);
}

/* OPS_EAGAIN: no room for another name. */
static ops_status intern(ops_bundle *b, ops_names *n, size_t max, ops_slice s, uint32_t *ret)
{
    s.n = s.n < b->lim.name_bytes_max ? s.n : b->lim.name_bytes_max;
    void *have = ops_map_get(n->ids, s);
    if (have != NULL) {
        *ret = (uint32_t)((uintptr_t)have - 1);
        return OPS_OK;
    }
    if (n->list.n >= max || ops_arena_bytes(&b->text) + s.n + 1 > b->lim.text_bytes_max)
        return OPS_EAGAIN;
    ops_slice copy = ops_arena_dup(&b->text, s);
    if (copy.p == NULL || !ops_vec_push(&n->list, copy))
        return OPS_ENOMEM;
    ops_status st = ops_map_put(n->ids, s, (void *)(uintptr_t)n->list.n, NULL);
    if (st != OPS_OK) {
        n->list.n--;
        return st;
    }
    *ret = (uint32_t)(n->list.n - 1);
    return OPS_OK;
}

/* The component first: a row without one is refused. OPS_EAGAIN when the row is not to be kept, already counted. */
static ops_status ids_of(ops_bundle *b, bool fine, bool room, ops_slice component, uint32_t *ret_component)
{
    if (!fine || component.n == 0) {
        b->stats.refused++;
        return OPS_EAGAIN;
    }
    ops_status st =
        room ? intern(b, &b->components, b->lim.components_max, component, ret_component) : OPS_EAGAIN;
    b->stats.dropped += st == OPS_EAGAIN;
    return st;
}

static ops_status name_of(ops_bundle *b, ops_slice name, uint32_t *ret)
{
    ops_status st = intern(b, &b->names, b->lim.names_max, name, ret);
    b->stats.dropped += st == OPS_EAGAIN;
    return st;
}

static ops_status told(ops_status st, const char *what, ops_err *reterr)
{
    return st == OPS_OK || st == OPS_EAGAIN ? OPS_OK : ops_fail(reterr, st, "a bundle's %s", what);
}

/* Unix seconds far from any clock would only break the arithmetic. */
static bool time_fine(double t)
{
    return isfinite(t) && fabs(t) < 1e11;
}

ops_status ops_bundle_add_sample(ops_bundle *b, ops_slice component, ops_slice metric, double time_s,
                                 double value, ops_err *reterr)
{
    ops_sample s = {.time_s = time_s, .value = value};
    bool fine = time_fine(time_s) && isfinite(value) && fabs(value) < 1e300;
    ops_status st = ids_of(b, fine, b->samples.n < b->lim.samples_max, component, &s.component);
    if (st == OPS_OK)
        st = name_of(b, metric, &s.metric);
    if (st != OPS_OK)
        return told(st, "samples", reterr);
    if (!ops_vec_push(&b->samples, s))
        return told(OPS_ENOMEM, "samples", reterr);
    b->stats.first_s = b->stats.samples == 0 || time_s < b->stats.first_s ? time_s : b->stats.first_s;
    b->stats.last_s = b->stats.samples == 0 || time_s > b->stats.last_s ? time_s : b->stats.last_s;
    b->stats.samples++;
    return OPS_OK;
}

ops_status ops_bundle_add_line(ops_bundle *b, ops_slice component, ops_slice message, double time_s,
                               ops_err *reterr)
{
    ops_line l = {.time_s = time_s};
    message.n = message.n < b->lim.line_bytes_max ? message.n : b->lim.line_bytes_max;
    bool room = b->lines.n < b->lim.lines_max &&
                ops_arena_bytes(&b->text) + message.n + component.n + 2 < b->lim.text_bytes_max;
    ops_status st = ids_of(b, time_fine(time_s), room, component, &l.component);
    if (st != OPS_OK)
        return told(st, "lines", reterr);
    l.message = ops_arena_dup(&b->text, message);
    if (l.message.p == NULL || !ops_vec_push(&b->lines, l))
        return told(OPS_ENOMEM, "lines", reterr);
    b->stats.lines++;
    return OPS_OK;
}

static uint64_t span_hash(ops_slice trace, ops_slice span)
{
    uint64_t h = ops_hash64(span.p, span.n, ops_hash64(trace.p, trace.n, 7));
    return h != OPS_SPAN_ROOT ? h : 0;
}

ops_status ops_bundle_add_span(ops_bundle *b, const ops_bundle_span *in, ops_err *reterr)
{
    ops_span s = {.id = span_hash(in->trace, in->span),
                  .parent = in->parent.n > 0 ? span_hash(in->trace, in->parent) : OPS_SPAN_ROOT,
                  .trace = ops_hash64(in->trace.p, in->trace.n, 7),
                  .start_s = in->start_s,
                  .duration_s = in->duration_s};
    bool fine =
        time_fine(in->start_s) && isfinite(in->duration_s) && in->duration_s >= 0 && in->duration_s < 1e9;
    ops_status st = ids_of(b, fine, b->spans.n < b->lim.spans_max, in->component, &s.component);
    if (st == OPS_OK)
        st = name_of(b, in->operation, &s.operation);
    if (st == OPS_OK)
        st = name_of(b, in->status, &s.status);
    if (st != OPS_OK)
        return told(st, "spans", reterr);
    if (!ops_vec_push(&b->spans, s))
        return told(OPS_ENOMEM, "spans", reterr);
    b->stats.spans++;
    return OPS_OK;
}

typedef struct named {
    ops_slice name;
    uint32_t old;
} named;

static int by_name(const void *a, const void *b)
{
    return ops_slice_cmp(((const named *)a)->name, ((const named *)b)->name);
}

/* The list in order of the bytes; v[i].old was its place before. NULL when the heap is out. */
static named *sorted(const ops_names *n)
{
    named *v = ops_calloc(n->list.n + 1, sizeof *v);
    if (v == NULL)
        return NULL;
    for (size_t i = 0; i < n->list.n; i++)
        v[i] = (named){n->list.v[i], (uint32_t)i};
    qsort(v, n->list.n, sizeof *v, by_name);
    return v;
}

/* Takes over the order; map[old] = new. */
static void renumber(ops_names *n, const named *v, uint32_t *map)
{
    for (size_t i = 0; i < n->list.n; i++) {
        n->list.v[i] = v[i].name;
        map[v[i].old] = (uint32_t)i;
    }
}

#define ORDER(a, b)                                                                                          \
    do {                                                                                                     \
        if ((a) != (b))                                                                                      \
            return (a) < (b) ? -1 : 1;                                                                       \
    } while (0)

static int by_series(const void *pa, const void *pb)
{
    const ops_sample *a = pa, *b = pb;
    ORDER(a->component, b->component);
    ORDER(a->metric, b->metric);
    ORDER(a->time_s, b->time_s);
    ORDER(a->value, b->value);
    return 0;
}

static int by_line(const void *pa, const void *pb)
{
    const ops_line *a = pa, *b = pb;
    ORDER(a->time_s, b->time_s);
    ORDER(a->component, b->component);
    return ops_slice_cmp(a->message, b->message);
}

static int by_span(const void *pa, const void *pb)
{
    const ops_span *a = pa, *b = pb;
    ORDER(a->start_s, b->start_s);
    ORDER(a->id, b->id);
    ORDER(a->component, b->component);
    ORDER(a->operation, b->operation);
    ORDER(a->duration_s, b->duration_s);
    ORDER(a->status, b->status);
    ORDER(a->parent, b->parent);
    return 0;
}

static void sort_rows(ops_bundle *b, const uint32_t *component, const uint32_t *name)
{
    for (size_t i = 0; i < b->samples.n; i++) {
        b->samples.v[i].component = component[b->samples.v[i].component];
        b->samples.v[i].metric = name[b->samples.v[i].metric];
    }
    for (size_t i = 0; i < b->lines.n; i++)
        b->lines.v[i].component = component[b->lines.v[i].component];
    for (size_t i = 0; i < b->spans.n; i++) {
        ops_span *s = &b->spans.v[i];
        s->component = component[s->component];
        s->operation = name[s->operation];
        s->status = name[s->status];
    }
    if (b->samples.n > 0)
        qsort(b->samples.v, b->samples.n, sizeof *b->samples.v, by_series);
    if (b->lines.n > 0)
        qsort(b->lines.v, b->lines.n, sizeof *b->lines.v, by_line);
    if (b->spans.n > 0)
        qsort(b->spans.v, b->spans.n, sizeof *b->spans.v, by_span);
}

ops_status ops_bundle_seal(ops_bundle *b, ops_err *reterr)
{
    if (b->sealed)
        return OPS_OK;
    named *components = sorted(&b->components), *names = sorted(&b->names);
    uint32_t *map = ops_calloc(b->components.list.n + b->names.list.n + 1, sizeof *map);
    ops_status st = components != NULL && names != NULL && map != NULL
                        ? OPS_OK
                        : ops_fail(reterr, OPS_ENOMEM, "sealing a bundle");
    if (st == OPS_OK) {
        uint32_t *name_map = map + b->components.list.n;
        renumber(&b->components, components, map);
        renumber(&b->names, names, name_map);
        sort_rows(b, map, name_map);
        /* The ids of the maps are those before sorting; nothing is added any more. */
        b->sealed = true;
    }
    ops_free(components);
    ops_free(names);
    ops_free(map);
    return st;
}

void ops_bundle_stats_get(const ops_bundle *b, ops_bundle_stats *ret)
{
    *ret = b->stats;
    ret->components = b->components.list.n;
}

bool ops_bundle_next_series(const ops_bundle *b, size_t *iter, ops_bundle_series *ret)
{
    size_t i = *iter, k = i + 1;
    if (i >= b->samples.n)
        return false;
    const ops_sample *s = &b->samples.v[i];
    while (k < b->samples.n && b->samples.v[k].component == s->component &&
           b->samples.v[k].metric == s->metric)
        k++;
    *ret =
        (ops_bundle_series){ops_bundle_component(b, s->component), ops_bundle_name(b, s->metric), i, k - i};
    *iter = k;
    return true;
}

void ops_bundle_sample_at(const ops_bundle *b, size_t i, double *ret_time_s, double *ret_value)
{
    *ret_time_s = b->samples.v[i].time_s;
    *ret_value = b->samples.v[i].value;
}
