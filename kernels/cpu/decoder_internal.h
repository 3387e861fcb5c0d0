#ifndef OPS_KERNELS_CPU_DECODER_INTERNAL_H
#define OPS_KERNELS_CPU_DECODER_INTERNAL_H

#include "kernels/cpu/decoder.h"

static inline int decoder_from(int n, int part, int parts)
{
    return (int)((long)n * part / parts);
}

/* How many rows from `row` on are consecutive tokens of one sequence; its index and the position of the first. */
int ops_decoder_run_of(const ops_decoder_attend *a, int row, int *ret_seq, int *ret_pos);
ops_decoder_keys ops_decoder_keys_of(const ops_decoder_attend *a, int seq, int kv);
void ops_decoder_turn_keys(const ops_decoder_attend *a, int part, int parts);
#endif
