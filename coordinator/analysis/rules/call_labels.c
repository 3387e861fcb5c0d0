/* label_replace, label_join, absent. */
#include "base/text/utf8.h"
#include <stdlib.h>

#include "coordinator/analysis/rules/eval.h"

enum { LABEL_BYTES_MAX = 64 * 1024 };

static ops_slice text_arg(const rules_node *n, size_t i)
{
    return n->args[i]->str;
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* "$1", "${1}", "$name", "${name}", "$$" as in Go's regexp.Expand: the longest run of word characters is the name. */
static void expand(rules_eval *e, void *re, ops_slice pattern, const ops_slice *groups, ops_strbuf *out)
{
    for (size_t i = 0; i < pattern.n; i++) {
        if (pattern.p[i] != '$' || i + 1 == pattern.n) {
            ops_strbuf_char(out, pattern.p[i]);
            continue;
        }
        bool braces = pattern.p[i + 1] == '{';
        size_t a = i + 1 + braces, b = a;
        while (b < pattern.n && word_char(pattern.p[b]))
            b++;
        if (pattern.p[i + 1] == '$' || b == a || (braces && (b == pattern.n || pattern.p[b] != '}'))) {
            ops_strbuf_char(out, '$');
            i += pattern.p[i + 1] == '$';
            continue;
        }
        uint64_t number = 0;
        ops_slice name = ops_slice_sub(pattern, a, b - a);
        int g = ops_slice_to_u64(name, &number) ? (number < OPS_RULES_GROUPS_MAX ? (int)number : -1)
                                                : e->q->regex->group(e->q->regex->u, re, name);
        if (g >= 0 && g < OPS_RULES_GROUPS_MAX && groups[g].p != NULL)
            ops_strbuf_slice(out, groups[g]);
        i = b - 1 + braces;
    }
}

static ops_status set_label(rules_eval *e, const rules_node *n, rules_elem *x, ops_slice name,
                            const ops_strbuf *value)
{
    ops_slice text = ops_arena_dup(e->a, ops_strbuf_get(value));
    if (value->failed || text.p == NULL)
        return rules_no_memory(e, n);
    x->labels = ops_rules_labels_with(e->a, x->labels, name, text);
    if (x->labels == NULL)
        return rules_no_memory(e, n);
    if (ops_slice_eq(name, OPS_RULES_NAME))
        x->drop = false; /* a name given on purpose stays */
    return OPS_OK;
}

static bool name_ok(ops_slice s)
{
    return s.n > 0 && ops_utf8_valid(s);
}

ops_status rules_fn_label_replace(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    ops_slice groups[OPS_RULES_GROUPS_MAX], dst = text_arg(n, 1);
    void *re = NULL;
    ops_strbuf b;
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    if (st == OPS_OK && !name_ok(dst))
        return RULES_FAIL(e, n, OPS_EINVAL, "invalid destination label name in label_replace()");
    re = n->args[4]->matchers != NULL ? n->args[4]->matchers->re : NULL;
    if (st == OPS_OK && re == NULL)
        return RULES_FAIL(e, n, OPS_EINTERNAL, "label_replace() without its regex");
    ops_strbuf_init(&b, LABEL_BYTES_MAX);
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++) {
        ops_err why = {0};
        bool yes = false;
        st = e->q->regex->match(e->q->regex->u, re, ops_rules_labels_get(ret->v[i].labels, text_arg(n, 3)),
                                &yes, groups, &why);
        if (st != OPS_OK) {
            st = RULES_FAIL(e, n, st, "%s", why.msg);
        } else if (yes) {
            ops_strbuf_clear(&b);
            expand(e, re, text_arg(n, 2), groups, &b);
            st = set_label(e, n, &ret->v[i], dst, &b);
        }
    }
    ops_strbuf_done(&b);
    return st;
}

