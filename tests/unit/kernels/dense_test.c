/* Every level this processor has against the plain one, on shapes that leave tails everywhere; the plain one against
 * doubles; and the same bits for any number of threads and any batch-mates. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/include/kern.h"
#include "kernels/ref/ref.h"

static const char *const levels[] = {"plain", "avx2", "avx512", "vnni"};
enum { LEVELS = sizeof levels / sizeof *levels };

static uint32_t seed = 1;
static float number(void) /* about [-1, 1), some of them far out */
{
    seed = seed * 1664525 + 1013904223;
    const float v = (float)(int32_t)seed / 2147483648.0f;
    return seed % 61 == 0 ? v * 8 : v;
}

static float *numbers(size_t count)
{
    float *p = malloc(count * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < count; i++)
        p[i] = number();
    return p;
}

/* NULL: not had here. */
static ops_kern_dev *open_level(const char *level, int threads)
{
    ops_kern_dev *d = NULL;
    const ops_kern_cpu_conf conf = {.level = level, .threads = threads};
    const ops_kern_status st = ops_kern_cpu_open(&conf, &d);
    assert_true(st == OPS_KERN_OK || st == OPS_KERN_EINVAL);
    if (d != NULL)
        assert_string_equal(ops_kern_cpu_level(d), level);
    return d;
}

typedef struct input {
    const void *p;
    size_t count;
    ops_kern_buf *buf; /* used when set */
} input;

static ops_kern_status run(ops_kern_dev *d, ops_kern_shape s, const input *in, size_t n_in, float *out,
                           size_t n_out)
{
    const ops_kern *t = ops_kern_cpu();
    ops_kern_buf *b[OPS_KERN_ARGS_MAX];
    ops_kern_plan *p = NULL;
    ops_kern_fence f;
    for (size_t i = 0; i < n_in; i++) {
        b[i] = in[i].buf;
        if (b[i] == NULL) {
            assert_int_equal(t->buf_new(d, in[i].count * 4, &b[i]), OPS_KERN_OK);
            assert_int_equal(t->upload(d, b[i], 0, in[i].p, in[i].count * 4), OPS_KERN_OK);
        }
    }
    assert_int_equal(t->buf_new(d, n_out * 4, &b[n_in]), OPS_KERN_OK);
    assert_int_equal(t->plan_new(d, &s, &p), OPS_KERN_OK);
    ops_kern_status st = t->submit(d, p, b, n_in + 1, &f);
    if (st == OPS_KERN_OK)
        st = t->wait(d, f);
    assert_int_equal(t->download(d, b[n_in], 0, out, n_out * 4), OPS_KERN_OK);
    for (size_t i = 0; i <= n_in; i++)
        if (i == n_in || in[i].buf == NULL)
            t->buf_free(d, b[i]);
    t->plan_free(d, p);
    return st;
}

static void close_to(const float *got, const float *want, size_t n, double scale, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= scale * (1 + fabs((double)want[i]))))
            fail_msg("%s: element %zu is %.9g, not %.9g", what, i, (double)got[i], (double)want[i]);
}

typedef struct linear_case {
    int m, n, k;
} linear_case;
static const linear_case linear_cases[] = {
    {1, 1, 1},    {1, 33, 7},   {2, 31, 16},    {3, 1, 50},   {5, 16, 17},  {6, 32, 64},  {7, 65, 3},
    {11, 47, 33}, {12, 48, 96}, {13, 100, 129}, {25, 96, 31}, {97, 70, 19}, {193, 33, 40}};

typedef struct matrices {
    float *x, *w, *bias, *add;
} matrices;

static matrices make_matrices(const linear_case *c)
{
    return (matrices){numbers((size_t)c->m * c->k), numbers((size_t)c->n * c->k), numbers((size_t)c->n),
                      numbers((size_t)c->m * c->n)};
}

static void free_matrices(matrices *x)
{
    free(x->x);
    free(x->w);
    free(x->bias);
    free(x->add);
}

