/* Products with quantised weights, alone: decode over weights in memory and in cache beside plain reading of the same
 * bytes, batches and prefill beside the peak of the machine, attention; one JSON object a line.
 *
 * usage: bench_kernels THREADS REPEATS MEBIBYTES [GGML_FOLDER] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kernels/bench_kernels.h"
#include "kernels/cpu/decoder.h"

enum { REPEATS_MOST = 64 };
static int repeats;
static const char *folder;

static void *grab(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 8191) & ~(size_t)63);
    if (!p) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v)
{
    qsort(v, (size_t)repeats, sizeof *v, by_value);
    return v[repeats / 2];
}

typedef struct set {
    ops_quant_job job;
    ops_quant_level level;
    int count;
    size_t raw_bytes, packed_bytes;
    uint8_t *raw, *packed;
    void *rows;
} set;

static void pack_part(void *arg, int part, int parts)
{
    set *s = arg;
    for (int i = 0; i < s->count; i++)
        ops_quant_pack(s->job.type, s->job.n, s->job.k, s->raw + s->raw_bytes * (size_t)i,
                       s->packed + s->packed_bytes * (size_t)i, part, parts);
}

static void rows_part(void *arg, int part, int parts)
{
    set *s = arg;
    ops_quant_rows(s->level, s->job.type, s->job.m, s->job.k, s->job.x, s->rows, part, parts);
}

static void gemm_part(void *arg, int part, int parts)
{
    set *s = arg;
    ops_quant_gemm(s->level, &s->job, part, parts);
}

static void exact_part(void *arg, int part, int parts)
{
    set *s = arg;
    ops_quant_exact(&s->job, part, parts);
}

/* Scales of a tenth or so and random quants; halves that are no numbers are avoided by clearing bits of each byte. */
static set made(ops_kern_quant_type type, int m, int n, int k, int count)
{
    set s = {.job = {.type = type, .m = m, .n = n, .k = k}, .level = ops_quant_best(), .count = count};
    s.raw_bytes = ops_kern_quant_bytes((int)type, (size_t)n * (size_t)k);
    s.packed_bytes = ops_quant_packed_bytes((int)type, n, k);
    s.raw = grab(s.raw_bytes * (size_t)count);
    s.packed = wide_pages(s.packed_bytes * (size_t)count);
    if (s.packed == NULL)
        exit(1);
    uint32_t x = 1;
    for (size_t i = 0; i < s.raw_bytes * (size_t)count; i++)
        s.raw[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24) & 0x2b;
    team_run(pack_part, &s);
    float *in = grab((size_t)m * (size_t)k * 4);
    for (size_t i = 0; i < (size_t)m * (size_t)k; i++)
        in[i] = (float)(i * 7919 % 2001) * 1e-3f - 1;
    s.job.x = in;
    s.job.y = grab((size_t)m * (size_t)n * 4);
    s.job.rows = s.rows = grab(ops_quant_rows_bytes(m, k));
    return s;
}

static void drop(set *s)
{
    free(s->raw);
    free(s->packed);
    free((void *)(uintptr_t)s->job.x);
    free(s->job.y);
    free(s->rows);
}

static double pass_s(set *s)
{
    double from = now_s();
    for (int i = 0; i < s->count; i++) {
        s->job.w = s->packed + s->packed_bytes * (size_t)i;
        team_run(rows_part, s);
        team_run(gemm_part, s);
    }
    return now_s() - from;
}

/* The reference is slow enough to be timed once, over one matrix. */
static double exact_gops(set *s)
{
    s->job.w = s->packed;
    double from = now_s();
    team_run(exact_part, s);
    return 2.0 * s->job.m * s->job.n * s->job.k / (now_s() - from) / 1e9;
}

