/* The stream log's promises, on both stores: order without gaps, nothing lost over a reopening, retries stored once, every
 * bound with its answer, damage named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/streamlog/streamlog.h"
#include "tests/support/fake_clock.h"

enum { ACKS_MAX = 4096, MINUTE_NS = 60 * 1000000000ll };

struct world {
    char dir[64];
    ops_kv *kv;
    ops_streamlog *sl;
    struct fake_clock clock;
    uint64_t disk_free;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int acked, failed;
    uint64_t last_offset;
};

static bool fake_space(void *u, uint64_t *ret_free, uint64_t *ret_total)
{
    struct world *w = u;
    *ret_free = w->disk_free;
    *ret_total = 1ull << 40;
    return true;
}

static void open_log(struct world *w)
{
    ops_err err = {0};
    if (w->dir[0] != '\0' &&
        ops_kv_open_rocksdb(w->dir, ops_streamlog_families, OPS_STREAMLOG_FAMILIES, &w->kv, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    const ops_streamlog_conf conf = {.partitions = 4,
                                     .pending_bytes_max = 4096,
                                     .space = fake_space,
                                     .space_u = w,
                                     .clock = &w->clock.base};
    if (ops_streamlog_open(w->kv, &conf, &w->sl, &err) != OPS_OK)
        fail_msg("%s", err.msg);
}

static void reopen(struct world *w)
{
    ops_streamlog_close(w->sl);
    if (w->dir[0] != '\0')
        ops_kv_close(w->kv);
    open_log(w);
}

static int set_up(void **state, const char *dir)
{
    static struct world w;
    w = (struct world){.clock = FAKE_CLOCK(100 * MINUTE_NS), .disk_free = 1ull << 39};
    (void)pthread_mutex_init(&w.lock, NULL);
    (void)pthread_cond_init(&w.changed, NULL);
    (void)snprintf(w.dir, sizeof w.dir, "%s", dir);
    if (dir[0] != '\0')
        assert_non_null(mkdtemp(w.dir));
    else
        assert_int_equal(ops_kv_open_memory(OPS_STREAMLOG_FAMILIES, &w.kv, NULL), OPS_OK);
    open_log(&w);
    *state = &w;
    return 0;
}

static int set_up_memory(void **state)
{
    return set_up(state, "");
}

static int set_up_rocks(void **state)
{
    return set_up(state, "/tmp/opsd-streamlog-XXXXXX");
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ops_streamlog_close(w->sl);
    ops_kv_close(w->kv);
    if (w->dir[0] == '\0')
        return 0;
    char cmd[128];
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", w->dir);
    return system(cmd);
}

static void on_ack(void *u, ops_status st, uint64_t offset)
{
    struct world *w = u;
    (void)pthread_mutex_lock(&w->lock);
    w->acked += st == OPS_OK;
    w->failed += st != OPS_OK;
    w->last_offset = offset;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

static void wait_acks(struct world *w, int n)
{
    (void)pthread_mutex_lock(&w->lock);
    while (w->acked + w->failed < n)
        (void)pthread_cond_wait(&w->changed, &w->lock);
    (void)pthread_mutex_unlock(&w->lock);
}

static ops_status append(struct world *w, uint32_t part, const char *text, const char *dedupe,
                         ops_err *reterr)
{
    uint8_t key[OPS_STREAMLOG_DEDUPE_BYTES] = {0};
    if (dedupe != NULL)
        memcpy(key, dedupe, strlen(dedupe));
    const ops_streamlog_entry e = {.part = part,
                                   .payload = ops_slice_str(text),
                                   .record_count = 2,
                                   .recv_ns = w->clock.wall_ns,
                                   .min_time_ns = -1,
                                   .max_time_ns = 7,
                                   .dedupe = dedupe != NULL ? key : NULL};
    return ops_streamlog_append(w->sl, &e, on_ack, w, reterr);
}

struct seen {
    uint64_t next;
    char text[64];
};

static ops_status collect(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    struct seen *s = u;
    (void)reterr;
    assert_true(offset == s->next);
    assert_int_equal(e->record_count, 2);
    assert_true(e->min_time_ns == -1 && e->max_time_ns == 7);
    s->next++;
    (void)strncat(s->text, e->payload.p, e->payload.n);
    return OPS_OK;
}

static void entries_come_back_in_order_also_after_reopening(void **state)
{
    struct world *w = *state;
    static const char *const texts[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(append(w, 1, texts[i], NULL, NULL), OPS_OK);
        assert_int_equal(append(w, 2, "other", NULL, NULL), OPS_OK);
    }
    wait_acks(w, 6);
    reopen(w);
    assert_int_equal(append(w, 1, "d", NULL, NULL), OPS_OK);
    wait_acks(w, 7);
    assert_true(w->last_offset == 3);
    struct seen s = {0};
    assert_int_equal(ops_streamlog_read(w->sl, 1, 0, 1 << 20, collect, &s, NULL), OPS_OK);
    assert_string_equal(s.text, "abcd");
    s = (struct seen){.next = 2};
    assert_int_equal(ops_streamlog_read(w->sl, 1, 2, 1, collect, &s, NULL), OPS_OK);
    assert_string_equal(s.text, "c"); /* the byte limit ended it */
    assert_true(ops_streamlog_wait(w->sl, 1, 3, 0));
    assert_false(ops_streamlog_wait(w->sl, 1, 4, 1));
}

