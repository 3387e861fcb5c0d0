/* The stream log and the repository over two disks that forget: thousands of seeded schedules of clients that retry, an
 * owner that folds, retention, kills, power cuts and writes that fail, tear or lose their sync.
 *
 * Checked at every restart and at the end: what was acknowledged is where it was acknowledged; nothing is stored twice;
 * the reader's place was not trimmed away; and every request counted exactly once in the owner's state. Then one rule is
 * broken on purpose, three times, and the same checks must find it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "storage/kv/kv_sim.h"
#include "storage/repo/repo.h"
#include "storage/streamlog/streamlog.h"
#include "tests/support/fake_clock.h"

enum { PARTS = 2, IDS = 24, STEPS = 120, SCHEDULES = 10000, BUG_SCHEDULES = 500 };

/* Stands still: a key of the first request is as good at the last restart. */
static struct fake_clock now = FAKE_CLOCK(1764000000000000000);

enum bug { NO_BUG, BUG_ACK_BEFORE_SYNC, BUG_RETRY_WITHOUT_KEY, BUG_TRIM_NOT_DURABLE };

struct request {
    struct world *w;
    bool in_flight, acked;
    uint64_t offset;
    unsigned tries;
};

struct world {
    uint64_t rnd;
    enum bug bug;
    const char *wrong; /* the first promise seen broken */
    ops_kv *log_kv, *repo_kv;
    ops_streamlog *sl;
    ops_repo *repo;
    ops_fold_state own[PARTS];
    struct request ids[IDS];
    uint8_t counted[IDS];
    uint64_t crashes, faults, duplicates;
};

static uint64_t next_random(struct world *w, uint64_t below)
{
    w->rnd = ops_hash_mix(w->rnd + 0x9e3779b97f4a7c15ull);
    return w->rnd % below;
}

static void broken(struct world *w, const char *what)
{
    if (w->wrong == NULL)
        w->wrong = what;
}

static void on_ack(void *u, ops_status st, uint64_t offset)
{
    struct request *q = u;
    q->in_flight = false;
    if (st != OPS_OK)
        return;
    if (q->acked && q->offset != offset)
        broken(q->w, "a retry was stored again");
    q->acked = true;
    q->offset = offset;
}

/* --- what a restart finds --- */

struct look {
    struct world *w;
    uint32_t part;
    bool seen[IDS];
    uint64_t offset[IDS];
};

static ops_status look_at(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    (void)reterr;
    struct look *l = u;
    if (e->payload.n != 1 || (uint8_t)e->payload.p[0] >= IDS) {
        broken(l->w, "an entry is not what was appended");
        return OPS_OK;
    }
    const unsigned id = (uint8_t)e->payload.p[0];
    if (l->seen[id])
        broken(l->w, "an entry is stored twice");
    l->seen[id] = true;
    l->offset[id] = offset;
    return OPS_OK;
}

static void check_log(struct world *w)
{
    for (uint32_t part = 0; part < PARTS; part++) {
        struct look l = {.w = w, .part = part};
        uint64_t first = 0, next = 0;
        if (ops_streamlog_bounds(w->sl, part, &first, &next, NULL) != OPS_OK ||
            ops_streamlog_read(w->sl, part, first, SIZE_MAX / 2, look_at, &l, NULL) != OPS_OK) {
            broken(w, "the log does not read back");
            continue;
        }
        if (w->own[part].pos > next)
            broken(w, "the state is ahead of the log");
        if (w->own[part].pos < first)
            broken(w, "the reader's place was trimmed away");
        for (unsigned id = part; id < IDS; id += PARTS) {
            const struct request *q = &w->ids[id];
            if (q->acked && q->offset >= first && (!l.seen[id] || l.offset[id] != q->offset))
                broken(w, "an acknowledged entry is not where it was");
        }
    }
}

