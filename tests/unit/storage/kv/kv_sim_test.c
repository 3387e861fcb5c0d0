/* The simulated disk keeps the port's promises and breaks everything else: over many seeds, each loss it may inflict is
 * inflicted, and none that it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "storage/kv/kv_sim.h"

enum { SEEDS = 300, BATCHES = 8 };

static ops_kv *open_sim(uint64_t seed, bool sync_lies)
{
    ops_kv *kv;
    const ops_kv_sim_conf conf = {.seed = seed, .sync_lies = sync_lies};
    assert_int_equal(ops_kv_open_sim(2, &conf, &kv, NULL), OPS_OK);
    return kv;
}

/* Batch i puts the key i into both families, with a value of more than a page. */
static ops_status write_batch(ops_kv *kv, unsigned i, bool sync)
{
    char val[150], key[4];
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    (void)snprintf(key, sizeof key, "%03u", i);
    memset(val, 'a' + (int)i, sizeof val);
    ops_kv_batch_put(b, 0, ops_slice_str(key), ops_slice_of(val, sizeof val));
    ops_kv_batch_put(b, 1, ops_slice_str(key), OPS_SLICE("x"));
    return ops_kv_write(kv, b, sync, NULL);
}

static bool has(ops_kv *kv, unsigned family, unsigned i)
{
    char key[4], *val = NULL;
    size_t n = 0;
    (void)snprintf(key, sizeof key, "%03u", i);
    ops_status st = ops_kv_get(kv, family, ops_slice_str(key), &val, &n, NULL);
    assert_true(st == OPS_OK || st == OPS_ENOTFOUND);
    if (st == OPS_OK && family == 0)
        assert_true(n == 150 && val[0] == 'a' + (int)i && val[149] == 'a' + (int)i);
    ops_free(val);
    return st == OPS_OK;
}

/* How many batches are there; they must be the first ones, and whole. */
static unsigned survivors(ops_kv *kv)
{
    unsigned n = 0;
    while (n < BATCHES && has(kv, 0, n))
        n++;
    for (unsigned i = 0; i < BATCHES; i++) {
        assert_int_equal(has(kv, 0, i), i < n);
        assert_int_equal(has(kv, 1, i), i < n);
    }
    return n;
}

static unsigned crash_and_count(ops_kv *kv, enum ops_kv_sim_crash how)
{
    char *val;
    size_t n;
    ops_kv_sim_crash(kv, how);
    assert_int_equal(write_batch(kv, 0, true), OPS_EIO);
    assert_int_equal(ops_kv_get(kv, 0, OPS_SLICE("000"), &val, &n, NULL), OPS_EIO);
    assert_int_equal(ops_kv_sim_restart(kv, NULL), OPS_OK);
    return survivors(kv);
}

static void a_power_cut_keeps_what_was_synced_and_a_prefix_of_the_rest(void **state)
{
    unsigned seen[BATCHES + 1] = {0};
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ops_kv *kv = open_sim(seed, false);
        for (unsigned i = 0; i < BATCHES; i++)
            assert_int_equal(write_batch(kv, i, i == 2), OPS_OK);
        unsigned n = crash_and_count(kv, OPS_KV_SIM_POWER);
        assert_true(n >= 3);
        seen[n]++;
        assert_int_equal(crash_and_count(kv, OPS_KV_SIM_POWER), n); /* what a restart found stays */
        ops_kv_close(kv);
    }
    for (unsigned n = 3; n <= BATCHES; n++)
        assert_true(seen[n] > 0);
}

static void a_kill_keeps_everything(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        ops_kv *kv = open_sim(seed, false);
        for (unsigned i = 0; i < BATCHES; i++)
            assert_int_equal(write_batch(kv, i, false), OPS_OK);
        assert_int_equal(crash_and_count(kv, OPS_KV_SIM_KILL), BATCHES);
        ops_kv_close(kv);
    }
}

static void a_sync_covers_what_was_written_before(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ops_kv *kv = open_sim(seed, false);
        for (unsigned i = 0; i < BATCHES; i++)
            assert_int_equal(write_batch(kv, i, false), OPS_OK);
        assert_int_equal(ops_kv_sync(kv, NULL), OPS_OK);
        assert_int_equal(crash_and_count(kv, OPS_KV_SIM_POWER), BATCHES);
        ops_kv_close(kv);
    }
}

