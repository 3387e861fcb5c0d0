#include "coordinator/analysis/rules/labels.h"

#include "base/text/hash.h"

static ops_rules_labels *room(ops_arena *a, size_t n)
{
    ops_rules_labels *l = ops_arena_alloc(a, sizeof *l + n * sizeof l->v[0]);
    if (l != NULL)
        *l = (ops_rules_labels){0};
    return l;
}

static const ops_rules_labels *finish(ops_rules_labels *l)
{
    uint64_t h = 0x9e3779b97f4a7c15ull;
    for (size_t i = 0; i < l->n; i++) {
        h = ops_hash64(l->v[i].name.p, l->v[i].name.n, h);
        h = ops_hash64(l->v[i].value.p, l->v[i].value.n, h);
    }
    l->hash = h;
    return l;
}

/* Insertion sort, stable: sets are small and mostly sorted already. */
static void sort(ops_rules_label *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        ops_rules_label x = v[i];
        size_t at = i;
        for (; at > 0 && ops_slice_cmp(v[at - 1].name, x.name) > 0; at--)
            v[at] = v[at - 1];
        v[at] = x;
    }
}

const ops_rules_labels *ops_rules_labels_make(ops_arena *a, ops_rules_label *v, size_t n)
{
    ops_rules_labels *l = room(a, n);
    if (l == NULL)
        return NULL;
    sort(v, n);
    for (size_t i = 0; i < n; i++)
        if (v[i].value.n > 0 && (i + 1 == n || !ops_slice_eq(v[i].name, v[i + 1].name)))
            l->v[l->n++] = v[i];
    return finish(l);
}

const ops_rules_labels *ops_rules_labels_copy(ops_arena *a, const ops_rules_label *v, size_t n)
{
    ops_rules_label own[OPS_RULES_LABELS_MAX];
    if (n > OPS_RULES_LABELS_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        own[i].name = ops_arena_dup(a, v[i].name);
        own[i].value = ops_arena_dup(a, v[i].value);
        if (own[i].name.p == NULL || own[i].value.p == NULL)
            return NULL;
    }
    return ops_rules_labels_make(a, own, n);
}

ops_slice ops_rules_labels_get(const ops_rules_labels *l, ops_slice name)
{
    for (size_t i = 0; i < l->n; i++)
        if (ops_slice_eq(l->v[i].name, name))
            return l->v[i].value;
    return (ops_slice){0};
}

bool ops_rules_labels_eq(const ops_rules_labels *a, const ops_rules_labels *b)
{
    if (a == b)
        return true;
    if (a->hash != b->hash || a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!ops_slice_eq(a->v[i].name, b->v[i].name) || !ops_slice_eq(a->v[i].value, b->v[i].value))
            return false;
    return true;
}

int ops_rules_labels_cmp(const ops_rules_labels *a, const ops_rules_labels *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        int c = ops_slice_cmp(a->v[i].name, b->v[i].name);
        if (c == 0)
            c = ops_slice_cmp(a->v[i].value, b->v[i].value);
        if (c != 0)
            return c;
    }
    return (a->n > b->n) - (a->n < b->n);
}

static bool among(ops_slice s, const ops_slice *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ops_slice_eq(s, v[i]))
            return true;
    return false;
}

const ops_rules_labels *ops_rules_labels_keep(ops_arena *a, const ops_rules_labels *l, const ops_slice *names,
                                              size_t n)
{
    ops_rules_labels *r = room(a, l->n);
    for (size_t i = 0; r != NULL && i < l->n; i++)
        if (among(l->v[i].name, names, n))
            r->v[r->n++] = l->v[i];
    return r != NULL ? finish(r) : NULL;
}

static bool is_meta(ops_slice name, ops_rules_meta meta)
{
    if (meta == OPS_RULES_META_NONE || name.n < 8 || name.p[0] != '_')
        return false;
    return ops_slice_eq(name, OPS_RULES_NAME) ||
           (meta == OPS_RULES_META_TYPE_AND_UNIT &&
            (ops_slice_eq(name, OPS_SLICE("__type__")) || ops_slice_eq(name, OPS_SLICE("__unit__"))));
}

const ops_rules_labels *ops_rules_labels_drop(ops_arena *a, const ops_rules_labels *l, const ops_slice *names,
                                              size_t n, ops_rules_meta meta)
{
    ops_rules_labels *r = room(a, l->n);
    for (size_t i = 0; r != NULL && i < l->n; i++)
        if (!among(l->v[i].name, names, n) && !is_meta(l->v[i].name, meta))
            r->v[r->n++] = l->v[i];
    return r != NULL ? finish(r) : NULL;
}

const ops_rules_labels *ops_rules_labels_with(ops_arena *a, const ops_rules_labels *l, ops_slice name,
                                              ops_slice value)
{
    ops_rules_labels *r = room(a, l->n + 1);
    if (r == NULL)
        return NULL;
    for (size_t i = 0; i < l->n; i++)
        if (!ops_slice_eq(l->v[i].name, name))
            r->v[r->n++] = l->v[i];
    if (value.n > 0)
        r->v[r->n++] = (ops_rules_label){name, value};
    sort(r->v, r->n);
    return finish(r);
}

void ops_rules_quote(ops_slice s, ops_strbuf *out)
{
    ops_strbuf_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            ops_strbuf_printf(out, "\\%c", c);
        else if (c == '\n')
            ops_strbuf_str(out, "\\n");
        else if (c == '\t')
            ops_strbuf_str(out, "\\t");
        else if (c < 0x20 || c == 0x7F)
            ops_strbuf_printf(out, "\\x%02x", c);
        else
            ops_strbuf_char(out, (char)c);
    }
    ops_strbuf_char(out, '"');
}

void ops_rules_labels_print(const ops_rules_labels *l, ops_strbuf *out)
{
    ops_slice name = ops_rules_labels_get(l, OPS_RULES_NAME);
    bool first = true;
    ops_strbuf_slice(out, name);
    if (name.n > 0 && l->n == 1)
        return;
    ops_strbuf_char(out, '{');
    for (size_t i = 0; i < l->n; i++) {
        if (ops_slice_eq(l->v[i].name, OPS_RULES_NAME))
            continue;
        ops_strbuf_str(out, first ? "" : ", ");
        ops_strbuf_slice(out, l->v[i].name);
        ops_strbuf_char(out, '=');
        ops_rules_quote(l->v[i].value, out);
        first = false;
    }
    ops_strbuf_char(out, '}');
}
