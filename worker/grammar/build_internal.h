/* From expressions to a grammar. An expression is a node of the builder; a rule is made from one (nfa.c, dfa.c) or written
 * state by state (string.c). Failures of the heap and of limits stick: the first one is told by ops_gb_done(). */
#ifndef OPS_WORKER_GRAMMAR_BUILD_INTERNAL_H
#define OPS_WORKER_GRAMMAR_BUILD_INTERNAL_H

#include "base/text/strbuf.h"
#include "worker/grammar/grammar_internal.h"

enum {
    OPS_GB_NODES_MAX = 1 << 21,
    OPS_GB_PATTERN_MAX = 4096, /* bytes; so an expression nests as deep at most */
    OPS_GB_NFA_MAX = 1 << 19,  /* states of one rule before it is made deterministic */
    OPS_GB_WORK_MAX =
        1 << 24 /* members of the sets of states that are looked at on the way, of a whole grammar */
};

typedef uint32_t ops_gb_ref; /* a node */
enum { OPS_GB_NEVER = 0, OPS_GB_EMPTY = 1 };

typedef enum ops_gb_kind {
    OPS_GB_KIND_NEVER,
    OPS_GB_KIND_EMPTY,
    OPS_GB_KIND_BYTES, /* texts[at], n bytes */
    OPS_GB_KIND_SET,   /* one code point of ranges[at], n of them */
    OPS_GB_KIND_SEQ,   /* kids[at], n */
    OPS_GB_KIND_ALT,
    OPS_GB_KIND_REPEAT, /* node `at`, min to max times */
    OPS_GB_KIND_CALL,   /* rule `at` */
    OPS_GB_KIND_MEMBERS /* kids[at], n: members of an object in order, separated; bit 0 of flags[at + i]: must come. The last
                           is any number of further ones */
} ops_gb_kind;

typedef struct ops_gb_node {
    uint8_t kind;
    bool json;                /* SET: as the inside of a JSON string, escaped where it must be */
    uint32_t at, n, min, max; /* max OPS_GB_NO_MAX: none. MEMBERS: min is the separator's node */
} ops_gb_node;
#define OPS_GB_NO_MAX UINT32_MAX

typedef struct ops_gb_range {
    uint32_t lo, hi; /* code points, both inside */
} ops_gb_range;

typedef struct ops_gb_nfa_edge { /* rule OPS_GB_NO_RULE: bytes lo to hi */
    uint32_t to, next, rule;
    uint8_t lo, hi;
    bool empty;
} ops_gb_nfa_edge;
#define OPS_GB_NO_RULE UINT32_MAX

typedef struct ops_gb {
    ops_grammar *g;
    OPS_VEC(ops_gb_node) nodes;
    OPS_VEC(ops_gb_ref) kids;
    OPS_VEC(uint8_t) flags; /* beside kids */
    OPS_VEC(ops_gb_range) ranges;
    OPS_VEC(char) texts;
    OPS_VEC(uint32_t) nfa; /* first edge of each state + 1, of the rule being made */
    OPS_VEC(ops_gb_nfa_edge) nfa_edges;
    size_t work;
    ops_status st;
    const char *full; /* what ran over, when st is OPS_ETOOBIG */
    size_t limit;
    bool spaced;
    const ops_slice *names; /* what errors call the rules from OPS_GB_COMMON on; may be NULL */
    size_t n_names;
} ops_gb;

OPS_MUST_USE ops_status ops_gb_init(ops_gb *b, const ops_grammar_vocab *v, unsigned flags, ops_err *reterr);
void ops_gb_done(ops_gb *b);
/* Trims, checks (trim.c) and hands the grammar over. */
OPS_MUST_USE ops_status ops_gb_finish(ops_gb *b, uint32_t root, ops_grammar **ret, ops_err *reterr);
ops_status ops_gb_told(const ops_gb *b, ops_err *reterr); /* of b->st */
void ops_gb_full(ops_gb *b, const char *what, size_t limit);
bool ops_gb_ok(const ops_gb *b);

