/* Maps against a plain array as model; ring and vector at their limits; failed allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/coll/map.h"
#include "base/coll/ring.h"
#include "base/coll/vec.h"
#include "base/mem/arena.h"
#include "base/text/hash.h"

enum { KEYS = 512, STEPS = 20000 };

static void maps_agree_with_a_model(void **state)
{
    (void)state;
    OPS_AUTO(ops_map_free) ops_map *m = ops_map_new();
    OPS_AUTO(ops_map64_free) ops_map64 *m64 = ops_map64_new();
    uintptr_t model[KEYS] = {0};
    size_t live = 0;
    uint64_t rnd = 1;
    for (int step = 0; step < STEPS; step++) {
        rnd = ops_hash_mix(rnd + (uint64_t)step);
        size_t k = rnd % KEYS;
        char name[24];
        ops_slice key = {name, (size_t)snprintf(name, sizeof name, "key-%zu", k)};
        if (rnd >> 62 == 0) {
            assert_true((uintptr_t)ops_map_del(m, key) == model[k]);
            assert_true((uintptr_t)ops_map64_del(m64, k) == model[k]);
            live -= model[k] != 0;
            model[k] = 0;
        } else {
            uintptr_t v = (uintptr_t)step + 1;
            assert_int_equal(ops_map_put(m, key, (void *)v, NULL), OPS_OK);
            assert_int_equal(ops_map64_put(m64, k, (void *)v, NULL), OPS_OK);
            live += model[k] == 0;
            model[k] = v;
        }
        assert_int_equal(ops_map_count(m), live);
        assert_int_equal(ops_map64_count(m64), live);
    }
    for (size_t k = 0; k < KEYS; k++) {
        char name[24];
        ops_slice key = {name, (size_t)snprintf(name, sizeof name, "key-%zu", k)};
        assert_true((uintptr_t)ops_map_get(m, key) == model[k]);
        assert_true((uintptr_t)ops_map64_get(m64, k) == model[k]);
    }
    size_t iter = 0, seen = 0;
    uint64_t k;
    void *v;
    while (ops_map64_next(m64, &iter, &k, &v))
        seen += model[k] == (uintptr_t)v;
    assert_int_equal(seen, live);
}

static void map_survives_every_failed_allocation(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        assert_true(nth < 1000);
        ops_alloc_fail_at(nth);
        ops_map *m = ops_map_new();
        st = m != NULL ? OPS_OK : OPS_ENOMEM;
        for (int i = 0; st == OPS_OK && i < 40; i++) {
            char name[8];
            ops_slice key = {name, (size_t)snprintf(name, sizeof name, "%d", i)};
            st = ops_map_put(m, key, name, NULL);
            assert_int_equal(ops_map_count(m), st == OPS_OK ? i + 1 : i);
        }
        ops_alloc_fail_at(0);
        ops_map_free(m);
        assert_int_equal(ops_alloc_live(), live);
    }
}

static void ring_is_bounded_and_in_order(void **state)
{
    (void)state;
    int items[4];
    OPS_AUTO(ops_ring_free) ops_ring *r = ops_ring_new(3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ops_ring_push(r, &items[i]), OPS_OK);
    assert_int_equal(ops_ring_push(r, &items[3]), OPS_EAGAIN);
    assert_ptr_equal(ops_ring_pop(r), &items[0]);
    assert_int_equal(ops_ring_push(r, &items[3]), OPS_OK);
    for (int i = 1; i < 4; i++)
        assert_ptr_equal(ops_ring_pop(r), &items[i]);
    assert_null(ops_ring_pop(r));
    assert_null(ops_ring_new(0));
}

static void vectors_grow(void **state)
{
    (void)state;
    OPS_VEC(int) v = {0};
    for (int i = 0; i < 1000; i++)
        assert_true(ops_vec_push(&v, i));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(v.v[i], i);
    ops_vec_done(&v);
    assert_int_equal(v.n, 0);
}

static void arenas_stop_at_their_cap(void **state)
{
    (void)state;
    ops_arena a;
    ops_arena_init(&a, 64);
    assert_non_null(ops_arena_alloc(&a, 33));
    assert_non_null(ops_arena_alloc(&a, 16));
    assert_null(ops_arena_alloc(&a, 1));
    ops_arena_clear(&a);
    ops_slice s = ops_arena_dup(&a, OPS_SLICE("abc"));
    assert_string_equal(s.p, "abc");
    assert_null(ops_arena_alloc(&a, SIZE_MAX));
    ops_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_agree_with_a_model),
        cmocka_unit_test(map_survives_every_failed_allocation),
        cmocka_unit_test(ring_is_bounded_and_in_order),
        cmocka_unit_test(vectors_grow),
        cmocka_unit_test(arenas_stop_at_their_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
