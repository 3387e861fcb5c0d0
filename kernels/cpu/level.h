/* The inner functions of a level, each on a part of an operation, so that the parts can go to any thread. */
#ifndef OPS_KERNELS_CPU_LEVEL_H
#define OPS_KERNELS_CPU_LEVEL_H

#include "kernels/cpu/quant.h"
#include "kernels/ref/ref.h"

/* Some query rows of one head. */
typedef struct ops_cpu_attend_job {
    ops_ref_head head;
    int from, to;   /* query rows, at most OPS_CPU_QUERIES */
    float *scratch; /* this thread's: attend_scratch(len, width) floats on a line of the cache */
} ops_cpu_attend_job;
enum { OPS_CPU_QUERIES = 64 };

typedef struct ops_cpu_level {
    const char *name;
    ops_quant_level quant; /* the decoder group's; below VNNI the widest vectors are of no use to it */
    int panel;             /* rows of w side by side in packed weights */
    /* Rows [0, m) and the columns of some panels; pointers are those of the first row. The second is for i8. */
    void (*linear)(const ops_ref_linear *l, int m, int panel_from, int panel_to);
    void (*linear_i8)(const ops_ref_linear *l, int m, int panel_from, int panel_to);
    void (*quantise)(int k, const float *x, uint8_t *ret_u, float *ret_step, int32_t *ret_zero);
    void (*attend)(const ops_cpu_attend_job *j);
    size_t (*attend_scratch)(int len, int width);
    void (*layernorm)(int m, int n, float eps, const float *x, const float *gain, const float *shift,
                      float *y);
    void (*gelu)(size_t count, const float *x, float *y);
    void (*add)(size_t count, const float *a, const float *b, float *y);
    void (*pool)(int len, int n, const float *x, float *y);
} ops_cpu_level;

extern const ops_cpu_level ops_cpu_level_plain;
#ifdef __x86_64__
extern const ops_cpu_level ops_cpu_level_avx2, ops_cpu_level_avx512, ops_cpu_level_vnni;
int ops_cpu_has_avx2(void); /* and FMA and F16C */
int ops_cpu_has_vnni(void); /* and AVX-512 F, BW, DQ, VL */
#endif

/* The level of that name if this processor has it (NULL: from the environment or the best), else NULL. */
const ops_cpu_level *ops_cpu_level_find(const char *name);

#endif
