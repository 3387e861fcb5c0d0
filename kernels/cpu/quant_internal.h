#ifndef OPS_KERNELS_CPU_QUANT_INTERNAL_H
#define OPS_KERNELS_CPU_QUANT_INTERNAL_H
/* The packed layout, shared by the files that write and read it. A panel is one run of memory that a product reads from its
 * first byte to its last: with quants and scales apart, the processor fetches ahead for neither as fast as memory gives.
 *
 * A format is a plane of quants (4 bits; 4 and a plane of fifth bits; 4 and a plane of two more; 8) and a kind of scale.
 * Of 32 elements of 16 columns, quant vector v (0..7) is 64 bytes: byte 4c+i is element 4v+i of column c.
 *   nibbles   [4][64]: low nibble of vector j, high nibble of vector j+4
 *   fifth     [64]: bit v belongs to vector v
 *   two       [2][64]: bits 2(v%4) and 2(v%4)+1 of byte plane v/4 belong to vector v
 *   bytes     [8][64], Q8_0 with 128 added
 * The scales of 32 elements: SCALE_D half d[16]; SCALE_DM half d[16], m[16]; SCALE_K u8 s[16], t[16] and, of 256, half d[16],
 * e[16]; SCALE_K6 i8 s[16] of each 16 and, of 256, half d[16].
 * SCALE_DM: [k / 32]{quants, scales}. Others: pairs of {quants, quants, scales, scales}, the last of an odd k half empty; of
 * the K formats four pairs behind a line with d and e. Float formats: [k][16] elements. */
#include "kernels/cpu/quant.h"

typedef enum quant_plane { PLANE_4, PLANE_5, PLANE_6, PLANE_8, PLANE_F32, PLANE_F16, PLANE_BF16 } quant_plane;
typedef enum quant_scale { SCALE_D, SCALE_DM, SCALE_K, SCALE_K6 } quant_scale;

typedef struct quant_format {
    quant_plane plane;
    quant_scale scale;
    int offset; /* q - offset is multiplied by the scale */
} quant_format;

static inline quant_format quant_format_of(ops_kern_quant_type type)
{
    switch (type) {
    case OPS_KERN_QUANT_Q4_0:
        return (quant_format){PLANE_4, SCALE_D, 8};
    case OPS_KERN_QUANT_Q4_1:
        return (quant_format){PLANE_4, SCALE_DM, 0};
    case OPS_KERN_QUANT_Q5_0:
        return (quant_format){PLANE_5, SCALE_D, 16};
    case OPS_KERN_QUANT_Q5_1:
        return (quant_format){PLANE_5, SCALE_DM, 0};
    case OPS_KERN_QUANT_Q8_0:
        return (quant_format){PLANE_8, SCALE_D, 128};
    case OPS_KERN_QUANT_Q4_K:
        return (quant_format){PLANE_4, SCALE_K, 0};
    case OPS_KERN_QUANT_Q5_K:
        return (quant_format){PLANE_5, SCALE_K, 0};
    case OPS_KERN_QUANT_Q6_K:
        return (quant_format){PLANE_6, SCALE_K6, 32};
    case OPS_KERN_QUANT_F16:
        return (quant_format){PLANE_F16, SCALE_D, 0};
    case OPS_KERN_QUANT_BF16:
        return (quant_format){PLANE_BF16, SCALE_D, 0};
    case OPS_KERN_QUANT_F32:
        break;
    }
    return (quant_format){PLANE_F32, SCALE_D, 0};
}

static inline int quant_is_float(quant_format f)
{
    return f.plane >= PLANE_F32;
}

/* Bytes of the quants of 32 elements of a panel; of one element for the float formats. */
static inline size_t quant_plane_bytes(quant_plane plane)
{
    static const uint16_t bytes[] = {256, 320, 384, 512, 64, 32, 32};
    return bytes[plane];
}

