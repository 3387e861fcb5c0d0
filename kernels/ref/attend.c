/* softmax(q k^T / sqrt(width)) v, row by row, with the largest score taken out first. */
#include <math.h>

#include "kernels/ref/ref.h"

static void attend_row(const ops_ref_head *h, const float *q, float *score, float *y)
{
    float top = -INFINITY, sum = 0, scale = 1 / sqrtf((float)h->width);
    for (int t = 0; t < h->len; t++) {
        float dot = 0;
        for (int c = 0; c < h->width; c++)
            dot += q[c] * h->k[(size_t)t * h->in + c];
        score[t] = dot * scale;
        top = fmaxf(top, score[t]);
    }
    for (int t = 0; t < h->len; t++)
        sum += score[t] = expf(score[t] - top);
    for (int c = 0; c < h->width; c++)
        y[c] = 0;
    for (int t = 0; t < h->len; t++)
        for (int c = 0; c < h->width; c++)
            y[c] += score[t] / sum * h->v[(size_t)t * h->in + c];
}

void ops_ref_attend(const ops_ref_head *h, int from, int to, float *score)
{
    for (int t = from; t < to; t++)
        attend_row(h, h->q + (size_t)t * h->in, score, h->y + (size_t)t * h->out);
}
