/* Functions and aggregations. */
#include "coordinator/analysis/rules/parse_internal.h"

enum { ARGS_MAX = 64 };
static const char *const aggs[] = {"sum",      "avg",          "min",    "max",        "count",
                                   "group",    "stddev",       "stdvar", "topk",       "bottomk",
                                   "quantile", "count_values", "limitk", "limit_ratio"};

bool rules_parse_agg(ops_slice word, rules_agg *ret)
{
    for (size_t i = 0; i < sizeof aggs / sizeof *aggs; i++)
        if (ops_slice_eq_nocase(word, ops_slice_str(aggs[i]))) {
            *ret = (rules_agg)i;
            return true;
        }
    return false;
}

ops_status rules_parse_args(rules_parse_state *p, rules_node ***ret, size_t *ret_n)
{
    rules_node *v[ARGS_MAX];
    size_t n = 0;
    ops_status st = rules_parse_expect(p, "(", "before arguments");
    while (st == OPS_OK && !rules_parse_is(p, ")")) {
        if (n == ARGS_MAX)
            return PARSE_FAIL(p, p->tok.at, OPS_ETOOBIG, "more than %d arguments", ARGS_MAX);
        st = rules_parse_expr(p, 1, &v[n++]);
        if (st == OPS_OK && !rules_parse_is(p, ")")) {
            st = rules_parse_expect(p, ",", "between arguments");
            if (st == OPS_OK && rules_parse_is(p, ")"))
                return rules_parse_unexpected(p, "after a comma");
        }
    }
    if (st == OPS_OK)
        st = rules_parse_next(p);
    if (st != OPS_OK)
        return st;
    *ret = ops_arena_alloc(&p->q->arena, (n + 1) * sizeof(rules_node *));
    if (*ret == NULL)
        return PARSE_FAIL(p, p->tok.at, OPS_ENOMEM, "out of memory");
    memcpy(*ret, v, n * sizeof v[0]);
    *ret_n = n;
    return OPS_OK;
}

static ops_status check_args(rules_parse_state *p, const rules_node *n)
{
    const rules_func *f = n->func;
    size_t most = strlen(f->args), least = most - f->optional - (f->repeats ? 1 : 0);
    if (n->arg_n < least || (n->arg_n > most && !f->repeats))
        return PARSE_FAIL(p, n->at, OPS_EINVAL, "%s takes %s%zu arguments, got %zu", f->name,
                          least == most      ? ""
                          : n->arg_n < least ? "at least "
                                             : "at most ",
                          n->arg_n < least ? least : most, n->arg_n);
    for (size_t i = 0; i < n->arg_n; i++) {
        char c = f->args[i < most ? i : most - 1];
        ops_rules_type want = c == 'v'   ? OPS_RULES_VECTOR
                              : c == 'm' ? OPS_RULES_MATRIX
                              : c == 's' ? OPS_RULES_SCALAR
                                         : OPS_RULES_STRING;
        ops_status st = rules_parse_want(p, n->args[i], want, f->name);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

/* label_replace's regex, compiled once: kept as a matcher of its argument. */
static ops_status replace_regex(rules_parse_state *p, rules_node *arg)
{
    ops_rules_matcher *m = ops_arena_alloc(&p->q->arena, sizeof *m);
    if (m == NULL)
        return PARSE_FAIL(p, arg->at, OPS_ENOMEM, "out of memory");
    *m = (ops_rules_matcher){.op = OPS_RULES_RE, .value = arg->str};
    arg->matchers = m;
    return rules_regex(p->q, arg->at, arg->str, &m->re, p->err);
}

ops_status rules_parse_call(rules_parse_state *p, ops_slice name, size_t at, rules_node **ret)
{
    const rules_func *f = rules_func_find(name);
    const char *why = f == NULL ? rules_func_refused(name) : NULL;
    rules_node **args = NULL;
    size_t n = 0;
    if (why != NULL)
        return PARSE_FAIL(p, at, OPS_EUNIMPL, "%s() is not taken: %s", why, why + strlen(why) + 1);
    if (f == NULL)
        return PARSE_FAIL(p, at, OPS_EINVAL, "unknown function '" OPS_SLICE_FMT "'",
                          OPS_SLICE_ARG(ops_slice_sub(name, 0, 64)));
    ops_status st = rules_parse_args(p, &args, &n);
    if (st == OPS_OK)
        st = rules_parse_node(p, NODE_CALL, at, args, n, ret);
    if (st != OPS_OK)
        return st;
    (*ret)->func = f;
    (*ret)->type = f->ret;
    st = check_args(p, *ret);
    return st == OPS_OK && f->special == rules_fn_label_replace ? replace_regex(p, args[4]) : st;
}

static ops_status grouping(rules_parse_state *p, rules_node *n, bool *ret_seen)
{
    *ret_seen = rules_parse_word(p, "by") || rules_parse_word(p, "without");
    if (!*ret_seen)
        return OPS_OK;
    n->without = rules_parse_word(p, "without");
    ops_status st = rules_parse_next(p);
    return st == OPS_OK ? rules_parse_names(p, &n->labels) : st;
}

ops_status rules_parse_aggregate(rules_parse_state *p, rules_agg agg, size_t at, rules_node **ret)
{
    rules_node head = {0}, **args = NULL;
    size_t n = 0;
    bool seen = false, later = false;
    ops_status st = grouping(p, &head, &seen);
    if (st == OPS_OK)
        st = rules_parse_args(p, &args, &n);
    if (st == OPS_OK && !seen)
        st = grouping(p, &head, &later);
    if (st != OPS_OK)
        return st;
    size_t want = agg >= AGG_TOPK ? 2 : 1;
    if (n != want)
        return PARSE_FAIL(p, at, OPS_EINVAL, "%s takes %zu argument%s, got %zu", aggs[agg], want,
                          want > 1 ? "s" : "", n);
    st = rules_parse_want(p, args[want - 1], OPS_RULES_VECTOR, aggs[agg]);
    if (st == OPS_OK && want == 2)
        st = rules_parse_want(p, args[0], agg == AGG_COUNT_VALUES ? OPS_RULES_STRING : OPS_RULES_SCALAR,
                              aggs[agg]);
    if (st == OPS_OK)
        st = rules_parse_node(p, NODE_AGGREGATE, at, args, n, ret);
    if (st != OPS_OK)
        return st;
    (*ret)->type = OPS_RULES_VECTOR;
    (*ret)->agg = agg;
    (*ret)->without = head.without;
    (*ret)->labels = head.labels;
    return OPS_OK;
}
