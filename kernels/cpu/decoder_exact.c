/* The formulas, in double and in no hurry: what the levels are held against. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/decoder_internal.h"

static double at(const void *base, size_t i, int half)
{
    return half ? ops_kern_quant_from_half(((const uint16_t *)base)[i]) : ((const float *)base)[i];
}

static double key(const ops_decoder_keys *k, int token, int c)
{
    size_t block = k->table ? (size_t)k->table[token / k->block] * k->stride : 0;
    size_t in = (size_t)(k->table ? token % k->block : token);
    return at(k->k, block + in + (size_t)c * k->k_step, k->half);
}

static double value(const ops_decoder_keys *k, int token, int c)
{
    size_t block = k->table ? (size_t)k->table[token / k->block] * k->stride : 0;
    size_t in = (size_t)(k->table ? token % k->block : token);
    return at(k->v, block + in * k->v_step + (size_t)c, k->half);
}

static double score(const ops_decoder_attend *a, const ops_decoder_keys *k, const float *q, int token)
{
    double dot = 0;
    for (int c = 0; c < a->width; c++)
        dot += q[c] * key(k, token, c);
    return dot * a->scale;
}

/* y = sum over t of e^(s_t - max s) v_t, divided by the sum of e^(s_t - max s), for t in [from, to]; every score is worked
 * out as often as it is asked for, so that no memory grows with the sequence. */
static void attend_row(const ops_decoder_attend *a, const ops_decoder_keys *k, const float *q, int from,
                       int to, float *y)
{
    double top = -INFINITY, sum = 0, acc[OPS_DECODER_WIDTH_MAX] = {0};
    for (int t = from; t <= to; t++)
        top = fmax(top, score(a, k, q, t));
    for (int t = from; t <= to; t++) {
        double w = exp(score(a, k, q, t) - top);
        sum += w;
        for (int c = 0; c < a->width; c++)
            acc[c] += w * value(k, t, c);
    }
    for (int c = 0; c < a->width; c++)
        y[c] = (float)(acc[c] / sum);
}

static void attend(const ops_decoder_attend *a, int part, int parts)
{
    int group = a->heads / a->kv_heads, unit = 0;
    for (int row = 0, len; row < a->m; row += len) {
        int seq, pos;
        len = ops_decoder_run_of(a, row, &seq, &pos);
        for (int h = 0; h < a->heads; h++) {
            ops_decoder_keys keys = ops_decoder_keys_of(a, seq, h / group);
            for (int i = 0; i < len; i++, unit++) {
                if (unit % parts != part)
                    continue;
                size_t off = ((size_t)(row + i) * a->heads + h) * a->width;
                int to = pos + i, from = a->window > 0 && to >= a->window ? to - a->window + 1 : 0;
                attend_row(a, &keys, a->q + off, from, to, a->y + off);
            }
        }
    }
}

static void rmsnorm(const ops_decoder_rows *j, int part, int parts)
{
    int to = decoder_from(j->m, part + 1, parts);
    for (int i = decoder_from(j->m, part, parts); i < to; i++) {
        const float *x = j->a + (size_t)i * j->n;
        double squares = 0;
        for (int c = 0; c < j->n; c++)
            squares += (double)x[c] * x[c];
        double scale = 1 / sqrt(squares / j->n + j->eps);
        for (int c = 0; c < j->n; c++)
            j->y[(size_t)i * j->n + c] = (float)(x[c] * scale * ((double)j->b[c] + j->shift));
    }
}

static void rope(const ops_decoder_rows *j, int part, int parts)
{
    int to = decoder_from(j->m, part + 1, parts), width = j->n / j->heads, pairs = j->rotary / 2;
    for (int i = decoder_from(j->m, part, parts); i < to; i++) {
        const float *turn = j->b + (size_t)i * j->rotary;
        for (int at_head = 0; at_head < j->n; at_head += width) {
            const float *x = j->a + (size_t)i * j->n + at_head;
            float *y = j->y + (size_t)i * j->n + at_head;
            if (y != x)
                memcpy(y, x, (size_t)width * sizeof *y);
            for (int p = 0; p < pairs; p++) {
                int a = j->half_split ? p : 2 * p, b = j->half_split ? p + pairs : 2 * p + 1;
                double xa = x[a], xb = x[b], c = turn[p], s = turn[pairs + p];
                y[a] = (float)(xa * c - xb * s);
                y[b] = (float)(xa * s + xb * c);
            }
        }
    }
}

static void gate(const ops_decoder_rows *j, int part, int parts)
{
    size_t to = (size_t)decoder_from(j->m, part + 1, parts) * j->n;
    for (size_t i = (size_t)decoder_from(j->m, part, parts) * j->n; i < to; i++) {
        double x = j->a[i];
        double y = j->gelu ? x * 0.5 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)))
                           : x / (1 + exp(-x));
        j->y[i] = (float)(j->b ? y * j->b[i] : y);
    }
}

/* Repeated search for what comes next; all that is wanted of it is to be plain. */
static void top(const ops_decoder_top *j, int part, int parts)
{
    int to = decoder_from(j->m, part + 1, parts);
    for (int i = decoder_from(j->m, part, parts); i < to; i++) {
        const float *x = j->x + (size_t)i * j->n;
        ops_decoder_pair *y = j->y + (size_t)i * (j->top + 1), last = {-1, INFINITY};
        for (int r = 0; r < j->top; r++) {
            ops_decoder_pair best = {-1, -INFINITY};
            for (int c = 0; c < j->n; c++)
                if (x[c] > best.value && (x[c] < last.value || (x[c] == last.value && c > last.id)))
                    best = (ops_decoder_pair){c, x[c]};
            y[r] = last = best;
        }
        double sum = 0;
        int took = 0;
        for (int c = 0; c < j->n; c++)
            if (x[c] > -INFINITY) {
                sum += exp((double)x[c] - (isinf(y[0].value) ? 0 : y[0].value));
                took++;
            }
        float log_sum = took == 0                ? -INFINITY
                        : y[0].value == INFINITY ? INFINITY
                                                 : (float)(y[0].value + log(sum));
        y[j->top] = (ops_decoder_pair){took, log_sum};
    }
}

static void put(void *base, size_t at, float x, int half)
{
    if (half)
        ((uint16_t *)base)[at] = ops_kern_quant_to_half(x);
    else
        ((float *)base)[at] = x;
}

static void append(const ops_decoder_append *a, int part, int parts)
{
    size_t plane = (size_t)a->width * a->block;
    int to = decoder_from(a->m, part + 1, parts);
    for (int i = decoder_from(a->m, part, parts); i < to; i++) {
        size_t at = ops_decoder_place_of(a, i), in = (size_t)a->rows[2 * i + 1] % (size_t)a->block;
        for (int h = 0; h < a->kv_heads; h++, at += 2 * plane) {
            size_t from = ((size_t)i * a->kv_heads + h) * a->width;
            for (int c = 0; c < a->width; c++) {
                put(a->cache, at + (size_t)c * a->block, a->k[from + c], a->half);
                put(a->cache, at - in + plane + in * a->width + c, a->v[from + c], a->half);
            }
        }
    }
}

const ops_decoder_level ops_decoder_exact = {append, ops_decoder_turn_keys, attend, rmsnorm, rope, gate, top};
