/* Every gradient against finite differences, the products against plain loops, training that learns, files that come back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "worker/train/prim.h"
#include "worker/train/seqlm.h"

static uint64_t rng_state = 1;
static uint32_t rng(uint32_t below)
{
    rng_state = rng_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((rng_state >> 33) % below);
}

static float real(void)
{
    return (float)rng(20001) / 10000 - 1;
}

static void randoms(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = real();
}

enum { SIDE = 37 };

static void products_are_sums_of_products(void **state)
{
    (void)state;
    static float a[SIDE * SIDE], b[SIDE * SIDE], c[SIDE * SIDE], want[SIDE * SIDE], work[OPS_PRIM_WORK];
    for (int round = 0; round < 300; round++) {
        const int m = 1 + (int)rng(SIDE), n = 1 + (int)rng(SIDE), k = 1 + (int)rng(SIDE);
        const int turn_a = (int)rng(2), turn_b = (int)rng(2), add = (int)rng(2);
        ops_prim_matrix x = {a, turn_a ? 1 : (size_t)k, turn_a ? (size_t)m : 1};
        ops_prim_matrix y = {b, turn_b ? 1 : (size_t)n, turn_b ? (size_t)k : 1};
        randoms(a, SIDE * SIDE);
        randoms(b, SIDE * SIDE);
        randoms(c, SIDE * SIDE);
        memcpy(want, c, sizeof c);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) {
                double sum = add ? (double)c[i * n + j] : 0;
                for (int p = 0; p < k; p++)
                    sum += (double)a[(size_t)i * x.row + (size_t)p * x.col] *
                           (double)b[(size_t)p * y.row + (size_t)j * y.col];
                want[i * n + j] = (float)sum;
            }
        ops_prim_gemm(m, n, k, x, y, c, (size_t)n, add, work);
        for (int i = 0; i < SIDE * SIDE; i++)
            assert_true(fabsf(c[i] - want[i]) < 1e-4f);
    }
}

static void gelu_and_surprise_are_their_formulas(void **state)
{
    (void)state;
    float x[77], y[77], logits[3 * 48], copy[3 * 48], surprise[3];
    int32_t target[3] = {0, 44, 7};
    for (size_t i = 0; i < 77; i++)
        x[i] = 8 * real();
    ops_prim_gelu(77, x, y);
    for (size_t i = 0; i < 77; i++) {
        double v = (double)x[i],
               want = v / 2 * (1 + tanh(sqrt(2 / 3.14159265358979) * (v + 0.044715 * v * v * v)));
        assert_true(fabs((double)y[i] - want) < 2e-6);
    }
    for (size_t i = 0; i < 3 * 48; i++)
        copy[i] = logits[i] = 30 * real();
    ops_prim_surprise(3, 45, 48, logits, target, surprise, 0);
    for (size_t r = 0; r < 3; r++) {
        double sum = 0;
        for (size_t i = 0; i < 45; i++)
            sum += exp((double)copy[r * 48 + i]);
        assert_true(fabs((double)surprise[r] - log(sum) + (double)copy[r * 48 + (size_t)target[r]]) < 1e-4);
        for (size_t i = 0; i < 45; i++)
            assert_true(fabs((double)logits[r * 48 + i] - exp((double)copy[r * 48 + i]) / sum) < 1e-6);
    }
}

/* One row of one head in double: the softmax of q k^T / sqrt(width) over the keys up to its own, and what it mixes. */
static void attend_row(int n, int width, const float *first, int i, double *ret_share, double *ret)
{
    double sum = 0;
    for (int j = 0; j <= i; j++) {
        double dot = 0;
        for (int d = 0; d < width; d++)
            dot += (double)first[i * 3 * n + d] * (double)first[j * 3 * n + n + d];
        sum += ret_share[j] = exp(dot / sqrt(width));
    }
    for (int d = 0; d < width; d++)
        ret[d] = 0;
    for (int j = 0; j <= i; j++)
        for (int d = 0; d < width; d++)
            ret[d] += (ret_share[j] /= d == 0 ? sum : 1) * (double)first[j * 3 * n + 2 * n + d];
}

enum { LONG = 300, LONG_DIM = 24 };