static ops_status load_count(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    (void)reterr;
    struct world *w = u;
    w->counted[(uint8_t)key.p[0]] = (uint8_t)val.p[0];
    return OPS_OK;
}

static ops_status open_all(struct world *w)
{
    const ops_streamlog_conf conf = {.partitions = PARTS, .clock = &now.base, .stepped = true};
    ops_status st = ops_streamlog_open(w->log_kv, &conf, &w->sl, NULL);
    if (st == OPS_OK)
        st = ops_repo_open(w->repo_kv, PARTS, &w->repo, NULL);
    memset(w->counted, 0, sizeof w->counted);
    for (uint32_t part = 0; st == OPS_OK && part < PARTS; part++) {
        st = ops_repo_fence(w->repo, part, &w->own[part], NULL);
        if (st == OPS_OK)
            st = ops_repo_state_scan(w->repo, part, load_count, w, NULL);
    }
    return st;
}

static void close_all(struct world *w)
{
    ops_streamlog_close(w->sl);
    ops_repo_free(w->repo);
    w->sl = NULL;
    w->repo = NULL;
}

/* Ends the process or the machine, and starts it again; at times the first start fails too. */
static void crash(struct world *w, enum ops_kv_sim_crash how)
{
    w->crashes++;
    ops_kv_sim_crash(w->log_kv, how);
    ops_kv_sim_crash(w->repo_kv, how);
    close_all(w);
    for (int i = 0; i < IDS; i++)
        w->ids[i].in_flight = false;
    for (int start = 0; start < 3; start++) {
        assert_int_equal(ops_kv_sim_restart(w->log_kv, NULL), OPS_OK);
        assert_int_equal(ops_kv_sim_restart(w->repo_kv, NULL), OPS_OK);
        if (start == 0 && next_random(w, 8) == 0)
            ops_kv_sim_fail_read(next_random(w, 2) ? w->log_kv : w->repo_kv, (unsigned)next_random(w, 4),
                                 OPS_EIO);
        const ops_status st = open_all(w);
        if (st == OPS_OK)
            break;
        if (st == OPS_ECORRUPT)
            broken(w, "a crash left what does not open");
        close_all(w);
    }
    if (w->sl == NULL || w->repo == NULL) {
        broken(w, "it does not start again");
        return;
    }
    ops_kv_sim_fail_read(w->log_kv, UINT32_MAX, OPS_EIO); /* none that still waits */
    ops_kv_sim_fail_read(w->repo_kv, UINT32_MAX, OPS_EIO);
    check_log(w);
}

/* --- what goes on between crashes --- */

static void send(struct world *w, unsigned id)
{
    struct request *q = &w->ids[id];
    if (q->in_flight)
        return;
    uint8_t key[OPS_STREAMLOG_DEDUPE_BYTES] = {(uint8_t)(id + 1)};
    if (w->bug == BUG_RETRY_WITHOUT_KEY)
        key[1] = (uint8_t)++q->tries;
    const uint8_t payload = (uint8_t)id;
    const ops_streamlog_entry e = {.part = id % PARTS,
                                   .payload = ops_slice_of(&payload, 1),
                                   .record_count = 1,
                                   .recv_ns = now.wall_ns,
                                   .min_time_ns = now.wall_ns,
                                   .max_time_ns = now.wall_ns,
                                   .dedupe = key};
    q->in_flight = true;
    if (ops_streamlog_append(w->sl, &e, on_ack, q, NULL) != OPS_OK)
        q->in_flight = false;
}

struct taken {
    ops_slice keys[IDS];
    uint8_t id[IDS], count[IDS];
    size_t n, max;
};

static ops_status take(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    (void)offset;
    (void)reterr;
    struct taken *t = u;
    t->id[t->n++] = (uint8_t)e->payload.p[0];
    return t->n < t->max ? OPS_OK : OPS_ECANCELLED;
}

