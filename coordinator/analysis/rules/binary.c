/* Binary operators: arithmetic, comparison, sets, and how the elements of two vectors find each other. */
#include <math.h>

#include "coordinator/analysis/rules/eval.h"
#include "coordinator/analysis/rules/hist_internal.h"

double rules_binary(rules_bin op, double a, double b, bool *ret_keep)
{
    *ret_keep = true;
    switch (op) {
    case BIN_ADD:
        return a + b;
    case BIN_SUB:
        return a - b;
    case BIN_MUL:
        return a * b;
    case BIN_DIV:
        return a / b;
    case BIN_MOD:
        return fmod(a, b);
    case BIN_POW:
        return pow(a, b);
    case BIN_ATAN2:
        return atan2(a, b);
    case BIN_EQ:
        *ret_keep = a == b;
        break;
    case BIN_NE:
        *ret_keep = a != b;
        break;
    case BIN_LT:
        *ret_keep = a < b;
        break;
    case BIN_LE:
        *ret_keep = a <= b;
        break;
    case BIN_GT:
        *ret_keep = a > b;
        break;
    case BIN_GE:
        *ret_keep = a >= b;
        break;
    case BIN_AND:
    case BIN_OR:
    case BIN_UNLESS:
        break;
    }
    return a;
}

static bool compares(const rules_node *n)
{
    return n->bin >= BIN_EQ && n->bin <= BIN_GE;
}

/* Of two elements; *ret_fits false: the operator is none between such, or their bounds do not fit each other. */
static ops_status two_hists(rules_eval *e, const rules_node *n, const ops_rules_hist *a,
                            const ops_rules_hist *b, const ops_rules_hist **ret, bool *ret_keep,
                            bool *ret_fits)
{
    ops_status st = OPS_OK;
    *ret = a;
    *ret_keep = *ret_fits = true;
    if (n->bin == BIN_EQ || n->bin == BIN_NE)
        *ret_keep = ops_rules_hist_eq(a, b) == (n->bin == BIN_EQ);
    else if (n->bin == BIN_ADD || n->bin == BIN_SUB)
        st = ops_rules_hist_add(e->a, a, b, n->bin == BIN_ADD ? 1 : -1, ret);
    else
        *ret_fits = false;
    if (st == OPS_EINVAL)
        *ret_fits = false;
    else if (st == OPS_OK && *ret_fits && !compares(n) && (*ret = ops_rules_hist_compact(e->a, *ret)) == NULL)
        st = OPS_ENOMEM;
    return st == OPS_ENOMEM ? rules_no_memory(e, n) : OPS_OK;
}

static ops_status two(rules_eval *e, const rules_node *n, const rules_elem *a, const rules_elem *b,
                      rules_elem *ret, bool *ret_keep, bool *ret_fits)
{
    ret->h = NULL;
    *ret_keep = *ret_fits = true;
    if (a->h != NULL && b->h != NULL)
        return two_hists(e, n, a->h, b->h, &ret->h, ret_keep, ret_fits);
    if (a->h == NULL && b->h == NULL)
        ret->v = rules_binary(n->bin, a->v, b->v, ret_keep);
    else if (n->bin == BIN_MUL)
        ret->h = rules_hist_times(e->a, a->h != NULL ? a->h : b->h, a->h != NULL ? b->v : a->v);
    else if (n->bin == BIN_DIV && a->h != NULL)
        ret->h = rules_hist_divide(e->a, a->h, b->v);
    else
        *ret_fits = false;
    return *ret_fits && (a->h != NULL || b->h != NULL) && ret->h == NULL ? rules_no_memory(e, n) : OPS_OK;
}

static ops_status with_scalar(rules_eval *e, const rules_node *n, rules_value *v, double s, bool scalar_left)
{
    size_t kept = 0;
    const rules_elem scalar = {.v = s};
    for (size_t i = 0; i < v->n; i++) {
        const rules_elem own = v->v[i];
        rules_elem x = own;
        bool keep = true, fits = true;
        ops_status st =
            two(e, n, scalar_left ? &scalar : &own, scalar_left ? &own : &scalar, &x, &keep, &fits);
        if (st != OPS_OK)
            return st;
        if (!fits)
            continue;
        if (n->is_bool)
            x.v = keep ? 1 : 0;
        else if (!keep)
            continue;
        else if (compares(n))
            x.v = own.v; /* the vector's value, on whichever side it stands */
        st = !compares(n) || n->is_bool ? rules_drop_name(e, n, &x) : OPS_OK;
        if (st != OPS_OK)
            return st;
        v->v[kept++] = x;
    }
    v->n = kept;
    return rules_unique(e, n, v);
}