static void linear(const char *level, int threads, const linear_case *c, const matrices *x, ops_kern_shape s,
                   float *ret)
{
    ops_kern_dev *d = open_level(level, threads);
    ops_kern_buf *w = NULL;
    s.m = c->m;
    s.n = c->n;
    s.k = c->k;
    assert_int_equal(ops_kern_cpu()->pack(d, s.type, c->n, c->k, x->w, &w), OPS_KERN_OK);
    const input in[] = {{.p = x->x, .count = (size_t)c->m * c->k},
                        {.buf = w},
                        {.p = x->bias, .count = (size_t)c->n},
                        {.p = x->add, .count = (size_t)c->m * c->n}};
    assert_int_equal(run(d, s, in, s.op == OPS_KERN_LINEAR_ADD ? 4 : 3, ret, (size_t)c->m * c->n),
                     OPS_KERN_OK);
    ops_kern_cpu()->buf_free(d, w);
    ops_kern_cpu()->dev_free(d);
}

static int had(const char *level)
{
    ops_kern_dev *d = open_level(level, 1);
    ops_kern_cpu()->dev_free(d);
    return d != NULL;
}

/* The formulas of kern.h in doubles. The 8-bit weights and inputs are rounded here by themselves. */
static double rounded(ops_kern_type type, float w)
{
    return (double)(type == OPS_KERN_F16    ? ops_kern_quant_from_half(ops_kern_quant_to_half(w))
                    : type == OPS_KERN_BF16 ? ops_ref_of_bf16(ops_ref_to_bf16(w))
                                            : w);
}

static double product_i8(const float *x, const float *w, int k)
{
    double low = 0, high = 0, top = 0, sum = 0;
    for (int c = 0; c < k; c++) {
        low = fmin(low, (double)x[c]);
        high = fmax(high, (double)x[c]);
        top = fmax(top, fabs((double)w[c]));
    }
    const double s = (high - low) / 255, t = top / 127;
    for (int c = 0; c < k; c++)
        sum += rint((double)x[c] / s) * rint((double)w[c] / t);
    return sum * s * t;
}

static void plain_is_the_formula(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof linear_cases / sizeof *linear_cases; i++)
        for (int type = OPS_KERN_F32; type <= OPS_KERN_I8; type++) {
            const linear_case *c = &linear_cases[i];
            matrices x = make_matrices(c);
            float *got = numbers((size_t)c->m * c->n);
            linear("plain", 1, c, &x, (ops_kern_shape){.op = OPS_KERN_LINEAR, .type = (ops_kern_type)type},
                   got);
            for (int r = 0; r < c->m; r++)
                for (int j = 0; j < c->n; j++) {
                    const float *a = x.x + (size_t)r * c->k, *b = x.w + (size_t)j * c->k;
                    double want = 0;
                    for (int k = 0; k < c->k; k++)
                        want += (double)a[k] * rounded((ops_kern_type)type, b[k]);
                    if (type ==
                        OPS_KERN_I8) /* a value on the edge of two steps may go either way: one step of w */
                        want = product_i8(a, b, c->k);
                    want += (double)x.bias[j];
                    const double off = fabs(want - (double)got[(size_t)r * c->n + j]);
                    assert_true(off < (type == OPS_KERN_I8 ? 0.07 : 1e-4));
                }
            free(got);
            free_matrices(&x);
        }
}

static void levels_agree_on_linear(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof linear_cases / sizeof *linear_cases; i++)
        for (int kind = 0; kind < 16; kind++) {
            const linear_case *c = &linear_cases[i];
            const ops_kern_shape s = {.op = kind & 4 ? OPS_KERN_LINEAR_ADD : OPS_KERN_LINEAR,
                                      .type = (ops_kern_type)(kind & 3),
                                      .act = kind & 8 ? OPS_KERN_ACT_GELU : OPS_KERN_ACT_NONE};
            const size_t count = (size_t)c->m * c->n;
            matrices x = make_matrices(c);
            float *want = numbers(count), *got = numbers(count), *three = numbers(count);
            linear("plain", 1, c, &x, s, want);
            for (int l = 1; l < LEVELS; l++) {
                if (!had(levels[l]))
                    continue;
                linear(levels[l], 1, c, &x, s, got);
                const int rough = s.type == OPS_KERN_I8 && s.act == OPS_KERN_ACT_GELU;
                close_to(got, want, count, rough ? 5e-4 : 1e-5 * sqrt(c->k), levels[l]);
                if (s.type == OPS_KERN_I8 &&
                    s.act == OPS_KERN_ACT_NONE) /* whole numbers: no room to differ */
                    assert_memory_equal(got, want, count * sizeof *got);
                linear(levels[l], 3, c, &x, s, three);
                assert_memory_equal(got, three, count * sizeof *got);
            }
            free(want);
            free(got);
            free(three);
            free_matrices(&x);
        }
}

