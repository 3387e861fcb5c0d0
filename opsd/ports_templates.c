/* Templates as the API tells of them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/mem/arena.h"
#include "base/text/utf8.h"
#include "coordinator/shard/catalog.h"
#include "opsd/daemon.h"

enum { DETAIL_BYTES_MAX = 8 << 20, ID_BYTES = 17 };

/* Texts of a message from an arena: freed at once. A failure is sticky. */
typedef struct making {
    ops_arena a;
    bool failed;
} making;

static void *room(making *m, size_t n)
{
    void *p = ops_arena_alloc(&m->a, n > 0 ? n : 1);
    m->failed |= p == NULL;
    return p;
}

static char *text(making *m, ops_slice s)
{
    static char none[] = "";
    ops_slice copy = ops_arena_dup(&m->a, s);
    m->failed |= copy.p == NULL;
    return copy.p != NULL ? (char *)(uintptr_t)copy.p : none;
}

static char *id_text(making *m, uint64_t id)
{
    char buf[ID_BYTES];
    (void)snprintf(buf, sizeof buf, "%016" PRIx64, id);
    return text(m, ops_slice_str(buf));
}

static void put_slot(making *m, const ops_slot_info *s, Ops__V1__TemplateSlot *out)
{
    ops__v1__template_slot__init(out);
    out->type = text(m, ops_slice_str(ops_slot_type_name(s->type)));
    out->seen = s->seen;
    out->distinct = s->distinct;
    out->numeric = s->numeric;
    out->min = s->min;
    out->p50 = s->p50;
    out->p90 = s->p90;
    out->p99 = s->p99;
    out->max = s->max;
    out->quantile_error = s->error;
    Ops__V1__SlotValue *values = room(m, s->top_n * sizeof *values);
    out->top = room(m, s->top_n * sizeof *out->top);
    for (size_t i = 0; !m->failed && i < s->top_n; i++) {
        ops_strbuf clean;
        ops_strbuf_init(&clean, 1024);
        ops_utf8_clean(&clean, s->top[i].value);
        ops__v1__slot_value__init(&values[i]);
        values[i].value = text(m, ops_strbuf_get(&clean));
        values[i].count = s->top[i].count;
        values[i].error = s->top[i].error;
        out->top[out->n_top++] = &values[i];
        ops_strbuf_done(&clean);
    }
}

static void put_slots(making *m, const ops_slots *s, Ops__V1__Template *out)
{
    size_t n = ops_slots_count(s);
    Ops__V1__TemplateSlot *slots = room(m, n * sizeof *slots);
    out->slots = room(m, n * sizeof *out->slots);
    for (size_t i = 0; !m->failed && i < n; i++) {
        ops_slot_info info;
        if (!ops_slots_info(s, i, &info))
            break;
        put_slot(m, &info, &slots[i]);
        out->slots[out->n_slots++] = &slots[i];
    }
}

static void put_template(making *m, const ops_catalog *c, const ops_catalog_row *r,
                         const ops_catalog_detail *d, ops_slice tenant, Ops__V1__Template *out)
{
    ops_strbuf typed;
    ops_strbuf_init(&typed, DETAIL_BYTES_MAX);
    ops_slots_render(r->text, d->slots, &typed);
    ops__v1__template__init(out);
    out->id = id_text(m, r->id);
    out->tenant = text(m, tenant);
    out->text = text(m, r->text);
    out->typed_text = text(m, ops_strbuf_get(&typed));
    out->count = r->count;
    out->share = ops_catalog_lines(c) > 0 ? (double)r->count / (double)ops_catalog_lines(c) : 0;
    out->first_time_unix_nano = r->first_ns;
    out->last_time_unix_nano = r->last_ns;
    out->examples = room(m, d->example_count * sizeof *out->examples);
    for (size_t i = 0; !m->failed && i < d->example_count; i++)
        out->examples[out->n_examples++] = text(m, ops_slice_str(d->examples[i]));
    m->failed |= typed.failed;
    ops_strbuf_done(&typed);
}

static ops_status hand_row(const ops_catalog *c, size_t i, ops_slice tenant,
                           bool (*fn)(void *fu, const Ops__V1__Template *m), void *fu, bool *ret_more,
                           ops_err *reterr)
{
    ops_catalog_detail d;
    Ops__V1__Template out;
    making m = {.failed = false};
    ops_status st = ops_catalog_look(c, i, false, &d, reterr);
    if (st != OPS_OK)
        return st;
    ops_arena_init(&m.a, DETAIL_BYTES_MAX);
    put_template(&m, c, ops_catalog_row_at(c, i), &d, tenant, &out);
    if (m.failed)
        st = ops_fail(reterr, OPS_ENOMEM, "a template of %zu bytes", ops_catalog_row_at(c, i)->text.n);
    else
        *ret_more = fn(fu, &out);
    ops_arena_done(&m.a);
    ops_catalog_detail_done(&d);
    return st;
}

