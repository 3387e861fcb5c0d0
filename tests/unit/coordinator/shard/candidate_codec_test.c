/* Candidates survive their stored form; damage is named; streams keep their partition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/shard/candidate_codec.h"
#include "coordinator/shard/router.h"

static const ops_candidate sample = {
    .kind = OPS_CANDIDATE_RATE_UP,
    .severity = OPS_LEVEL_ERROR,
    .tenant = {"acme", 4},
    .service = {"pay", 3},
    .template_ids = {7, UINT64_MAX},
    .template_count = 2,
    .statistic = "records per 10 s",
    .value = 120.5,
    .expected_low = -0.0,
    .expected_high = 3,
    .p_value = 1e-300,
    .score = 300,
    .words = {"far more", 8},
    .start_ns = -5,
    .end_ns = INT64_MAX,
    .evidence_count = 1,
    .evidence = {{.service = {"pay", 3},
                  .text = {"a\0b", 3},
                  .time_ns = 9,
                  .template_id = 7,
                  .log_offset = 11,
                  .index = 2}},
};

static void round_trip(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    ops_candidate_put(&b, &sample);
    assert_false(b.failed);
    ops_candidate c;
    char statistic[64];
    assert_int_equal(ops_candidate_get(ops_strbuf_get(&b), &c, statistic, NULL), OPS_OK);
    assert_int_equal(c.kind, sample.kind);
    assert_int_equal(c.severity, sample.severity);
    assert_true(ops_slice_eq(c.tenant, sample.tenant) && ops_slice_eq(c.service, sample.service));
    assert_int_equal(c.template_count, 2);
    assert_true(c.template_ids[1] == UINT64_MAX);
    assert_string_equal(c.statistic, "records per 10 s");
    assert_true(c.value == sample.value && c.p_value == sample.p_value && c.score == sample.score);
    assert_true(ops_slice_eq(c.words, sample.words));
    assert_true(c.start_ns == -5 && c.end_ns == INT64_MAX);
    assert_int_equal(c.evidence_count, 1);
    assert_true(ops_slice_eq(c.evidence[0].text, sample.evidence[0].text));
    assert_int_equal(c.evidence[0].index, 2);
    ops_strbuf_done(&b);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    ops_candidate_put(&b, &sample);
    for (size_t n = 0; n < b.n; n++) {
        /* An exact-size copy, so that a sanitizer sees a read past the cut. */
        char *cut = ops_memdup(b.p, n);
        assert_non_null(cut);
        ops_candidate c;
        char statistic[64];
        ops_err err;
        assert_int_equal(ops_candidate_get(ops_slice_of(cut, n), &c, statistic, &err), OPS_ECORRUPT);
        ops_free(cut);
    }
    ops_strbuf_done(&b);
}

static void streams_spread_over_all_partitions_and_stay(void **state)
{
    (void)state;
    unsigned seen[OPS_PARTITIONS_DEFAULT] = {0};
    for (int i = 0; i < 1600; i++) {
        char name[16];
        ops_slice service = {name, (size_t)snprintf(name, sizeof name, "svc-%d", i)};
        uint32_t p = ops_router_partition(OPS_SLICE("t"), service, OPS_PARTITIONS_DEFAULT);
        assert_true(p < OPS_PARTITIONS_DEFAULT);
        assert_int_equal(p, ops_router_partition(OPS_SLICE("t"), service, OPS_PARTITIONS_DEFAULT));
        seen[p]++;
    }
    for (int p = 0; p < OPS_PARTITIONS_DEFAULT; p++)
        assert_in_range(seen[p], 50, 150);
    assert_int_equal(ops_router_partition(OPS_SLICE("t"), OPS_SLICE("s"), 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(streams_spread_over_all_partitions_and_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