/* --- expressions (expr.c) --- */
ops_gb_ref ops_gb_bytes(ops_gb *b, ops_slice s);
ops_gb_ref ops_gb_text(ops_gb *b, const char *s);
ops_gb_ref ops_gb_set(ops_gb *b, const ops_gb_range *r, size_t n, bool json); /* ranges in any order */
ops_gb_ref ops_gb_list(ops_gb *b, ops_gb_kind kind, const ops_gb_ref *kids, size_t n);
ops_gb_ref ops_gb_pair(ops_gb *b, ops_gb_kind kind, ops_gb_ref x, ops_gb_ref y);
ops_gb_ref ops_gb_repeat(ops_gb *b, ops_gb_ref x, uint32_t min, uint32_t max);
ops_gb_ref ops_gb_maybe(ops_gb *b, ops_gb_ref x);
ops_gb_ref ops_gb_call(ops_gb *b, uint32_t rule);
ops_gb_ref ops_gb_members(ops_gb *b, const ops_gb_ref *kids, const uint8_t *must, size_t n, ops_gb_ref more,
                          ops_gb_ref separator);

/* --- rules --- */
uint32_t ops_gb_rule(ops_gb *b);                                   /* a new one, not yet made */
void ops_gb_make(ops_gb *b, uint32_t rule, ops_gb_ref expression); /* dfa.c */
uint32_t ops_gb_state(ops_gb *b);
void ops_gb_edge(ops_gb *b, uint32_t state, uint8_t lo, uint8_t hi,
                 uint32_t to); /* states are written one after another */
void ops_gb_call_edge(ops_gb *b, uint32_t state, uint32_t rule, uint32_t to);

/* --- NFA of an expression (nfa.c) --- */
uint32_t ops_gb_nfa_state(ops_gb *b);
void ops_gb_nfa_put(ops_gb *b, uint32_t from, ops_gb_nfa_edge e);
void ops_gb_emit(ops_gb *b, ops_gb_ref x, uint32_t from, uint32_t to);
void ops_gb_emit_set(ops_gb *b, const ops_gb_node *x, uint32_t from, uint32_t to); /* utf8set.c */

/* --- rules written by hand (string.c) --- */
/* A JSON string with its quotes, of min to max code points. */
void ops_gb_make_string(ops_gb *b, uint32_t rule, uint32_t min, uint32_t max);
/* A JSON string without escapes that is none of these texts (sorted). */
void ops_gb_make_other_key(ops_gb *b, uint32_t rule, const ops_slice *sorted, size_t n);
/* One of these texts (sorted, no two the same), as they stand. */
void ops_gb_make_texts(ops_gb *b, uint32_t rule, const ops_slice *sorted, size_t n);
int ops_gb_by_bytes(const void *a, const void *b); /* of ops_slice, for qsort */

/* --- what JSON has (json.c): rules every grammar starts with, in this order --- */
enum { OPS_GB_STRING, OPS_GB_BLANK, OPS_GB_ANY, OPS_GB_OBJECT, OPS_GB_ARRAY, OPS_GB_COMMON };
void ops_gb_make_common(ops_gb *b);
ops_gb_ref ops_gb_blank(ops_gb *b); /* what may stand after a bracket or comma */
ops_gb_ref ops_gb_integer(ops_gb *b);
ops_gb_ref ops_gb_number(ops_gb *b);
ops_gb_ref ops_gb_integer_between(ops_gb *b, int64_t lo, int64_t hi);
ops_gb_ref ops_gb_number_between(ops_gb *b, bool has_lo, int64_t lo, bool has_hi, int64_t hi);

/* --- patterns (regex.c) --- */
/* The inside of a JSON string that the pattern is found in. OPS_EINVAL, OPS_EUNIMPL: with the place in the pattern. */
OPS_MUST_USE ops_status ops_gb_pattern(ops_gb *b, ops_slice pattern, ops_gb_ref *ret, ops_err *reterr);

/* --- a schema inside of another grammar (schema.c) --- */
/* Makes the rule: what the schema allows. Errors as ops_grammar_from_schema(). */
OPS_MUST_USE ops_status ops_gb_schema(ops_gb *b, ops_slice json, uint32_t rule, ops_err *reterr);

/* --- trim.c --- */
OPS_MUST_USE ops_status ops_gb_trim(ops_gb *b, ops_err *reterr);
OPS_MUST_USE ops_status ops_gb_check_left(ops_gb *b,
                                          ops_err *reterr); /* left.c: no rule begins with itself */
ops_slice ops_gb_name(const ops_gb *b, uint32_t rule);

#endif