static void a_failed_sync_leaves_the_question_open(void **state)
{
    unsigned seen[BATCHES + 1] = {0};
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ops_kv *kv = open_sim(seed, false);
        ops_kv_sim_fail_write(kv, 1, OPS_KV_SIM_LOST_SYNC, OPS_ENOSPC);
        assert_int_equal(write_batch(kv, 0, true), OPS_OK);
        assert_int_equal(write_batch(kv, 1, true), OPS_ENOSPC);
        assert_int_equal(write_batch(kv, 2, true), OPS_EIO);
        seen[crash_and_count(kv, OPS_KV_SIM_POWER)]++;
        assert_int_equal(write_batch(kv, 2, true), OPS_OK);
        ops_kv_close(kv);
    }
    assert_true(seen[1] > 0 && seen[2] > 0 && seen[1] + seen[2] == SEEDS);
}

static void a_torn_batch_is_dropped_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ops_kv *kv = open_sim(seed, false);
        ops_kv_sim_stats stats;
        assert_int_equal(write_batch(kv, 0, true), OPS_OK);
        ops_kv_sim_fail_write(kv, 0, OPS_KV_SIM_TORN, OPS_EIO);
        assert_int_equal(write_batch(kv, 1, false), OPS_EIO);
        assert_int_equal(crash_and_count(kv, seed % 2 == 0 ? OPS_KV_SIM_KILL : OPS_KV_SIM_POWER), 1);
        ops_kv_sim_stats_get(kv, &stats);
        assert_true(stats.dropped == 1 && stats.crashes == 1 && stats.unsynced_bytes == 0);
        ops_kv_close(kv);
    }
}

static void an_error_is_one_error(void **state)
{
    (void)state;
    char *val = NULL;
    size_t n;
    ops_kv *kv = open_sim(1, false);
    ops_kv_sim_fail_write(kv, 0, OPS_KV_SIM_ERROR, OPS_EIO);
    assert_int_equal(write_batch(kv, 0, true), OPS_EIO);
    assert_false(has(kv, 0, 0));
    assert_int_equal(write_batch(kv, 0, true), OPS_OK);
    ops_kv_sim_fail_read(kv, 1, OPS_ECORRUPT);
    assert_int_equal(ops_kv_get(kv, 1, OPS_SLICE("000"), &val, &n, NULL), OPS_OK);
    ops_free(val);
    assert_int_equal(ops_kv_get(kv, 1, OPS_SLICE("000"), &val, &n, NULL), OPS_ECORRUPT);
    assert_true(has(kv, 1, 0));
    ops_kv_close(kv);
}

static void a_lying_sync_loses_what_it_answered_for(void **state)
{
    unsigned lost = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ops_kv *kv = open_sim(seed, true);
        assert_int_equal(write_batch(kv, 0, true), OPS_OK);
        lost += crash_and_count(kv, OPS_KV_SIM_POWER) == 0;
        ops_kv_close(kv);
    }
    assert_true(lost > SEEDS / 4 && lost < SEEDS);
}

static void add_delay(void *u, int64_t ns)
{
    assert_true(ns > 0 && ns < 1000);
    *(int64_t *)u += ns;
}

static void one_seed_is_one_course_of_events(void **state)
{
    (void)state;
    unsigned first = 0;
    int64_t slept[2] = {0};
    for (int round = 0; round < 2; round++) {
        ops_kv *kv;
        unsigned sum = 0;
        const ops_kv_sim_conf conf = {
            .seed = 42, .delay = add_delay, .delay_u = &slept[round], .delay_ns_max = 1000};
        assert_int_equal(ops_kv_open_sim(2, &conf, &kv, NULL), OPS_OK);
        for (unsigned i = 0; i < BATCHES; i++)
            assert_int_equal(write_batch(kv, i, i < 3), OPS_OK);
        sum = crash_and_count(kv, OPS_KV_SIM_POWER);
        assert_true(round == 0 || sum == first);
        first = sum;
        ops_kv_close(kv);
    }
    assert_true(slept[0] > 0 && slept[0] == slept[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_keeps_what_was_synced_and_a_prefix_of_the_rest),
        cmocka_unit_test(a_kill_keeps_everything),
        cmocka_unit_test(a_sync_covers_what_was_written_before),
        cmocka_unit_test(a_failed_sync_leaves_the_question_open),
        cmocka_unit_test(a_torn_batch_is_dropped_whole),
        cmocka_unit_test(an_error_is_one_error),
        cmocka_unit_test(a_lying_sync_loses_what_it_answered_for),
        cmocka_unit_test(one_seed_is_one_course_of_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
