/* Retention and queries: nothing a restarted reader needs is dropped, nothing that matches is skipped, and what cannot match
 * is not read. Expected sets come from a plain loop over what was appended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/hash.h"
#include "storage/streamlog/streamlog.h"
#include "tests/support/fake_clock.h"

enum { PARTS = 3, ENTRIES = 300, SERVICES = 12 };
#define SECOND_NS ((int64_t)1000000000)
#define MINUTE_NS (60 * SECOND_NS)

/* What was appended, as the test remembers it. */
struct made {
    uint32_t part;
    uint64_t offset;
    int64_t recv_ns, min_ns, max_ns;
    unsigned tenant, service, severity;
};

struct world {
    ops_kv *kv;
    ops_streamlog *sl;
    struct fake_clock clock;
    struct made made[ENTRIES];
    size_t n;
};

static const char *const tenants[] = {"acme", "globex"};

static void service_name(char out[16], unsigned i)
{
    (void)snprintf(out, 16, "service-%u", i);
}

static void open_log(struct world *w)
{
    const ops_streamlog_conf conf = {.partitions = PARTS, .clock = &w->clock.base, .stepped = true};
    assert_int_equal(ops_streamlog_open(w->kv, &conf, &w->sl, NULL), OPS_OK);
}

static int set_up(void **state)
{
    static struct world w;
    w = (struct world){.clock = FAKE_CLOCK(1000 * MINUTE_NS)};
    assert_int_equal(ops_kv_open_memory(OPS_STREAMLOG_FAMILIES, &w.kv, NULL), OPS_OK);
    open_log(&w);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ops_streamlog_close(w->sl);
    ops_kv_close(w->kv);
    return 0;
}

static void on_ack(void *u, ops_status st, uint64_t offset)
{
    struct made *m = u;
    assert_int_equal(st, OPS_OK);
    m->offset = offset;
}

static void append(struct world *w, struct made m)
{
    char name[16];
    service_name(name, m.service);
    uint32_t mark = ops_streamlog_mark(ops_slice_str(name));
    const ops_streamlog_entry e = {.part = m.part,
                                   .payload = ops_slice_of((const char *)&w->n, sizeof w->n),
                                   .record_count = 3,
                                   .recv_ns = m.recv_ns,
                                   .min_time_ns = m.min_ns,
                                   .max_time_ns = m.max_ns,
                                   .tenant = ops_streamlog_mark(ops_slice_str(tenants[m.tenant])),
                                   .severities = 1u << m.severity,
                                   .services = &mark,
                                   .service_count = 1};
    w->made[w->n] = m;
    assert_int_equal(ops_streamlog_append(w->sl, &e, on_ack, &w->made[w->n], NULL), OPS_OK);
    assert_true(ops_streamlog_step(w->sl));
    w->n++;
}

/* Entries a second apart, their records up to 5 minutes late and 2 minutes early; the clock is set back once. */
static void fill(struct world *w)
{
    int64_t now = w->clock.wall_ns;
    for (unsigned i = 0; i < ENTRIES; i++) {
        uint64_t r = ops_hash_mix(i + 1);
        now += i == ENTRIES / 2 ? -3 * MINUTE_NS : SECOND_NS;
        int64_t at = now - (int64_t)(r % 300) * SECOND_NS + (int64_t)(r / 300 % 120) * SECOND_NS;
        append(w, (struct made){.part = (uint32_t)(r >> 20) % PARTS,
                                .recv_ns = now,
                                .min_ns = at,
                                .max_ns = at + (int64_t)(r >> 32) % (10 * SECOND_NS),
                                .tenant = (unsigned)(r >> 40) % 2,
                                .service = (unsigned)(r >> 44) % SERVICES,
                                .severity = (unsigned)(r >> 50) % 25});
    }
}

