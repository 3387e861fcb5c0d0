/* Round trip, limits, damage and failed allocations of the sample batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "proto/codec/sample.h"

static const ops_attr labels[] = {{{"le", 2}, {"0.5", 3}}, {{"pod", 3}, {"a\"b\\c\nd", 7}}};
static const struct row {
    ops_series_id id;
    ops_sample samples[3];
    size_t n;
} rows[] = {
    {{OPS_SERIES_GAUGE, {"api", 3}, {"up", 2}, NULL, 0}, {{1000, 1, 0}}, 1},
    {{OPS_SERIES_BUCKET, {"db", 2}, {"h_bucket", 8}, labels, 2},
     {{5000, -0.0, 0}, {4000, 1e300, 0}, {INT64_MAX, 0, OPS_SAMPLE_STALE}},
     3},
    {{OPS_SERIES_COUNTER, {"api", 3}, {"c_total", 7}, labels, 1}, {{-7, 3, OPS_SAMPLE_NO_TIME}}, 1},
};
enum { ROWS = sizeof rows / sizeof *rows };

static ops_status check_one(void *u, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                            size_t n, ops_err *reterr)
{
    size_t *seen = u;
    (void)reterr;
    assert_true(*seen < ROWS);
    const struct row *want = &rows[(*seen)++];
    assert_true(ops_slice_eq(tenant, OPS_SLICE("acme")));
    assert_int_equal(id->kind, want->id.kind);
    assert_true(ops_slice_eq(id->service, want->id.service));
    assert_true(ops_slice_eq(id->name, want->id.name));
    assert_int_equal(id->label_count, want->id.label_count);
    for (uint32_t i = 0; i < id->label_count; i++) {
        assert_true(ops_slice_eq(id->labels[i].key, want->id.labels[i].key));
        assert_true(ops_slice_eq(id->labels[i].val, want->id.labels[i].val));
    }
    assert_int_equal(n, want->n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(samples[i].time_ns, want->samples[i].time_ns);
        assert_int_equal(samples[i].flags, want->samples[i].flags);
        assert_memory_equal(&samples[i].value, &want->samples[i].value, sizeof(double));
    }
    return OPS_OK;
}

static ops_status write_rows(ops_sample_writer *w)
{
    ops_status st = ops_sample_writer_begin(w, OPS_SLICE("acme"), 777);
    for (size_t i = 0; st == OPS_OK && i < ROWS; i++)
        st = ops_sample_writer_add(w, &rows[i].id, rows[i].samples, rows[i].n);
    return st;
}

static void round_trip(void **state)
{
    (void)state;
    OPS_AUTO(ops_sample_writer_free) ops_sample_writer *w = ops_sample_writer_new(1 << 16);
    for (int again = 0; again < 2; again++) {
        size_t seen = 0;
        ops_err err;
        assert_int_equal(write_rows(w), OPS_OK);
        assert_int_equal(ops_sample_writer_count(w), 5);
        assert_int_equal(ops_sample_writer_min_time_ns(w), -7);
        assert_int_equal(ops_sample_writer_max_time_ns(w), INT64_MAX);
        assert_int_equal(ops_sample_batch_walk(ops_sample_writer_bytes(w), check_one, &seen, &err), OPS_OK);
        assert_int_equal(seen, ROWS);
    }
}

static ops_status count_one(void *u, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                            size_t n, ops_err *reterr)
{
    (void)tenant, (void)id, (void)samples, (void)n, (void)reterr;
    (*(size_t *)u)++;
    return OPS_OK;
}

static void every_cut_is_corrupt(void **state)
{
    (void)state;
    OPS_AUTO(ops_sample_writer_free) ops_sample_writer *w = ops_sample_writer_new(1 << 16);
    assert_int_equal(write_rows(w), OPS_OK);
    const ops_slice all = ops_sample_writer_bytes(w);
    size_t whole = 0;
    for (size_t n = 0; n < all.n; n++) {
        size_t seen = 0;
        ops_err err;
        /* A copy of exactly n bytes, so that a sanitizer sees a read beyond. */
        char *cut = ops_memdup(all.p, n > 0 ? n : 1);
        const ops_status st = ops_sample_batch_walk(ops_slice_of(cut, n), count_one, &seen, &err);
        assert_true(st == OPS_ECORRUPT || st == OPS_OK);
        whole += st == OPS_OK;
        assert_true(seen < ROWS);
        ops_free(cut);
    }
    assert_int_equal(whole, ROWS); /* the head alone, and after each series but the last */
}

static void what_does_not_fit_leaves_the_batch(void **state)
{
    (void)state;
    OPS_AUTO(ops_sample_writer_free) ops_sample_writer *w = ops_sample_writer_new(300);
    ops_sample many[64] = {{0}};
    size_t seen = 0;
    ops_err err;
    assert_int_equal(ops_sample_writer_begin(w, OPS_SLICE("acme"), 777), OPS_OK);
    assert_int_equal(ops_sample_writer_add(w, &rows[0].id, many, 64), OPS_ETOOBIG);
    assert_int_equal(ops_sample_writer_add(w, &rows[0].id, rows[0].samples, 0), OPS_ETOOBIG);
    assert_int_equal(ops_sample_writer_add(w, &rows[0].id, rows[0].samples, 1), OPS_OK);
    const size_t before = ops_sample_writer_bytes(w).n;
    assert_int_equal(ops_sample_writer_add(w, &rows[0].id, many, 11), OPS_EAGAIN);
    assert_int_equal(ops_sample_writer_bytes(w).n, before);
    assert_int_equal(ops_sample_batch_walk(ops_sample_writer_bytes(w), count_one, &seen, &err), OPS_OK);
    assert_int_equal(seen, 1);
}

static void text_is_as_prometheus_writes_it(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 10);
    ops_series_text(&rows[1].id, &b);
    assert_string_equal(b.p, "h_bucket{le=\"0.5\",pod=\"a\\\"b\\\\c\\nd\"}");
    ops_strbuf_clear(&b);
    ops_series_text(&rows[0].id, &b);
    assert_string_equal(b.p, "up");
    ops_strbuf_done(&b);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long nth = 1;; nth++) {
        const long live = ops_alloc_live();
        size_t seen = 0;
        ops_err err;
        ops_alloc_fail_at(nth);
        ops_sample_writer *w = ops_sample_writer_new(1 << 16);
        ops_status st = w != NULL ? write_rows(w) : OPS_ENOMEM;
        if (st == OPS_OK)
            st = ops_sample_batch_walk(ops_sample_writer_bytes(w), check_one, &seen, &err);
        ops_alloc_fail_at(0);
        ops_sample_writer_free(w);
        assert_int_equal(ops_alloc_live(), live);
        if (st == OPS_OK)
            return;
        assert_int_equal(st, OPS_ENOMEM);
        assert_true(nth < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_cut_is_corrupt),
        cmocka_unit_test(what_does_not_fit_leaves_the_batch),
        cmocka_unit_test(text_is_as_prometheus_writes_it),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