static void attention_is_its_formula(void **state)
{
    (void)state;
    static float qkv[LONG * 3 * LONG_DIM], y[LONG * LONG_DIM], share[LONG * LONG * 2], work[OPS_PRIM_WORK],
        rows[OPS_PRIM_ROWS * (LONG + OPS_PRIM_LANE)];
    const int32_t cuts[] = {0, 150, 153, 217, 282, LONG};
    const int heads = 2, width = LONG_DIM / heads;
    randoms(qkv, sizeof qkv / sizeof *qkv);
    memset(rows, 0xff, sizeof rows); /* what scratch holds is not a number */
    ops_prim_attend(LONG_DIM, heads, cuts, 5, qkv, y, share, rows, work);
    const float *p = share;
    for (int s = 0; s < 5; s++)
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < cuts[s + 1] - cuts[s]; i++) {
                double want_share[LONG], want[LONG_DIM];
                attend_row(LONG_DIM, width, qkv + cuts[s] * 3 * LONG_DIM + h * width, i, want_share, want);
                for (int j = 0; j <= i; j++)
                    assert_true(fabs((double)*p++ - want_share[j]) < 1e-6);
                for (int d = 0; d < width; d++)
                    assert_true(fabs((double)y[(cuts[s] + i) * LONG_DIM + h * width + d] - want[d]) < 1e-5);
            }
    assert_int_equal(p - share, ops_prim_attend_shares(cuts, 5, heads));
}

static ops_seqlm *small(uint64_t seed)
{
    ops_seqlm *m = NULL;
    const ops_seqlm_config c = {.kinds = 7, .dim = 12, .heads = 3, .layers = 2, .context = 9};
    assert_int_equal(ops_seqlm_new(&c, seed, &m, NULL), OPS_OK);
    return m;
}

static const int32_t ids[] = {0, 3, 4, 5, 0, 6, 0, 1, 2, 3, 4, 5, 6, 2, 2};
static const int32_t next[] = {3, 4, 5, 1, 6, 1, 1, 2, 3, 4, 5, 6, 2, 2, 1};
static const int32_t starts[] = {0, 4, 6, 15};
static const ops_seqlm_batch batch = {ids, next, starts, 3};

static double loss(ops_seqlm *m)
{
    float surprise[15];
    double sum = 0;
    assert_int_equal(ops_seqlm_score(m, &batch, surprise, NULL), OPS_OK);
    for (size_t i = 0; i < 15; i++)
        sum += (double)surprise[i];
    return sum / 15;
}

/* Weights large enough that nothing is nearly linear; every single number of every tensor is moved both ways. */
static void gradients_are_slopes(void **state)
{
    (void)state;
    ops_seqlm *m = small(3);
    for (size_t t = 0; t < ops_seqlm_tensors(m); t++) {
        ops_seqlm_tensor x = ops_seqlm_tensor_at(m, t);
        size_t n = (size_t)x.dim[0] * (size_t)(x.rank == 2 ? x.dim[1] : 1);
        for (size_t i = 0; i < n; i++)
            x.value[i] += 0.4f * real();
    }
    double mean;
    assert_int_equal(ops_seqlm_gradient(m, &batch, &mean, NULL), OPS_OK);
    assert_true(fabs(mean - loss(m)) < 1e-5);
    for (size_t t = 0; t < ops_seqlm_tensors(m); t++) {
        ops_seqlm_tensor x = ops_seqlm_tensor_at(m, t);
        size_t n = (size_t)x.dim[0] * (size_t)(x.rank == 2 ? x.dim[1] : 1);
        double wrong = 0, size = 0;
        for (size_t i = 0; i < n; i++) {
            const float keep = x.value[i], step = 0.01f;
            x.value[i] = keep + step;
            double up = loss(m);
            x.value[i] = keep - step;
            double slope = (up - loss(m)) / (2 * (double)step);
            x.value[i] = keep;
            wrong += (slope - (double)x.grad[i]) * (slope - (double)x.grad[i]);
            size += slope * slope;
        }
        if (sqrt(wrong) > 0.01 * sqrt(size) + 1e-4)
            fail_msg("%s: gradient is off by %g of %g", x.name, sqrt(wrong), sqrt(size));
    }
    ops_seqlm_free(m);
}

static void adamw_is_its_formula(void **state)
{
    (void)state;
    float w[2] = {1, -2}, g[2] = {0.5f, -0.25f}, m1[2] = {0}, m2[2] = {0};
    double x[2] = {1, -2}, a[2] = {0}, b[2] = {0};
    const ops_prim_adamw how = {0.1f, 0.9f, 0.999f, 1e-8f, 0.01f};
    for (uint64_t t = 1; t <= 20; t++) {
        ops_prim_update(&how, t, 2, w, g, m1, m2);
        for (int i = 0; i < 2; i++) {
            a[i] = 0.9 * a[i] + 0.1 * (double)g[i];
            b[i] = 0.999 * b[i] + 0.001 * (double)g[i] * (double)g[i];
            double step =
                a[i] / (1 - pow(0.9, (double)t)) / (sqrt(b[i] / (1 - pow(0.999, (double)t))) + 1e-8);
            x[i] = x[i] * (1 - 0.1 * 0.01) - 0.1 * step;
            assert_true(fabs(x[i] - (double)w[i]) < 1e-4);
        }
        g[0] = -g[0] * 0.7f;
    }
}

