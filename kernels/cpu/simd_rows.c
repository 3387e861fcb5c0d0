#include <math.h>
#include <string.h>

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd_math.h"

void OPS_SIMD(gelu)(size_t count, const float *x, float *y);
void OPS_SIMD(add)(size_t count, const float *a, const float *b, float *y);
void OPS_SIMD(layernorm)(int m, int n, float eps, const float *x, const float *gain, const float *shift,
                         float *y);
void OPS_SIMD(pool)(int len, int n, const float *x, float *y);
void OPS_SIMD(quantise)(int k, const float *x, uint8_t *ret_u, float *ret_step, int32_t *ret_zero);

void OPS_SIMD(gelu)(size_t count, const float *x, float *y)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        v_store(y + i, v_gelu(v_load(x + i)));
    if (i < count)
        v_store_n(y + i, (int)(count - i), v_gelu(v_load_n(x + i, (int)(count - i))));
}

void OPS_SIMD(add)(size_t count, const float *a, const float *b, float *y)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        v_store(y + i, v_load(a + i) + v_load(b + i));
    for (; i < count; i++)
        y[i] = a[i] + b[i];
}

/* sum of (x - mean)^2; with a mean of 0 and `plain` the sum of x. The tail goes last, one by one. */
OPS_INLINE float row_sum(int n, const float *x, float mean, int plain)
{
    vf sum = v_set(0);
    int j = 0;
    for (; j + LANES <= n; j += LANES) {
        const vf v = v_load(x + j) - v_set(mean);
        if (plain)
            sum = sum + v;
        else
            sum = v_fma(v, v, sum);
    }
    float all = v_sum(sum);
    for (; j < n; j++)
        all += plain ? x[j] : (x[j] - mean) * (x[j] - mean);
    return all;
}

void OPS_SIMD(layernorm)(int m, int n, float eps, const float *x, const float *gain, const float *shift,
                         float *y)
{
    for (int i = 0; i < m; i++, x += n, y += n) {
        const float mean = row_sum(n, x, 0, 1) / (float)n;
        const float scale = 1 / sqrtf(row_sum(n, x, mean, 0) / (float)n + eps);
        int j = 0;
        for (; j + LANES <= n; j += LANES)
            v_store(y + j,
                    v_fma((v_load(x + j) - v_set(mean)) * v_set(scale), v_load(gain + j), v_load(shift + j)));
        for (; j < n; j++)
            y[j] = (x[j] - mean) * scale * gain[j] + shift[j];
    }
}

void OPS_SIMD(pool)(int len, int n, const float *x, float *y)
{
    double norm = 0;
    int j = 0;
    for (; j + LANES <= n; j += LANES) {
        vf sum = v_set(0);
        for (int t = 0; t < len; t++)
            sum = sum + v_load(x + (size_t)t * (size_t)n + j);
        v_store(y + j, sum * v_set(1.0f / (float)len));
    }
    for (; j < n; j++) {
        float sum = 0;
        for (int t = 0; t < len; t++)
            sum += x[(size_t)t * (size_t)n + j];
        y[j] = sum / (float)len;
    }
    for (j = 0; j < n; j++)
        norm += (double)y[j] * (double)y[j];
    norm = 1 / fmax(sqrt(norm), 1e-12);
    for (j = 0; j < n; j++)
        y[j] = (float)((double)y[j] * norm);
}

void OPS_SIMD(quantise)(int k, const float *x, uint8_t *ret_u, float *ret_step, int32_t *ret_zero)
{
    vf low_v = v_set(0), high_v = v_set(0);
    int c = 0;
    for (; c + LANES <= k; c += LANES) {
        low_v = v_min(v_load(x + c), low_v); /* the second is the answer when one is no number */
        high_v = v_max(v_load(x + c), high_v);
    }
    float low = -v_top(v_set(0) - low_v), high = v_top(high_v);
    for (; c < k; c++) {
        low = fminf(low, x[c]);
        high = fmaxf(high, x[c]);
    }
    const float range = high - low, inverse = range > OPS_REF_TINY && range < INFINITY ? 255 / range : 0;
    const int zero = (int)lrintf(-low * inverse);
    const vf to = v_set(inverse);
    c = 0;
    for (; c + LANES <= k; c += LANES) {
        const vf v = v_min(v_max(v_load(x + c) * to, v_set(-256)), v_set(256));
        v_store_bytes(ret_u + c, v_iadd(v_round(v), v_iset(zero)));
    }
    for (; c < k; c++) {
        const float v = x[c] * inverse;
        const int u = (v >= -256 && v <= 256 ? (int)lrintf(v) : -256) + zero;
        ret_u[c] = (uint8_t)(u < 0 ? 0 : u > 255 ? 255 : u);
    }
    memset(ret_u + k, 0, (size_t)(ops_ref_up(k, 4) - k));
    *ret_step = inverse > 0 ? range / 255 : 0;
    *ret_zero = zero;
}