/* A row computed alone has the bits it has among others. */
static void rows_do_not_depend_on_their_mates(void **state)
{
    (void)state;
    const linear_case all = {203, 77, 51};
    matrices x = make_matrices(&all);
    float *whole = numbers((size_t)all.m * all.n);
    for (int l = 0; l < LEVELS; l++)
        for (int type = OPS_KERN_F32; had(levels[l]) && type <= OPS_KERN_I8; type++) {
            const ops_kern_shape s = {
                .op = OPS_KERN_LINEAR, .type = (ops_kern_type)type, .act = OPS_KERN_ACT_GELU};
            linear(levels[l], 2, &all, &x, s, whole);
            for (int r = 0; r < all.m; r += 29) {
                float alone[77];
                const matrices row = {x.x + (size_t)r * all.k, x.w, x.bias, x.add};
                linear(levels[l], 2, &(linear_case){1, all.n, all.k}, &row, s, alone);
                assert_memory_equal(alone, whole + (size_t)r * all.n, sizeof alone);
            }
        }
    free(whole);
    free_matrices(&x);
}

/* Rows that a step can not be made for: nothing, one value, no number, infinity; no trap, and zero where it is defined. */
static void odd_rows_in_i8(void **state)
{
    (void)state;
    enum { K = 37, N = 5 };
    float x[4 * K] = {0}, bias[N] = {1, 2, 3, 4, 5}, got[4 * N], want[4 * N];
    float *w = numbers((size_t)N * K);
    memset(w, 0, K * sizeof *w); /* a row of weights that is nothing */
    for (int c = 0; c < K; c++) {
        x[K + c] = 1e-38f;
        x[2 * K + c] = NAN;
        x[3 * K + c] = c == 3 ? INFINITY : 1;
    }
    const matrices m = {x, w, bias, bias};
    for (int l = 0; l < LEVELS; l++) {
        if (!had(levels[l]))
            continue;
        linear(levels[l], 1, &(linear_case){4, N, K}, &m,
               (ops_kern_shape){.op = OPS_KERN_LINEAR, .type = OPS_KERN_I8}, got);
        for (int i = 0; i < 2 * N; i++)
            assert_true(got[i] == bias[i % N]);
        if (l == 0)
            memcpy(want, got, sizeof want);
        assert_memory_equal(want, got, sizeof want);
    }
    free(w);
}

typedef struct attend_case {
    int heads, width, seqs, lens[4];
} attend_case;
static const attend_case attend_cases[] = {
    {1, 1, 1, {1}},        {2, 4, 2, {3, 1}}, {3, 5, 3, {7, 64, 65}}, {2, 32, 2, {32, 9}},
    {1, 64, 2, {130, 63}}, {2, 33, 1, {200}}, {1, 16, 3, {1, 2, 3}}};

