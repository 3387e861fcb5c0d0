/* What a text may be, compiled to an automaton over bytes for one vocabulary: from a JSON Schema, from a small EBNF, or any
 * JSON object. worker/grammar/matcher.h follows a text through it and says which tokens may come next.
 *
 * JSON Schema (draft 2020-12, what OpenAI's structured outputs use and more): type (one or a list), properties, required,
 * additionalProperties, items, prefixItems, minItems, maxItems, enum, const, pattern, format, minLength, maxLength, minimum,
 * maximum, exclusiveMinimum, exclusiveMaximum, anyOf, oneOf, allOf, $ref, $defs, definitions, true and false. Annotations
 * (title, description, default, examples, $comment, $schema, $id, deprecated, readOnly, writeOnly) say nothing. Everything
 * else is OPS_EUNIMPL with the keyword and its JSON pointer, never ignored. README.md says where fewer texts are offered
 * than the schema allows; none is offered that it forbids but for oneOf, which is read as anyOf.
 *
 * EBNF: `name ::= alternatives`, the rule `root` first in force; "text" and 'text', [a-z] and [^a-z], `.`, ( ), ? * + {m}
 * {m,} {m,n}, # to the end of a line, and %json {...}, what a JSON Schema allows, with blanks (OPS_GRAMMAR_SPACED); its
 * pointers start at that object, and an error is told with the rule that it stands in. In texts and classes: \n \r \t \\ \" \' \] \[ \- \^ \xHH \uHHHH \UHHHHHHHH, which name
 * code points. Errors say line:column.
 *
 * From every place that can be reached the text can still be ended, and by tokens of the vocabulary: what leads nowhere is
 * cut off when compiled, bytes that no single token stands for are no bytes of the grammar, and nesting stops where it
 * could not be closed within OPS_GRAMMAR_DEPTH_MAX.
 * @thread immutable once made */
#ifndef OPS_WORKER_GRAMMAR_H
#define OPS_WORKER_GRAMMAR_H

#include "worker/grammar/vocab.h"

enum {
    OPS_GRAMMAR_TEXT_MAX = 8 << 20,   /* bytes of a schema or an EBNF */
    OPS_GRAMMAR_STATES_MAX = 1 << 20, /* of the automaton; edges twice that */
    OPS_GRAMMAR_RULES_MAX = 16384,
    OPS_GRAMMAR_DEPTH_MAX = 96,    /* rules inside each other while a text is read */
    OPS_GRAMMAR_NESTING_MAX = 64,  /* of a schema's unions, an EBNF's and a pattern's groups */
    OPS_GRAMMAR_REPEAT_MAX = 65536 /* counts in {m,n}, minItems, maxLength and so on */
};

typedef struct ops_grammar ops_grammar;

enum ops_grammar_flags {
    /* Where JSON allows blanks there may be none, one space, or a line feed and up to 16 spaces. Without it there are
     * none at all. Never before a comma or a colon. */
    OPS_GRAMMAR_SPACED = 1
};

/* OPS_EINVAL: no JSON (with its place), a keyword's value of the wrong kind, or nothing that could satisfy it; OPS_EUNIMPL:
 * what is not built; OPS_ETOOBIG: a limit, with its number; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_grammar_from_schema(const ops_grammar_vocab *v, ops_slice json, unsigned flags,
                                                ops_grammar **ret, ops_err *reterr);
/* Any JSON object (response_format json_object). */
OPS_MUST_USE ops_status ops_grammar_from_json_object(const ops_grammar_vocab *v, unsigned flags,
                                                     ops_grammar **ret, ops_err *reterr);
OPS_MUST_USE ops_status ops_grammar_from_ebnf(const ops_grammar_vocab *v, ops_slice text, ops_grammar **ret,
                                              ops_err *reterr);
/* One of these texts as it stands: component names, evidence ids. Linear in their bytes. OPS_EINVAL: none. */
OPS_MUST_USE ops_status ops_grammar_from_texts(const ops_grammar_vocab *v, const ops_slice *texts, size_t n,
                                               ops_grammar **ret, ops_err *reterr);
void ops_grammar_free(ops_grammar *g);
OPS_AUTO_DEFINE(ops_grammar, ops_grammar_free)

size_t ops_grammar_states(const ops_grammar *g);
size_t ops_grammar_bytes(const ops_grammar *g); /* memory */

#endif
