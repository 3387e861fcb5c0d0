#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/include/kern.h"

/* One conformance suite, run over the device that completes at once and the one that completes late. */
static ops_kern_status apply(int delayed, ops_kern_shape s, const void *const *in, const size_t *counts,
                             size_t n_in, float *out, size_t n_out)
{
    const ops_kern *t = ops_kern_cpu();
    ops_kern_dev *d = ops_kern_cpu_new(delayed);
    ops_kern_buf *b[OPS_KERN_ARGS_MAX];
    ops_kern_plan *p;
    ops_kern_fence f;
    assert_non_null(d);
    for (size_t i = 0; i < n_in; i++) {
        assert_int_equal(t->buf_new(d, counts[i] * 4, &b[i]), OPS_KERN_OK);
        assert_int_equal(t->upload(d, b[i], 0, in[i], counts[i] * 4), OPS_KERN_OK);
    }
    assert_int_equal(t->buf_new(d, n_out * 4, &b[n_in]), OPS_KERN_OK);
    assert_int_equal(t->plan_new(d, &s, &p), OPS_KERN_OK);
    assert_int_equal(t->submit(d, p, b, n_in + 1, &f), OPS_KERN_OK);
    if (delayed)
        assert_int_equal(t->download(d, b[n_in], 0, out, n_out * 4), OPS_KERN_EBUSY);
    ops_kern_status st = t->wait(d, f);
    assert_int_equal(t->download(d, b[n_in], 0, out, n_out * 4), OPS_KERN_OK);
    for (size_t i = 0; i <= n_in; i++)
        t->buf_free(d, b[i]);
    t->plan_free(d, p);
    t->dev_free(d);
    return st;
}

static void near(const float *got, const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(got[i] - want[i]) < 1e-5);
}

/* Expected values worked out by hand from the formulas of kern.h; gelu(1) = Phi(1) = 0.8413447. */
static void test_maths(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        float y[8];
        float x[] = {1, 2, 3, 4}, w[] = {1, 0, 0, 1, 1, 1}, bias[] = {10, 20, 30};
        assert_int_equal(apply(late, (ops_kern_shape){.op = OPS_KERN_GEMM, .m = 2, .n = 3, .k = 2},
                               (const void *[]){x, w, bias}, (size_t[]){4, 6, 3}, 3, y, 6),
                         OPS_KERN_OK);
        near(y, (double[]){11, 22, 33, 13, 24, 37}, 6);
        float g[] = {2, 2}, sh[] = {1, 1};
        assert_int_equal(apply(late, (ops_kern_shape){.op = OPS_KERN_LAYERNORM, .m = 2, .n = 2},
                               (const void *[]){x, g, sh}, (size_t[]){4, 2, 2}, 3, y, 4),
                         OPS_KERN_OK);
        near(y, (double[]){-1, 3, -1, 3}, 4);
        float e[] = {0, 1, -1};
        assert_int_equal(apply(late, (ops_kern_shape){.op = OPS_KERN_GELU, .m = 1, .n = 3},
                               (const void *[]){e}, (size_t[]){3}, 1, y, 3),
                         OPS_KERN_OK);
        near(y, (double[]){0, 0.8413447, -0.1586553}, 3);
        /* Equal keys weigh equally; the second sequence must not see the first. */
        float q[] = {1, 1, 1}, k[] = {5, 5, 9}, v[] = {2, 4, 7};
        int32_t starts[] = {0, 2, 3};
        assert_int_equal(apply(late,
                               (ops_kern_shape){.op = OPS_KERN_ATTEND, .m = 3, .n = 1, .heads = 1, .seqs = 2},
                               (const void *[]){q, k, v, starts}, (size_t[]){3, 3, 3, 3}, 4, y, 3),
                         OPS_KERN_OK);
        near(y, (double[]){3, 3, 7}, 3);
        float rows[] = {3, 0, 3, 8, 0, 5};
        assert_int_equal(apply(late, (ops_kern_shape){.op = OPS_KERN_POOL, .m = 3, .n = 2, .seqs = 2},
                               (const void *[]){rows, starts}, (size_t[]){6, 3}, 2, y, 4),
                         OPS_KERN_OK);
        near(y, (double[]){0.6, 0.8, 0, 1}, 4);
    }
}

static void test_hostile(void **state)
{
    (void)state;
    float y[4], table[] = {1, 2, 3, 4};
    int32_t bad[] = {0, 2}, starts[] = {0, 3, 2};
    for (int late = 0; late < 2; late++) {
        assert_int_equal(apply(late, (ops_kern_shape){.op = OPS_KERN_EMBED, .m = 2, .n = 2, .k = 2},
                               (const void *[]){bad, table}, (size_t[]){2, 4}, 2, y, 4),
                         OPS_KERN_EINVAL);
        assert_int_equal(apply(late, (ops_kern_shape){.op = OPS_KERN_POOL, .m = 2, .n = 2, .seqs = 2},
                               (const void *[]){table, starts}, (size_t[]){4, 3}, 2, y, 4),
                         OPS_KERN_EINVAL);
    }
    const ops_kern *t = ops_kern_cpu();
    ops_kern_dev *d = ops_kern_cpu_new(1);
    ops_kern_buf *b;
    ops_kern_plan *p;
    ops_kern_fence f = 0;
    assert_int_equal(
        t->plan_new(d, &(ops_kern_shape){.op = OPS_KERN_ATTEND, .m = 2, .n = 3, .heads = 2, .seqs = 1}, &p),
        OPS_KERN_EINVAL);
    assert_int_equal(t->plan_new(d, &(ops_kern_shape){.op = OPS_KERN_GELU, .m = 2}, &p), OPS_KERN_EINVAL);
    assert_int_equal(t->plan_new(d, &(ops_kern_shape){.op = OPS_KERN_GELU, .m = 2, .n = 2}, &p), OPS_KERN_OK);
    assert_int_equal(t->buf_new(d, 8, &b), OPS_KERN_OK);
    assert_int_equal(t->submit(d, p, (ops_kern_buf *[]){b, b}, 2, &f), OPS_KERN_EINVAL); /* needs 16 bytes */
    assert_int_equal(t->upload(d, b, SIZE_MAX, y, 4), OPS_KERN_EINVAL);
    t->plan_free(d, p);
    assert_int_equal(t->plan_new(d, &(ops_kern_shape){.op = OPS_KERN_GELU, .m = 1, .n = 2}, &p), OPS_KERN_OK);
    for (int i = 0; i < OPS_KERN_QUEUE_MAX; i++)
        assert_int_equal(t->submit(d, p, (ops_kern_buf *[]){b, b}, 2, &f), OPS_KERN_OK);
    assert_int_equal(t->submit(d, p, (ops_kern_buf *[]){b, b}, 2, &f), OPS_KERN_EFULL);
    assert_int_equal(t->wait(d, f + 1), OPS_KERN_EINVAL);
    assert_int_equal(t->wait(d, f), OPS_KERN_OK);
    t->buf_free(d, b);
    t->plan_free(d, p);
    t->dev_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_maths), cmocka_unit_test(test_hostile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
