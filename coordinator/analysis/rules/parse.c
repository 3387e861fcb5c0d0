/* Operators and primaries by climbing precedence. */
#include "coordinator/analysis/rules/parse_internal.h"

#include <stdio.h>

#include "base/text/utf8.h"

enum { PREC_OR = 1, PREC_AND, PREC_CMP, PREC_ADD, PREC_MUL, PREC_POW };
static const struct {
    const char *text;
    rules_bin op;
    int prec;
} ops[] = {{"or", BIN_OR, PREC_OR},  {"and", BIN_AND, PREC_AND}, {"unless", BIN_UNLESS, PREC_AND},
           {"==", BIN_EQ, PREC_CMP}, {"!=", BIN_NE, PREC_CMP},   {"<", BIN_LT, PREC_CMP},
           {"<=", BIN_LE, PREC_CMP}, {">", BIN_GT, PREC_CMP},    {">=", BIN_GE, PREC_CMP},
           {"+", BIN_ADD, PREC_ADD}, {"-", BIN_SUB, PREC_ADD},   {"*", BIN_MUL, PREC_MUL},
           {"/", BIN_DIV, PREC_MUL}, {"%", BIN_MOD, PREC_MUL},   {"atan2", BIN_ATAN2, PREC_MUL},
           {"^", BIN_POW, PREC_POW}};

ops_status rules_parse_next(rules_parse_state *p)
{
    return rules_lex_next(&p->lex, &p->tok, p->err);
}

bool rules_parse_is(const rules_parse_state *p, const char *punct)
{
    return p->tok.kind == TOK_PUNCT && ops_slice_eq(p->tok.text, ops_slice_str(punct));
}

bool rules_parse_word(const rules_parse_state *p, const char *word)
{
    return p->tok.kind == TOK_WORD && ops_slice_eq_nocase(p->tok.text, ops_slice_str(word));
}

ops_status rules_parse_unexpected(rules_parse_state *p, const char *where)
{
    if (p->tok.kind == TOK_END)
        return PARSE_FAIL(p, p->tok.at, OPS_EINVAL, "the expression ends %s", where);
    return PARSE_FAIL(p, p->tok.at, OPS_EINVAL, "unexpected %s '" OPS_SLICE_FMT "' %s",
                      p->tok.kind == TOK_STRING ? "string" : "text",
                      OPS_SLICE_ARG(ops_slice_sub(p->tok.text, 0, 64)), where);
}

ops_status rules_parse_expect(rules_parse_state *p, const char *punct, const char *where)
{
    if (rules_parse_is(p, punct))
        return rules_parse_next(p);
    char words[96];
    (void)snprintf(words, sizeof words, "%s ('%s' expected)", where, punct);
    return rules_parse_unexpected(p, words);
}

ops_status rules_parse_node(rules_parse_state *p, rules_kind kind, size_t at, rules_node **kids, size_t kid_n,
                            rules_node **ret)
{
    rules_node *n = ops_arena_alloc(&p->q->arena, sizeof *n);
    rules_node **own = kid_n > 0 ? ops_arena_alloc(&p->q->arena, kid_n * sizeof(rules_node *)) : NULL;
    if (n == NULL || (kid_n > 0 && own == NULL))
        return PARSE_FAIL(p, at, OPS_ENOMEM, "out of memory");
    *n = (rules_node){.kind = kind, .at = at, .args = own, .arg_n = kid_n};
    for (size_t i = 0; i < kid_n; i++) {
        own[i] = kids[i];
        if (kids[i]->depth >= n->depth)
            n->depth = kids[i]->depth + 1;
    }
    if (n->depth > OPS_RULES_DEPTH_MAX || ++p->q->nodes > OPS_RULES_NODES_MAX)
        return PARSE_FAIL(p, at, OPS_ETOOBIG,
                          "the expression is nested deeper than %d or has more than %d parts",
                          OPS_RULES_DEPTH_MAX, OPS_RULES_NODES_MAX);
    *ret = n;
    return OPS_OK;
}

ops_status rules_parse_want(rules_parse_state *p, const rules_node *n, ops_rules_type type, const char *where)
{
    if (n->type == type)
        return OPS_OK;
    return PARSE_FAIL(p, n->at, OPS_EINVAL, "expected type %s in %s, got %s", rules_type_name(type), where,
                      rules_type_name(n->type));
}

