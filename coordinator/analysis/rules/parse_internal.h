/* What the files of the parser share. */
#ifndef OPS_RULES_PARSE_INTERNAL_H
#define OPS_RULES_PARSE_INTERNAL_H

#include "coordinator/analysis/rules/eval.h"
#include "coordinator/analysis/rules/lex.h"

typedef struct rules_parse {
    rules_lex lex;
    rules_tok tok;
    ops_rules_query *q;
    unsigned nesting;
    ops_err *err;
} rules_parse_state;

#define PARSE_FAIL(p, where, code, ...) rules_fail_at((p)->q, where, code, (p)->err, __VA_ARGS__)

ops_status rules_parse_next(rules_parse_state *p);
ops_status rules_parse_expect(rules_parse_state *p, const char *punct, const char *where);
bool rules_parse_is(const rules_parse_state *p, const char *punct);
bool rules_parse_word(const rules_parse_state *p, const char *word); /* any case */
ops_status rules_parse_unexpected(rules_parse_state *p, const char *where);
ops_status rules_parse_expr(rules_parse_state *p, int prec_min, rules_node **ret);
/* A new node; `kids` of it are counted for the depth. */
ops_status rules_parse_node(rules_parse_state *p, rules_kind kind, size_t at, rules_node **kids, size_t kid_n,
                            rules_node **ret);
/* Selector after an optional name (a name with p NULL: none). */
ops_status rules_parse_selector(rules_parse_state *p, ops_slice name, size_t at, rules_node **ret);
/* Ranges, offsets and @ after a primary. */
ops_status rules_parse_suffixes(rules_parse_state *p, rules_node **node);
/* An expression of numbers and durations; where an offset stands, one with a sign, or one in parentheses. */
ops_status rules_parse_duration(rules_parse_state *p, const char *where, int64_t *ret_ms);
ops_status rules_parse_offset(rules_parse_state *p, const char *where, int64_t *ret_ms);
ops_status rules_parse_names(rules_parse_state *p, rules_names *ret);
ops_status rules_parse_call(rules_parse_state *p, ops_slice name, size_t at, rules_node **ret);
ops_status rules_parse_aggregate(rules_parse_state *p, rules_agg agg, size_t at, rules_node **ret);
ops_status rules_parse_args(rules_parse_state *p, rules_node ***ret, size_t *ret_n);
ops_status rules_parse_want(rules_parse_state *p, const rules_node *n, ops_rules_type type,
                            const char *where);
bool rules_parse_agg(ops_slice word, rules_agg *ret);

#endif
