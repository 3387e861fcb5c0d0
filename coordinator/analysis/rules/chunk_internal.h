/* One chunk of samples. Private to the room. */
#ifndef OPS_RULES_CHUNK_INTERNAL_H
#define OPS_RULES_CHUNK_INTERNAL_H

#include "coordinator/analysis/rules/source.h"

/* Stands for a histogram, which lies beside the chunks. */
#define RULES_HISTOGRAM_BITS 0x7ff0000000000f01ull

enum { RULES_CHUNK_SAMPLES = 120, RULES_CHUNK_BYTES_MAX = RULES_CHUNK_SAMPLES * 20 };

typedef struct rules_chunk {
    uint8_t *bits; /* cap bytes, zero past `n_bits` */
    uint32_t n_bits, cap;
    uint16_t n;
    uint8_t leading, trailing; /* of the last value's changed bits; leading 255: none yet */
    int64_t first_ms, last_ms, delta_ms;
    uint64_t last; /* bits of the last value */
} rules_chunk;

/* False: the heap is out, nothing changed. The chunk must not be full and t later than its last. */
bool rules_chunk_put(rules_chunk *c, int64_t t_ms, double v);
/* Room for c->n samples. */
void rules_chunk_get(const rules_chunk *c, ops_rules_sample *ret);
void rules_chunk_done(rules_chunk *c);

#endif
