#ifndef OPS_WORKER_TOK_JSON_H
#define OPS_WORKER_TOK_JSON_H

#include <jansson.h>

#include "worker/model/tok_internal.h"

/* How texts are prepared and split: normalizer, pre_tokenizer, decoder of a tokenizer.json (tok_json_rules.c). */
ops_status ops_tok_json_rules(const json_t *root, ops_tokenizer *t, ops_err *reterr);
/* Tokens around a text, from the post_processor: add_bos, bos, add_eos, eos. After the vocabulary. */
ops_status ops_tok_json_post(const json_t *root, ops_tokenizer *t, ops_err *reterr);

ops_status ops_tok_json_unbuilt(ops_err *reterr, const char *what, const json_t *j);
bool ops_tok_json_is(const json_t *j, const char *type);
ops_slice ops_tok_json_text(const json_t *j); /* p NULL: no string */

#endif
