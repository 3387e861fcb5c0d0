#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

void ops_ref_quantise(int k, const float *x, uint8_t *ret_u, float *ret_step, int32_t *ret_zero)
{
    float low = 0, high = 0;
    for (int c = 0; c < k; c++) {
        low = fminf(low, x[c]);
        high = fmaxf(high, x[c]);
    }
    const float range = high - low, inverse = range > OPS_REF_TINY && range < INFINITY ? 255 / range : 0;
    const int zero = (int)lrintf(-low * inverse);
    for (int c = 0; c < k; c++) {
        const float v = x[c] * inverse; /* within 255 unless x is no number */
        const int u = (v >= -256 && v <= 256 ? (int)lrintf(v) : -256) + zero;
        ret_u[c] = (uint8_t)(u < 0 ? 0 : u > 255 ? 255 : u);
    }
    memset(ret_u + k, 0, (size_t)(ops_ref_up(k, 4) - k));
    *ret_step = inverse > 0 ? range / 255 : 0;
    *ret_zero = zero;
}

static float weight(const ops_ref_packed *p, size_t i)
{
    if (p->type == OPS_KERN_F32)
        return ((const float *)p->w)[i];
    const uint16_t v = ((const uint16_t *)p->w)[i];
    return p->type == OPS_KERN_F16 ? ops_kern_quant_from_half(v) : ops_ref_of_bf16(v);
}

static float dot(const ops_ref_linear *l, int i, int j)
{
    const ops_ref_packed *p = l->p;
    if (p->type == OPS_KERN_I8) {
        const size_t deep = (size_t)ops_ref_up(p->k, 4);
        const uint8_t *u = l->u + (size_t)i * deep;
        const int8_t *w = (const int8_t *)p->w + (size_t)j * deep;
        int32_t sum = 0;
        for (int c = 0; c < p->k; c++)
            sum += (u[c] - l->zero[i]) * w[c];
        return (float)sum * (l->step[i] * p->step[j]);
    }
    const float *x = l->x + (size_t)i * p->k;
    double sum = 0;
    for (int c = 0; c < p->k; c++)
        sum += (double)x[c] * (double)weight(p, (size_t)j * p->k + c);
    return (float)sum;
}

void ops_ref_linear_run(const ops_ref_linear *l, int m, int from, int to)
{
    for (int i = 0; i < m; i++)
        for (int j = from; j < to; j++) {
            const size_t at = (size_t)i * l->p->n + j;
            float v = dot(l, i, j) + l->bias[j];
            if (l->act == OPS_KERN_ACT_GELU)
                ops_ref_gelu(1, &v, &v);
            l->y[at] = l->add != NULL ? v + l->add[at] : v;
        }
}
