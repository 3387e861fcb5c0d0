#ifndef OPS_KERNELS_INCLUDE_KERN_QUANT_H
#define OPS_KERNELS_INCLUDE_KERN_QUANT_H
/* Formats in which model files store weights: groups of equally spaced integers with a scale, or floats of 16 bits.
 * Numbers and layouts are those of the GGUF file format (ggml's ggml-common.h and gguf-py's quants.py describe them):
 * all little-endian, `half` is IEEE binary16, a row is a whole number of blocks.
 *
 *   type   elems bytes  layout                                          value of element q
 *   Q4_0     32   18    half d; u8 nib[16]                              d (q - 8)
 *   Q4_1     32   20    half d, m; u8 nib[16]                           d q + m
 *   Q5_0     32   22    half d; u8 hi[4]; u8 nib[16]                    d (q - 16)
 *   Q5_1     32   24    half d, m; u8 hi[4]; u8 nib[16]                 d q + m
 *   Q8_0     32   34    half d; i8 q[32]                                d q
 *   Q4_K    256  144    half d, e; u8 sc[12]; u8 nib[128]               d s q - e t      a pair s, t (6 bits) per 32
 *   Q5_K    256  176    half d, e; u8 sc[12]; u8 hi[32]; u8 nib[128]    d s q - e t
 *   Q6_K    256  210    u8 nib[128]; u8 hi[64]; i8 sc[16]; half d       d s (q - 32)     one s per 16
 *
 * @thread every function is pure. */
#include <stddef.h>
#include <stdint.h>

/* The numbers are GGUF's own. */
typedef enum ops_kern_quant_type {
    OPS_KERN_QUANT_F32 = 0,
    OPS_KERN_QUANT_F16 = 1,
    OPS_KERN_QUANT_Q4_0 = 2,
    OPS_KERN_QUANT_Q4_1 = 3,
    OPS_KERN_QUANT_Q5_0 = 6,
    OPS_KERN_QUANT_Q5_1 = 7,
    OPS_KERN_QUANT_Q8_0 = 8,
    OPS_KERN_QUANT_Q4_K = 12,
    OPS_KERN_QUANT_Q5_K = 13,
    OPS_KERN_QUANT_Q6_K = 14,
    OPS_KERN_QUANT_BF16 = 30,
} ops_kern_quant_type;

enum { OPS_KERN_QUANT_GROUP = 32 }; /* elements that share an activation scale */

/* Elements of one block; 0 for a number that is none of the formats above. */
size_t ops_kern_quant_block(int type);
/* Bytes of `count` elements; 0 for an unknown format, a count that is no whole number of blocks, or an overflow. */
size_t ops_kern_quant_bytes(int type, size_t count);
/* "Q4_K" and so on; NULL for an unknown format. */
const char *ops_kern_quant_name(int type);
/* Exact: every value is the f32 nearest to its formula. `count` is a whole number of blocks; `from` needs no alignment. */
void ops_kern_quant_decode(ops_kern_quant_type type, const void *from, size_t count, float *ret);

float ops_kern_quant_from_half(uint16_t half);
uint16_t ops_kern_quant_to_half(float value); /* to nearest, ties to even; too large becomes infinite */
#endif