static void attention(const char *level, int threads, const attend_case *c, int joined, const float *qkv,
                      float *ret)
{
    const int n = c->heads * c->width;
    int32_t starts[5] = {0};
    for (int i = 0; i < c->seqs; i++)
        starts[i + 1] = starts[i] + c->lens[i];
    const int m = starts[c->seqs];
    const size_t count = (size_t)m * n;
    ops_kern_dev *d = open_level(level, threads);
    float *part[3];
    for (int p = 0; p < 3; p++) {
        part[p] = malloc(count * sizeof(float));
        assert_non_null(part[p]);
        for (int r = 0; r < m; r++)
            memcpy(part[p] + (size_t)r * n, qkv + (size_t)r * 3 * n + (size_t)p * n,
                   (size_t)n * sizeof(float));
    }
    const input one[] = {{.p = qkv, .count = 3 * count}, {.p = starts, .count = (size_t)c->seqs + 1}};
    const input four[] = {{.p = part[0], .count = count},
                          {.p = part[1], .count = count},
                          {.p = part[2], .count = count},
                          {.p = starts, .count = (size_t)c->seqs + 1}};
    const ops_kern_shape s = {.op = joined ? OPS_KERN_ATTEND_QKV : OPS_KERN_ATTEND,
                              .m = m,
                              .n = n,
                              .heads = c->heads,
                              .seqs = c->seqs};
    assert_int_equal(run(d, s, joined ? one : four, joined ? 2 : 4, ret, count), OPS_KERN_OK);
    for (int p = 0; p < 3; p++)
        free(part[p]);
    ops_kern_cpu()->dev_free(d);
}

static void levels_agree_on_attention(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attend_cases / sizeof *attend_cases; i++) {
        const attend_case *c = &attend_cases[i];
        const size_t n = (size_t)c->heads * c->width;
        const size_t m = (size_t)(c->lens[0] + c->lens[1] + c->lens[2] + c->lens[3]);
        float *qkv = numbers(m * n * 3), *want = numbers(m * n), *got = numbers(m * n);
        for (size_t e = 0; e < m * n * 3; e++)
            qkv[e] *= 3; /* so that some weights are all but nothing */
        attention("plain", 1, c, 0, qkv, want);
        for (int l = 0; l < LEVELS; l++)
            for (int joined = 0; had(levels[l]) && joined < 2; joined++) {
                attention(levels[l], 1 + 2 * joined, c, joined, qkv, got);
                close_to(got, want, m * n, 2e-5, levels[l]);
            }
        free(qkv);
        free(want);
        free(got);
    }
}

/* A sequence alone, and between others, on one thread and on three. */
static void sequences_do_not_depend_on_their_mates(void **state)
{
    (void)state;
    const attend_case all = {2, 24, 3, {70, 131, 5}}, alone = {2, 24, 1, {131}};
    const size_t n = 48, m = 206;
    float *qkv = numbers(m * n * 3), *whole = numbers(m * n), *part = numbers(131 * n);
    for (int l = 0; l < LEVELS; l++) {
        if (!had(levels[l]))
            continue;
        attention(levels[l], 3, &all, 1, qkv, whole);
        attention(levels[l], 1, &alone, 1, qkv + 70 * n * 3, part);
        assert_memory_equal(part, whole + 70 * n, 131 * n * sizeof *part);
    }
    free(qkv);
    free(whole);
    free(part);
}

static void levels_agree_on_rows(void **state)
{
    (void)state;
    static const int widths[] = {1, 3, 8, 15, 16, 17, 33, 384};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int m = 1; m < 60; m += 19) {
            const int n = widths[i];
            const size_t count = (size_t)m * n;
            const int32_t starts[] = {0, m / 2 > 0 ? m / 2 : m, m};
            const int seqs = m / 2 > 0 ? 2 : 1;
            float *a = numbers(count), *b = numbers(count), *got = numbers(count), *want = numbers(count);
            for (int op = 0; op < 4; op++)
                for (int l = 0; l < LEVELS; l++) {
                    ops_kern_dev *d = open_level(levels[l], 1 + l);
                    if (d == NULL)
                        continue;
                    const input in[] = {
                        {.p = a, .count = count}, {.p = b, .count = count}, {.p = b, .count = count}};
                    const input pool[] = {{.p = a, .count = count}, {.p = starts, .count = (size_t)seqs + 1}};
                    static const ops_kern_op ops[] = {OPS_KERN_LAYERNORM, OPS_KERN_GELU, OPS_KERN_ADD,
                                                      OPS_KERN_POOL};
                    static const size_t args[] = {3, 1, 2, 2};
                    const size_t n_out = op == 3 ? (size_t)seqs * n : count;
                    const ops_kern_shape s = {.op = ops[op], .m = m, .n = n, .seqs = seqs, .eps = 1e-6f};
                    assert_int_equal(run(d, s, op == 3 ? pool : in, args[op], l == 0 ? want : got, n_out),
                                     OPS_KERN_OK);
                    if (l > 0)
                        close_to(got, want, n_out, n == 1 ? 1e-3 : 3e-6, levels[l]);
                    ops_kern_cpu()->dev_free(d);
                }
            free(a);
            free(b);
            free(got);
            free(want);
        }
}

