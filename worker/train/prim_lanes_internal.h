/* Sixteen floats at a time, and one body compiled for several instruction sets, of which the processor's best is taken. */
#ifndef OPS_TRAIN_PRIM_LANES_INTERNAL_H
#define OPS_TRAIN_PRIM_LANES_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

typedef float lane __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(64), aligned(4), may_alias));
enum { WIDTH = 16 };

#define LANES         static inline __attribute__((always_inline))
#define UPTO(n, step) (((n) + (size_t)(step)-1) / (size_t)(step) * (size_t)(step))

/* BY_LEVEL(norm, (int m, ...), (m, ...)) makes `norm` of `norm_body`, which must be one of LANES. */
#if defined(__x86_64__)
#define LEVEL(name, level, target_, params, args)                                                            \
    __attribute__((target(target_))) static void name##_##level params                                       \
    {                                                                                                        \
        name##_body args;                                                                                    \
    }
#define BY_LEVEL(name, params, args)                                                                         \
    LEVEL(name, avx512, "avx512f,avx512dq,fma", params, args)                                                \
    LEVEL(name, avx2, "avx2,fma", params, args)                                                              \
    static void name params                                                                                  \
    {                                                                                                        \
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))                         \
            name##_avx512 args;                                                                              \
        else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))                            \
            name##_avx2 args;                                                                                \
        else                                                                                                 \
            name##_body args;                                                                                \
    }
#else
#define BY_LEVEL(name, params, args)                                                                         \
    static void name params                                                                                  \
    {                                                                                                        \
        name##_body args;                                                                                    \
    }
#endif

/* Vectors go through pointers: by value their passing depends on the instruction set. */
#define HALVES(v, of)                                                                                        \
    __builtin_shufflevector(v, v, (of) ^ 0, (of) ^ 1, (of) ^ 2, (of) ^ 3, (of) ^ 4, (of) ^ 5, (of) ^ 6,      \
                            (of) ^ 7, (of) ^ 8, (of) ^ 9, (of) ^ 10, (of) ^ 11, (of) ^ 12, (of) ^ 13,        \
                            (of) ^ 14, (of) ^ 15)

/* Sum and greatest of a lane's numbers, by halves: a chain would wait for each. */
LANES float across(const lane *v)
{
    lane t = *v;
    t += HALVES(t, 8);
    t += HALVES(t, 4);
    t += HALVES(t, 2);
    t += HALVES(t, 1);
    return t[0];
}

LANES void greater(lane *a, const lane *b)
{
    const ints more = *b > *a;
    *a = (lane)(((ints)*a & ~more) | ((ints)*b & more));
}

LANES float top_across(const lane *v)
{
    lane t = *v, u = HALVES(t, 8);
    greater(&t, &u);
    u = HALVES(t, 4);
    greater(&t, &u);
    u = HALVES(t, 2);
    greater(&t, &u);
    u = HALVES(t, 1);
    greater(&t, &u);
    return t[0];
}

/* All bits set in the first n numbers. */
LANES void first(size_t n, ints *ret)
{
    const ints at = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    *ret = at < (int32_t)n;
}

/* exp to about one part in 10^7: 2^n e^r with |r| <= ln 2 / 2, e^r by its Taylor series to the sixth power. */
LANES void exp_lane(lane *px)
{
    const lane low = (lane){0} - 87.0f, high = (lane){0} + 87.0f;
    lane x = *px;
    const ints under = x<low, over = x> high;
    x = (lane)(((ints)x & ~under) | ((ints)low & under));
    x = (lane)(((ints)x & ~over) | ((ints)high & over));
    const float round = 12582912.0f; /* 1.5 * 2^23: what is added and taken away leaves a whole number */
    lane n = x * 1.44269504f + round - round;
    lane r = x - n * 0.693359375f - n * -2.12194440e-4f;
    lane p = 1.0f / 720 * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    ints power = __builtin_convertvector(n, ints);
    *px = (lane)((ints)p + (power << 23));
}

/* x[i] = e^(x[i] - greatest) for i < n, in place; *ret_sum is their sum. Room up to the next whole lane is the row's own
 * and becomes 0. */
LANES void softmax_lanes(size_t n, float *x, float *ret_top, float *ret_sum)
{
    const size_t whole = n / WIDTH * WIDTH;
    const lane least = (lane){0} - 3.0e38f;
    ints in;
    first(n - whole, &in);
    lane most = least, sum = {0};
    for (size_t i = 0; i < whole; i += WIDTH)
        greater(&most, (const lane *)(x + i));
    if (whole < n) {
        const lane rest = (lane)(((ints) * (const lane *)(x + whole) & in) | ((ints)least & ~in));
        greater(&most, &rest);
    }
    const float top = top_across(&most);
    for (size_t i = 0; i < n; i += WIDTH) {
        lane e = *(lane *)(x + i) - top;
        exp_lane(&e);
        if (i == whole)
            e = (lane)((ints)e & in);
        *(lane *)(x + i) = e;
        sum += e;
    }
    *ret_top = top;
    *ret_sum = across(&sum);
}

#endif