ops_status opsd_port_templates(void *u, const ops_api_template_query *q,
                               bool (*fn)(void *fu, const Ops__V1__Template *m), void *fu,
                               uint64_t *ret_lines, uint64_t *ret_all, ops_err *reterr)
{
    static const ops_catalog_order orders[] = {[OPS_API_TEMPLATES_BY_COUNT] = OPS_CATALOG_BY_COUNT,
                                               [OPS_API_TEMPLATES_BY_FIRST] = OPS_CATALOG_BY_FIRST,
                                               [OPS_API_TEMPLATES_BY_LAST] = OPS_CATALOG_BY_LAST,
                                               [OPS_API_TEMPLATES_BY_ID] = OPS_CATALOG_BY_ID};
    opsd_daemon *d = u;
    OPS_AUTO(ops_catalog_free) ops_catalog *c = NULL;
    ops_status st = ops_catalog_take(d->owners, q->tenant, orders[q->order], &c, reterr);
    if (st != OPS_OK)
        return st;
    *ret_lines = ops_catalog_lines(c);
    *ret_all = ops_catalog_count(c);
    bool more = true;
    uint64_t skipped = 0;
    for (size_t i = 0; st == OPS_OK && more && i < ops_catalog_count(c); i++) {
        const ops_catalog_row *r = ops_catalog_row_at(c, i);
        if (r->count < q->count_min || (q->contains.n > 0 && ops_slice_find(r->text, q->contains) < 0) ||
            skipped++ < q->skip)
            continue;
        st = hand_row(c, i, q->tenant, fn, fu, &more, reterr);
    }
    return st;
}

static void put_folds(making *m, const ops_catalog_detail *d, Ops__V1__TemplateDetail *out)
{
    static const char *const why[] = {[OPS_MINER_FOLD_ALIKE] = "alike",
                                      [OPS_MINER_FOLD_EVICTED] = "evicted",
                                      [OPS_MINER_FOLD_PINNED] = "pinned"};
    Ops__V1__TemplateFold *folds = room(m, d->fold_count * sizeof *folds);
    out->folds = room(m, d->fold_count * sizeof *out->folds);
    for (size_t i = 0; !m->failed && i < d->fold_count; i++) {
        const ops_catalog_fold *f = &d->folds[i];
        ops__v1__template_fold__init(&folds[i]);
        folds[i].old_id = id_text(m, f->old_id);
        folds[i].new_id = id_text(m, f->new_id);
        folds[i].time_unix_nano = f->at_ns;
        folds[i].old_text = text(m, ops_slice_str(f->text));
        folds[i].old_count = f->count;
        folds[i].why = text(m, ops_slice_str(why[f->why]));
        out->folds[out->n_folds++] = &folds[i];
    }
}

static void put_streams(making *m, const ops_catalog_detail *d, Ops__V1__TemplateDetail *out)
{
    Ops__V1__TemplateStream *streams = room(m, d->stream_count * sizeof *streams);
    out->streams = room(m, d->stream_count * sizeof *out->streams);
    for (size_t i = 0; !m->failed && i < d->stream_count; i++) {
        const ops_catalog_stream *s = &d->streams[i];
        ops__v1__template_stream__init(&streams[i]);
        streams[i].service = text(m, ops_slice_str(s->service));
        streams[i].records = s->records;
        streams[i].errors = s->errors;
        streams[i].partition = s->part;
        out->streams[out->n_streams++] = &streams[i];
    }
}

ops_status opsd_port_template_get(void *u, ops_slice tenant, uint64_t id,
                                  void (*fn)(void *fu, const Ops__V1__TemplateDetail *m), void *fu,
                                  ops_err *reterr)
{
    opsd_daemon *d = u;
    OPS_AUTO(ops_catalog_free) ops_catalog *c = NULL;
    ops_catalog_detail detail;
    size_t i;
    ops_status st = ops_catalog_take(d->owners, tenant, OPS_CATALOG_BY_ID, &c, reterr);
    if (st == OPS_OK)
        st = ops_catalog_find(c, id, &i, reterr);
    if (st == OPS_OK)
        st = ops_catalog_look(c, i, true, &detail, reterr);
    if (st != OPS_OK)
        return st;
    const ops_catalog_row *r = ops_catalog_row_at(c, i);
    Ops__V1__TemplateDetail out = OPS__V1__TEMPLATE_DETAIL__INIT;
    Ops__V1__Template t;
    making m = {.failed = false};
    ops_arena_init(&m.a, DETAIL_BYTES_MAX);
    put_template(&m, c, r, &detail, tenant, &t);
    put_slots(&m, detail.slots, &t);
    put_folds(&m, &detail, &out);
    put_streams(&m, &detail, &out);
    out.template_ = &t;
    if (r->id != id)
        out.asked_id = id_text(&m, id);
    out.more = detail.more;
    if (m.failed)
        st = ops_fail(reterr, OPS_ENOMEM, "template %016" PRIx64, id);
    else
        fn(fu, &out);
    ops_arena_done(&m.a);
    ops_catalog_detail_done(&detail);
    return st;
}
