/* Selectors, ranges, offsets, @. */
#include "coordinator/analysis/rules/parse_internal.h"

#include <math.h>

enum { MATCHERS_MAX = 64, NAMES_MAX = 64 };
#define TIME_MS_MAX 9.0e15

ops_status rules_parse_names(rules_parse_state *p, rules_names *ret)
{
    ops_slice v[NAMES_MAX];
    size_t n = 0;
    ops_status st = rules_parse_expect(p, "(", "before label names");
    while (st == OPS_OK && !rules_parse_is(p, ")")) {
        if (p->tok.kind != TOK_WORD && p->tok.kind != TOK_STRING)
            return rules_parse_unexpected(p, "in a list of label names");
        if (p->tok.kind == TOK_WORD && ops_slice_find_char(p->tok.text, ':') >= 0)
            return rules_parse_unexpected(p, "as a label name");
        if (n == NAMES_MAX)
            return PARSE_FAIL(p, p->tok.at, OPS_ETOOBIG, "more than %d label names", NAMES_MAX);
        v[n++] = p->tok.text;
        st = rules_parse_next(p);
        if (st == OPS_OK && !rules_parse_is(p, ")"))
            st = rules_parse_expect(p, ",", "between label names");
    }
    if (st == OPS_OK)
        st = rules_parse_next(p);
    if (st != OPS_OK)
        return st;
    ret->v = ops_arena_alloc(&p->q->arena, (n + 1) * sizeof *v);
    if (ret->v == NULL)
        return PARSE_FAIL(p, p->tok.at, OPS_ENOMEM, "out of memory");
    memcpy(ret->v, v, n * sizeof *v);
    ret->n = n;
    return OPS_OK;
}

static ops_status matcher(rules_parse_state *p, ops_rules_matcher *m, bool *ret_name)
{
    static const char *const words[] = {"=", "!=", "=~", "!~"};
    rules_tok t = p->tok;
    if (t.kind != TOK_WORD && t.kind != TOK_STRING)
        return rules_parse_unexpected(p, "where a label name should stand");
    if (t.kind == TOK_WORD && ops_slice_find_char(t.text, ':') >= 0)
        return rules_parse_unexpected(p, "as a label name");
    ops_status st = rules_parse_next(p);
    *ret_name = t.kind == TOK_STRING && (rules_parse_is(p, ",") || rules_parse_is(p, "}"));
    *m =
        (ops_rules_matcher){.op = OPS_RULES_EQ, .name = *ret_name ? OPS_RULES_NAME : t.text, .value = t.text};
    if (st != OPS_OK || *ret_name)
        return st;
    size_t op = 0;
    while (op < 4 && !rules_parse_is(p, words[op]))
        op++;
    if (op == 4)
        return rules_parse_unexpected(p, "where a label matcher (=, !=, =~, !~) should stand");
    m->op = (ops_rules_op)op;
    st = rules_parse_next(p);
    if (st != OPS_OK)
        return st;
    if (p->tok.kind != TOK_STRING)
        return rules_parse_unexpected(p, "where a matcher's string should stand");
    m->value = p->tok.text;
    if (m->op >= OPS_RULES_RE)
        st = rules_regex(p->q, p->tok.at, m->value, &m->re, p->err);
    return st == OPS_OK ? rules_parse_next(p) : st;
}

/* A selector must name something: at least one matcher that the empty string does not satisfy. */
static ops_status check_selector(rules_parse_state *p, const ops_rules_matcher *m, size_t n, size_t at)
{
    static const ops_rules_labels none = {0};
    for (size_t i = 0; i < n; i++) {
        bool yes = false;
        ops_status st = ops_rules_match(p->q->regex, &m[i], 1, &none, &yes, p->err);
        if (st != OPS_OK || !yes)
            return st;
    }
    return PARSE_FAIL(p, at, OPS_EINVAL,
                      "a selector must contain at least one matcher that is not satisfied by nothing");
}

ops_status rules_parse_selector(rules_parse_state *p, ops_slice name, size_t at, rules_node **ret)
{
    ops_rules_matcher m[MATCHERS_MAX];
    size_t n = 0;
    bool named = name.p != NULL, name_in_braces = false;
    ops_status st = OPS_OK;
    if (named)
        m[n++] = (ops_rules_matcher){.op = OPS_RULES_EQ, .name = OPS_RULES_NAME, .value = name};
    if (rules_parse_is(p, "{")) {
        st = rules_parse_next(p);
        while (st == OPS_OK && !rules_parse_is(p, "}")) {
            if (n == MATCHERS_MAX)
                return PARSE_FAIL(p, p->tok.at, OPS_ETOOBIG, "more than %d matchers", MATCHERS_MAX);
            st = matcher(p, &m[n], &name_in_braces);
            if (st != OPS_OK)
                return st;
            if (named && ops_slice_eq(m[n].name, OPS_RULES_NAME))
                return PARSE_FAIL(p, at, OPS_EINVAL, "the metric's name must not be set twice");
            named |= name_in_braces;
            n++;
            if (!rules_parse_is(p, "}"))
                st = rules_parse_expect(p, ",", "between matchers");
        }
        if (st == OPS_OK)
            st = rules_parse_next(p);
    }
    if (st == OPS_OK)
        st = check_selector(p, m, n, at);
    if (st == OPS_OK)
        st = rules_parse_node(p, NODE_SELECTOR, at, NULL, 0, ret);
    if (st != OPS_OK)
        return st;
    (*ret)->type = OPS_RULES_VECTOR;
    (*ret)->slot = p->q->slots++;
    (*ret)->matcher_n = n;
    (*ret)->matchers = ops_arena_alloc(&p->q->arena, n * sizeof *m);
    if ((*ret)->matchers == NULL)
        return PARSE_FAIL(p, at, OPS_ENOMEM, "out of memory");
    memcpy((*ret)->matchers, m, n * sizeof *m);
    return OPS_OK;
}