/* One row over `mib` of weights; GB/s of the file's bytes, and of plain reading of the packed ones. */
static void decode(const char *where, ops_kern_quant_type type, int n, int k, double mib)
{
    size_t one = ops_kern_quant_bytes((int)type, (size_t)n * (size_t)k);
    int count = (int)(mib * 1048576 / (double)one);
    count = count < 1 ? 1 : count > 500 ? 500 : count;
    set s = made(type, 1, n, k, count);
    rival *r = rival_ggml(folder, team_size(), (int)type, 1, n, k, count, s.raw, s.raw_bytes * (size_t)count);
    double ours[REPEATS_MOST], roof[REPEATS_MOST], ratio[REPEATS_MOST], theirs[REPEATS_MOST],
        times[REPEATS_MOST];
    double bytes = (double)s.raw_bytes * count;
    int inner = 1 + (int)(2e7 / bytes);
    for (int i = -1; i < repeats; i++) { /* the first round warms up */
        int at = i < 0 ? 0 : i;
        double a = 0, b = 0, c = 0;
        for (int j = 0; j < inner; j++)
            a += pass_s(&s);
        for (int j = 0; j < inner; j++)
            b += 1 / read_gbs(s.packed, s.packed_bytes * (size_t)count);
        for (int j = 0; r && j < inner; j++)
            c += rival_run(r);
        ours[at] = bytes * inner / a / 1e9;
        roof[at] = inner / b;
        ratio[at] = ours[at] / roof[at];
        theirs[at] = r ? bytes * inner / c / 1e9 : 0;
        times[at] = r ? c / a : 0;
    }
    printf("{\"what\": \"decode\", \"where\": \"%s\", \"type\": \"%s\", \"n\": %d, \"k\": %d, \"mib\": %.1f, "
           "\"gbs\": %.2f, \"roof_gbs\": "
           "%.2f, \"of_roof\": %.3f, \"ggml_gbs\": %.2f, \"ratio_ggml\": %.2f}\n",
           where, ops_kern_quant_name((int)type), n, k, bytes / 1048576, median(ours), median(roof),
           median(ratio), median(theirs), median(times));
    fflush(stdout);
    rival_free(r);
    drop(&s);
}

static void many(const char *what, ops_kern_quant_type type, int m, int n, int k)
{
    set s = made(type, m, n, k, 1);
    rival *g = rival_ggml(folder, team_size(), (int)type, m, n, k, 1, s.raw, s.raw_bytes);
    rival *f = folder ? rival_dnnl(0, m, n, k) : NULL, *e = folder ? rival_dnnl(1, m, n, k) : NULL;
    double ours[REPEATS_MOST], peak[REPEATS_MOST], theirs[4][REPEATS_MOST], ratio[REPEATS_MOST],
        work = 2.0 * m * n * k;
    int floats = ops_kern_quant_block((int)type) == 1, inner = 1 + (int)(4e8 / work);
    for (int i = -1; i < repeats; i++) {
        int at = i < 0 ? 0 : i;
        double s_of[4] = {0};
        for (int j = 0; j < inner; j++) {
            s_of[0] += pass_s(&s);
            s_of[1] += g ? rival_run(g) : 0;
            s_of[2] += f ? rival_run(f) : 0;
            s_of[3] += e ? rival_run(e) : 0;
        }
        peak[at] = floats ? peak_gflops() : peak_gops();
        for (int j = 0; j < 4; j++)
            theirs[j][at] = s_of[j] > 0 ? work * inner / s_of[j] / 1e9 : 0;
        ours[at] = theirs[0][at];
        ratio[at] = s_of[1] / s_of[0];
    }
    double top = median(peak), mine = median(ours);
    printf("{\"what\": \"%s\", \"type\": \"%s\", \"m\": %d, \"n\": %d, \"k\": %d, \"gops\": %.1f, "
           "\"peak_gops\": %.1f, \"of_peak\": %.3f, "
           "\"exact_gops\": %.2f, \"ggml_gops\": %.1f, \"ratio_ggml\": %.2f, \"dnnl_f32_gops\": %.1f, "
           "\"dnnl_u8s8_gops\": %.1f}\n",
           what, ops_kern_quant_name((int)type), m, n, k, mine, top, top > 0 ? mine / top : 0, exact_gops(&s),
           median(theirs[1]), median(ratio), median(theirs[2]), median(theirs[3]));
    fflush(stdout);
    rival_free(g);
    rival_free(f);
    rival_free(e);
    drop(&s);
}

static void attend_part(void *arg, int part, int parts)
{
    ops_decoder_at(ops_quant_best())->attend(arg, part, parts);
}

