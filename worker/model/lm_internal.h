#ifndef OPS_WORKER_LM_INTERNAL_H
#define OPS_WORKER_LM_INTERNAL_H

#include "worker/model/lm.h"

/* Tensors of a layer. */
typedef enum ops_lm_part {
    OPS_LM_ATTN_NORM,
    OPS_LM_Q,
    OPS_LM_K,
    OPS_LM_V,
    OPS_LM_Q_BIAS,
    OPS_LM_K_BIAS,
    OPS_LM_V_BIAS,
    OPS_LM_Q_NORM,
    OPS_LM_K_NORM,
    OPS_LM_OUT,
    OPS_LM_ATTN_POST,
    OPS_LM_FFN_NORM,
    OPS_LM_GATE,
    OPS_LM_UP,
    OPS_LM_DOWN,
    OPS_LM_FFN_POST,
    OPS_LM_ATTN_NORM_SHIFT,
    OPS_LM_OUT_BIAS,
    OPS_LM_FFN_NORM_SHIFT,
    OPS_LM_UP_BIAS,
    OPS_LM_DOWN_BIAS,
    OPS_LM_PARTS
} ops_lm_part;

/* On the device; buf NULL: the architecture has none. */
typedef struct ops_lm_weight {
    ops_kern_buf *buf;
    ops_kern_quant_type type;
} ops_lm_weight;

typedef struct ops_lm_layer {
    ops_lm_weight part[OPS_LM_PARTS];
    ops_kern_buf *cache;
    int like;                /* the first layer whose weights are of the same types, part by part */
    ops_kern_plan *qkv, *up; /* in a step: of the layers like this one; `up` of the last is its own */
} ops_lm_layer;

/* Rows of a batch on the device. */
typedef enum ops_lm_rows {
    OPS_LM_X, /* the residual stream, in turns with Y */
    OPS_LM_Y,
    OPS_LM_H,
    OPS_LM_H2,
    OPS_LM_ROW_Q,
    OPS_LM_ROW_K,
    OPS_LM_ROW_V,
    OPS_LM_CONTEXT, /* what attention gives; before that, queries under their norm */
    OPS_LM_ROW_K2,
    OPS_LM_ROW_GATE,
    OPS_LM_ROW_UP,
    OPS_LM_TURNS, /* cosines and sines */
    OPS_LM_TURNS_WINDOW,
    OPS_LM_LOGITS,
    OPS_LM_GREATEST, /* pairs of an id and a logit, or what greatest.h says of the last */
    OPS_LM_IDS,
    OPS_LM_PLACES, /* positions alone, where they are learned */
    OPS_LM_ROWS,
    OPS_LM_TABLE,
    OPS_LM_TABLE_WINDOW, /* where layers with a window have blocks of their own */
    OPS_LM_PICKED,
    OPS_LM_MASK,
    OPS_LM_ROWS_COUNT
} ops_lm_rows;

struct ops_lm {
    ops_lm_config c;
    ops_lm_limits limits;
    int table; /* entries a sequence */
    const ops_kern *kern;
    ops_kern_dev *dev;
    ops_lm_weight embed, head, norm; /* head.buf is embed.buf where the file has no head of its own */
    ops_lm_weight norm_shift, positions;
    ops_kern_buf *slower, *one; /* factors of the rotation */
    ops_lm_layer *layers;
    ops_kern_buf *rows[OPS_LM_ROWS_COUNT];
    int32_t *places; /* [limits.tokens], where positions are learned */
    size_t step_bytes;
};

/* What the file must hold for a config: every tensor with its place. `part` of layer `layer`, or layer -1: the places below. */
enum {
    OPS_LM_EMBED,
    OPS_LM_NORM,
    OPS_LM_HEAD,
    OPS_LM_FACTORS,
    OPS_LM_NORM_SHIFT,
    OPS_LM_POSITIONS,
    OPS_LM_GLOBALS
};
enum { OPS_LM_NAME_MAX = 96, OPS_LM_WIDTH_MAX = 512, OPS_LM_HEADS_MAX = 4096 };
#define OPS_LM_ARCH_NAMES "llama, qwen2, qwen3, gemma3 and gpt2"
typedef struct ops_lm_want {
    char name[OPS_LM_NAME_MAX];
    int n, k;   /* rows of k elements; n 0: one row, a vector */
    bool maybe; /* may be absent */
    int from,
        of; /* rows [from, from + n) of the tensor's `of`, of a vector elements; of 0: it is the whole tensor */
    bool crossed; /* the tensor has k rows, each with one element of every row that is wanted */
    float plus;   /* added to every element of a vector */
} ops_lm_want;

/* False: the architecture has no such tensor. */
bool ops_lm_want_part(const ops_lm_config *c, int layer, ops_lm_part part, ops_lm_want *ret);
bool ops_lm_want_global(const ops_lm_config *c, int which, ops_lm_want *ret);
/* Does the source hold exactly what the config asks for? Sets c->layout and c->tied to what the source has. */
ops_status ops_lm_check_tensors(const ops_lm_source *s, ops_lm_config *c, ops_err *reterr);
/* A config whose features are those of the architecture, all else 0 or neutral. */
ops_lm_config ops_lm_config_of_arch(ops_lm_arch arch);
/* What both kinds of files leave to be checked and worked out once sizes, heads and widths are known. */
ops_status ops_lm_config_finish(ops_lm_config *c, ops_err *reterr);

/* OPS_EINVAL, OPS_ETOOBIG as ops_lm_step(): every id, sequence, position and block within the model's. */
ops_status ops_lm_check_batch(const ops_lm *m, const ops_lm_batch *b, ops_err *reterr);
/* Has the device take now what the largest batch needs, so that no batch has to. */
ops_status ops_lm_warm(ops_lm *m, ops_err *reterr);
ops_status ops_lm_kern(ops_kern_status st, const char *what, ops_err *reterr);
/* May layer i see only the last config.window tokens? */
static inline bool ops_lm_windowed(const ops_lm_config *c, int i)
{
    return c->window > 0 && (i + 1) % c->period != 0;
}

#endif
