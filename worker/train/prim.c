#include "worker/train/prim.h"

#include <math.h>
#include <string.h>

#include "worker/train/prim_lanes_internal.h"

LANES void gelu_lane(const float *x, float *y)
{
    const lane v = *(const lane *)x;
    lane e = -2.0f * 0.7978845608f * (v + 0.044715f * v * v * v);
    exp_lane(&e);
    *(lane *)y = v / (1.0f + e);
}

/* What is left of a row beyond whole lanes goes through a buffer. */
LANES void gelu_body(size_t n, const float *x, float *y)
{
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        gelu_lane(x + i, y + i);
    if (i < n) {
        float rest[WIDTH] = {0};
        memcpy(rest, x + i, (n - i) * sizeof *x);
        gelu_lane(rest, rest);
        memcpy(y + i, rest, (n - i) * sizeof *y);
    }
}
BY_LEVEL(gelu, (size_t n, const float *x, float *y), (n, x, y))

LANES float sum_of(size_t n, const float *x)
{
    lane sum = {0};
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        sum += *(const lane *)(x + i);
    float total = across(&sum);
    for (; i < n; i++)
        total += x[i];
    return total;
}

/* Sum of (x - from)^2. */
LANES float squares(size_t n, const float *x, float from)
{
    lane sum = {0};
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        const lane v = *(const lane *)(x + i) - from;
        sum += v * v;
    }
    float total = across(&sum);
    for (; i < n; i++)
        total += (x[i] - from) * (x[i] - from);
    return total;
}

LANES void norm_row(size_t n, const float *x, const float *gain, const float *shift, float *y, float *stat)
{
    const float mean = sum_of(n, x) / (float)n;
    const float scale = 1 / sqrtf(squares(n, x, mean) / (float)n + 1e-5f);
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        *(lane *)(y + i) =
            (*(const lane *)(x + i) - mean) * scale * *(const lane *)(gain + i) + *(const lane *)(shift + i);
    for (; i < n; i++)
        y[i] = (x[i] - mean) * scale * gain[i] + shift[i];
    stat[0] = mean;
    stat[1] = scale;
}

LANES void norm_body(int m, size_t n, const float *x, const float *gain, const float *shift, float *y,
                     float *stat)
{
    for (int i = 0; i < m; i++, x += n, y += n, stat += 2)
        norm_row(n, x, gain, shift, y, stat);
}
BY_LEVEL(norm,
         (int m, size_t n, const float *x, const float *gain, const float *shift, float *y, float *stat),
         (m, n, x, gain, shift, y, stat))

LANES void chances_body(int m, int n, size_t row, float *logits, const int32_t *target, float *surprise)
{
    for (int i = 0; i < m; i++, logits += row) {
        const float of = logits[target[i]];
        float top, sum;
        softmax_lanes((size_t)n, logits, &top, &sum);
        surprise[i] = logf(sum) + top - of;
        const float scale = 1 / sum;
        for (int j = 0; j < n; j += WIDTH)
            *(lane *)(logits + j) *= scale;
    }
}
BY_LEVEL(chances, (int m, int n, size_t row, float *logits, const int32_t *target, float *surprise),
         (m, n, row, logits, target, surprise))

void ops_prim_gelu(size_t n, const float *x, float *y)
{
    gelu(n, x, y);
}

void ops_prim_gelu_back(size_t n, const float *x, const float *dy, float *dx)
{
    for (size_t i = 0; i < n; i++) {
        float u = 0.7978845608f * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
        float gate = 1 / (1 + expf(-2 * u));
        float du = 0.7978845608f * (1 + 3 * 0.044715f * x[i] * x[i]);
        dx[i] += dy[i] * (gate + x[i] * gate * (1 - gate) * 2 * du);
    }
}

void ops_prim_norm(int m, int n, const float *x, const float *gain, const float *shift, float *y, float *stat)
{
    norm(m, (size_t)n, x, gain, shift, y, stat);
}

void ops_prim_norm_back(int m, int n, const float *x, const float *gain, const float *stat, const float *dy,
                        float *dx, float *dgain, float *dshift)
{
    for (int i = 0; i < m; i++, x += n, dy += n, dx += n) {
        float mean = stat[2 * i], scale = stat[2 * i + 1], sum = 0, sum_x = 0;
        for (int j = 0; j < n; j++) {
            float hat = (x[j] - mean) * scale, d = dy[j] * gain[j];
            dgain[j] += dy[j] * hat;
            dshift[j] += dy[j];
            sum += d;
            sum_x += d * hat;
        }
        sum /= (float)n;
        sum_x /= (float)n;
        for (int j = 0; j < n; j++)
            dx[j] += scale * (dy[j] * gain[j] - sum - (x[j] - mean) * scale * sum_x);
    }
}

void ops_prim_embed(int n, const int32_t *ids, const int32_t *starts, int seqs, const float *table,
                    const float *place, float *y)
{
    for (int s = 0; s < seqs; s++)
        for (int i = starts[s]; i < starts[s + 1]; i++) {
            const float *a = table + (size_t)ids[i] * n, *b = place + (size_t)(i - starts[s]) * n;
            for (int j = 0; j < n; j++)
                y[(size_t)i * n + j] = a[j] + b[j];
        }
}

void ops_prim_embed_back(int n, const int32_t *ids, const int32_t *starts, int seqs, const float *dy,
                         float *dtable, float *dplace)
{
    for (int s = 0; s < seqs; s++)
        for (int i = starts[s]; i < starts[s + 1]; i++) {
            float *a = dtable + (size_t)ids[i] * n, *b = dplace + (size_t)(i - starts[s]) * n;
            for (int j = 0; j < n; j++) {
                a[j] += dy[(size_t)i * n + j];
                b[j] += dy[(size_t)i * n + j];
            }
        }
}

void ops_prim_surprise(int m, int n, size_t row, float *logits, const int32_t *target, float *surprise,
                       int grad)
{
    chances(m, n, row, logits, target, surprise);
    for (int i = 0; grad && i < m; i++, logits += row) {
        logits[target[i]] -= 1;
        for (int j = 0; j < n; j++)
            logits[j] /= (float)m;
    }
}

void ops_prim_update(const ops_prim_adamw *how, uint64_t step, size_t n, float *w, const float *grad,
                     float *m1, float *m2)
{
    float fix1 = 1 - (float)pow((double)how->beta1, (double)step);
    float fix2 = sqrtf(1 - (float)pow((double)how->beta2, (double)step));
    for (size_t i = 0; i < n; i++) {
        m1[i] = how->beta1 * m1[i] + (1 - how->beta1) * grad[i];
        m2[i] = how->beta2 * m2[i] + (1 - how->beta2) * grad[i] * grad[i];
        w[i] -= how->rate * (how->decay * w[i] + m1[i] / fix1 / (sqrtf(m2[i]) / fix2 + how->eps));
    }
}