static ops_status range(rules_parse_state *p, rules_node **node)
{
    rules_node *n = *node;
    size_t at = p->tok.at;
    int64_t range_ms = 0, step_ms = 0;
    p->lex.in_brackets = true;
    ops_status st = rules_parse_next(p);
    if (st == OPS_OK)
        st = rules_parse_duration(p, "where a range should stand", &range_ms);
    if (st == OPS_OK && range_ms <= 0)
        return PARSE_FAIL(p, at, OPS_EINVAL, "a range must be longer than 0");
    bool sub = rules_parse_is(p, ":");
    if (st == OPS_OK && sub) {
        st = rules_parse_next(p);
        if (st == OPS_OK && !rules_parse_is(p, "]")) {
            st = rules_parse_duration(p, "where a subquery's step should stand", &step_ms);
            if (st == OPS_OK && step_ms <= 0)
                return PARSE_FAIL(p, at, OPS_EINVAL, "a subquery's step must be longer than 0");
        }
    }
    p->lex.in_brackets = false;
    if (st == OPS_OK)
        st = rules_parse_expect(p, "]", "after a range");
    if (st != OPS_OK)
        return st;
    if (sub) {
        if (n->type != OPS_RULES_VECTOR && n->type != OPS_RULES_SCALAR)
            return PARSE_FAIL(p, at, OPS_EINVAL, "a subquery is over a vector, not a %s",
                              rules_type_name(n->type));
        if (n->type == OPS_RULES_SCALAR)
            return PARSE_FAIL(p, at, OPS_EINVAL, "subquery is only allowed on instant vector, got scalar");
        st = rules_parse_node(p, NODE_SUBQUERY, at, node, 1, node);
        if (st != OPS_OK)
            return st;
        (*node)->step_ms = step_ms;
    } else if (n->kind != NODE_SELECTOR || n->range_ms > 0 || n->parens) {
        return PARSE_FAIL(p, at, OPS_EINVAL, "ranges only allowed for vector selectors");
    } else if (n->has_offset || n->at_kind != AT_NONE) {
        return PARSE_FAIL(p, at, OPS_EINVAL, "no offset or @ before a range");
    }
    (*node)->range_ms = range_ms;
    (*node)->type = OPS_RULES_MATRIX;
    return OPS_OK;
}

static ops_status at_time(rules_parse_state *p, rules_node *n)
{
    double s = 0;
    ops_status st = rules_parse_next(p);
    if (st != OPS_OK)
        return st;
    if (rules_parse_word(p, "start") || rules_parse_word(p, "end")) {
        n->at_kind = rules_parse_word(p, "start") ? AT_START : AT_END;
        st = rules_parse_next(p);
        if (st == OPS_OK)
            st = rules_parse_expect(p, "(", "after @ start or @ end");
        return st == OPS_OK ? rules_parse_expect(p, ")", "after @ start( or @ end(") : st;
    }
    bool minus = rules_parse_is(p, "-");
    if (minus || rules_parse_is(p, "+"))
        st = rules_parse_next(p);
    if (st != OPS_OK)
        return st;
    int64_t ms = 0;
    if (p->tok.kind == TOK_NUMBER && !rules_number(p->tok.text, &s) && ops_rules_duration(p->tok.text, &ms))
        s = (double)ms / 1000;
    else if ((p->tok.kind != TOK_NUMBER && p->tok.kind != TOK_WORD) || !rules_number(p->tok.text, &s))
        return rules_parse_unexpected(p, "where a time should stand after @");
    if (!(fabs(s) * 1000 < TIME_MS_MAX))
        return PARSE_FAIL(p, p->tok.at, OPS_EINVAL, "timestamp out of bounds for @ modifier");
    n->at_kind = AT_TIME;
    n->at_ms = (int64_t)llround((minus ? -s : s) * 1000);
    return rules_parse_next(p);
}

ops_status rules_parse_suffixes(rules_parse_state *p, rules_node **node)
{
    ops_status st = OPS_OK;
    while (st == OPS_OK) {
        rules_node *n = *node;
        bool takes = (n->kind == NODE_SELECTOR && !n->parens) || n->kind == NODE_SUBQUERY;
        if (rules_parse_is(p, "[")) {
            st = range(p, node);
        } else if (rules_parse_word(p, "offset")) {
            if (!takes)
                return PARSE_FAIL(p, p->tok.at, OPS_EINVAL, "offset goes with a selector or a subquery only");
            if (n->has_offset)
                return PARSE_FAIL(p, p->tok.at, OPS_EINVAL, "offset may not be set multiple times");
            n->has_offset = true;
            st = rules_parse_next(p);
            if (st == OPS_OK)
                st = rules_parse_offset(p, "where an offset should stand", &n->offset_ms);
        } else if (rules_parse_is(p, "@")) {
            if (!takes)
                return PARSE_FAIL(p, p->tok.at, OPS_EINVAL, "@ goes with a selector or a subquery only");
            if (n->at_kind != AT_NONE)
                return PARSE_FAIL(p, p->tok.at, OPS_EINVAL, "@ may not be set multiple times");
            st = at_time(p, n);
        } else if (rules_parse_word(p, "anchored") || rules_parse_word(p, "smoothed")) {
            return PARSE_FAIL(p, p->tok.at, OPS_EUNIMPL, "'" OPS_SLICE_FMT "' is not taken (experimental)",
                              OPS_SLICE_ARG(p->tok.text));
        } else {
            break;
        }
    }
    return st;
}
