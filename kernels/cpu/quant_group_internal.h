#ifndef OPS_KERNELS_CPU_QUANT_GROUP_INTERNAL_H
#define OPS_KERNELS_CPU_QUANT_GROUP_INTERNAL_H
/* 32 elements taken out of a file's block, before they are decoded or packed. */
#include "kernels/cpu/quant_internal.h"

typedef struct quant_group {
    uint16_t d, m; /* halves as stored; m is the second half of the block, whatever it means */
    uint8_t s, t;  /* the K formats' small integers */
    uint8_t q[32]; /* unsigned; Q8_0 with 128 added */
} quant_group;

/* Group g of the block at b. The float formats have none. */
void ops_quant_group_read(ops_kern_quant_type type, const uint8_t *b, int g, quant_group *ret);
void ops_quant_group_value(ops_kern_quant_type type, const quant_group *v, float ret[32]);
#endif