/* Over the whole range, against erf in doubles: to 1e-6 of max(1, |x|), and exactly x or nothing far out. */
static void gelu_everywhere(void **state)
{
    (void)state;
    enum { COUNT = 20001 };
    float *x = numbers(COUNT), *y = numbers(COUNT);
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(i - COUNT / 2) * 1e-3f;
    x[0] = -FLT_MAX / 4;
    x[COUNT - 1] = FLT_MAX / 4;
    x[1] = -1e6f;
    for (int l = 0; l < LEVELS; l++) {
        ops_kern_dev *d = open_level(levels[l], 1);
        if (d == NULL)
            continue;
        const input in = {.p = x, .count = COUNT};
        assert_int_equal(run(d, (ops_kern_shape){.op = OPS_KERN_GELU, .m = 1, .n = COUNT}, &in, 1, y, COUNT),
                         OPS_KERN_OK);
        for (int i = 0; i < COUNT; i++) {
            const double v = (double)x[i], want = v / 2 * (1 + erf(v / sqrt(2)));
            assert_true(fabs((double)y[i] - want) <= 1e-6 * fmax(1, fabs(v)) || (double)y[i] == want);
        }
        assert_true(y[0] == 0 && y[1] == 0 && y[COUNT - 1] == x[COUNT - 1]);
        ops_kern_cpu()->dev_free(d);
    }
    free(x);
    free(y);
}

/* binary16 from its definition: sign, 5 bits of exponent with a bias of 15, 10 of fraction. */
static void halves(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 1023);
        double want = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
        want = h & 0x8000 ? -want : want;
        const float got = ops_kern_quant_from_half((uint16_t)h);
        if (exponent == 31) {
            assert_true(fraction != 0 ? isnan(got) : isinf(got));
            assert_true(fraction != 0 ? isnan(ops_kern_quant_from_half(ops_kern_quant_to_half(got)))
                                      : ops_kern_quant_to_half(got) == h);
            continue;
        }
        assert_true((double)got == want);
        assert_int_equal(ops_kern_quant_to_half(got), h);
        const double next = exponent == 0 ? ldexp(1, -24) : ldexp(1, exponent - 25);
        const double middle = fabs(want) + next / 2; /* a tie goes to the even one, a hair beyond goes on */
        const uint16_t up = (uint16_t)((h & 0x7fff) + 1);
        assert_int_equal(ops_kern_quant_to_half((float)middle), h & 1 ? up : h & 0x7fff);
        assert_int_equal(ops_kern_quant_to_half(nextafterf((float)middle, INFINITY)), up);
    }
    assert_int_equal(ops_ref_to_bf16(1.0f), 0x3f80);
    assert_int_equal(ops_ref_to_bf16(1.00390625f), 0x3f80); /* 1 + 2^-8: a tie, to even */
    assert_int_equal(ops_ref_to_bf16(1.01171875f), 0x3f82); /* 1 + 3 2^-8 */
    assert_true(isnan(ops_ref_of_bf16(ops_ref_to_bf16(NAN))));
    assert_true(isinf(ops_ref_of_bf16(ops_ref_to_bf16(FLT_MAX))));
}