/* `m` tokens at the end of a sequence of `len`, over a cache of f16 in blocks of 16. */
static void attention(const char *what, int heads, int kv_heads, int width, int m, int len)
{
    enum { BLOCK = 16 };
    int blocks = (len + BLOCK - 1) / BLOCK;
    size_t cache = (size_t)blocks * BLOCK * (size_t)kv_heads * (size_t)width * 4,
           n = (size_t)heads * (size_t)width;
    int32_t *table = grab((size_t)blocks * 4), *rows = grab((size_t)m * 8);
    ops_decoder_attend a = {.m = m,
                            .heads = heads,
                            .kv_heads = kv_heads,
                            .width = width,
                            .scale = 0.1f,
                            .seqs = 1,
                            .table_n = blocks,
                            .block = BLOCK,
                            .half = 1};
    float *q = grab((size_t)m * n * 4);
    uint16_t *kv = grab(cache);
    for (int i = 0; i < blocks; i++)
        table[i] = (blocks - 1) - i;
    for (int i = 0; i < m; i++) {
        rows[2 * i] = 0;
        rows[2 * i + 1] = len - m + i;
    }
    for (size_t i = 0; i < (size_t)m * n; i++)
        q[i] = (float)(i * 7919 % 2001) * 1e-3f - 1;
    for (size_t i = 0; i < cache / 2; i++)
        kv[i] = (uint16_t)(0x3000 + i * 31 % 1024);
    a.q = q;
    a.y = grab((size_t)m * n * 4);
    a.rows = rows;
    a.table = table;
    a.cache = kv;
    double flops = 4.0 * heads * width * ((double)m * len - 0.5 * m * (m - 1.0)), t[REPEATS_MOST];
    int inner = 1 + (int)(5e7 / flops);
    for (int i = -1; i < repeats; i++) {
        double from = now_s();
        for (int j = 0; j < inner; j++)
            team_run(attend_part, &a);
        t[i < 0 ? 0 : i] = (now_s() - from) / inner;
    }
    double s = median(t);
    printf("{\"what\": \"%s\", \"heads\": %d, \"kv_heads\": %d, \"width\": %d, \"m\": %d, \"len\": %d, "
           "\"us\": %.1f, \"gflops\": %.1f, "
           "\"cache_gbs\": %.2f}\n",
           what, heads, kv_heads, width, m, len, s * 1e6, flops / s / 1e9, (double)cache / s / 1e9);
    fflush(stdout);
    free(table);
    free(rows);
    free(q);
    free(kv);
    free(a.y);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("usage: bench_kernels THREADS REPEATS MEBIBYTES [GGML_FOLDER]\n", stderr);
        return 2;
    }
    static const ops_kern_quant_type types[] = {OPS_KERN_QUANT_Q4_0, OPS_KERN_QUANT_Q4_1, OPS_KERN_QUANT_Q5_0,
                                                OPS_KERN_QUANT_Q5_1, OPS_KERN_QUANT_Q8_0, OPS_KERN_QUANT_Q4_K,
                                                OPS_KERN_QUANT_Q5_K, OPS_KERN_QUANT_Q6_K, OPS_KERN_QUANT_F16};
    repeats = (int)strtol(argv[2], NULL, 10);
    repeats = repeats < 1 ? 1 : repeats > REPEATS_MOST ? REPEATS_MOST : repeats;
    double mib = strtod(argv[3], NULL);
    folder = argc > 4 ? argv[4] : NULL;
    if (!team_start((int)strtol(argv[1], NULL, 10)))
        return 1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        decode("memory", types[i], 4096, 4096, mib);
        decode("cache", types[i], 4096, 1024, 1);
        many("batch16", types[i], 16, 4096, 1024);
        many("prefill", types[i], 512, 4096, 1024);
    }
    attention("attend_decode", 9, 3, 64, 1, 2048);
    attention("attend_decode_wide", 4, 1, 256, 1, 2048);
    attention("attend_prefill", 9, 3, 64, 512, 512);
    attention("attend_prefill_wide", 4, 1, 256, 512, 512);
    team_stop();
    return 0;
}