static ops_status word(rules_parse_state *p, rules_node **ret)
{
    rules_tok t = p->tok;
    rules_agg agg;
    double num;
    ops_status st = rules_parse_next(p);
    if (st != OPS_OK)
        return st;
    bool paren = rules_parse_is(p, "(");
    if (rules_parse_agg(t.text, &agg) &&
        (paren || rules_parse_word(p, "by") || rules_parse_word(p, "without")))
        return rules_parse_aggregate(p, agg, t.at, ret);
    if (paren ||
        (rules_func_refused(t.text) != NULL && (rules_parse_word(p, "by") || rules_parse_word(p, "without"))))
        return rules_parse_call(p, t.text, t.at, ret);
    if (rules_number(t.text, &num) && !rules_parse_is(p, "{")) {
        st = rules_parse_node(p, NODE_NUMBER, t.at, NULL, 0, ret);
        if (st == OPS_OK)
            (*ret)->num = num;
        return st;
    }
    return rules_parse_selector(p, t.text, t.at, ret);
}

static ops_status literal(rules_parse_state *p, rules_node **ret)
{
    rules_tok t = p->tok;
    double num = 0;
    int64_t ms;
    if (t.kind == TOK_NUMBER && !rules_number(t.text, &num)) {
        if (!ops_rules_duration(t.text, &ms))
            return PARSE_FAIL(p, t.at, OPS_EINVAL, "bad number or duration '" OPS_SLICE_FMT "'",
                              OPS_SLICE_ARG(ops_slice_sub(t.text, 0, 64)));
        num = (double)ms / 1000;
    }
    ops_status st = rules_parse_node(p, t.kind == TOK_STRING ? NODE_STRING : NODE_NUMBER, t.at, NULL, 0, ret);
    if (st != OPS_OK)
        return st;
    (*ret)->type = t.kind == TOK_STRING ? OPS_RULES_STRING : OPS_RULES_SCALAR;
    (*ret)->num = num;
    (*ret)->str = t.text;
    return rules_parse_next(p);
}

static ops_status primary(rules_parse_state *p, rules_node **ret)
{
    ops_status st = OPS_OK;
    if (rules_parse_is(p, "(")) {
        st = rules_parse_next(p);
        if (st == OPS_OK)
            st = rules_parse_expr(p, PREC_OR, ret);
        if (st == OPS_OK)
            st = rules_parse_expect(p, ")", "in parentheses");
        if (st == OPS_OK)
            (*ret)->parens = true;
    } else if (rules_parse_is(p, "{")) {
        st = rules_parse_selector(p, (ops_slice){0}, p->tok.at, ret);
    } else if (p->tok.kind == TOK_WORD) {
        st = word(p, ret);
    } else if (p->tok.kind == TOK_NUMBER || p->tok.kind == TOK_STRING) {
        st = literal(p, ret);
    } else {
        st = rules_parse_unexpected(p, "where a value should stand");
    }
    return st == OPS_OK ? rules_parse_suffixes(p, ret) : st;
}

static ops_status unary(rules_parse_state *p, rules_node **ret)
{
    bool minus = rules_parse_is(p, "-");
    size_t at = p->tok.at;
    if (!minus && !rules_parse_is(p, "+"))
        return primary(p, ret);
    rules_node *of = NULL;
    if (++p->nesting > OPS_RULES_DEPTH_MAX)
        return PARSE_FAIL(p, at, OPS_ETOOBIG, "the expression is nested deeper than %d", OPS_RULES_DEPTH_MAX);
    ops_status st = rules_parse_next(p);
    if (st == OPS_OK)
        st = rules_parse_expr(p, PREC_POW, &of);
    p->nesting--;
    if (st != OPS_OK || of == NULL)
        return st;
    if (of->type != OPS_RULES_SCALAR && of->type != OPS_RULES_VECTOR)
        return PARSE_FAIL(p, at, OPS_EINVAL, "a sign is for a scalar or a vector, not a %s",
                          rules_type_name(of->type));
    if (!minus) {
        *ret = of;
        return OPS_OK;
    }
    st = rules_parse_node(p, NODE_UNARY, at, &of, 1, ret);
    if (st == OPS_OK)
        (*ret)->type = of->type;
    return st;
}

static ops_status modifiers(rules_parse_state *p, rules_node *n)
{
    ops_status st = OPS_OK;
    n->card = n->bin >= BIN_AND ? CARD_MANY : CARD_ONE;
    if (rules_parse_word(p, "bool")) {
        if (n->bin < BIN_EQ || n->bin > BIN_GE)
            return PARSE_FAIL(p, p->tok.at, OPS_EINVAL, "bool goes with comparisons only");
        n->is_bool = true;
        st = rules_parse_next(p);
    }
    if (st == OPS_OK && (rules_parse_word(p, "on") || rules_parse_word(p, "ignoring"))) {
        n->on = rules_parse_word(p, "on");
        n->has_matching = true;
        st = rules_parse_next(p);
        if (st == OPS_OK)
            st = rules_parse_names(p, &n->labels);
    } else {
        return st;
    }
    if (st == OPS_OK && (rules_parse_word(p, "group_left") || rules_parse_word(p, "group_right"))) {
        if (n->bin >= BIN_AND)
            return PARSE_FAIL(p, p->tok.at, OPS_EINVAL, "no grouping allowed for a set operation");
        n->card = rules_parse_word(p, "group_left") ? CARD_MANY_ONE : CARD_ONE_MANY;
        st = rules_parse_next(p);
        if (st == OPS_OK && rules_parse_is(p, "("))
            st = rules_parse_names(p, &n->include);
    }
    for (size_t i = 0; st == OPS_OK && n->on && i < n->include.n; i++)
        for (size_t j = 0; j < n->labels.n; j++)
            if (ops_slice_eq(n->include.v[i], n->labels.v[j]))
                return PARSE_FAIL(p, n->at, OPS_EINVAL,
                                  "label '" OPS_SLICE_FMT "' must not occur in ON and GROUP clause",
                                  OPS_SLICE_ARG(n->include.v[i]));
    return st;
}

