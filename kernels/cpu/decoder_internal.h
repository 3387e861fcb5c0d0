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
/* Where in the cache the key of row i and head 0 lies, in elements; its value, and the next head, planes further on. */
size_t ops_decoder_place_of(const ops_decoder_append *a, int i);
void ops_decoder_turn_keys(const ops_decoder_attend *a, int part, int parts);
#endif