static const ops_rules_labels *signature(rules_eval *e, const rules_node *n, const ops_rules_labels *l)
{
    return n->on ? ops_rules_labels_keep(e->a, l, n->labels.v, n->labels.n)
                 : ops_rules_labels_drop(e->a, l, n->labels.v, n->labels.n, OPS_RULES_META_NAME);
}

/* Signatures of a vector into a table; the number of each's first element. */
static ops_status index_side(rules_eval *e, const rules_node *n, const rules_value *v, rules_table *ret,
                             size_t *ret_twice)
{
    *ret_twice = SIZE_MAX;
    if (!rules_table_init(ret, e->a, v->n))
        return rules_no_memory(e, n);
    for (size_t i = 0; i < v->n; i++) {
        const ops_rules_labels *sig = signature(e, n, v->v[i].labels);
        bool fresh = true;
        if (sig == NULL)
            return rules_no_memory(e, n);
        (void)rules_table_put(ret, sig, i, &fresh);
        if (!fresh)
            *ret_twice = i;
    }
    return OPS_OK;
}

static ops_status set_or(rules_eval *e, const rules_node *n, const rules_value *l, const rules_value *r,
                         rules_value *ret)
{
    rules_table t;
    size_t twice, hit;
    ops_status st = index_side(e, n, l, &t, &twice);
    if (st == OPS_OK)
        st = rules_vector(e, n, l->n + r->n, ret);
    if (st != OPS_OK)
        return st;
    memcpy(ret->v, l->v, l->n * sizeof *l->v);
    ret->n = l->n;
    for (size_t i = 0; i < r->n; i++) {
        const ops_rules_labels *sig = signature(e, n, r->v[i].labels);
        if (sig == NULL)
            return rules_no_memory(e, n);
        if (!rules_table_get(&t, sig, &hit))
            ret->v[ret->n++] = r->v[i];
    }
    return rules_unique(e, n, ret);
}

static ops_status set_and(rules_eval *e, const rules_node *n, rules_value *l, const rules_value *r, bool want)
{
    rules_table t;
    size_t twice, hit, kept = 0;
    ops_status st = index_side(e, n, r, &t, &twice);
    for (size_t i = 0; st == OPS_OK && i < l->n; i++) {
        const ops_rules_labels *sig = signature(e, n, l->v[i].labels);
        if (sig == NULL)
            return rules_no_memory(e, n);
        if (rules_table_get(&t, sig, &hit) == want)
            l->v[kept++] = l->v[i];
    }
    l->n = kept;
    return st;
}

/* Labels of a result: the "many" side's, the metric's name gone where a value was computed, and those asked for of the one side. */
static const ops_rules_labels *result_labels(rules_eval *e, const rules_node *n, const ops_rules_labels *many,
                                             const ops_rules_labels *one)
{
    const ops_rules_labels *l = many;
    if (!compares(n) || (n->is_bool && !e->lim.late_names))
        l = ops_rules_labels_drop(e->a, l, NULL, 0, rules_meta(e));
    if (l != NULL && n->card == CARD_ONE)
        l = n->on ? ops_rules_labels_keep(e->a, l, n->labels.v, n->labels.n)
                  : ops_rules_labels_drop(e->a, l, n->labels.v, n->labels.n, OPS_RULES_META_NONE);
    for (size_t i = 0; l != NULL && i < n->include.n; i++)
        l = ops_rules_labels_with(e->a, l, n->include.v[i], ops_rules_labels_get(one, n->include.v[i]));
    return l;
}

static ops_status twice_on_one_side(rules_eval *e, const rules_node *n, const rules_elem *x)
{
    char side[8] = "right";
    ops_strbuf b;
    if (n->card == CARD_ONE_MANY)
        memcpy(side, "left", 5);
    ops_strbuf_init(&b, 240);
    ops_rules_labels_print(x->labels, &b);
    ops_status st = RULES_FAIL(
        e, n, OPS_EINVAL,
        "found duplicate series for the match group on the %s side of the operation (%s); many-to-many "
        "matching not allowed",
        side, b.p != NULL ? b.p : "");
    ops_strbuf_done(&b);
    return st;
}