static bool wanted(const struct made *m, const ops_streamlog_filter *f)
{
    char name[16];
    service_name(name, m->service);
    return (f->since_ns == 0 || m->max_ns >= f->since_ns) && (f->until_ns == 0 || m->min_ns < f->until_ns) &&
           m->severity >= f->severity_min &&
           (f->tenant.n == 0 || ops_slice_eq(f->tenant, ops_slice_str(tenants[m->tenant]))) &&
           (f->service.n == 0 || ops_slice_eq(f->service, ops_slice_str(name)));
}

struct got {
    struct world *w;
    bool seen[ENTRIES];
    size_t n, stop_after;
    int64_t last_recv_ns;
    bool newest_first;
};

static ops_status collect(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    struct got *g = u;
    size_t i;
    (void)reterr;
    assert_int_equal(e->payload.n, sizeof i);
    memcpy(&i, e->payload.p, sizeof i);
    assert_true(i < g->w->n && !g->seen[i]);
    assert_true(g->w->made[i].part == e->part && g->w->made[i].offset == offset);
    assert_true(e->record_count == 3 && e->severities == 1u << g->w->made[i].severity);
    g->seen[i] = true;
    g->n++;
    return g->n == g->stop_after ? OPS_ECANCELLED : OPS_OK;
}

static void expect_exactly(struct world *w, const ops_streamlog_filter *f)
{
    struct got g = {.w = w};
    assert_int_equal(ops_streamlog_query(w->sl, f, collect, &g, NULL), OPS_OK);
    for (size_t i = 0; i < w->n; i++)
        if (g.seen[i] != wanted(&w->made[i], f))
            fail_msg("entry %zu (partition %u): handed out %d", i, w->made[i].part, g.seen[i]);
}

static void a_query_hands_out_what_may_match_and_nothing_else(void **state)
{
    struct world *w = *state;
    fill(w);
    int64_t mid = w->made[ENTRIES / 2].min_ns;
    for (unsigned i = 0; i < 200; i++) {
        char name[16];
        uint64_t r = ops_hash_mix(i + 7);
        ops_streamlog_filter f = {.newest_first = r & 1};
        service_name(name, (unsigned)(r >> 8) % (SERVICES + 1)); /* one that never was */
        if ((r & 2) != 0)
            f.since_ns = mid + (int64_t)(r >> 10) % (4 * MINUTE_NS) - 2 * MINUTE_NS;
        if ((r & 4) != 0)
            f.until_ns = mid + (int64_t)(r >> 12) % (4 * MINUTE_NS);
        if ((r & 8) != 0)
            f.tenant = ops_slice_str(tenants[(r >> 16) & 1]);
        if ((r & 16) != 0)
            f.service = ops_slice_str(name);
        if ((r & 32) != 0)
            f.severity_min = 1 + (unsigned)(r >> 20) % 24;
        expect_exactly(w, &f);
    }
    ops_streamlog_close(w->sl);
    open_log(w);
    expect_exactly(w, &(ops_streamlog_filter){.severity_min = 17});
}

static ops_status in_order(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    struct got *g = u;
    (void)offset;
    (void)reterr;
    assert_true(g->n == 0 ||
                (g->newest_first ? e->recv_ns <= g->last_recv_ns : e->recv_ns >= g->last_recv_ns));
    g->last_recv_ns = e->recv_ns;
    g->n++;
    return OPS_OK;
}

static void a_query_follows_receive_time_over_all_partitions(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 100; i++)
        append(w, (struct made){.part = (uint32_t)ops_hash_mix(i) % PARTS, .recv_ns = i * SECOND_NS});
    for (int newest = 0; newest < 2; newest++) {
        struct got g = {.newest_first = newest};
        const ops_streamlog_filter f = {.newest_first = newest};
        assert_int_equal(ops_streamlog_query(w->sl, &f, in_order, &g, NULL), OPS_OK);
        assert_int_equal(g.n, 100);
    }
}