static ops_status check_binary(rules_parse_state *p, rules_node *n)
{
    const rules_node *l = n->args[0], *r = n->args[1];
    for (size_t i = 0; i < 2; i++)
        if (n->args[i]->type != OPS_RULES_SCALAR && n->args[i]->type != OPS_RULES_VECTOR)
            return PARSE_FAIL(p, n->args[i]->at, OPS_EINVAL,
                              "a binary operator is for scalars and vectors, not a %s",
                              rules_type_name(n->args[i]->type));
    bool scalars = l->type == OPS_RULES_SCALAR && r->type == OPS_RULES_SCALAR;
    bool vectors = l->type == OPS_RULES_VECTOR && r->type == OPS_RULES_VECTOR;
    if (scalars && n->bin >= BIN_EQ && n->bin <= BIN_GE && !n->is_bool)
        return PARSE_FAIL(p, n->at, OPS_EINVAL, "comparisons between scalars must use the bool modifier");
    if (n->bin >= BIN_AND && !vectors)
        return PARSE_FAIL(p, n->at, OPS_EINVAL, "set operators are for vectors only");
    if (n->has_matching && !vectors)
        return PARSE_FAIL(p, n->at, OPS_EINVAL, "on and ignoring are between vectors only");
    n->type = scalars ? OPS_RULES_SCALAR : OPS_RULES_VECTOR;
    return OPS_OK;
}

static int operator_of(const rules_parse_state *p, rules_bin *ret)
{
    if (p->tok.kind != TOK_PUNCT && p->tok.kind != TOK_WORD)
        return 0;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (ops_slice_eq_nocase(p->tok.text, ops_slice_str(ops[i].text))) {
            *ret = ops[i].op;
            return ops[i].prec;
        }
    return 0;
}

static ops_status climb(rules_parse_state *p, int prec_min, rules_node **ret)
{
    rules_bin op = BIN_ADD;
    int prec = 0;
    ops_status st = unary(p, ret);
    while (st == OPS_OK && (prec = operator_of(p, &op)) >= prec_min && prec > 0) {
        rules_node head = {.bin = op, .at = p->tok.at}, *kids[2] = {*ret, NULL}, *n = NULL;
        st = rules_parse_next(p);
        if (st == OPS_OK)
            st = modifiers(p, &head);
        if (st == OPS_OK)
            st = rules_parse_expr(p, op == BIN_POW ? prec : prec + 1, &kids[1]);
        if (st == OPS_OK)
            st = rules_parse_node(p, NODE_BINARY, head.at, kids, 2, &n);
        if (st != OPS_OK)
            return st;
        n->bin = op;
        n->is_bool = head.is_bool;
        n->on = head.on;
        n->has_matching = head.has_matching;
        n->labels = head.labels;
        n->include = head.include;
        n->card = head.card;
        st = check_binary(p, n);
        *ret = n;
    }
    return st;
}

ops_status rules_parse_expr(rules_parse_state *p, int prec_min, rules_node **ret)
{
    if (++p->nesting > OPS_RULES_DEPTH_MAX)
        return PARSE_FAIL(p, p->tok.at, OPS_ETOOBIG, "the expression is nested deeper than %d",
                          OPS_RULES_DEPTH_MAX);
    ops_status st = climb(p, prec_min, ret);
    p->nesting--;
    return st;
}

ops_status rules_parse(ops_rules_query *q, ops_err *reterr)
{
    rules_parse_state p = {.lex = {.q = q}, .q = q, .err = reterr};
    if (!ops_utf8_valid(q->text))
        return rules_fail_at(q, 0, OPS_EINVAL, reterr, "the expression is not UTF-8");
    ops_status st = rules_parse_next(&p);
    if (st == OPS_OK)
        st = rules_parse_expr(&p, PREC_OR, &q->root);
    if (st == OPS_OK && p.tok.kind != TOK_END)
        st = rules_parse_unexpected(&p, "after the expression");
    return st;
}