/* The owner's turn: what it read, counted by request, in one DELTA. false: the store failed. */
static bool fold(struct world *w, uint32_t part, size_t max, bool sync)
{
    struct taken t = {.max = max};
    ops_fold_state *own = &w->own[part];
    const ops_status read = ops_streamlog_read(w->sl, part, own->pos, SIZE_MAX / 2, take, &t, NULL);
    if (read == OPS_ERANGE)
        broken(w, "the reader's place was trimmed away");
    if (read != OPS_OK || t.n == 0)
        return read == OPS_OK || read == OPS_ERANGE;
    ops_delta_write writes[IDS];
    for (size_t i = 0; i < t.n; i++) {
        t.count[i] = ++w->counted[t.id[i]];
        writes[i] = (ops_delta_write){ops_slice_of(&t.id[i], 1), ops_slice_of(&t.count[i], 1)};
    }
    const ops_delta d = {.part = part,
                         .epoch = own->epoch,
                         .from = own->pos,
                         .to = own->pos + t.n,
                         .prev_hash = own->hash,
                         .writes = writes,
                         .write_count = t.n};
    const ops_status st = ops_repo_commit(w->repo, &d, sync, own, NULL);
    if (st == OPS_ECONFLICT)
        broken(w, "the only owner's work does not count");
    return st == OPS_OK;
}

static bool trim(struct world *w, uint32_t part)
{
    ops_fold_state at = {0};
    const ops_status st = w->bug == BUG_TRIM_NOT_DURABLE ? ops_repo_position(w->repo, part, &at, NULL)
                                                         : ops_repo_durable(w->repo, part, &at, NULL);
    return st == OPS_OK && ops_streamlog_trim(w->sl, part, at.pos, NULL) == OPS_OK;
}

static bool commit_failed(struct world *w)
{
    ops_streamlog_stats stats;
    ops_streamlog_stats_get(w->sl, &stats);
    return stats.broken;
}

static void plan_fault(struct world *w)
{
    w->faults++;
    ops_kv_sim_fail_write(next_random(w, 2) ? w->log_kv : w->repo_kv, (unsigned)next_random(w, 3),
                          (enum ops_kv_sim_fault)next_random(w, 3), next_random(w, 2) ? OPS_EIO : OPS_ENOSPC);
}

static void step(struct world *w)
{
    const uint64_t what = next_random(w, 100);
    const uint32_t part = (uint32_t)next_random(w, PARTS);
    bool well = true;
    if (what < 40) {
        const unsigned id = (unsigned)next_random(w, IDS);
        if (!w->ids[id].acked || next_random(w, 6) == 0) /* at times the answer is lost on its way */
            send(w, id);
    } else if (what < 62)
        (void)ops_streamlog_step(w->sl);
    else if (what < 80)
        well = fold(w, part, 1 + next_random(w, 4), next_random(w, 3) == 0);
    else if (what < 84)
        well = ops_repo_sync(w->repo, NULL) == OPS_OK;
    else if (what < 91)
        well = trim(w, part);
    else if (what < 95)
        plan_fault(w);
    else
        crash(w, what < 97 ? OPS_KV_SIM_KILL : OPS_KV_SIM_POWER);
    if (w->wrong == NULL && (!well || commit_failed(w)))
        crash(w, next_random(w, 2) ? OPS_KV_SIM_KILL : OPS_KV_SIM_POWER);
}

static void settle(struct world *w)
{
    crash(w, OPS_KV_SIM_POWER);
    for (unsigned id = 0; id < IDS && w->wrong == NULL; id++)
        if (!w->ids[id].acked)
            send(w, id);
    while (w->wrong == NULL && ops_streamlog_step(w->sl)) {
    }
    for (uint32_t part = 0; part < PARTS && w->wrong == NULL; part++) {
        uint64_t first = 0, next = 0;
        assert_int_equal(ops_streamlog_bounds(w->sl, part, &first, &next, NULL), OPS_OK);
        while (w->wrong == NULL && w->own[part].pos < next)
            if (!fold(w, part, IDS, true))
                broken(w, "the store fails without a fault");
    }
    if (w->wrong == NULL)
        crash(w, OPS_KV_SIM_POWER); /* counts as they are on the disk */
}

