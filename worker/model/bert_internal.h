#ifndef OPS_WORKER_BERT_INTERNAL_H
#define OPS_WORKER_BERT_INTERNAL_H

#include "worker/model/bert.h"

/* Weights on the device: a linear map (packed, and its bias) or a layer norm (gain and shift). */
typedef struct ops_bert_linear {
    ops_kern_buf *w, *b;
} ops_bert_linear;

typedef struct ops_bert_layer {
    ops_bert_linear qkv, mix, mix_norm, up, down,
        norm; /* qkv: query, key and value as one map, one under the other */
} ops_bert_layer;

/* Rows of a batch on the device. */
typedef enum ops_bert_rows {
    OPS_BERT_X,
    OPS_BERT_Y,
    OPS_BERT_SUM,
    OPS_BERT_QKV,
    OPS_BERT_UP,
    OPS_BERT_POOLED,
    OPS_BERT_IDS,
    OPS_BERT_POSITIONS,
    OPS_BERT_TYPES,
    OPS_BERT_STARTS,
    OPS_BERT_FIRSTS, /* 0, 1, ...: texts of one row each */
    OPS_BERT_LOGITS,
    OPS_BERT_ROWS_COUNT
} ops_bert_rows;

struct ops_bert {
    ops_bert_config c;
    const ops_kern *kern;
    ops_kern_dev *dev;
    ops_kern_type weights;
    int tokens_max, seqs_max;
    ops_kern_buf *words, *positions, *types;
    ops_bert_linear norm;
    ops_bert_linear pooler, classifier; /* where there is such a head */
    ops_bert_layer *layers;
    ops_kern_buf *rows[OPS_BERT_ROWS_COUNT];
    int32_t *scratch; /* tokens_max + 1 */
    float *firsts;    /* [seqs_max][hidden], under a head over texts */
    ops_bert_watch_fn *watch;
    void *watch_ctx;
};

/* Has the device take now what the largest batch needs, so that no batch has to. */
ops_status ops_bert_warm(ops_bert *b, ops_err *reterr);
ops_status ops_bert_kern(ops_kern_status st, const char *what, ops_err *reterr);

#endif