static double train(ops_seqlm *m, int steps)
{
    double mean = 0;
    const ops_seqlm_step how = {.rate = 0.01f, .decay = 0.01f, .norm_max = 1};
    for (int i = 0; i < steps; i++)
        assert_int_equal(ops_seqlm_train(m, &batch, &how, &mean, NULL), OPS_OK);
    return mean;
}

static void training_learns_and_repeats(void **state)
{
    (void)state;
    ops_seqlm *a = small(5), *b = small(5), *c = small(6);
    double before = loss(a);
    assert_true(fabs(before - log(7)) < 0.2); /* knows nothing */
    assert_true(train(a, 150) < 0.5);
    assert_true(loss(a) == (train(b, 150), loss(b)));
    assert_true(loss(a) != (train(c, 150), loss(c)));
    float chance[7], sum = 0;
    assert_int_equal(ops_seqlm_expect(a, &batch, 1, chance, NULL), OPS_OK);
    for (size_t i = 0; i < 7; i++)
        sum += chance[i];
    assert_true(fabsf(sum - 1) < 1e-5f && chance[4] > 0.5f);
    ops_seqlm_free(a);
    ops_seqlm_free(b);
    ops_seqlm_free(c);
}

/* What a sequence scores does not depend on who shares its batch, nor an event on what comes after it. */
static void batch_mates_and_the_future_change_nothing(void **state)
{
    (void)state;
    ops_seqlm *m = small(8);
    float together[15], alone[15], changed[15];
    train(m, 20);
    assert_int_equal(ops_seqlm_score(m, &batch, together, NULL), OPS_OK);
    for (int s = 0; s < 3; s++) {
        const int32_t one[2] = {0, starts[s + 1] - starts[s]};
        const ops_seqlm_batch b = {ids + starts[s], next + starts[s], one, 1};
        assert_int_equal(ops_seqlm_score(m, &b, alone + starts[s], NULL), OPS_OK);
    }
    for (size_t i = 0; i < 15; i++)
        assert_true(fabsf(together[i] - alone[i]) < 1e-5f);
    int32_t other[15];
    memcpy(other, ids, sizeof other);
    other[14] = 5;
    const ops_seqlm_batch b = {other, next, starts, 3};
    assert_int_equal(ops_seqlm_score(m, &b, changed, NULL), OPS_OK);
    assert_memory_equal(changed, together, 14 * sizeof(float));
    assert_true(changed[14] != together[14]);
    ops_seqlm_free(m);
}

/* A batch that is scored in several parts, with sequences longer than a part. */
static void large_batches_are_the_same_as_small_ones(void **state)
{
    (void)state;
    enum { SEQS = 9, CONTEXT = 200, TOKENS = SEQS * CONTEXT };
    static int32_t many[TOKENS], after[TOKENS];
    static float together[TOKENS], alone[CONTEXT];
    const ops_seqlm_config c = {.kinds = 33, .dim = 20, .heads = 4, .layers = 2, .context = CONTEXT};
    int32_t cuts[SEQS + 1] = {0};
    ops_seqlm *m = NULL;
    assert_int_equal(ops_seqlm_new(&c, 4, &m, NULL), OPS_OK);
    for (int s = 0; s < SEQS; s++)
        cuts[s + 1] = cuts[s] + (s % 3 == 0 ? CONTEXT : 1 + (int32_t)rng(90));
    for (int i = 0; i < TOKENS; i++) {
        many[i] = (int32_t)rng(33);
        after[i] = (int32_t)rng(33);
    }
    assert_int_equal(ops_seqlm_score(m, &(ops_seqlm_batch){many, after, cuts, SEQS}, together, NULL), OPS_OK);
    for (int s = 0; s < SEQS; s++) {
        const int32_t one[2] = {0, cuts[s + 1] - cuts[s]};
        const ops_seqlm_batch b = {many + cuts[s], after + cuts[s], one, 1};
        float chance[33];
        assert_int_equal(ops_seqlm_score(m, &b, alone, NULL), OPS_OK);
        assert_memory_equal(alone, together + cuts[s], (size_t)one[1] * sizeof *alone);
        assert_int_equal(
            ops_seqlm_expect(m, &(ops_seqlm_batch){many, after, cuts, SEQS}, cuts[s + 1] - 1, chance, NULL),
            OPS_OK);
        assert_true(fabsf(-logf(chance[after[cuts[s + 1] - 1]]) - together[cuts[s + 1] - 1]) < 1e-4f);
    }
    ops_seqlm_free(m);
}

