#ifndef OPS_WORKER_ENGINE_BERT_INTERNAL_H
#define OPS_WORKER_ENGINE_BERT_INTERNAL_H

#include "worker/engine/engine_bert.h"
#include "worker/model/bert_file.h"

typedef struct bert_engine {
    ops_engine base;
    const ops_kern *kern;
    ops_kern_dev *dev;
    ops_wordpiece *words;
    ops_bert *bert;
    ops_bert_config c;
    int seqs_max;
    int32_t *ids;    /* a batch and one text more */
    int32_t *starts; /* seqs_max + 1 */
    /* under a head */
    int32_t *types;               /* as ids */
    float *logits;                /* of a batch */
    ops_wordpiece_word *at_words; /* as ids, where words are labelled */
    size_t *word_counts;          /* seqs_max */
    char *labels;
} bert_engine;

/* engine_bert_score.c: memory for it, once `e` is prepared; and ops_engine_ops.score. */
ops_status engine_bert_prepare_score(bert_engine *e, const ops_bert_file *f, ops_err *reterr);
ops_status engine_bert_score(ops_engine *base, const ops_engine_question *q, float *ret,
                             ops_engine_spans *spans, uint64_t *ret_tokens, const ops_engine_stop *stop,
                             ops_err *reterr);

#endif
