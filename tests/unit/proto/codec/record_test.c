/* Round trip, limits, damage and failed allocations of the record batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "proto/codec/record.h"

static const ops_attr attrs[] = {{{"k", 1}, {"v1", 2}}, {{"pod", 3}, {"a\0b", 3}}};
static const ops_record samples[] = {
    {.time_ns = 1000, .severity = 9, .service = {"api", 3}, .message = {"hello", 5}},
    {.time_ns = 500,
     .severity = 17,
     .flags = OPS_RECORD_MULTILINE,
     .service = {"db", 2},
     .message = {"a\nb", 3},
     .attrs = attrs,
     .attr_count = 2},
    {.time_ns = INT64_MAX, .service = {"api", 3}, .message = {"", 0}, .trace_id = {"0123456789abcdef", 16}},
};
enum { SAMPLES = sizeof samples / sizeof samples[0] };

static ops_status check_one(void *u, ops_slice tenant, uint32_t index, const ops_record *r)
{
    uint32_t *seen = u;
    assert_int_equal(index, *seen);
    assert_true(index < SAMPLES);
    const ops_record *want = &samples[index];
    assert_true(ops_slice_eq(tenant, OPS_SLICE("acme")));
    assert_int_equal(r->time_ns, want->time_ns);
    assert_int_equal(r->recv_ns, 777);
    assert_int_equal(r->severity, want->severity);
    assert_int_equal(r->flags, want->flags);
    assert_true(ops_slice_eq(r->service, want->service));
    assert_true(ops_slice_eq(r->message, want->message));
    assert_true(ops_slice_eq(r->trace_id, want->trace_id));
    assert_int_equal(r->attr_count, want->attr_count);
    for (uint32_t i = 0; i < r->attr_count; i++) {
        assert_true(ops_slice_eq(r->attrs[i].key, want->attrs[i].key));
        assert_true(ops_slice_eq(r->attrs[i].val, want->attrs[i].val));
    }
    (*seen)++;
    return OPS_OK;
}

static ops_status write_samples(ops_record_writer *w)
{
    ops_status st = ops_record_writer_begin(w, OPS_SLICE("acme"), 777);
    for (size_t i = 0; st == OPS_OK && i < SAMPLES; i++)
        st = ops_record_writer_add(w, &samples[i]);
    return st;
}

static void round_trip(void **state)
{
    (void)state;
    OPS_AUTO(ops_record_writer_free) ops_record_writer *w = ops_record_writer_new(1 << 16);
    assert_int_equal(write_samples(w), OPS_OK);
    assert_int_equal(ops_record_writer_count(w), SAMPLES);
    assert_int_equal(ops_record_writer_min_time_ns(w), 500);
    assert_int_equal(ops_record_writer_max_time_ns(w), INT64_MAX);
    uint32_t seen = 0;
    assert_int_equal(ops_record_batch_walk(ops_record_writer_bytes(w), check_one, &seen, NULL), OPS_OK);
    assert_int_equal(seen, SAMPLES);
}

static ops_status accept_any(void *u, ops_slice tenant, uint32_t index, const ops_record *r)
{
    size_t *bytes = u;
    (void)index;
    *bytes += tenant.n + r->message.n + r->service.n;
    for (uint32_t i = 0; i < r->attr_count; i++)
        *bytes += r->attrs[i].key.n + r->attrs[i].val.n;
    return OPS_OK;
}

static void every_cut_and_every_changed_byte_is_survived(void **state)
{
    (void)state;
    OPS_AUTO(ops_record_writer_free) ops_record_writer *w = ops_record_writer_new(1 << 16);
    assert_int_equal(write_samples(w), OPS_OK);
    ops_slice whole = ops_record_writer_bytes(w);
    size_t bytes = 0, cut_errors = 0;
    for (size_t n = 0; n < whole.n; n++)
        cut_errors +=
            ops_record_batch_walk(ops_slice_sub(whole, 0, n), accept_any, &bytes, NULL) == OPS_ECORRUPT;
    /* A cut exactly between records cannot be seen here; the stream log's checksum covers it. */
    assert_true(cut_errors >= whole.n - SAMPLES);
    for (size_t i = 0; i < whole.n; i++) {
        char *copy = ops_memdup(whole.p, whole.n);
        assert_non_null(copy);
        copy[i] = (char)(copy[i] ^ 0xFF);
        ops_status st = ops_record_batch_walk(ops_slice_of(copy, whole.n), accept_any, &bytes, NULL);
        assert_true(st == OPS_OK || st == OPS_ECORRUPT);
        ops_free(copy);
    }
}

static void a_full_batch_says_so_and_stays_whole(void **state)
{
    (void)state;
    OPS_AUTO(ops_record_writer_free) ops_record_writer *w = ops_record_writer_new(256);
    assert_int_equal(ops_record_writer_begin(w, OPS_SLICE("acme"), 777), OPS_OK);
    uint32_t added = 0;
    ops_status st;
    while ((st = ops_record_writer_add(w, &samples[0])) == OPS_OK)
        added++;
    assert_int_equal(st, OPS_EAGAIN);
    assert_int_equal(ops_record_writer_count(w), added);
    size_t bytes = 0;
    assert_int_equal(ops_record_batch_walk(ops_record_writer_bytes(w), accept_any, &bytes, NULL), OPS_OK);
    static const char big[512];
    ops_record r = {.service = OPS_SLICE("s"), .message = ops_slice_of(big, sizeof big)};
    assert_int_equal(ops_record_writer_add(w, &r), OPS_ETOOBIG);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        assert_true(nth < 100);
        ops_alloc_fail_at(nth);
        ops_record_writer *w = ops_record_writer_new(1 << 16);
        st = w != NULL ? write_samples(w) : OPS_ENOMEM;
        uint32_t seen = 0;
        if (st == OPS_OK)
            st = ops_record_batch_walk(ops_record_writer_bytes(w), check_one, &seen, NULL) == OPS_OK
                     ? OPS_OK
                     : OPS_ENOMEM;
        ops_alloc_fail_at(0);
        ops_record_writer_free(w);
        assert_int_equal(ops_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_cut_and_every_changed_byte_is_survived),
        cmocka_unit_test(a_full_batch_says_so_and_stays_whole),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
