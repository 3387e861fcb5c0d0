#include "worker/train/prim.h"

#include <math.h>
#include <string.h>

typedef float lane __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(64), aligned(4), may_alias));
enum { WIDTH = 16 };

/* Vectors go through pointers: by value their passing depends on the instruction set.
 * exp to about one part in 10^7: 2^n e^r with |r| <= ln 2 / 2, e^r by its Taylor series to the sixth power. */
static inline __attribute__((always_inline)) void exp_lane(lane *px)
{
    lane x = *px;
    const lane low = (lane){0} - 87.0f, high = (lane){0} + 87.0f;
    ints under = x<low, over = x> high;
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

static inline __attribute__((always_inline)) void gelu_lane(const float *x, float *y)
{
    const lane v = *(const lane *)x;
    lane e = -2.0f * 0.7978845608f * (v + 0.044715f * v * v * v);
    exp_lane(&e);
    *(lane *)y = v / (1.0f + e);
}

/* Sum of a lane's numbers, by halves: a chain of additions would wait for each. */
static inline __attribute__((always_inline)) float across(const lane *v)
{
    float t[WIDTH];
    memcpy(t, v, sizeof t);
    for (int w = WIDTH / 2; w > 0; w /= 2)
        for (int k = 0; k < w; k++)
            t[k] += t[k + w];
    return t[0];
}

/* What is left of a row beyond whole lanes goes through a buffer. */
static inline __attribute__((always_inline)) void gelu_body(size_t n, const float *x, float *y)
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

static inline __attribute__((always_inline)) void softmax_body(size_t n, float *x, float top, float *ret_sum)
{
    lane sum = {0};
    float total = 0;
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        lane e = *(lane *)(x + i) - top;
        exp_lane(&e);
        *(lane *)(x + i) = e;
        sum += e;
    }
    if (i < n) {
        lane e = {0};
        memcpy(&e, x + i, (n - i) * sizeof *x);
        e -= top;
        exp_lane(&e);
        memcpy(x + i, &e, (n - i) * sizeof *x);
        for (size_t k = i; k < n; k++)
            total += x[k];
    }
    *ret_sum = total + across(&sum);
}

/* Sum of x, or of (x - from)^2. */
static inline __attribute__((always_inline)) float sum_body(size_t n, const float *x)
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

static inline __attribute__((always_inline)) float squares_body(size_t n, const float *x, float from)
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

static inline __attribute__((always_inline)) void norm_body(size_t n, const float *x, const float *gain,
                                                            const float *shift, float *y, float stat[2])
{
    const float mean = sum_body(n, x) / (float)n;
    const float scale = 1 / sqrtf(squares_body(n, x, mean) / (float)n + 1e-5f);
    for (size_t j = 0; j < n; j++)
        y[j] = (x[j] - mean) * scale * gain[j] + shift[j];
    stat[0] = mean;
    stat[1] = scale;
}

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2,fma")))
WIDE static void gelu_wide(size_t n, const float *x, float *y)
{
    gelu_body(n, x, y);
}
WIDE static void softmax_wide(size_t n, float *x, float top, float *ret_sum)
{
    softmax_body(n, x, top, ret_sum);
}
WIDE static void norm_wide(size_t n, const float *x, const float *gain, const float *shift, float *y,
                           float stat[2])
{
    norm_body(n, x, gain, shift, y, stat);
}
#define HAVE_WIDE (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#else
#define gelu_wide    gelu_body
#define softmax_wide softmax_body
#define norm_wide    norm_body
#define HAVE_WIDE    0
#endif