static void a_retry_is_acknowledged_and_stored_once(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(append(w, 0, "once", "key-1", NULL), OPS_OK);
    wait_acks(w, 3);
    reopen(w);
    assert_int_equal(append(w, 0, "once", "key-1", NULL), OPS_OK);
    wait_acks(w, 4);
    assert_true(w->last_offset == 0);
    assert_int_equal(append(w, 3, "once", "key-1", NULL), OPS_OK); /* another partition is another entry */
    wait_acks(w, 5);
    w->clock.wall_ns += 16 * MINUTE_NS;
    assert_int_equal(append(w, 0, "again", "key-1", NULL), OPS_OK);
    wait_acks(w, 6);
    assert_true(w->last_offset == 1);
    struct seen s = {0};
    assert_int_equal(ops_streamlog_read(w->sl, 0, 0, 1 << 20, collect, &s, NULL), OPS_OK);
    assert_string_equal(s.text, "onceagain");
}

static void every_bound_has_its_answer(void **state)
{
    struct world *w = *state;
    ops_err err;
    assert_int_equal(append(w, 4, "x", NULL, &err), OPS_EINVAL);
    w->disk_free = 1 << 20;
    assert_int_equal(append(w, 0, "x", NULL, &err), OPS_ENOSPC);
    assert_non_null(strstr(err.msg, "1 MiB"));
    w->disk_free = 1ull << 39;
    assert_int_equal(append(w, 0, "x", NULL, &err), OPS_OK); /* it resumes by itself */
    wait_acks(w, 1);
    char *big = ops_calloc(1, OPS_STREAMLOG_ENTRY_BYTES_MAX + 1);
    const ops_streamlog_entry e = {.payload = ops_slice_of(big, OPS_STREAMLOG_ENTRY_BYTES_MAX + 1)};
    assert_int_equal(ops_streamlog_append(w->sl, &e, on_ack, w, &err), OPS_ETOOBIG);
    ops_free(big);
    struct seen s = {0};
    assert_int_equal(ops_streamlog_read(w->sl, 0, 5, 1, collect, &s, &err), OPS_ERANGE);
    ops_streamlog_stats stats;
    ops_streamlog_stats_get(w->sl, &stats);
    assert_true(stats.refused_space == 1 && stats.entries == 1 && stats.records == 2 &&
                stats.pending_bytes == 0);
}