static void refuses(void **state)
{
    (void)state;
    const ops_kern *t = ops_kern_cpu();
    ops_kern_dev *d = NULL;
    assert_int_equal(ops_kern_cpu_open(&(ops_kern_cpu_conf){.level = "mmx"}, &d), OPS_KERN_EINVAL);
    assert_int_equal(ops_kern_cpu_open(&(ops_kern_cpu_conf){.threads = OPS_KERN_THREADS_MAX + 1}, &d),
                     OPS_KERN_EINVAL);
    assert_int_equal(ops_kern_cpu_open(&(ops_kern_cpu_conf){.threads = -1}, &d), OPS_KERN_EINVAL);
    assert_null(d);
    assert_int_equal(ops_kern_cpu_open(&(ops_kern_cpu_conf){.threads = 2}, &d), OPS_KERN_OK);
    assert_int_equal(ops_kern_cpu_threads(d), 2);
    ops_kern_buf *w = NULL, *b = NULL;
    ops_kern_plan *p = NULL;
    ops_kern_fence f = 0;
    float v[16] = {0};
    assert_int_equal(t->pack(d, OPS_KERN_F32, 0, 4, v, &w), OPS_KERN_EINVAL);
    assert_int_equal(t->pack(d, OPS_KERN_I8, 1, OPS_KERN_I8_K_MAX + 1, v, &w), OPS_KERN_EINVAL);
    assert_int_equal(t->pack(d, (ops_kern_type)99, 4, 4, v, &w), OPS_KERN_EINVAL);
    assert_int_equal(t->pack(d, OPS_KERN_I8, 4, 4, v, &w), OPS_KERN_OK);
    assert_int_equal(t->buf_new(d, sizeof v, &b), OPS_KERN_OK);
    assert_int_equal(t->upload(d, w, 0, v, 4), OPS_KERN_EINVAL);
    assert_int_equal(t->download(d, w, 0, v, 4), OPS_KERN_EINVAL);
    const ops_kern_shape shape = {.op = OPS_KERN_LINEAR, .m = 1, .n = 4, .k = 4, .type = OPS_KERN_I8};
    ops_kern_shape other = shape;
    other.type = OPS_KERN_F32;
    assert_int_equal(t->plan_new(d, &other, &p), OPS_KERN_OK); /* packed otherwise than planned */
    assert_int_equal(t->submit(d, p, (ops_kern_buf *[]){b, w, b, b}, 4, &f), OPS_KERN_EINVAL);
    t->plan_free(d, p);
    other = shape;
    other.n = 3;
    assert_int_equal(t->plan_new(d, &other, &p), OPS_KERN_OK);
    assert_int_equal(t->submit(d, p, (ops_kern_buf *[]){b, w, b, b}, 4, &f), OPS_KERN_EINVAL);
    t->plan_free(d, p);
    assert_int_equal(t->plan_new(d, &shape, &p), OPS_KERN_OK);
    assert_int_equal(t->submit(d, p, (ops_kern_buf *[]){b, b, b, b}, 4, &f),
                     OPS_KERN_EINVAL); /* not packed */
    assert_int_equal(t->submit(d, p, (ops_kern_buf *[]){w, w, b, b}, 4, &f),
                     OPS_KERN_EINVAL); /* packed where it may not */
    assert_int_equal(t->submit(d, p, (ops_kern_buf *[]){b, w, b, b}, 4, &f), OPS_KERN_OK);
    assert_int_equal(t->wait(d, f), OPS_KERN_OK);
    t->plan_free(d, p);
    other = shape;
    other.act = (ops_kern_act)7;
    assert_int_equal(t->plan_new(d, &other, &p), OPS_KERN_EINVAL);
    t->buf_free(d, w);
    t->buf_free(d, b);
    t->dev_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_is_the_formula),
        cmocka_unit_test(levels_agree_on_linear),
        cmocka_unit_test(rows_do_not_depend_on_their_mates),
        cmocka_unit_test(odd_rows_in_i8),
        cmocka_unit_test(levels_agree_on_attention),
        cmocka_unit_test(sequences_do_not_depend_on_their_mates),
        cmocka_unit_test(levels_agree_on_rows),
        cmocka_unit_test(gelu_everywhere),
        cmocka_unit_test(halves),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
