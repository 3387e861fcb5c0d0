/* One suite for all stores; then what only RocksDB can show: reopening, a second opener, a damaged log. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/kv/kv.h"
#include "storage/kv/kv_sim.h"

static const char *const families[] = {"a", "b"};

struct world {
    char dir[64];
    ops_kv *kv;
};

static void open_rocks(struct world *w)
{
    ops_err err = {0};
    if (ops_kv_open_rocksdb(w->dir, families, 2, &w->kv, &err) != OPS_OK)
        fail_msg("%s", err.msg);
}

static int set_up_rocks(void **state)
{
    static struct world w;
    (void)snprintf(w.dir, sizeof w.dir, "/tmp/opsd-kv-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    open_rocks(&w);
    *state = &w;
    return 0;
}

static int set_up_memory(void **state)
{
    static struct world w;
    w.dir[0] = '\0';
    assert_int_equal(ops_kv_open_memory(2, &w.kv, NULL), OPS_OK);
    *state = &w;
    return 0;
}

static int set_up_sim(void **state)
{
    static struct world w;
    w.dir[0] = '\0';
    assert_int_equal(ops_kv_open_sim(2, &(ops_kv_sim_conf){.seed = 1}, &w.kv, NULL), OPS_OK);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ops_kv_close(w->kv);
    if (w->dir[0] != '\0') {
        char cmd[128];
        (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", w->dir);
        return system(cmd);
    }
    return 0;
}

static void put(struct world *w, unsigned family, const char *key, const char *val, bool sync)
{
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    ops_kv_batch_put(b, family, ops_slice_str(key), ops_slice_str(val));
    assert_int_equal(ops_kv_write(w->kv, b, sync, NULL), OPS_OK);
}

static void expect(struct world *w, unsigned family, const char *key, const char *val)
{
    char *got = NULL;
    size_t n = 0;
    ops_status st = ops_kv_get(w->kv, family, ops_slice_str(key), &got, &n, NULL);
    if (val == NULL) {
        assert_int_equal(st, OPS_ENOTFOUND);
        return;
    }
    assert_int_equal(st, OPS_OK);
    assert_true(ops_slice_eq(ops_slice_of(got, n), ops_slice_str(val)));
    ops_free(got);
}

static ops_status join_keys(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    (void)val;
    (void)reterr;
    (void)strncat(u, key.p, key.n);
    return strlen(u) >= 4 ? OPS_ECANCELLED : OPS_OK;
}

static void families_are_apart_and_absence_is_told(void **state)
{
    struct world *w = *state;
    put(w, 0, "k", "zero", false);
    put(w, 1, "k", "one", true);
    expect(w, 0, "k", "zero");
    expect(w, 1, "k", "one");
    expect(w, 1, "q", NULL);
    char *got;
    size_t n;
    assert_int_equal(ops_kv_get(w->kv, 2, OPS_SLICE("k"), &got, &n, NULL), OPS_EINVAL);
}

static void a_batch_is_applied_in_order_and_whole(void **state)
{
    struct world *w = *state;
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    ops_kv_batch_put(b, 0, OPS_SLICE("x"), OPS_SLICE("1"));
    ops_kv_batch_put(b, 0, OPS_SLICE("y"), OPS_SLICE("1"));
    ops_kv_batch_put(b, 0, OPS_SLICE("x"), OPS_SLICE("2"));
    ops_kv_batch_del(b, 0, OPS_SLICE("y"));
    assert_int_equal(ops_kv_write(w->kv, b, false, NULL), OPS_OK);
    expect(w, 0, "x", "2");
    expect(w, 0, "y", NULL);
    ops_kv_batch_clear(b);
    ops_kv_batch_put(b, 0, OPS_SLICE("z"), OPS_SLICE("1"));
    ops_kv_batch_put(b, 7, OPS_SLICE("z"), OPS_SLICE("1"));
    ops_err err;
    assert_int_equal(ops_kv_write(w->kv, b, false, &err), OPS_EINVAL);
    expect(w, 0, "z", NULL);
}

static void ranges_are_half_open_and_ordered(void **state)
{
    struct world *w = *state;
    static const char *const keys[] = {"d", "a", "c", "b", "e"};
    for (size_t i = 0; i < 5; i++)
        put(w, 0, keys[i], "v", false);
    char seen[16] = "";
    assert_int_equal(ops_kv_scan(w->kv, 0, OPS_SLICE("b"), OPS_SLICE("d"), join_keys, seen, NULL), OPS_OK);
    assert_string_equal(seen, "bc");
    seen[0] = '\0';
    assert_int_equal(ops_kv_scan(w->kv, 0, OPS_SLICE(""), OPS_SLICE(""), join_keys, seen, NULL), OPS_OK);
    assert_string_equal(seen, "abcd"); /* the callback ended it */
    seen[0] = '\0';
    assert_int_equal(ops_kv_last(w->kv, 0, OPS_SLICE("a"), OPS_SLICE("d"), join_keys, seen, NULL), OPS_OK);
    assert_string_equal(seen, "c");
    assert_int_equal(ops_kv_last(w->kv, 0, OPS_SLICE("x"), OPS_SLICE(""), join_keys, seen, NULL),
                     OPS_ENOTFOUND);
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    ops_kv_batch_del_range(b, 0, OPS_SLICE("b"), OPS_SLICE("e"));
    assert_int_equal(ops_kv_write(w->kv, b, false, NULL), OPS_OK);
    seen[0] = '\0';
    assert_int_equal(ops_kv_scan(w->kv, 0, OPS_SLICE(""), OPS_SLICE(""), join_keys, seen, NULL), OPS_OK);
    assert_string_equal(seen, "ae");
}

