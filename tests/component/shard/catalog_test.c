/* One view of the templates of all partitions, and pins that reach every owner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "coordinator/shard/catalog.h"
#include "coordinator/shard/router.h"
#include "tests/component/shard/world.h"

static const char *const words[] = {"alpha", "bravo", "delta",  "gamma", "kappa", "sigma",
                                    "omega", "theta", "lambda", "zeta",  "iota",  "upsilon"};

/* A service of partition `part`. */
static const char *service_in(uint32_t part, char *buf, size_t max)
{
    for (int i = 0;; i++) {
        (void)snprintf(buf, max, "svc-%d", i);
        if (ops_router_partition(OPS_SLICE("default"), ops_slice_str(buf), PARTITIONS) == part)
            return buf;
    }
}

static ops_catalog *take(struct world *w, ops_catalog_order order)
{
    ops_catalog *c = NULL;
    ops_err err = {0};
    ok(ops_catalog_take(w->owners, OPS_SLICE("default"), order, &c, &err), &err);
    return c;
}

static void send_plugin(struct world *w, uint32_t part, const char *word, int64_t second, int n)
{
    char service[32], head[128];
    (void)snprintf(head, sizeof head, "the plugin %s was loaded and started in slot", word);
    send_records(w, service_in(part, service, sizeof service), second, n, head, "without trouble", 9);
}

static void rows_of_one_id_are_one(void **state)
{
    struct world *w = *state;
    char service[32];
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        send_records(w, service_in(p, service, sizeof service), 1000 + p, 10, "request", "done", 9);
        send_records(w, service, 2000 + p, (int)p + 1, "worker", "went home early today", 9);
    }
    wait_analysed(w, 4 * 10 + 10);
    OPS_AUTO(ops_catalog_free) ops_catalog *c = take(w, OPS_CATALOG_BY_COUNT);
    assert_int_equal(ops_catalog_count(c), 2);
    assert_int_equal(ops_catalog_lines(c), 50);
    const ops_catalog_row *r = ops_catalog_row_at(c, 0);
    assert_true(r->count == 40 && r->parts == PARTITIONS);
    assert_true(r->first_ns == 1000ll * SECOND && r->last_ns == 1003ll * SECOND + 9 * (SECOND / 10));
    ops_catalog_detail d;
    assert_int_equal(ops_catalog_look(c, 0, true, &d, NULL), OPS_OK);
    ops_slot_info slot;
    assert_true(ops_slots_info(d.slots, 0, &slot) && slot.seen == 40 && slot.distinct == 10);
    assert_true(slot.numeric && slot.min == 0 && slot.max == 9 && slot.top[0].count >= 4);
    assert_int_equal(d.stream_count, PARTITIONS);
    assert_true(d.streams[0].records == 10 && d.fold_count == 0 && d.example_count > 0);
    ops_catalog_detail_done(&d);
    size_t at;
    assert_int_equal(ops_catalog_find(c, r->id, &at, NULL), OPS_OK);
    assert_int_equal(at, 0);
    ops_err err;
    assert_int_equal(ops_catalog_find(c, 12345, &at, &err), OPS_ENOTFOUND);
    OPS_AUTO(ops_catalog_free) ops_catalog *none = NULL;
    assert_int_equal(ops_catalog_take(w->owners, OPS_SLICE("somebody"), OPS_CATALOG_BY_ID, &none, NULL),
                     OPS_OK);
    assert_int_equal(ops_catalog_count(none), 0);
}

/* Partition 0 has seen one plugin, partition 1 many and made them one: the first one's line is of the one too. */
static void what_one_partition_has_folded_is_folded(void **state)
{
    struct world *w = *state;
    size_t n = sizeof words / sizeof *words, at;
    send_plugin(w, 0, words[0], 1000, 5);
    wait_analysed(w, 5);
    OPS_AUTO(ops_catalog_free) ops_catalog *before = take(w, OPS_CATALOG_BY_COUNT);
    assert_int_equal(ops_catalog_count(before), 1);
    uint64_t old = ops_catalog_row_at(before, 0)->id;
    for (size_t i = 0; i < n; i++)
        send_plugin(w, 1, words[i], 2000 + (int64_t)i, 2);
    wait_analysed(w, 5 + 2 * n);
    OPS_AUTO(ops_catalog_free) ops_catalog *c = take(w, OPS_CATALOG_BY_COUNT);
    assert_int_equal(ops_catalog_count(c), 1);
    const ops_catalog_row *r = ops_catalog_row_at(c, 0);
    assert_true(r->count == 5 + 2 * n && r->id != old);
    assert_int_equal(ops_catalog_find(c, old, &at, NULL), OPS_OK);
    assert_int_equal(at, 0);
    ops_catalog_detail d;
    assert_int_equal(ops_catalog_look(c, 0, true, &d, NULL), OPS_OK);
    bool told = false;
    for (size_t i = 0; i < d.fold_count; i++)
        told |= d.folds[i].old_id == old && strstr(d.folds[i].text, words[0]) != NULL &&
                d.folds[i].why == OPS_MINER_FOLD_ALIKE && d.folds[i].at_ns >= 2000ll * SECOND;
    assert_true(told);
    assert_int_equal(d.stream_count, 2);
    assert_int_equal(d.streams[0].records, 2 * n);
    ops_catalog_detail_done(&d);
}

