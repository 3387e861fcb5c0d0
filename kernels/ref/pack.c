#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

void ops_ref_packed_over(ops_kern_type type, int n, int k, int panel, const void *at, ops_ref_packed *ret)
{
    const size_t columns = (size_t)ops_ref_up(n, panel), deep = (size_t)ops_ref_up(k, 4);
    *ret = (ops_ref_packed){.type = type, .n = n, .k = k, .panel = panel, .w = at};
    if (type == OPS_KERN_I8) {
        /* Both vectors together, up to a whole line, so that the matrix starts on one. */
        const size_t head = (columns * 8 + 63) / 64 * 64;
        ret->bytes = head + columns * deep;
        ret->step = at;
        ret->sum = at != NULL ? (const int32_t *)at + columns : NULL;
        ret->w = at != NULL ? (const char *)at + head : NULL;
    } else {
        ret->bytes = columns * (size_t)k * (type == OPS_KERN_F32 ? 4 : 2);
    }
}

static void pack_i8(const ops_ref_packed *p, const float *w, void *at)
{
    const size_t columns = (size_t)ops_ref_up(p->n, p->panel), deep = (size_t)ops_ref_up(p->k, 4);
    float *step = at;
    int32_t *sums = (int32_t *)at + columns;
    int8_t *to = (int8_t *)at + (p->bytes - columns * deep);
    for (int j = 0; j < p->n; j++, w += p->k) {
        float top = 0;
        for (int c = 0; c < p->k; c++)
            top = fmaxf(top, fabsf(w[c]));
        const float inverse = top > OPS_REF_TINY && top < INFINITY ? 127 / top : 0;
        int8_t *row = to + (size_t)(j / p->panel) * p->panel * deep + (size_t)(j % p->panel) * 4;
        int32_t sum = 0;
        for (int c = 0; c < p->k; c++) {
            const int v = (int)lrintf(fminf(fmaxf(w[c] * inverse, -127), 127));
            row[(size_t)(c / 4) * 4 * p->panel + c % 4] = (int8_t)v;
            sum += v;
        }
        step[j] = inverse > 0 ? top / 127 : 0;
        sums[j] = sum;
    }
}

void ops_ref_pack(const ops_ref_packed *p, const float *w, void *at)
{
    memset(at, 0, p->bytes);
    if (p->type == OPS_KERN_I8) {
        pack_i8(p, w, at);
        return;
    }
    for (int j = 0; j < p->n; j++, w += p->k) {
        const size_t first = (size_t)(j / p->panel) * p->panel * p->k + (size_t)(j % p->panel);
        for (int c = 0; c < p->k; c++) {
            const size_t i = first + (size_t)c * p->panel;
            if (p->type == OPS_KERN_F32)
                ((float *)at)[i] = w[c];
            else
                ((uint16_t *)at)[i] =
                    p->type == OPS_KERN_F16 ? ops_kern_quant_to_half(w[c]) : ops_ref_to_bf16(w[c]);
        }
    }
}
