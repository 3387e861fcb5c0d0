/* What a BERT-family folder says of itself: config.json and the side files of sentence-transformers. */
#ifndef OPS_WORKER_BERT_CONFIG_H
#define OPS_WORKER_BERT_CONFIG_H

#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"

typedef struct ops_bert_config {
    int vocab, hidden, layers, heads, inner, positions, types;
    float eps;
    int tokens_max; /* of one text: max_seq_length when told, never above `positions` */
} ops_bert_config;

/* Reads config.json. OPS_ECORRUPT: no JSON, or a field absent or out of bounds, named; OPS_EUNIMPL: another
 * architecture, activation or kind of positions, named. tokens_max becomes `positions`. */
OPS_MUST_USE ops_status ops_bert_config_parse(ops_slice json, ops_bert_config *ret, ops_err *reterr);
/* Reads sentence_bert_config.json into c->tokens_max. */
OPS_MUST_USE ops_status ops_bert_config_sentence(ops_slice json, ops_bert_config *c, ops_err *reterr);
/* Reads 1_Pooling/config.json: OPS_EUNIMPL unless it asks for the mean over tokens and nothing else. */
OPS_MUST_USE ops_status ops_bert_config_pooling(ops_slice json, ops_err *reterr);

#endif