static void orders_are_total(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 6; i++) {
        char head[64];
        (void)snprintf(head, sizeof head, "%s %s%s went", words[i], words[i], words[i + 1]);
        send_records(w, "svc", 3000 - 10 * i, i % 3 + 1, head, "by on its way", 9);
    }
    wait_analysed(w, 12);
    for (int order = OPS_CATALOG_BY_COUNT; order <= OPS_CATALOG_BY_ID; order++) {
        OPS_AUTO(ops_catalog_free) ops_catalog *c = take(w, (ops_catalog_order)order);
        assert_int_equal(ops_catalog_count(c), 6);
        for (size_t i = 1; i < 6; i++) {
            const ops_catalog_row *a = ops_catalog_row_at(c, i - 1), *b = ops_catalog_row_at(c, i);
            const int64_t va[] = {(int64_t)a->count, a->first_ns, a->last_ns, 0};
            const int64_t vb[] = {(int64_t)b->count, b->first_ns, b->last_ns, 0};
            assert_true(va[order] > vb[order] || (va[order] == vb[order] && a->id < b->id));
        }
    }
}

static ops_pinset *pins(const char *yaml)
{
    ops_pinset *s = NULL;
    ops_err err = {0};
    ok(ops_pinset_parse(ops_slice_str(yaml), "pins", &s, &err), &err);
    return s;
}

static void wait_pins(struct world *w)
{
    for (int i = 0; i < 10000 && ops_owners_pins_pending(w->owners) > 0; i++)
        nap();
    assert_int_equal(ops_owners_pins_pending(w->owners), 0);
}

static void pins_reach_every_owner_and_those_of_later_tenants(void **state)
{
    struct world *w = *state;
    char service[32];
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        send_records(w, service_in(p, service, sizeof service), 1000, 2, "session opened for user",
                     "by console", 9);
        send_records(w, service, 2000, 2, "login of user", "is done now", 9);
    }
    wait_analysed(w, 4 * PARTITIONS);
    OPS_AUTO(ops_catalog_free) ops_catalog *two = take(w, OPS_CATALOG_BY_COUNT);
    assert_int_equal(ops_catalog_count(two), 2);
    OPS_AUTO(ops_pinset_unref)
    ops_pinset *s =
        pins("one:\n  - [\"session opened for user <*> by console\", \"login of user <*> is done now\"]\n"
             "slots: ['ORD-[A-Z]+']\n");
    ops_owners_pins_set(w->owners, s);
    wait_pins(w);
    OPS_AUTO(ops_catalog_free) ops_catalog *one = take(w, OPS_CATALOG_BY_COUNT);
    assert_int_equal(ops_catalog_count(one), 1);
    assert_int_equal(ops_catalog_row_at(one, 0)->count, 4 * PARTITIONS);
    send_records(w, service, 3000, 2, "ticket ORD-AB number", "was closed", 9);
    send_records(w, service, 3001, 2, "ticket ORD-XY number", "was closed", 9);
    wait_analysed(w, 4 * PARTITIONS + 4);
    OPS_AUTO(ops_catalog_free) ops_catalog *with = take(w, OPS_CATALOG_BY_COUNT);
    assert_int_equal(ops_catalog_count(with), 2);
    ops_owners_pins_set(w->owners, NULL); /* while owners are at work */
    wait_pins(w);
    send_records(w, service, 4000, 2, "ticket ORD-AB number", "was opened", 9);
    wait_analysed(w, 4 * PARTITIONS + 6);
}

/* Sets are handed over while records stream in: every count stays exact (tsan). */
static void pins_change_under_load(void **state)
{
    struct world *w = *state;
    uint64_t sent = 0;
    OPS_AUTO(ops_pinset_unref) ops_pinset *a = pins("slots: ['ORD-[A-Z]+']\n");
    OPS_AUTO(ops_pinset_unref) ops_pinset *b = pins("apart: [state is up]\nslots: ['[0-9]+']\n");
    for (int round = 0; round < 12; round++) {
        for (int s = 0; s < 6; s++, sent += 20) {
            char service[32];
            (void)snprintf(service, sizeof service, "svc-%d", s);
            send_records(w, service, 1000 + 10 * round, 20, "order ORD-ABC number", "state is up", 9);
        }
        ops_owners_pins_set(w->owners, round % 3 == 0 ? a : round % 3 == 1 ? b : NULL);
        OPS_AUTO(ops_catalog_free) ops_catalog *c = take(w, OPS_CATALOG_BY_LAST);
        assert_true(ops_catalog_lines(c) <= sent);
    }
    wait_analysed(w, sent);
    wait_pins(w);
    OPS_AUTO(ops_catalog_free) ops_catalog *c = take(w, OPS_CATALOG_BY_COUNT);
    assert_int_equal(ops_catalog_lines(c), sent);
}

static void without_memory_a_catalog_is_refused_whole(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        send_plugin(w, (uint32_t)i % 2, words[i], 2000 + (int64_t)i, 2);
    wait_analysed(w, 2 * sizeof words / sizeof *words);
    ops_owners_stop(w->owners); /* nobody else allocates from here on */
    ops_finder_stop(w->finder);
    long live = ops_alloc_live();
    for (long nth = 1, failed = 1; failed; nth++) {
        ops_catalog *c = NULL;
        ops_catalog_detail d = {0};
        ops_alloc_fail_at(nth);
        ops_status st = ops_catalog_take(w->owners, OPS_SLICE("default"), OPS_CATALOG_BY_COUNT, &c, NULL);
        if (st == OPS_OK)
            st = ops_catalog_look(c, 0, true, &d, NULL);
        ops_alloc_fail_at(0);
        failed = st != OPS_OK;
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        ops_catalog_detail_done(&d);
        ops_catalog_free(c);
        assert_int_equal(ops_alloc_live(), live);
        assert_true(nth < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_of_one_id_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_one_partition_has_folded_is_folded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(orders_are_total, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pins_reach_every_owner_and_those_of_later_tenants, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pins_change_under_load, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory_a_catalog_is_refused_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
