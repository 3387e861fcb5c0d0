#ifndef OPS_TRAIN_SEQLM_INTERNAL_H
#define OPS_TRAIN_SEQLM_INTERNAL_H

#include "worker/train/prim.h"
#include "worker/train/seqlm.h"

/* Tensors of a layer, in the order they lie in memory. */
enum {
    NORM1_W,
    NORM1_B,
    QKV_W,
    QKV_B,
    PROJ_W,
    PROJ_B,
    NORM2_W,
    NORM2_B,
    UP_W,
    UP_B,
    DOWN_W,
    DOWN_B,
    LAYER_TENSORS,
    TABLE = 0, /* before the layers */
    PLACE,
    LEADING,
    SEQLM_NAME_MAX = 64
};

typedef struct seqlm_slot {
    char name[SEQLM_NAME_MAX];
    int rank, dim[2];
    size_t at; /* in the weights */
} seqlm_slot;

/* What the forward pass of one layer leaves for the backward pass. n: dim, m: tokens. */
typedef struct seqlm_trace {
    float *in, *normed1, *stat1; /* m n, m n, 2 m */
    float *qkv, *share, *mixed;  /* 3 m n, triangles, m n */
    float *mid, *normed2, *stat2;
    float *up, *gelu; /* 4 m n each */
} seqlm_trace;

struct ops_seqlm {
    ops_seqlm_config c;
    seqlm_slot *slot;
    size_t slots, weights;
    float *w, *grad, *m1, *m2; /* grad and the moments: NULL until training */
    uint64_t steps;
    float *room; /* scratch of one batch, grown */
    size_t room_n;
};

float *seqlm_weight(const ops_seqlm *m, size_t slot);
float *seqlm_grad(const ops_seqlm *m, size_t slot);
/* Slot of a layer's tensor. */
size_t seqlm_layer_slot(int layer, int tensor);

#endif