static void a_flood_is_refused_or_kept_never_lost(void **state)
{
    struct world *w = *state;
    char text[1000];
    int accepted = 0, refused = 0;
    for (int i = 0; i < 200; i++) {
        for (size_t k = 0; k < sizeof text - 1; k++)
            text[k] = (char)('a' + rand() % 26); /* does not compress */
        text[sizeof text - 1] = '\0';
        ops_status st = append(w, 0, text, NULL, NULL);
        assert_true(st == OPS_OK || st == OPS_EAGAIN);
        accepted += st == OPS_OK;
        refused += st == OPS_EAGAIN;
    }
    wait_acks(w, accepted);
    assert_int_equal(w->failed, 0);
    ops_streamlog_report r;
    assert_int_equal(ops_streamlog_fsck(w->sl, &r, NULL), OPS_OK);
    assert_true(r.entries == (uint64_t)accepted && r.damaged == 0);
    assert_int_equal(accepted + refused, 200);
}

static void many_entries_go_in_together_or_not_at_all(void **state)
{
    struct world *w = *state;
    char noise[3000];
    for (size_t k = 0; k < sizeof noise; k++)
        noise[k] = (char)('a' + rand() % 26);
    const ops_streamlog_entry good[] = {
        {.part = 0, .payload = OPS_SLICE("a"), .record_count = 2, .min_time_ns = -1, .max_time_ns = 7},
        {.part = 1, .payload = OPS_SLICE("b"), .record_count = 2, .min_time_ns = -1, .max_time_ns = 7}};
    const ops_streamlog_entry bad[] = {good[0], {.part = 9, .payload = OPS_SLICE("c")}};
    ops_err err;
    assert_int_equal(ops_streamlog_append_all(w->sl, bad, 2, on_ack, w, &err), OPS_EINVAL);
    uint64_t change = 0;
    assert_false(ops_streamlog_wait_any(w->sl, &change, 1));
    assert_int_equal(ops_streamlog_append_all(w->sl, good, 2, on_ack, w, &err), OPS_OK);
    wait_acks(w, 2);
    assert_true(ops_streamlog_wait_any(w->sl, &change, 1000));
    assert_false(ops_streamlog_wait_any(w->sl, &change, 1));
    for (uint32_t part = 0; part < 2; part++) {
        struct seen s = {0};
        assert_int_equal(ops_streamlog_read(w->sl, part, 0, 1 << 20, collect, &s, NULL), OPS_OK);
        assert_string_equal(s.text, part == 0 ? "a" : "b");
    }
    /* Two that fit alone but not together with what may be waiting: whatever happens, both or none. */
    const ops_streamlog_entry big[] = {{.part = 2, .payload = ops_slice_of(noise, sizeof noise)},
                                       {.part = 3, .payload = ops_slice_of(noise, sizeof noise)}};
    int took = 0;
    for (int i = 0; i < 50; i++)
        took += ops_streamlog_append_all(w->sl, big, 2, on_ack, w, &err) == OPS_OK;
    wait_acks(w, 2 + 2 * took);
    uint64_t first, next2, next3;
    assert_int_equal(ops_streamlog_bounds(w->sl, 2, &first, &next2, NULL), OPS_OK);
    assert_int_equal(ops_streamlog_bounds(w->sl, 3, &first, &next3, NULL), OPS_OK);
    assert_true(next2 == (uint64_t)took && next3 == next2 && took > 0);
}

