/* The way of a sample through the shard: intake to log, owners to state and effects, over restarts. */
#include "tests/component/shard/world.h"

enum { SERIES = 6000, ROUNDS = 40, STEP_S = 15 };

static const int64_t start_ns = 1764000000 * INT64_C(1000000000);

struct sending {
    int service, from, rounds, series;
    double level;
};

static ops_status fill(void *u, ops_samples *s, ops_err *reterr)
{
    const struct sending *x = u;
    char service[32], number[16];
    (void)snprintf(service, sizeof service, "svc-%d", x->service);
    for (int i = 0; i < x->series; i++) {
        (void)snprintf(number, sizeof number, "%d", i);
        const ops_attr label = {OPS_SLICE("n"), ops_slice_str(number)};
        ops_status st = ops_samples_begin(s, OPS_SERIES_GAUGE, ops_slice_str(service), OPS_SLICE("load"),
                                          &label, 1, reterr);
        for (int r = x->from; st == OPS_OK && r < x->from + x->rounds; r++)
            st = ops_samples_add(s, start_ns + (int64_t)r * STEP_S * SECOND, x->level + (r * 7 + i) % 5,
                                 false, reterr);
        if (st == OPS_OK)
            st = ops_samples_end(s, reterr);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static void send_samples(struct world *w, struct sending x)
{
    ops_err err = {0};
    const int before = w->answers;
    ok(ops_intake_samples(w->intake, OPS_SLICE("default"), "test", fill, &x, on_answer, w, &err), &err);
    wait_answers(w, before + 1);
    if (w->last_st != OPS_OK)
        fail_msg("%s", w->message);
}

static void wait_samples(struct world *w, uint64_t n)
{
    for (int i = 0; i < 30000 && ops_ledger_samples_total(w->ledger, OPS_FATE_ANALYSED) < n; i++)
        nap();
    assert_int_equal(ops_ledger_samples_total(w->ledger, OPS_FATE_ANALYSED), n);
}

struct sum {
    uint64_t series, samples;
};

static bool add_series(void *u, const ops_monitor_info *s)
{
    struct sum *x = u;
    x->series++;
    x->samples += s->samples;
    return true;
}

static struct sum sum_of(struct world *w)
{
    struct sum x = {0};
    for (uint32_t p = 0; p < PARTITIONS; p++)
        ops_owners_series(w->owners, p, add_series, &x);
    return x;
}

static void no_partition_stopped(struct world *w)
{
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        ops_partition_info info;
        ops_err err;
        ok(ops_owners_partition(w->owners, p, &info, &err), &err);
        assert_string_equal(info.failure, "");
        assert_int_equal(info.position, info.next);
    }
}

static void thousands_of_series_of_one_partition(void **state)
{
    struct world *w = *state;
    /* One service is one partition: all of its baselines become due together. */
    send_samples(w, (struct sending){.rounds = ROUNDS, .series = SERIES, .level = 50});
    wait_samples(w, (uint64_t)SERIES * ROUNDS);
    stop_readers(w);
    start_readers(w);
    no_partition_stopped(w);
    struct sum x = sum_of(w);
    assert_int_equal(x.series, SERIES);
    assert_int_equal(x.samples, (uint64_t)SERIES * ROUNDS);
    send_samples(w, (struct sending){.from = ROUNDS, .rounds = 1, .series = SERIES, .level = 50});
    wait_samples(w, (uint64_t)SERIES * (ROUNDS + 1));
    x = sum_of(w);
    assert_int_equal(x.samples, (uint64_t)SERIES * (ROUNDS + 1));
}

static void a_jump_becomes_a_finding(void **state)
{
    struct world *w = *state;
    send_samples(w, (struct sending){.service = 3, .rounds = 1500, .series = 1, .level = 50});
    wait_samples(w, 1500);
    stop_readers(w);
    start_readers(w);
    assert_int_equal(ops_repo_revision(w->repo), 0);
    send_samples(w, (struct sending){.service = 3, .from = 1500, .rounds = 20, .series = 1, .level = 900});
    for (int i = 0; i < 10000 && ops_repo_revision(w->repo) == 0; i++)
        nap();
    assert_true(ops_repo_revision(w->repo) > 0);
}

static void the_ledger_of_samples_adds_up(void **state)
{
    struct world *w = *state;
    send_samples(w, (struct sending){.rounds = 5, .series = 10});
    send_samples(w, (struct sending){.rounds = 5,
                                     .series = 10}); /* once more: kept, and told to be repeated or late */
    wait_samples(w, 100);
    assert_int_equal(ops_ledger_samples_total(w->ledger, OPS_FATE_RECEIVED),
                     ops_ledger_samples_total(w->ledger, OPS_FATE_ACKED) +
                         ops_ledger_samples_total(w->ledger, OPS_FATE_REJECTED) +
                         ops_ledger_samples_total(w->ledger, OPS_FATE_REFUSED));
    assert_int_equal(sum_of(w).samples, 50);
    assert_int_equal(ops_ledger_total(w->ledger, OPS_FATE_RECEIVED),
                     0); /* records have a ledger of their own */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(thousands_of_series_of_one_partition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_jump_becomes_a_finding, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_ledger_of_samples_adds_up, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