static void files_come_back(void **state)
{
    (void)state;
    ops_seqlm *m = small(9), *back = NULL;
    train(m, 10);
    ops_strbuf file, config;
    ops_strbuf_init(&file, 1 << 20);
    ops_strbuf_init(&config, 4096);
    assert_int_equal(ops_seqlm_save(m, &file, NULL), OPS_OK);
    assert_int_equal(ops_seqlm_save_config(m, &config, NULL), OPS_OK);
    assert_non_null(strstr(config.p, "\"n_embd\": 12"));
    assert_int_equal(ops_seqlm_load(ops_strbuf_get(&file), 3, &back, NULL), OPS_OK);
    assert_true(loss(back) == loss(m));
    ops_seqlm_free(back);
    back = NULL;
    ops_err err;
    assert_int_equal(ops_seqlm_load(ops_strbuf_get(&file), 5, &back, &err), OPS_EINVAL);
    for (size_t n = 0; n < file.n; n += 97)
        assert_int_equal(ops_seqlm_load(ops_slice_of(file.p, n), 3, &back, &err), OPS_ECORRUPT);
    file.p[file.n - 1] = 0x7f; /* the last number becomes not a number */
    file.p[file.n - 2] = (char)0xff;
    assert_int_equal(ops_seqlm_load(ops_strbuf_get(&file), 3, &back, &err), OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "ln_f.bias"));
    char *name = strstr(file.p + 8, "h.1.ln_2.bias");
    assert_non_null(name);
    name[2] = '7';
    assert_int_equal(ops_seqlm_load(ops_strbuf_get(&file), 3, &back, &err), OPS_ECORRUPT);
    assert_null(back);
    ops_strbuf_done(&file);
    ops_strbuf_done(&config);
    ops_seqlm_free(m);
}

static void bad_batches_are_named(void **state)
{
    (void)state;
    ops_seqlm *m = small(1);
    float out[15];
    ops_err err;
    const int32_t bad_id[] = {0, 7}, negative[] = {-1, 0}, two[] = {0, 2}, empty[] = {0, 0}, from[] = {1, 2};
    const int32_t longer[] = {0, 10};
    const ops_seqlm_batch bad[] = {
        {bad_id, ids, two, 1}, {ids, negative, two, 1}, {ids, ids, empty, 1},
        {ids, ids, from, 1},   {ids, ids, longer, 1},   {ids, ids, two, 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ops_seqlm_score(m, &bad[i], out, &err), OPS_EINVAL);
    assert_int_equal(ops_seqlm_expect(m, &batch, 15, out, &err), OPS_EINVAL);
    ops_seqlm_free(m);
    const ops_seqlm_config wrong[] = {
        {1, 8, 2, 1, 8}, {8, 9, 2, 1, 8}, {8, 8, 2, 0, 8}, {8, 8, 2, 1, 1 << 20}};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ops_seqlm_new(&wrong[i], 1, &m, &err), OPS_EINVAL);
}

static ops_status whole_life(ops_err *err)
{
    const ops_seqlm_config c = {.kinds = 7, .dim = 4, .heads = 2, .layers = 1, .context = 9};
    const ops_seqlm_step how = {.rate = 0.01f};
    OPS_AUTO(ops_seqlm_free) ops_seqlm *m = NULL, *back = NULL;
    double mean;
    ops_strbuf file;
    ops_strbuf_init(&file, 1 << 20);
    ops_status st = ops_seqlm_new(&c, 1, &m, err);
    if (st == OPS_OK)
        st = ops_seqlm_train(m, &batch, &how, &mean, err);
    if (st == OPS_OK)
        st = ops_seqlm_save(m, &file, err);
    if (st == OPS_OK)
        st = ops_seqlm_load(ops_strbuf_get(&file), 2, &back, err);
    ops_strbuf_done(&file);
    return st;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    ops_err err;
    assert_int_equal(whole_life(&err), OPS_OK);
    long live = ops_alloc_live();
    for (long nth = 1;; nth++) {
        ops_alloc_fail_at(nth);
        ops_status st = whole_life(&err);
        ops_alloc_fail_at(0);
        assert_int_equal(ops_alloc_live(), live);
        if (st == OPS_OK)
            break;
        assert_int_equal(st, OPS_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_sums_of_products),
        cmocka_unit_test(gelu_and_surprise_are_their_formulas),
        cmocka_unit_test(attention_is_its_formula),
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(adamw_is_its_formula),
        cmocka_unit_test(training_learns_and_repeats),
        cmocka_unit_test(batch_mates_and_the_future_change_nothing),
        cmocka_unit_test(large_batches_are_the_same_as_small_ones),
        cmocka_unit_test(files_come_back),
        cmocka_unit_test(bad_batches_are_named),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