static void a_query_goes_on_where_it_stopped(void **state)
{
    struct world *w = *state;
    uint64_t positions[PARTS] = {0};
    const ops_streamlog_filter f = {.positions = positions, .severity_min = 9};
    struct got g = {.w = w};
    fill(w);
    for (int i = 0; i < 1000; i++) {
        size_t before = g.n;
        g.stop_after = g.n + 7;
        assert_int_equal(ops_streamlog_query(w->sl, &f, collect, &g, NULL), OPS_OK);
        if (g.n == before)
            break;
    }
    for (size_t i = 0; i < w->n; i++)
        assert_int_equal(g.seen[i], wanted(&w->made[i], &f));
    const ops_streamlog_filter bad = {.positions = positions, .newest_first = true};
    assert_int_equal(ops_streamlog_query(w->sl, &bad, collect, &g, NULL), OPS_EINVAL);
}

static void what_cannot_match_is_not_read(void **state)
{
    struct world *w = *state;
    fill(w);
    /* Every payload but those of one service is made unreadable: a query for that service does not notice. */
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    for (size_t i = 0; i < w->n; i++) {
        uint8_t key[12];
        ops_put_be32(key, w->made[i].part);
        ops_put_be64(key + 4, w->made[i].offset);
        if (w->made[i].service != 5)
            ops_kv_batch_put(b, 0, ops_slice_of(key, 12), OPS_SLICE("rubbish"));
    }
    assert_int_equal(ops_kv_write(w->kv, b, true, NULL), OPS_OK);
    expect_exactly(w, &(ops_streamlog_filter){.service = OPS_SLICE("service-5")});
    struct got g = {.w = w};
    ops_err err;
    const ops_streamlog_filter all = {0};
    assert_int_equal(ops_streamlog_query(w->sl, &all, collect, &g, &err), OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "partition "));
}

static void an_entry_of_very_many_services_matches_each(void **state)
{
    struct world *w = *state;
    uint32_t marks[OPS_STREAMLOG_SERVICES_MAX + 1];
    size_t zero = 0;
    for (uint32_t n = OPS_STREAMLOG_SERVICES_MAX; n <= OPS_STREAMLOG_SERVICES_MAX + 1; n++) {
        for (uint32_t i = 0; i < n; i++)
            marks[i] = 1000 - i;
        const ops_streamlog_entry e = {.payload = ops_slice_of((const char *)&zero, sizeof zero),
                                       .record_count = 3,
                                       .severities = 1,
                                       .services = marks,
                                       .service_count = n};
        assert_int_equal(ops_streamlog_append(w->sl, &e, on_ack, &w->made[0], NULL), OPS_OK);
        assert_true(ops_streamlog_step(w->sl));
    }
    w->n = 1;
    struct got g = {.w = w};
    w->made[0].offset = 1; /* only the one with too many to tell */
    assert_int_equal(
        ops_streamlog_query(w->sl, &(ops_streamlog_filter){.service = OPS_SLICE("any")}, collect, &g, NULL),
        OPS_OK);
    assert_int_equal(g.n, 1);
}

static uint64_t first_of(struct world *w, uint32_t part)
{
    uint64_t first, next;
    assert_int_equal(ops_streamlog_bounds(w->sl, part, &first, &next, NULL), OPS_OK);
    return first;
}

