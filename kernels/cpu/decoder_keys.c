/* Where keys and values lie: the paged cache, and packed sequences with their keys turned. */
#include <math.h>

#include "kernels/cpu/decoder_internal.h"

static int padded(int len)
{
    return (len + OPS_DECODER_PAGE - 1) / OPS_DECODER_PAGE * OPS_DECODER_PAGE;
}

size_t ops_decoder_turned(int m, int seqs, int kv_heads, int width)
{
    return ((size_t)m + (size_t)seqs * (OPS_DECODER_PAGE - 1)) * (size_t)kv_heads * (size_t)width;
}

/* Tokens of a head in the turned keys, and where a sequence begins among them. */
static size_t turned_at(const ops_decoder_attend *a, int seq)
{
    size_t at = 0;
    for (int i = 0; i < seq; i++)
        at += (size_t)padded(a->starts[i + 1] - a->starts[i]);
    return at;
}

int ops_decoder_run_of(const ops_decoder_attend *a, int row, int *ret_seq, int *ret_pos)
{
    int seq = 0, len = 1;
    if (a->starts) {
        while (a->starts[seq + 1] <= row)
            seq++;
        *ret_seq = seq;
        *ret_pos = row - a->starts[seq];
        return a->starts[seq + 1] - row;
    }
    const int32_t *r = a->rows + (size_t)2 * row;
    while (row + len < a->m && r[2 * len] == r[0] && r[2 * len + 1] == r[1] + len)
        len++;
    *ret_seq = r[0];
    *ret_pos = r[1];
    return len;
}

ops_decoder_keys ops_decoder_keys_of(const ops_decoder_attend *a, int seq, int kv)
{
    if (a->starts) {
        size_t tokens = turned_at(a, a->seqs), first = (size_t)a->starts[seq];
        return (ops_decoder_keys){
            .k = a->turned + (size_t)kv * a->width * tokens + turned_at(a, seq),
            .v = a->v + (first * a->kv_heads + kv) * a->width,
            .k_step = tokens,
            .v_step = (size_t)a->kv_heads * a->width,
            .block = a->m,
        };
    }
    size_t plane = (size_t)a->width * a->block, size = a->half ? 2 : 4;
    const char *at = (const char *)a->cache + 2 * plane * kv * size;
    return (ops_decoder_keys){
        .k = at,
        .v = at + plane * size,
        .table = a->table + (size_t)seq * a->table_n,
        .stride = 2 * plane * a->kv_heads,
        .k_step = (size_t)a->block,
        .v_step = (size_t)a->width,
        .block = a->block,
        .half = a->half,
    };
}

size_t ops_decoder_place_of(const ops_decoder_append *a, int i)
{
    const size_t pos = (size_t)a->rows[2 * i + 1], block = (size_t)a->block;
    const int32_t *table = a->table + (size_t)a->rows[2 * i] * a->table_n;
    return (size_t)table[pos / block] * 2 * (size_t)a->width * block * a->kv_heads + pos % block;
}

void ops_decoder_turn_keys(const ops_decoder_attend *a, int part, int parts)
{
    size_t tokens = turned_at(a, a->seqs);
    int seq = 0, to = decoder_from(a->m, part + 1, parts);
    for (int i = decoder_from(a->m, part, parts); i < to; i++) {
        while (a->starts[seq + 1] <= i)
            seq++;
        size_t at = turned_at(a, seq) + (size_t)(i - a->starts[seq]);
        for (int h = 0; h < a->kv_heads; h++)
            for (int c = 0; c < a->width; c++)
                a->turned[((size_t)h * a->width + c) * tokens + at] =
                    a->k[((size_t)i * a->kv_heads + h) * a->width + c];
    }
}

void ops_decoder_rope_table(int m, int rotary, float theta, const int32_t *rows, const float *factors,
                            float *y)
{
    int pairs = rotary / 2;
    for (int i = 0; i < m; i++, y += rotary)
        for (int p = 0; p < pairs; p++) {
            double turn = rows[2 * i + 1] * pow(theta, -2.0 * p / rotary) / factors[p];
            y[p] = (float)cos(turn);
            y[pairs + p] = (float)sin(turn);
        }
}

const ops_decoder_level *ops_decoder_at(ops_quant_level level)
{
#ifdef __x86_64__
    if (level == OPS_QUANT_AVX512)
        return &ops_decoder_avx512;
    if (level == OPS_QUANT_AVX2)
        return &ops_decoder_avx2;
#endif
    (void)level;
    return &ops_decoder_plain;
}