static const char *run(uint64_t seed, enum bug bug, struct world *w)
{
    memset(w, 0, sizeof *w);
    w->rnd = seed * 2 + 1;
    w->bug = bug;
    for (int i = 0; i < IDS; i++)
        w->ids[i].w = w;
    const ops_kv_sim_conf log = {.seed = seed, .sync_lies = bug == BUG_ACK_BEFORE_SYNC};
    const ops_kv_sim_conf repo = {.seed = ~seed};
    assert_int_equal(ops_kv_open_sim(OPS_STREAMLOG_FAMILIES, &log, &w->log_kv, NULL), OPS_OK);
    assert_int_equal(ops_kv_open_sim(OPS_REPO_FAMILIES, &repo, &w->repo_kv, NULL), OPS_OK);
    assert_int_equal(open_all(w), OPS_OK);
    for (int i = 0; i < STEPS && w->wrong == NULL; i++)
        step(w);
    if (w->wrong == NULL)
        settle(w);
    for (unsigned id = 0; id < IDS && w->wrong == NULL; id++)
        if (w->counted[id] != 1)
            broken(w, w->counted[id] == 0 ? "an acknowledged entry was never counted"
                                          : "an entry counted twice");
    ops_streamlog_report report = {0};
    if (w->wrong == NULL &&
        (ops_streamlog_fsck(w->sl, &report, NULL) != OPS_OK || report.damaged > 0 || report.damage_count > 0))
        broken(w, "fsck finds damage");
    close_all(w);
    ops_kv_close(w->log_kv);
    ops_kv_close(w->repo_kv);
    return w->wrong;
}

static void every_schedule_keeps_every_promise(void **state)
{
    (void)state;
    static struct world w;
    uint64_t crashes = 0, faults = 0;
    for (uint64_t seed = 1; seed <= SCHEDULES; seed++) {
        const char *wrong = run(seed, NO_BUG, &w);
        if (wrong != NULL)
            fail_msg("schedule %llu: %s", (unsigned long long)seed, wrong);
        crashes += w.crashes;
        faults += w.faults;
    }
    print_message("%d schedules, %llu crashes, %llu faults\n", SCHEDULES, (unsigned long long)crashes,
                  (unsigned long long)faults);
    assert_true(crashes > 2 * SCHEDULES && faults > SCHEDULES);
    assert_int_equal(ops_alloc_live(), 0);
}

static void is_found(enum bug bug, const char *name)
{
    static struct world w;
    unsigned found = 0;
    const char *first = NULL;
    for (uint64_t seed = 1; seed <= BUG_SCHEDULES; seed++) {
        const char *wrong = run(seed, bug, &w);
        if (wrong != NULL && found++ == 0)
            first = wrong;
    }
    print_message("%s: found in %u of %d schedules, first as: %s\n", name, found, BUG_SCHEDULES,
                  first != NULL ? first : "-");
    assert_true(found > 0);
}

static void an_acknowledgement_before_the_sync_is_found(void **state)
{
    (void)state;
    is_found(BUG_ACK_BEFORE_SYNC, "acknowledged before the sync");
}
static void a_retry_without_its_key_is_found(void **state)
{
    (void)state;
    is_found(BUG_RETRY_WITHOUT_KEY, "retried without its key");
}
static void retention_past_what_is_durable_is_found(void **state)
{
    (void)state;
    is_found(BUG_TRIM_NOT_DURABLE, "trimmed past what is durable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schedule_keeps_every_promise),
        cmocka_unit_test(an_acknowledgement_before_the_sync_is_found),
        cmocka_unit_test(a_retry_without_its_key_is_found),
        cmocka_unit_test(retention_past_what_is_durable_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