static void retention_by_age_stops_at_the_reader(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 10; i++)
        append(w, (struct made){.recv_ns = i * MINUTE_NS});
    const ops_streamlog_keep keep = {.age_ns = 5 * MINUTE_NS};
    uint64_t held = 9;
    ops_streamlog_stats stats;
    /* At minute 11, entries before minute 6 are old. */
    assert_int_equal(ops_streamlog_retain(w->sl, 0, 10, 11 * MINUTE_NS, &keep, &held, NULL), OPS_OK);
    assert_true(first_of(w, 0) == 6 && held == 0);
    assert_int_equal(ops_streamlog_retain(w->sl, 0, 7, 14 * MINUTE_NS, &keep, &held, NULL), OPS_OK);
    assert_true(first_of(w, 0) == 7 && held == 2); /* 7 and 8 are old, and still needed */
    ops_streamlog_stats_get(w->sl, &stats);
    assert_true(stats.trimmed == 7 && stats.held_back == 1);
    assert_int_equal(ops_streamlog_retain(w->sl, 0, 3, 99 * MINUTE_NS, &keep, &held, NULL), OPS_OK);
    assert_true(first_of(w, 0) == 7 && held == 3);
    assert_int_equal(ops_streamlog_retain(w->sl, 0, 10, 99 * MINUTE_NS, &keep, &held, NULL), OPS_OK);
    assert_true(first_of(w, 0) == 9); /* the last stays */
    ops_streamlog_close(w->sl);
    open_log(w);
    append(w, (struct made){.recv_ns = 100 * MINUTE_NS});
    assert_true(w->made[10].offset == 10);
}

static void retention_by_size_keeps_the_newest_that_fit(void **state)
{
    struct world *w = *state;
    ops_streamlog_size all, kept;
    for (int i = 0; i < 40; i++)
        append(w, (struct made){.part = 1, .recv_ns = i * MINUTE_NS});
    assert_int_equal(ops_streamlog_range_size(w->sl, 1, 0, 40, &all, NULL), OPS_OK);
    assert_true(all.entries == 40 && all.records == 120 && all.bytes > 40 * sizeof(size_t));
    const ops_streamlog_keep keep = {.bytes = all.bytes / 4};
    assert_int_equal(ops_streamlog_retain(w->sl, 1, 40, 0, &keep, NULL, NULL), OPS_OK);
    uint64_t first = first_of(w, 1);
    assert_int_equal(ops_streamlog_range_size(w->sl, 1, 0, UINT64_MAX, &kept, NULL), OPS_OK);
    assert_true(first == 30 && kept.entries == 10 && kept.records == 30 && kept.bytes <= keep.bytes);
    assert_int_equal(ops_streamlog_range_size(w->sl, 0, 0, 5, &kept, NULL), OPS_OK);
    assert_true(kept.entries == 0 && kept.bytes == 0);
}

static void damage_is_told_in_ranges(void **state)
{
    struct world *w = *state;
    uint8_t key[12] = {0};
    for (int i = 0; i < 20; i++)
        append(w, (struct made){.recv_ns = i});
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    for (uint64_t i = 5; i < 9; i++) {
        ops_put_be64(key + 4, i);
        ops_kv_batch_del(b, 0, ops_slice_of(key, 12));
    }
    ops_put_be64(key + 4, 15);
    ops_kv_batch_put(b, 2, ops_slice_of(key, 12), OPS_SLICE("no footer"));
    assert_int_equal(ops_kv_write(w->kv, b, true, NULL), OPS_OK);
    ops_streamlog_report r;
    assert_int_equal(ops_streamlog_fsck(w->sl, &r, NULL), OPS_OK);
    assert_true(r.entries == 16 && r.damaged == 5 && r.damage_count == 2);
    assert_true(r.damage[0].part == 0 && r.damage[0].from == 5 && r.damage[0].to == 9);
    assert_true(r.damage[1].from == 15 && r.damage[1].to == 16);
    assert_non_null(strstr(r.first_damage, "offsets 5 to 8 are missing"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_query_hands_out_what_may_match_and_nothing_else),
        CASE(a_query_follows_receive_time_over_all_partitions),
        CASE(a_query_goes_on_where_it_stopped),
        CASE(what_cannot_match_is_not_read),
        CASE(an_entry_of_very_many_services_matches_each),
        CASE(retention_by_age_stops_at_the_reader),
        CASE(retention_by_size_keeps_the_newest_that_fit),
        CASE(damage_is_told_in_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
