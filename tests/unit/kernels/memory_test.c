#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kernels/cpu/memory.h"

enum { PIECES = 40, MIB = 1024 * 1024 };

typedef struct piece {
    unsigned char *p;
    size_t bytes;
    ops_cpu_region *region;
} piece;

static void check(const piece *t, int mark)
{
    size_t others = 0;
    for (size_t i = 0; i < t->bytes; i++)
        others += t->p[i] != mark;
    assert_int_equal(others, 0);
}

static piece take(ops_cpu_memory *m, size_t bytes)
{
    piece t = {.bytes = bytes};
    t.p = ops_cpu_memory_take(m, bytes, &t.region);
    assert_non_null(t.p);
    assert_int_equal((uintptr_t)t.p % 64, 0);
    check(&t, 0);
    return t;
}

static void give(ops_cpu_memory *m, piece *t)
{
    ops_cpu_memory_give(m, t->p, t->region);
    t->p = NULL;
}

/* Small and large ones, more than a region holds, given back in three orders: nobody writes into another's. */
static void test_pieces(void **state)
{
    (void)state;
    for (int order = 0; order < 3; order++) {
        ops_cpu_memory m = {0};
        piece t[PIECES];
        for (int i = 0; i < PIECES; i++) {
            t[i] = take(&m, i % 3 == 0 ? (size_t)i + 1 : (size_t)i * 50000 + 1);
            memset(t[i].p, i + 1, t[i].bytes);
        }
        for (int i = 0; i < PIECES; i++)
            check(&t[i], i + 1);
        for (int i = 0; i < PIECES; i++) {
            int at = order == 0 ? i : order == 1 ? PIECES - 1 - i : i * 7 % PIECES;
            give(&m, &t[at]);
            for (int k = 0; k < PIECES; k += 5)
                if (t[k].p != NULL)
                    check(&t[k], k + 1);
        }
        assert_null(m.open);
    }
}

static void test_one_behind_the_other(void **state)
{
    (void)state;
    ops_cpu_memory m = {0};
    piece a = take(&m, MIB + 1), b = take(&m, MIB), c = take(&m, (size_t)40 * MIB);
    assert_ptr_equal(b.p, a.p + MIB + 64);
    assert_ptr_equal(a.region, b.region);
    assert_ptr_not_equal(c.region, a.region);
    give(&m, &c);
    assert_null(m.open); /* the newest has gone; what is older is not cut from again */
    piece d = take(&m, MIB);
    assert_ptr_not_equal(d.region, a.region);
    give(&m, &a);
    give(&m, &b);
    memset(d.p, 1, d.bytes);
    give(&m, &d);
    assert_null(m.open);
}

/* A region of two pieces is the system's again when both have gone, and not before. */
static void test_goes_back(void **state)
{
    (void)state;
    ops_cpu_memory m = {0};
    piece a = take(&m, MIB), b = take(&m, MIB);
    unsigned char *const page = a.p;
    give(&m, &a);
    assert_int_equal(msync(page, 4096, MS_ASYNC), 0);
    give(&m, &b);
    assert_int_equal(msync(page, 4096, MS_ASYNC), -1);
    assert_int_equal(errno, ENOMEM);
}

static void test_none_left(void **state)
{
    (void)state;
    ops_cpu_memory m = {0};
    ops_cpu_region *region;
    assert_null(ops_cpu_memory_take(&m, SIZE_MAX, &region));
    assert_null(ops_cpu_memory_take(&m, SIZE_MAX / 2, &region));
    assert_null(ops_cpu_memory_take(&m, SIZE_MAX / 2 - 63, &region));
    assert_null(region);
    assert_null(m.open);
    ops_cpu_memory_give(&m, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_one_behind_the_other),
        cmocka_unit_test(test_goes_back),
        cmocka_unit_test(test_none_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