static void a_note_is_written_with_its_entry(void **state)
{
    struct world *w = *state;
    char *val = NULL;
    size_t n = 0;
    const uint8_t key[OPS_STREAMLOG_DEDUPE_BYTES] = "again";
    ops_streamlog_entry e = {.payload = OPS_SLICE("a"),
                             .record_count = 2,
                             .min_time_ns = -1,
                             .max_time_ns = 7,
                             .dedupe = key,
                             .note_key = OPS_SLICE("/var/log/a"),
                             .note = OPS_SLICE("1")};
    assert_int_equal(ops_streamlog_note_get(w->sl, e.note_key, &val, &n, NULL), OPS_ENOTFOUND);
    assert_int_equal(ops_streamlog_append(w->sl, &e, on_ack, w, NULL), OPS_OK);
    e.note = OPS_SLICE("23"); /* the entry is there already, the note still moves */
    assert_int_equal(ops_streamlog_append(w->sl, &e, on_ack, w, NULL), OPS_OK);
    wait_acks(w, 2);
    reopen(w);
    assert_int_equal(ops_streamlog_note_get(w->sl, e.note_key, &val, &n, NULL), OPS_OK);
    assert_true(ops_slice_eq(ops_slice_of(val, n), OPS_SLICE("23")));
    ops_free(val);
    char *big = ops_calloc(1, OPS_STREAMLOG_NOTE_BYTES_MAX + 1);
    e.note = ops_slice_of(big, OPS_STREAMLOG_NOTE_BYTES_MAX + 1);
    assert_int_equal(ops_streamlog_append(w->sl, &e, on_ack, w, NULL), OPS_ETOOBIG);
    ops_free(big);
}

static void trimmed_entries_are_named(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(append(w, 0, "x", NULL, NULL), OPS_OK);
    wait_acks(w, 5);
    assert_int_equal(ops_streamlog_trim(w->sl, 0, 3, NULL), OPS_OK);
    ops_err err;
    struct seen s = {0};
    assert_int_equal(ops_streamlog_read(w->sl, 0, 0, 1, collect, &s, &err), OPS_ERANGE);
    assert_non_null(strstr(err.msg, "3 to 5"));
    assert_int_equal(ops_streamlog_trim(w->sl, 0, 99, NULL), OPS_OK);
    reopen(w);
    uint64_t first, next;
    assert_int_equal(ops_streamlog_bounds(w->sl, 0, &first, &next, NULL), OPS_OK);
    assert_true(first == 4 && next == 5); /* offsets never start again */
}

static void damage_is_found_and_named(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 6; i++)
        assert_int_equal(append(w, 2, "payload", NULL, NULL), OPS_OK);
    wait_acks(w, 6);
    uint8_t key[12];
    ops_put_be32(key, 2);
    ops_kv_batch *b = ops_kv_batch_new();
    char *value;
    size_t n;
    ops_put_be64(key + 4, 1);
    assert_int_equal(ops_kv_get(w->kv, 0, ops_slice_of(key, 12), &value, &n, NULL), OPS_OK);
    value[n - 1] ^= 1;
    ops_kv_batch_put(b, 0, ops_slice_of(key, 12), ops_slice_of(value, n));
    ops_put_be64(key + 4, 4);
    ops_kv_batch_del(b, 0, ops_slice_of(key, 12));
    assert_int_equal(ops_kv_write(w->kv, b, true, NULL), OPS_OK);
    ops_kv_batch_free(b);
    ops_free(value);
    struct seen s = {0};
    ops_err err;
    assert_int_equal(ops_streamlog_read(w->sl, 2, 0, 1 << 20, collect, &s, &err), OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "partition 2 offset 1"));
    ops_streamlog_report r;
    assert_int_equal(ops_streamlog_fsck(w->sl, &r, NULL), OPS_OK);
    assert_true(r.damaged == 2 && r.entries == 4);
    assert_non_null(strstr(r.first_damage, "offset 1"));
}

#define BOTH(name)                                                                                           \
    cmocka_unit_test_setup_teardown(name, set_up_memory, tear_down),                                         \
        cmocka_unit_test_setup_teardown(name, set_up_rocks, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(entries_come_back_in_order_also_after_reopening),
        BOTH(a_retry_is_acknowledged_and_stored_once),
        BOTH(every_bound_has_its_answer),
        BOTH(a_flood_is_refused_or_kept_never_lost),
        BOTH(many_entries_go_in_together_or_not_at_all),
        BOTH(a_note_is_written_with_its_entry),
        BOTH(trimmed_entries_are_named),
        BOTH(damage_is_found_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