static inline size_t quant_pair_bytes(quant_plane plane)
{
    return 2 * quant_plane_bytes(plane) + 64;
}

static inline size_t quant_super_bytes(quant_plane plane)
{
    return 64 + 4 * quant_pair_bytes(plane);
}

static inline size_t quant_panel_bytes(quant_format f, int k)
{
    if (quant_is_float(f))
        return (quant_plane_bytes(f.plane) * (size_t)k + 63) & ~(size_t)63;
    const size_t groups = (size_t)k / OPS_KERN_QUANT_GROUP;
    if (f.scale == SCALE_DM)
        return groups * (quant_plane_bytes(f.plane) + 64);
    return f.scale == SCALE_D ? (groups + 1) / 2 * quant_pair_bytes(f.plane)
                              : groups / 8 * quant_super_bytes(f.plane);
}

/* Where in a panel the parts of 32 elements lie. */
typedef struct quant_place {
    size_t quants, scales, super; /* super: the halves of 256 elements, of the K formats */
} quant_place;

static inline quant_place quant_place_of(quant_plane plane, quant_scale scale, size_t group)
{
    const size_t bytes = quant_plane_bytes(plane);
    if (scale == SCALE_DM)
        return (quant_place){group * (bytes + 64), group * (bytes + 64) + bytes, 0};
    const size_t super = scale == SCALE_D ? 0 : group / 8 * quant_super_bytes(plane);
    const size_t pair = scale == SCALE_D ? group / 2 * quant_pair_bytes(plane)
                                         : super + 64 + group % 8 / 2 * quant_pair_bytes(plane);
    return (quant_place){pair + group % 2 * bytes, pair + 2 * bytes + group % 2 * 32, super};
}

/* Weights so far ahead of those that are worked on are asked into the first cache. Left alone, the processor fetches too late
 * while memory is quick, and hardly at all where the work on a line takes longer than a line takes to come; 4 to 8 KiB do
 * about as well. May go past the end of the weights: asking is never wrong. */
enum { QUANT_AHEAD = 6144, QUANT_LINE = 64 };

static inline __attribute__((always_inline)) void quant_ask(const uint8_t *at, size_t bytes)
{
    _Pragma("GCC unroll 32") for (size_t i = 0; i < bytes; i += QUANT_LINE)
        __builtin_prefetch((const void *)((uintptr_t)at + QUANT_AHEAD + i), 0, 3);
}

static inline int quant_panels(int n)
{
    return (n + OPS_QUANT_COLS - 1) / OPS_QUANT_COLS;
}

/* 32 activations of one row: value s * q. Cells of QUANT_TILE rows lie together, group by group, so that a tile of the
 * product walks one pointer. */
typedef struct quant_cell {
    int8_t q[32];
    float s, bs; /* scale, scale * sum of q */
    int32_t z
        [2]; /* minus offset times the sum of q: of all 32 in the first, or of each 16 where scales are per 16 */
} quant_cell;

enum { QUANT_TILE = 16 };

/* The cell of row i and group g of rows with so many groups; the next row of the same tile is the next cell. */
static inline size_t quant_cell_at(int groups, int i, int g)
{
    return ((size_t)(i / QUANT_TILE) * groups + g) * QUANT_TILE + i % QUANT_TILE;
}

/* Does panel p of the job have a column the mask wants? */
static inline int quant_wanted(const ops_quant_job *j, int p)
{
    return !j->mask || (j->mask[p / 2] >> (p % 2 * 16) & 0xffff);
}

void ops_quant_plain(const ops_quant_job *job, int from, int to); /* panels [from, to) */
#ifdef __x86_64__
void ops_quant_avx2(const ops_quant_job *job, int from, int to);
void ops_quant_avx512(const ops_quant_job *job, int from, int to);
void ops_quant_cell_avx2(quant_format f, const float x[32], quant_cell *ret);
#endif
void ops_quant_cell_plain(quant_format f, const float x[32], quant_cell *ret);
#endif