typedef struct matching {
    rules_table ones, taken, results;
} matching;

static ops_status pair(rules_eval *e, const rules_node *n, matching *m, const rules_elem *many,
                       const rules_value *one, rules_value *ret)
{
    const ops_rules_labels *sig = signature(e, n, many->labels);
    size_t hit = 0;
    bool keep = true, fresh = true, fits = true, swap = n->card == CARD_ONE_MANY;
    if (sig == NULL)
        return rules_no_memory(e, n);
    if (!rules_table_get(&m->ones, sig, &hit))
        return OPS_OK;
    const rules_elem *o = &one->v[hit];
    rules_elem x = {0};
    ops_status st = two(e, n, swap ? o : many, swap ? many : o, &x, &keep, &fits);
    if (st != OPS_OK || !fits || (!keep && !n->is_bool))
        return st;
    if (n->is_bool)
        x = (rules_elem){.v = keep ? 1 : 0, .drop = true};
    x.labels = result_labels(e, n, many->labels, o->labels);
    if (x.labels == NULL)
        return rules_no_memory(e, n);
    if (n->card == CARD_ONE)
        (void)rules_table_put(&m->taken, sig, 0, &fresh);
    else
        (void)rules_table_put(&m->results, x.labels, 0, &fresh);
    if (!fresh)
        return RULES_FAIL(e, n, OPS_EINVAL,
                          n->card == CARD_ONE
                              ? "multiple matches for labels: many-to-one matching must be explicit "
                                "(group_left/group_right)"
                              : "multiple matches for labels: grouping labels must ensure unique matches");
    ret->v[ret->n++] = x;
    return OPS_OK;
}

static ops_status vectors(rules_eval *e, const rules_node *n, rules_value *l, rules_value *r,
                          rules_value *ret)
{
    rules_value *many = n->card == CARD_ONE_MANY ? r : l, *one = n->card == CARD_ONE_MANY ? l : r;
    matching m;
    size_t twice;
    ops_status st = rules_vector(e, n, many->n, ret);
    if (st != OPS_OK || many->n == 0 || one->n == 0)
        return st;
    st = index_side(e, n, one, &m.ones, &twice);
    if (st == OPS_OK && twice != SIZE_MAX)
        return twice_on_one_side(e, n, &one->v[twice]);
    if (st == OPS_OK &&
        (!rules_table_init(&m.taken, e->a, many->n) || !rules_table_init(&m.results, e->a, many->n)))
        return rules_no_memory(e, n);
    for (size_t i = 0; st == OPS_OK && i < many->n; i++)
        st = pair(e, n, &m, &many->v[i], one, ret);
    return st == OPS_OK ? rules_unique(e, n, ret) : st;
}

ops_status rules_eval_binary(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value l, r;
    bool keep = true;
    ops_status st = rules_eval_node(e, n->args[0], t, &l);
    if (st == OPS_OK)
        st = rules_eval_node(e, n->args[1], t, &r);
    if (st != OPS_OK)
        return st;
    if (l.type == OPS_RULES_SCALAR && r.type == OPS_RULES_SCALAR) {
        double v = rules_binary(n->bin, l.num, r.num, &keep);
        *ret = (rules_value){.type = OPS_RULES_SCALAR, .num = n->is_bool ? (keep ? 1 : 0) : v};
        return OPS_OK;
    }
    if (l.type == OPS_RULES_SCALAR || r.type == OPS_RULES_SCALAR) {
        bool left = l.type == OPS_RULES_SCALAR;
        st = with_scalar(e, n, left ? &r : &l, left ? l.num : r.num, left);
        *ret = left ? r : l;
        return st;
    }
    if (n->bin == BIN_OR)
        return set_or(e, n, &l, &r, ret);
    if (n->bin == BIN_AND || n->bin == BIN_UNLESS) {
        st = set_and(e, n, &l, &r, n->bin == BIN_AND);
        *ret = l;
        return st;
    }
    return vectors(e, n, &l, &r, ret);
}