static void bytes_of_any_kind_are_kept(void **state)
{
    struct world *w = *state;
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    ops_slice key = ops_slice_of("\0\xFF\0", 3), val = ops_slice_of("\0", 1);
    ops_kv_batch_put(b, 0, key, val);
    ops_kv_batch_put(b, 0, OPS_SLICE("empty"), OPS_SLICE(""));
    assert_int_equal(ops_kv_write(w->kv, b, false, NULL), OPS_OK);
    char *got;
    size_t n;
    assert_int_equal(ops_kv_get(w->kv, 0, key, &got, &n, NULL), OPS_OK);
    assert_true(ops_slice_eq(ops_slice_of(got, n), val));
    ops_free(got);
    expect(w, 0, "empty", "");
}

static void a_reopened_store_has_everything(void **state)
{
    struct world *w = *state;
    put(w, 0, "kept", "yes", true);
    ops_kv_close(w->kv);
    open_rocks(w);
    expect(w, 0, "kept", "yes");
}

static void a_second_opener_is_told_who_holds_it(void **state)
{
    struct world *w = *state;
    ops_kv *second;
    ops_err err;
    char pid[32];
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_int_equal(ops_kv_open_rocksdb(w->dir, families, 2, &second, &err), OPS_ECONFLICT);
    assert_non_null(strstr(err.msg, pid));
    assert_non_null(strstr(err.msg, w->dir));
}

/* The process that is killed: a program of its own, as threads do not survive a fork. */
static int write_and_die(const char *dir)
{
    ops_kv *kv;
    if (ops_kv_open_rocksdb(dir, families, 2, &kv, NULL) != OPS_OK)
        return 1;
    for (int i = 0; i < 50; i++) {
        char key[16];
        ops_kv_batch *b = ops_kv_batch_new();
        ops_kv_batch_put(b, 0, ops_slice_of(key, (size_t)snprintf(key, sizeof key, "k%d", i)),
                         OPS_SLICE("v"));
        if (ops_kv_write(kv, b, true, NULL) != OPS_OK)
            return 1;
        ops_kv_batch_free(b);
    }
    return kill(getpid(), SIGKILL);
}

static void what_was_synced_survives_a_kill(void **state)
{
    struct world *w = *state;
    ops_kv_close(w->kv);
    w->kv = NULL;
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "kv_test", "--write-and-die", w->dir, (char *)NULL);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    open_rocks(w);
    for (int i = 0; i < 50; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        expect(w, 0, key, "v");
    }
}

static void a_damaged_log_is_refused_with_the_range(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 100; i++)
        put(w, 0, "the same key again and again", "value", true);
    assert_int_equal(ops_kv_sync(w->kv, NULL), OPS_OK);
    /* The live log is copied as a crash would leave it, with one byte changed in its middle. */
    char cmd[512], broken[80];
    (void)snprintf(broken, sizeof broken, "%s-broken", w->dir);
    (void)snprintf(cmd, sizeof cmd,
                   "cp -r '%s' '%s' && rm -f '%s/LOCK' && f=$(ls -S '%s'/*.log | head -n 1) && "
                   "s=$(stat -c %%s \"$f\") && printf '\\377' | dd of=\"$f\" bs=1 seek=$((s/2)) conv=notrunc "
                   "2>/dev/null",
                   w->dir, broken, broken, broken);
    assert_int_equal(system(cmd), 0);
    ops_kv *kv;
    ops_err err;
    ops_status st = ops_kv_open_rocksdb(broken, families, 2, &kv, &err);
    assert_int_equal(st, OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "were durable and are gone"));
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", broken);
    assert_int_equal(system(cmd), 0);
}

#define ALL(name)                                                                                            \
    cmocka_unit_test_setup_teardown(name, set_up_memory, tear_down),                                         \
        cmocka_unit_test_setup_teardown(name, set_up_sim, tear_down),                                        \
        cmocka_unit_test_setup_teardown(name, set_up_rocks, tear_down)
#define ROCKS(name) cmocka_unit_test_setup_teardown(name, set_up_rocks, tear_down)

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write-and-die") == 0)
        return write_and_die(argv[2]);
    const struct CMUnitTest tests[] = {
        ALL(families_are_apart_and_absence_is_told), ALL(a_batch_is_applied_in_order_and_whole),
        ALL(ranges_are_half_open_and_ordered),       ALL(bytes_of_any_kind_are_kept),
        ROCKS(a_reopened_store_has_everything),      ROCKS(a_second_opener_is_told_who_holds_it),
        ROCKS(what_was_synced_survives_a_kill),      ROCKS(a_damaged_log_is_refused_with_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