ops_status rules_fn_label_join(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    ops_slice dst = text_arg(n, 1), sep = text_arg(n, 2);
    ops_strbuf b;
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    if (st == OPS_OK && !name_ok(dst))
        return RULES_FAIL(e, n, OPS_EINVAL, "invalid destination label name in label_join()");
    ops_strbuf_init(&b, LABEL_BYTES_MAX);
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++) {
        ops_strbuf_clear(&b);
        for (size_t k = 3; k < n->arg_n; k++) {
            if (k > 3)
                ops_strbuf_slice(&b, sep);
            ops_strbuf_slice(&b, ops_rules_labels_get(ret->v[i].labels, text_arg(n, k)));
        }
        st = set_label(e, n, &ret->v[i], dst, &b);
    }
    ops_strbuf_done(&b);
    return st;
}

/* Labels that the selector pins to one value each. */
static const ops_rules_labels *absent_labels(rules_eval *e, const rules_node *arg)
{
    ops_rules_label v[OPS_RULES_LABELS_MAX];
    size_t n = 0;
    for (size_t i = 0; arg->kind == NODE_SELECTOR && i < arg->matcher_n && n < OPS_RULES_LABELS_MAX; i++) {
        const ops_rules_matcher *m = &arg->matchers[i];
        bool once = m->op == OPS_RULES_EQ && !ops_slice_eq(m->name, OPS_RULES_NAME);
        for (size_t k = 0; once && k < arg->matcher_n; k++)
            once = k == i || !ops_slice_eq(arg->matchers[k].name, m->name);
        if (once)
            v[n++] = (ops_rules_label){m->name, m->value};
    }
    return ops_rules_labels_make(e->a, v, n);
}

ops_status rules_fn_absent(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value v;
    ops_status st = rules_eval_node(e, n->args[0], t, &v);
    if (st == OPS_OK)
        st = rules_vector(e, n, 1, ret);
    if (st != OPS_OK || v.n > 0)
        return st;
    const ops_rules_labels *l = absent_labels(e, n->args[0]);
    if (l == NULL)
        return rules_no_memory(e, n);
    ret->v[ret->n++] = (rules_elem){.labels = l, .v = 1};
    return OPS_OK;
}

/* "node9" before "node10": runs of digits by their value. */
static int natural(ops_slice a, ops_slice b)
{
    size_t i = 0, k = 0;
    while (i < a.n && k < b.n) {
        const bool digits = a.p[i] >= '0' && a.p[i] <= '9' && b.p[k] >= '0' && b.p[k] <= '9';
        if (!digits) {
            if (a.p[i] != b.p[k])
                return (unsigned char)a.p[i] < (unsigned char)b.p[k] ? -1 : 1;
            i++;
            k++;
            continue;
        }
        while (i < a.n && a.p[i] == '0')
            i++;
        while (k < b.n && b.p[k] == '0')
            k++;
        size_t an = 0, bn = 0;
        while (i + an < a.n && a.p[i + an] >= '0' && a.p[i + an] <= '9')
            an++;
        while (k + bn < b.n && b.p[k + bn] >= '0' && b.p[k + bn] <= '9')
            bn++;
        const int c = an != bn ? (an < bn ? -1 : 1) : an > 0 ? memcmp(a.p + i, b.p + k, an) : 0;
        if (c != 0)
            return c;
        i += an;
        k += bn;
    }
    return (i < a.n) - (k < b.n);
}

typedef struct sorting {
    const rules_node *n;
    int sign;
} sorting;

static int by_named_labels(const void *a, const void *b, void *u)
{
    const sorting *s = u;
    const ops_rules_labels *x = ((const rules_elem *)a)->labels, *y = ((const rules_elem *)b)->labels;
    for (size_t i = 1; i < s->n->arg_n; i++) {
        const ops_slice name = s->n->args[i]->str, v = ops_rules_labels_get(x, name),
                        w = ops_rules_labels_get(y, name);
        const int c = ops_slice_eq(v, w) ? 0 : natural(v, w);
        if (c != 0)
            return c * s->sign;
    }
    return ops_rules_labels_cmp(x, y) * s->sign;
}

ops_status rules_fn_sort_by_label(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    sorting s = {n, n->func->name[sizeof "sort_by_label" - 1] == '\0' ? 1 : -1};
    if (st == OPS_OK)
        qsort_r(ret->v, ret->n, sizeof *ret->v, by_named_labels, &s);
    return st;
}
