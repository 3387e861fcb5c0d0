/* What a BERT-family model says of itself: config.json and the side files of sentence-transformers, or the keys of a GGUF
 * file. */
#ifndef OPS_WORKER_BERT_CONFIG_H
#define OPS_WORKER_BERT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"
#include "worker/model/gguf.h"

enum { /* bounds of what a file may say */
       OPS_BERT_VOCAB_MAX = 1 << 20,
       OPS_BERT_HIDDEN_MAX = 8192,
       OPS_BERT_LAYERS_MAX = 96,
       OPS_BERT_INNER_MAX = 65536,
       OPS_BERT_POSITIONS_MAX = 32768,
       OPS_BERT_TYPES_MAX = 16,
       OPS_BERT_LABELS_MAX = 4096,
       OPS_BERT_LABEL_MAX = 127 /* bytes of a name */
};

/* What becomes of the rows of a text: their mean, or the first of them, that of [CLS]; either is brought to length 1. */
typedef enum ops_bert_pooling { OPS_BERT_MEAN, OPS_BERT_CLS } ops_bert_pooling;
/* What stands on top of the encoder, if anything: a verdict on a text (or a pair of texts), or on every token. */
typedef enum ops_bert_head { OPS_BERT_NO_HEAD, OPS_BERT_SEQUENCE_HEAD, OPS_BERT_TOKEN_HEAD } ops_bert_head;

typedef struct ops_bert_config {
    int vocab, hidden, layers, heads, inner, positions, types;
    float eps;
    int tokens_max; /* of one text: max_seq_length when told, never above `positions` */
    ops_bert_pooling pooling;
    ops_bert_head head;
    int labels; /* of the head; 0 without one */
    bool multi; /* each label is true or not for itself (sigmoid), else one of them is (softmax) */
} ops_bert_config;

/* Reads config.json. OPS_ECORRUPT: no JSON, or a field absent or out of bounds, named; OPS_EUNIMPL: another
 * architecture, activation or kind of positions, named. tokens_max becomes `positions`, pooling the mean; the head is what
 * `architectures` says. */
OPS_MUST_USE ops_status ops_bert_config_parse(ops_slice json, ops_bert_config *ret, ops_err *reterr);
/* Reads the keys bert.* of a GGUF file and the extents of its tables. Errors as above, naming the key or the tensor;
 * OPS_EUNIMPL also: another architecture or pooling, attention that looks one way only. Without a key for it the pooling is the
 * mean; tokens_max is bert.context_length; there is no head. */
OPS_MUST_USE ops_status ops_bert_config_gguf(const ops_gguf *g, ops_bert_config *ret, ops_err *reterr);
/* Does config.json speak of this family, or of none? */
bool ops_bert_config_is(ops_slice json);
bool ops_bert_config_is_gguf(const ops_gguf *g);
/* What config.json calls the labels of a head, `n` of them, one after the other, each ended by a NUL: "LABEL_0" and so on where it
 * does not say. *ret is the caller's (ops_free). OPS_ECORRUPT: a name is no text of 1 to OPS_BERT_LABEL_MAX bytes; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_bert_config_labels(ops_slice json, int n, char **ret, ops_err *reterr);
/* Reads sentence_bert_config.json into c->tokens_max. */
OPS_MUST_USE ops_status ops_bert_config_sentence(ops_slice json, ops_bert_config *c, ops_err *reterr);
/* Reads 1_Pooling/config.json into c->pooling: OPS_EUNIMPL unless it asks for the mean over tokens or for the first alone. */
OPS_MUST_USE ops_status ops_bert_config_pooling(ops_slice json, ops_bert_config *c, ops_err *reterr);
/* Reads modules.json: OPS_EUNIMPL names a step other than encoder, pooling and bringing to length 1. */
OPS_MUST_USE ops_status ops_bert_config_modules(ops_slice json, ops_err *reterr);

#endif
