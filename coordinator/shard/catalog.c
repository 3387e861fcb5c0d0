/* One view of the templates of all partitions: see catalog.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem/alloc.h"
#include "coordinator/shard/catalog_internal.h"

enum { CHAIN_MAX = 64 };

typedef struct taking {
    ops_catalog *c;
    ops_status st;
} taking;

static entry *entry_of(ops_catalog *c, uint64_t id)
{
    size_t at = (size_t)(uintptr_t)ops_map64_get(c->places, id);
    return at > 0 ? &c->entries.v[at - 1] : NULL;
}

static entry *new_entry(ops_catalog *c, const ops_template_info *t)
{
    entry e = {.r = {.id = t->id, .first_ns = t->first_ns, .last_ns = t->last_ns}, .now = t->id};
    e.text = ops_strndup(t->text.p, t->text.n);
    if (e.text == NULL || !ops_vec_push(&c->entries, e)) {
        ops_free(e.text);
        return NULL;
    }
    if (ops_map64_put(c->places, t->id, (void *)(uintptr_t)c->entries.n, NULL) != OPS_OK) {
        ops_free(c->entries.v[--c->entries.n].text);
        return NULL;
    }
    entry *made = &c->entries.v[c->entries.n - 1];
    made->r.text = ops_slice_of(made->text, t->text.n);
    return made;
}

static void widen(ops_catalog_row *r, const ops_catalog_row *by)
{
    r->count += by->count;
    r->first_ns = by->first_ns < r->first_ns ? by->first_ns : r->first_ns;
    r->last_ns = by->last_ns > r->last_ns ? by->last_ns : r->last_ns;
    r->parts += by->parts;
}

static void collect(void *u, uint32_t part, const ops_pipeline *p)
{
    taking *x = u;
    ops_template_info t;
    for (size_t iter = 0; x->st == OPS_OK && ops_pipeline_next_template_of(p, x->c->tenant, &iter, &t);) {
        if (t.count == 0)
            continue;
        entry *e = entry_of(x->c, t.id);
        if (e == NULL)
            e = new_entry(x->c, &t);
        const member m = {.id = t.id, .part = part};
        if (e == NULL || !ops_vec_push(&x->c->members, m)) {
            x->st = OPS_ENOMEM;
            return;
        }
        const ops_catalog_row one = {
            .count = t.count, .first_ns = t.first_ns, .last_ns = t.last_ns, .parts = 1};
        widen(&e->r, &one);
    }
}

/* Which of the ids this partition has folded into a template; a catch-all's text has no word. */
static void unite(void *u, uint32_t part, const ops_pipeline *p)
{
    taking *x = u;
    (void)part;
    for (size_t i = 0; i < x->c->entries.n; i++) {
        entry *e = &x->c->entries.v[i];
        ops_template_info into;
        uint64_t now = ops_pipeline_resolve(p, x->c->tenant, e->r.id);
        if (now == e->r.id || e->now != e->r.id || !ops_pipeline_template(p, x->c->tenant, now, &into) ||
            ops_slice_eq(into.text, OPS_SLICE("<*>")) || entry_of(x->c, now) == NULL)
            continue;
        e->now = now;
    }
}

size_t ops_catalog_place(const ops_catalog *c, uint64_t id)
{
    size_t at = (size_t)(uintptr_t)ops_map64_get(c->places, id);
    for (size_t steps = 0; at > 0 && steps < CHAIN_MAX; steps++) {
        const entry *e = &c->entries.v[at - 1];
        if (e->now == e->r.id)
            return at - 1;
        at = (size_t)(uintptr_t)ops_map64_get(c->places, e->now);
    }
    return SIZE_MAX;
}

/* Partitions that fold into one another in a circle have no common heir: each stands for itself. */
static void break_circles(ops_catalog *c)
{
    for (size_t i = 0; i < c->entries.n; i++)
        if (ops_catalog_place(c, c->entries.v[i].r.id) == SIZE_MAX)
            c->entries.v[i].now = c->entries.v[i].r.id;
}

static void add_up(ops_catalog *c)
{
    for (size_t i = 0; i < c->entries.n; i++) {
        entry *e = &c->entries.v[i];
        if (e->now != e->r.id)
            widen(&c->entries.v[ops_catalog_place(c, e->r.id)].r, &e->r);
    }
    for (size_t i = 0; i < c->entries.n; i++) {
        entry *e = &c->entries.v[i];
        c->rows += e->now == e->r.id;
        c->lines += e->now == e->r.id ? e->r.count : 0;
    }
}

