/* The tree of an expression. Private to the room. */
#ifndef OPS_RULES_AST_H
#define OPS_RULES_AST_H

#include "base/coll/vec.h"
#include "coordinator/analysis/rules/query.h"

typedef enum rules_kind {
    NODE_NUMBER,
    NODE_STRING,
    NODE_SELECTOR, /* with range_ms > 0: a matrix */
    NODE_SUBQUERY,
    NODE_UNARY, /* minus */
    NODE_BINARY,
    NODE_AGGREGATE,
    NODE_CALL
} rules_kind;

typedef enum rules_bin {
    BIN_ADD,
    BIN_SUB,
    BIN_MUL,
    BIN_DIV,
    BIN_MOD,
    BIN_POW,
    BIN_ATAN2,
    BIN_EQ,
    BIN_NE,
    BIN_LT,
    BIN_LE,
    BIN_GT,
    BIN_GE,
    BIN_AND,
    BIN_OR,
    BIN_UNLESS
} rules_bin;

typedef enum rules_agg {
    AGG_SUM,
    AGG_AVG,
    AGG_MIN,
    AGG_MAX,
    AGG_COUNT,
    AGG_GROUP,
    AGG_STDDEV,
    AGG_STDVAR,
    AGG_TOPK,
    AGG_BOTTOMK,
    AGG_QUANTILE,
    AGG_COUNT_VALUES,
    AGG_LIMITK,
    AGG_LIMIT_RATIO
} rules_agg;

typedef enum rules_at { AT_NONE, AT_TIME, AT_START, AT_END } rules_at;
typedef enum rules_card { CARD_ONE, CARD_MANY_ONE, CARD_ONE_MANY, CARD_MANY } rules_card;

struct rules_func;
typedef struct rules_names {
    ops_slice *v;
    size_t n;
} rules_names;

typedef struct rules_node rules_node;
struct rules_node {
    rules_kind kind;
    ops_rules_type type;
    size_t at; /* byte of the text, for words */
    unsigned depth;
    unsigned slot; /* selectors: number of its series */
    double num;
    ops_slice str;
    /* selectors and subqueries */
    ops_rules_matcher *matchers;
    size_t matcher_n;
    int64_t range_ms, step_ms, offset_ms, at_ms;
    bool has_offset, parens;
    rules_at at_kind;
    /* operators */
    rules_bin bin;
    rules_agg agg;
    bool is_bool, on, without, has_matching;
    rules_card card;
    rules_names labels, include;
    const struct rules_func *func;
    rules_node **args;
    size_t arg_n;
};

struct ops_rules_query {
    const ops_rules_regex *regex;
    ops_arena arena;
    ops_slice text;
    rules_node *root;
    unsigned slots, nodes;
    OPS_VEC(void *) regexes;
};

/* Fails with "LINE:COLUMN: " of byte `at` before the words. */
ops_status rules_fail_at(const ops_rules_query *q, size_t at, ops_status code, ops_err *reterr,
                         const char *fmt, ...) __attribute__((format(printf, 5, 6)));
#ifdef __clang_analyzer__
/* Told to the static analyser alone: a failure is never OPS_OK. */
#define rules_fail_at(q, at, code, ...) ops_not_ok(((rules_fail_at)(q, at, code, __VA_ARGS__), (code)))
#endif
ops_status rules_regex(ops_rules_query *q, size_t at, ops_slice pattern, void **ret, ops_err *reterr);
ops_status rules_parse(ops_rules_query *q, ops_err *reterr);
const char *rules_type_name(ops_rules_type t);
/* Number of a word with a value of NaN, Inf, hex, decimal or a duration; false otherwise. */
bool rules_number(ops_slice s, double *ret);

#endif
