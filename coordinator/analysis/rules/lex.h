/* Tokens of PromQL. Private to the room. */
#ifndef OPS_RULES_LEX_H
#define OPS_RULES_LEX_H

#include "coordinator/analysis/rules/ast.h"

typedef enum rules_tok_kind {
    TOK_END,
    TOK_WORD,   /* identifiers and keywords; `:` allowed */
    TOK_NUMBER, /* numbers and durations, as written */
    TOK_STRING, /* value in `text`, unquoted */
    TOK_PUNCT   /* ( ) { } [ ] , = != =~ !~ == < <= > >= + - * / % ^ @ : */
} rules_tok_kind;

typedef struct rules_tok {
    rules_tok_kind kind;
    ops_slice text;
    size_t at, end;
} rules_tok;

typedef struct rules_lex {
    ops_rules_query *q;
    size_t pos;
    bool in_brackets; /* between [ and ]: `:` separates, it begins no name */
} rules_lex;

ops_status rules_lex_next(rules_lex *l, rules_tok *ret, ops_err *reterr);

#endif