static int by_id(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

#define ORDER(name, differ, less)                                                                            \
    static int by_##name(const void *pa, const void *pb)                                                     \
    {                                                                                                        \
        const entry *a = pa, *b = pb;                                                                        \
        bool own_a = a->now == a->r.id, own_b = b->now == b->r.id;                                           \
        if (own_a != own_b)                                                                                  \
            return own_a ? -1 : 1;                                                                           \
        if (differ)                                                                                          \
            return (less) ? -1 : 1;                                                                          \
        return by_id(a->r.id, b->r.id);                                                                      \
    }
ORDER(count, a->r.count != b->r.count, a->r.count > b->r.count)
ORDER(first, a->r.first_ns != b->r.first_ns, a->r.first_ns > b->r.first_ns)
ORDER(last, a->r.last_ns != b->r.last_ns, a->r.last_ns > b->r.last_ns)
ORDER(nothing, false, false)

static int by_row(const void *pa, const void *pb)
{
    const member *a = pa, *b = pb;
    if (a->row != b->row)
        return a->row < b->row ? -1 : 1;
    return a->part < b->part ? -1 : a->part > b->part;
}

/* Sorts, then tells the index and the members where the entries went. */
static ops_status settle(ops_catalog *c, ops_catalog_order order)
{
    static int (*const orders[])(const void *a, const void *b) = {by_count, by_first, by_last, by_nothing};
    if (c->entries.n > 0)
        qsort(c->entries.v, c->entries.n, sizeof *c->entries.v, orders[order]);
    for (size_t i = 0; i < c->entries.n; i++)
        if (ops_map64_put(c->places, c->entries.v[i].r.id, (void *)(uintptr_t)(i + 1), NULL) != OPS_OK)
            return OPS_ENOMEM;
    for (size_t i = 0; i < c->members.n; i++)
        c->members.v[i].row = (uint32_t)ops_catalog_place(c, c->members.v[i].id);
    if (c->members.n > 0)
        qsort(c->members.v, c->members.n, sizeof *c->members.v, by_row);
    return OPS_OK;
}

ops_status ops_catalog_take(ops_owners *o, ops_slice tenant, ops_catalog_order order, ops_catalog **ret,
                            ops_err *reterr)
{
    OPS_AUTO(ops_catalog_free) ops_catalog *c = ops_calloc(1, sizeof *c);
    if (c == NULL || (c->places = ops_map64_new()) == NULL ||
        (c->tenant_text = ops_strndup(tenant.p, tenant.n)) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "catalog of templates");
    c->owners = o;
    c->tenant = ops_slice_of(c->tenant_text, tenant.n);
    taking x = {.c = c};
    while (x.st == OPS_OK && ops_owners_look(o, c->partitions, collect, &x))
        c->partitions++;
    for (uint32_t i = 0; x.st == OPS_OK && i < c->partitions; i++)
        (void)ops_owners_look(o, i, unite, &x);
    if (x.st == OPS_OK) {
        break_circles(c);
        add_up(c);
        x.st = settle(c, order);
    }
    if (x.st != OPS_OK)
        return ops_fail(reterr, x.st, "catalog of %zu templates", c->entries.n);
    *ret = OPS_STEAL(c);
    return OPS_OK;
}

void ops_catalog_free(ops_catalog *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->entries.n; i++)
        ops_free(c->entries.v[i].text);
    ops_vec_done(&c->entries);
    ops_vec_done(&c->members);
    ops_map64_free(c->places);
    ops_free(c->tenant_text);
    ops_free(c);
}

size_t ops_catalog_count(const ops_catalog *c)
{
    return c->rows;
}

uint64_t ops_catalog_lines(const ops_catalog *c)
{
    return c->lines;
}

const ops_catalog_row *ops_catalog_row_at(const ops_catalog *c, size_t i)
{
    return &c->entries.v[i].r;
}

struct seeking {
    const ops_catalog *c;
    uint64_t id;
    size_t place;
};

static void seek(void *u, uint32_t part, const ops_pipeline *p)
{
    struct seeking *x = u;
    (void)part;
    if (x->place == SIZE_MAX)
        x->place = ops_catalog_place(x->c, ops_pipeline_resolve(p, x->c->tenant, x->id));
}

ops_status ops_catalog_find(const ops_catalog *c, uint64_t id, size_t *ret, ops_err *reterr)
{
    struct seeking x = {.c = c, .id = id, .place = ops_catalog_place(c, id)};
    for (uint32_t i = 0; x.place == SIZE_MAX && i < c->partitions; i++)
        (void)ops_owners_look(c->owners, i, seek, &x);
    if (x.place == SIZE_MAX)
        return ops_fail(reterr, OPS_ENOTFOUND, "no template %016" PRIx64, id);
    *ret = x.place;
    return OPS_OK;
}
