/* Slots, examples, lineage and streams of one row of a catalog. */
#include <stdlib.h>

#include "base/mem/alloc.h"
#include "coordinator/shard/catalog_internal.h"

typedef struct looking {
    const ops_catalog *c;
    const entry *e;
    uint64_t id; /* of the member at hand */
    uint32_t part;
    ops_catalog_detail d;
    size_t fold_cap, stream_cap;
    ops_status st;
} looking;

void ops_catalog_detail_done(ops_catalog_detail *d)
{
    for (size_t i = 0; i < d->example_count; i++)
        ops_free(d->examples[i]);
    for (size_t i = 0; i < d->fold_count; i++)
        ops_free(d->folds[i].text);
    for (size_t i = 0; i < d->stream_count; i++)
        ops_free(d->streams[i].service);
    ops_free(d->folds);
    ops_free(d->streams);
    ops_slots_free(d->slots);
    *d = (ops_catalog_detail){0};
}

static void take_examples(looking *x, const ops_template_info *t)
{
    for (size_t i = 0; i < t->example_count && x->d.example_count < OPS_MINER_EXAMPLES_MAX; i++) {
        bool known = false;
        for (size_t k = 0; k < x->d.example_count && !known; k++)
            known = ops_slice_eq(ops_slice_str(x->d.examples[k]), t->examples[i]);
        if (known)
            continue;
        char *copy = ops_strndup(t->examples[i].p, t->examples[i].n);
        if (copy == NULL) {
            x->st = OPS_ENOMEM;
            return;
        }
        x->d.examples[x->d.example_count++] = copy;
    }
}

/* Slots are the same slots only where the text is the same: a partition that has not folded yet has others. */
static void take_member(void *u, uint32_t part, const ops_pipeline *p)
{
    looking *x = u;
    ops_template_info t;
    (void)part;
    if (x->st != OPS_OK || !ops_pipeline_template(p, x->c->tenant, x->id, &t))
        return;
    take_examples(x, &t);
    const ops_slots *s = ops_pipeline_slots(p, x->c->tenant, x->id);
    if (x->st != OPS_OK || s == NULL || !ops_slice_eq(t.text, x->e->r.text))
        return;
    if (x->d.slots == NULL && (x->d.slots = ops_slots_new()) == NULL)
        x->st = OPS_ENOMEM;
    else
        x->st = ops_slots_merge(x->d.slots, s, NULL);
}

static void *more_room(void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    size_t want = *cap == 0 ? 8 : 2 * *cap;
    void *grown = ops_realloc(v, want * size);
    if (grown != NULL)
        *cap = want;
    return grown;
}

static void take_fold(looking *x, const ops_miner_fold_info *f)
{
    for (size_t i = 0; i < x->d.fold_count; i++) {
        ops_catalog_fold *known = &x->d.folds[i];
        if (known->old_id != f->old_id || known->new_id != f->new_id)
            continue;
        known->count += f->old_count;
        known->at_ns = f->at_ns < known->at_ns ? f->at_ns : known->at_ns;
        return;
    }
    if (x->d.fold_count == OPS_CATALOG_FOLDS_MAX) {
        x->d.more = true;
        return;
    }
    ops_catalog_fold *folds = more_room(x->d.folds, x->d.fold_count, &x->fold_cap, sizeof *folds);
    char *text = ops_strndup(f->old_text.p, f->old_text.n);
    x->d.folds = folds != NULL ? folds : x->d.folds;
    if (folds == NULL || text == NULL) {
        ops_free(text);
        x->st = OPS_ENOMEM;
        return;
    }
    x->d.folds[x->d.fold_count++] =
        (ops_catalog_fold){f->old_id, f->new_id, f->old_count, f->at_ns, text, f->why};
}

static void on_stream(void *u, ops_slice service, uint64_t records, uint64_t errors)
{
    looking *x = u;
    if (x->st != OPS_OK)
        return;
    for (size_t i = 0; i < x->d.stream_count; i++) {
        ops_catalog_stream *known = &x->d.streams[i];
        if (known->part == x->part && ops_slice_eq(ops_slice_str(known->service), service)) {
            known->records += records;
            known->errors += errors;
            return;
        }
    }
    if (x->d.stream_count == OPS_CATALOG_STREAMS_MAX) {
        x->d.more = true;
        return;
    }
    ops_catalog_stream *streams = more_room(x->d.streams, x->d.stream_count, &x->stream_cap, sizeof *streams);
    char *name = ops_strndup(service.p, service.n);
    x->d.streams = streams != NULL ? streams : x->d.streams;
    if (streams == NULL || name == NULL) {
        ops_free(name);
        x->st = OPS_ENOMEM;
        return;
    }
    x->d.streams[x->d.stream_count++] = (ops_catalog_stream){name, records, errors, x->part};
}

/* Every fold of the partition whose heir is this row. */
static void take_folds(void *u, uint32_t part, const ops_pipeline *p)
{
    looking *x = u;
    ops_miner_fold_info f;
    (void)part;
    for (size_t iter = 0; x->st == OPS_OK && ops_pipeline_next_fold(p, x->c->tenant, &iter, &f);) {
        size_t place = ops_catalog_place(x->c, ops_pipeline_resolve(p, x->c->tenant, f.new_id));
        if (place != SIZE_MAX && &x->c->entries.v[place] == x->e)
            take_fold(x, &f);
    }
}

static void take_streams(void *u, uint32_t part, const ops_pipeline *p)
{
    looking *x = u;
    x->part = part;
    ops_pipeline_template_streams(p, x->c->tenant, x->id, on_stream, x);
}

static int newest_first(const void *pa, const void *pb)
{
    const ops_catalog_fold *a = pa, *b = pb;
    if (a->at_ns != b->at_ns)
        return a->at_ns > b->at_ns ? -1 : 1;
    return a->old_id < b->old_id ? -1 : a->old_id > b->old_id;
}

static int most_first(const void *pa, const void *pb)
{
    const ops_catalog_stream *a = pa, *b = pb;
    if (a->records != b->records)
        return a->records > b->records ? -1 : 1;
    return ops_slice_cmp(ops_slice_str(a->service), ops_slice_str(b->service));
}

ops_status ops_catalog_look(const ops_catalog *c, size_t i, bool whole, ops_catalog_detail *ret,
                            ops_err *reterr)
{
    looking x = {.c = c, .e = &c->entries.v[i]};
    size_t at = 0, end = c->members.n; /* first member of row i */
    while (at < end) {
        size_t mid = (at + end) / 2;
        if (c->members.v[mid].row < i)
            at = mid + 1;
        else
            end = mid;
    }
    for (; x.st == OPS_OK && at < c->members.n && c->members.v[at].row == i; at++) {
        x.id = c->members.v[at].id;
        (void)ops_owners_look(c->owners, c->members.v[at].part, take_member, &x);
        if (whole && x.st == OPS_OK)
            (void)ops_owners_look(c->owners, c->members.v[at].part, take_streams, &x);
    }
    for (uint32_t part = 0; whole && x.st == OPS_OK && part < c->partitions; part++)
        (void)ops_owners_look(c->owners, part, take_folds, &x);
    if (x.st != OPS_OK) {
        ops_catalog_detail_done(&x.d);
        return ops_fail(reterr, x.st, "what is known of a template");
    }
    if (x.d.fold_count > 1)
        qsort(x.d.folds, x.d.fold_count, sizeof *x.d.folds, newest_first);
    if (x.d.stream_count > 1)
        qsort(x.d.streams, x.d.stream_count, sizeof *x.d.streams, most_first);
    *ret = x.d;
    return OPS_OK;
}