void ops_prim_gelu(size_t n, const float *x, float *y)
{
    if (HAVE_WIDE)
        gelu_wide(n, x, y);
    else
        gelu_body(n, x, y);
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

/* Softmax in place; returns the sum of exp(x - top). */
static float softmax(size_t n, float *x, float *ret_top)
{
    float top = x[0], sum;
    for (size_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    if (HAVE_WIDE)
        softmax_wide(n, x, top, &sum);
    else
        softmax_body(n, x, top, &sum);
    float scale = 1 / sum;
    for (size_t i = 0; i < n; i++)
        x[i] *= scale;
    *ret_top = top;
    return sum;
}

void ops_prim_norm(int m, int n, const float *x, const float *gain, const float *shift, float *y, float *stat)
{
    for (int i = 0; i < m; i++, x += n, y += n, stat += 2)
        if (HAVE_WIDE)
            norm_wide((size_t)n, x, gain, shift, y, stat);
        else
            norm_body((size_t)n, x, gain, shift, y, stat);
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

size_t ops_prim_attend_shares(const int32_t *starts, int seqs, int heads)
{
    size_t sum = 0;
    for (int s = 0; s < seqs; s++) {
        size_t n = (size_t)(starts[s + 1] - starts[s]);
        sum += n * (n + 1) / 2;
    }
    return sum * (size_t)heads;
}

static float dot(int n, const float *a, const float *b)
{
    float sum[4] = {0};
    int i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        sum[0] += a[i] * b[i];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

static void add_scaled(int n, float scale, const float *x, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] += scale * x[i];
}

void ops_prim_attend(int n, int heads, const int32_t *starts, int seqs, const float *qkv, float *y,
                     float *share, float *work)
{
    const int width = n / heads;
    const size_t row = 3 * (size_t)n;
    const float scale = 1 / sqrtf((float)width);
    for (int s = 0; s < seqs; s++)
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < starts[s + 1] - starts[s]; i++) {
                const float *first = qkv + (size_t)starts[s] * row + (size_t)h * width;
                const float *q = first + (size_t)i * row;
                float *p = share != NULL ? share : work,
                      *to = y + (size_t)(starts[s] + i) * n + (size_t)h * width;
                float top;
                for (int j = 0; j <= i; j++)
                    p[j] = scale * dot(width, q, first + (size_t)j * row + n);
                (void)softmax((size_t)i + 1, p, &top);
                memset(to, 0, (size_t)width * sizeof *to);
                for (int j = 0; j <= i; j++)
                    add_scaled(width, p[j], first + (size_t)j * row + 2 * n, to);
                if (share != NULL)
                    share += i + 1;
            }
}

void ops_prim_attend_back(int n, int heads, const int32_t *starts, int seqs, const float *qkv,
                          const float *share, const float *dy, float *dqkv, float *work)
{
    const int width = n / heads;
    const size_t row = 3 * (size_t)n;
    const float scale = 1 / sqrtf((float)width);
    for (int s = 0; s < seqs; s++)
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < starts[s + 1] - starts[s]; i++) {
                const size_t at = (size_t)starts[s] * row + (size_t)h * width;
                const float *first = qkv + at, *d = dy + (size_t)(starts[s] + i) * n + (size_t)h * width;
                float *dfirst = dqkv + at, mean = 0;
                for (int j = 0; j <= i; j++) {
                    work[j] = dot(width, d, first + (size_t)j * row + 2 * n);
                    mean += share[j] * work[j];
                    add_scaled(width, share[j], d, dfirst + (size_t)j * row + 2 * n);
                }
                for (int j = 0; j <= i; j++) {
                    float g = share[j] * (work[j] - mean) * scale;
                    add_scaled(width, g, first + (size_t)j * row + n, dfirst + (size_t)i * row);
                    add_scaled(width, g, first + (size_t)i * row, dfirst + (size_t)j * row + n);
                }
                share += i + 1;
            }
}

void ops_prim_surprise(int m, int n, float *logits, const int32_t *target, float *surprise, int grad)
{
    for (int i = 0; i < m; i++, logits += n) {
        float of = logits[target[i]], top, sum = softmax((size_t)n, logits, &top);
        surprise[i] = logf(sum) + top - of;
        if (!grad)
            continue;
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
