#include "kernels/cpu/level.h"

#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

static size_t score_floats(int len, int width)
{
    (void)width;
    return (size_t)len;
}

static void attend(const ops_cpu_attend_job *j)
{
    ops_ref_attend(&j->head, j->from, j->to, j->scratch);
}

const ops_cpu_level ops_cpu_level_plain = {.name = "plain",
                                           .quant = OPS_QUANT_PLAIN,
                                           .panel = 1,
                                           .linear = ops_ref_linear_run,
                                           .linear_i8 = ops_ref_linear_run,
                                           .quantise = ops_ref_quantise,
                                           .attend = attend,
                                           .attend_scratch = score_floats,
                                           .layernorm = ops_ref_layernorm,
                                           .gelu = ops_ref_gelu,
                                           .add = ops_ref_add,
                                           .pool = ops_ref_pool};

#ifdef __x86_64__
/* simd_*.c, compiled once a level. */
#define DECLARE(at)                                                                                          \
    extern void ops_##at##_linear(const ops_ref_linear *, int, int, int);                                    \
    extern void ops_##at##_quantise(int, const float *, uint8_t *, float *, int32_t *);                      \
    extern void ops_##at##_attend(const ops_cpu_attend_job *);                                               \
    extern size_t ops_##at##_attend_scratch(int, int);                                                       \
    extern void ops_##at##_layernorm(int, int, float, const float *, const float *, const float *, float *); \
    extern void ops_##at##_gelu(size_t, const float *, float *);                                             \
    extern void ops_##at##_add(size_t, const float *, const float *, float *);                               \
    extern void ops_##at##_pool(int, int, const float *, float *)
DECLARE(avx2);
DECLARE(avx512);
extern void ops_avx2_linear_i8(const ops_ref_linear *, int, int, int);
extern void ops_avx512_linear_i8(const ops_ref_linear *, int, int, int);
extern void ops_vnni_linear_i8(const ops_ref_linear *, int, int, int);

#define LEVEL(at, lanes, i8, group)                                                                          \
    {                                                                                                        \
        .name = #i8, .quant = (group), .panel = 3 * (lanes), .linear = ops_##at##_linear,                    \
        .linear_i8 = ops_##i8##_linear_i8, .quantise = ops_##at##_quantise, .attend = ops_##at##_attend,     \
        .attend_scratch = ops_##at##_attend_scratch, .layernorm = ops_##at##_layernorm,                      \
        .gelu = ops_##at##_gelu, .add = ops_##at##_add, .pool = ops_##at##_pool                              \
    }
const ops_cpu_level ops_cpu_level_avx2 = LEVEL(avx2, 8, avx2, OPS_QUANT_AVX2);
const ops_cpu_level ops_cpu_level_avx512 = LEVEL(avx512, 16, avx512, OPS_QUANT_AVX2);
const ops_cpu_level ops_cpu_level_vnni = LEVEL(avx512, 16, vnni, OPS_QUANT_AVX512);

int ops_cpu_has_avx2(void)
{
    unsigned a, b, c = 0, d; /* clang 14 does not know the name of F16C */
    const int f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && f16c;
}

static int has_avx512(void)
{
    return ops_cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

int ops_cpu_has_vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}
#endif

static int always(void)
{
    return 1;
}

const ops_cpu_level *ops_cpu_level_find(const char *name)
{
    static const struct {
        const ops_cpu_level *level;
        int (*had)(void);
    } rows[] = {
#ifdef __x86_64__
        {&ops_cpu_level_vnni, ops_cpu_has_vnni},
        {&ops_cpu_level_avx512, has_avx512},
        {&ops_cpu_level_avx2, ops_cpu_has_avx2},
#endif
        {&ops_cpu_level_plain, always}};
    if (name == NULL)
        name = getenv("OPS_KERN_LEVEL");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if ((name == NULL || *name == '\0' || strcmp(name, rows[i].level->name) == 0) && rows[i].had())
            return rows[i].level;
    return NULL;
}
