/* The template miner: grouping by example, exact counts at every prefix, ids, snapshots, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "coordinator/analysis/template/miner.h"
#include "coordinator/analysis/template/offline.h"

static uint64_t rng_state = 42;
static uint32_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 32);
}

static ops_miner *fresh(size_t templates_max)
{
    ops_miner *m = NULL;
    ops_miner_limits lim = {.templates_max = templates_max};
    assert_int_equal(ops_miner_new(&lim, &m, NULL), OPS_OK);
    return m;
}

static uint64_t add(ops_miner *m, const char *line)
{
    ops_template_hit hit = {0};
    assert_int_equal(ops_miner_add(m, ops_slice_str(line), 7, &hit), OPS_OK);
    return hit.id;
}

static void assert_text(ops_miner *m, uint64_t id, const char *want)
{
    ops_template_info t;
    assert_true(ops_miner_info(m, id, &t));
    char got[512];
    snprintf(got, sizeof got, OPS_SLICE_FMT, OPS_SLICE_ARG(t.text));
    assert_string_equal(got, want);
}

static uint64_t sum_of(const ops_miner *m)
{
    size_t iter = 0;
    uint64_t sum = 0;
    for (ops_template_info t; ops_miner_next(m, &iter, &t);)
        sum += t.count;
    return sum;
}

/* A realistic line of one of 16 forms, some with parts of several words; *ret_form tells which. */
static const char *line_of(uint32_t r, char buf[256], int *ret_form)
{
    static const char *const users[] = {"root", "admin",  "oracle", "guest", "mail",
                                        "ftp",  "backup", "alice",  "bob"};
    const char *user = users[(r >> 8) % 9];
    static const char *const reasons[] = {"Permission denied",    "No such file or directory",
                                          "Broken pipe",          "Resource temporarily unavailable",
                                          "timed out after 30 s", "unexpected end of file",
                                          "Too many open files",  "Is a directory",
                                          "Input/output error"};
    static const char *const lists[] = {"[]", "['a']", "['a', 'b', 17]", "[1, 2, 3, 4]", "[\"x y\", null]"};
    static const char *const whom[] = {"anna", "the night shift", "bo berg", "our old friend carl", "ed"};
    int form = (int)(r % 16);
    *ret_form = form;
    uint32_t n = r >> 12;
    switch (form) {
    case 0:
        snprintf(buf, 256, "Failed password for %s from 10.0.%u.%u port %u ssh2", user, n % 256, n % 17,
                 n % 60000);
        break;
    case 1:
        snprintf(buf, 256, "session opened for user %s by (uid=%u)", user, n % 3);
        break;
    case 2:
        snprintf(buf, 256, "GET /api/items/%u took %u ms", n, n % 900);
        break;
    case 3:
        snprintf(buf, 256, "checkpoint complete: wrote %u buffers (%u.%u%%)", n, n % 100, n % 10);
        break;
    case 4:
        snprintf(buf, 256, "connection to 10.1.1.%u:%u refused", n % 256, n % 60000);
        break;
    case 5:
        snprintf(buf, 256, "cache miss key=user:%u ttl=%u", n, n % 60);
        break;
    case 6:
        snprintf(buf, 256, "relation \"%s\" does not exist at character %u", user, n % 99);
        break;
    case 7:
        snprintf(buf, 256, "worker exited on signal %u", n % 32);
        break;
    case 8:
        snprintf(buf, 256, "reloading configuration");
        break;
    case 9:
        snprintf(buf, 256, "out of memory while reading request headers");
        break;
    case 10:
        snprintf(buf, 256, "user %s changed password of account %u in realm main", user, n);
        break;
    case 11:
        snprintf(buf, 256, "cannot move table %s%s to space %c%c while it is locked", user, user,
                 'a' + n / 9 % 26, 'a' + n / 300 % 26);
        break;
    case 12:
        snprintf(buf, 256, "could not read file /tmp/%u: %s", n, reasons[n % 9]);
        break;
    case 13:
        snprintf(buf, 256, "plugins of worker %u loaded: %s", n % 7, lists[n % 5]);
        break;
    case 14:
        snprintf(buf, 256, "approval was given by %s for the change request", whom[n % 5]);
        break;
    default:
        snprintf(buf, 256, "用户登录失败 用户=%s 错误码%u", user, n % 9);
        break;
    }
    return buf;
}

static void groups_by_form(void **state)
{
    (void)state;
    ops_miner *m = fresh(0);
    uint64_t a = add(m, "Received block blk_-1608999687919862906 of size 91178 from /10.250.10.6");
    assert_int_equal(a, add(m, "Received block blk_2 of size 3 from /10.250.10.7:50010"));
    assert_text(m, a, "Received block <*> of size <*> from <*>");
    uint64_t b = add(m, "  leading   blanks\tand user=root  rhost= ");
    assert_int_equal(b, add(m, "leading blanks and user=  rhost=example.org"));
    assert_text(m, b, "leading blanks and user=<*> rhost=<*>");
    assert_text(m, add(m, "jk2_init() Found child 8553 in slot 8"), "jk2_init() Found child <*> in slot <*>");
    assert_text(m, add(m, "connection from 1.2.3.4 () at Sat Jun 18 02:08:10 2005"),
                "connection from <*> (<*>) at <*>");
    assert_text(m, add(m, "see https://example.org/a?b=c, then retry"), "see <*>, then retry");
    assert_text(m, add(m, "错误码123"), "错误码<*>");
    assert_true(add(m, "state changed to RUNNING") != add(m, "state changed to FAILED"));
    ops_miner_free(m);
}

static void siblings_fold_and_a_descendant_is_never_new(void **state)
{
    (void)state;
    ops_miner *m = fresh(0);
    uint64_t first = add(m, "Failed password for root from 1.2.3.4 port 22");
    add(m, "Failed password for admin from 1.2.3.4 port 22");
    assert_text(m, first, "Failed password for root from <*> port <*>");
    add(m, "Failed password for oracle from 1.2.3.4 port 22");
    assert_text(m, first, "Failed password for <*> from <*> port <*>");
    ops_template_hit hit;
    assert_int_equal(ops_miner_add(m, OPS_SLICE("Failed password for nobody from 5.6.7.8 port 23"), 9, &hit),
                     OPS_OK);
    assert_false(hit.is_new);
    assert_int_equal(hit.id, ops_miner_resolve(m, first));
    assert_int_equal(hit.count, 4);
    size_t iter = 0;
    uint64_t old, now;
    unsigned folds = 0;
    while (ops_miner_next_fold(m, &iter, &old, &now))
        folds += now == hit.id;
    assert_int_equal(folds, 3);
    ops_miner_free(m);
}

/* Whatever comes first, what failed stays apart from what went well. */
static void how_it_went_is_never_a_variable(void **state)
{
    (void)state;
    static const char *const ends[] = {"accepted", "stored", "moved", "refused", "sent", "kept"};
    uint64_t ids[2] = {0};
    for (size_t turn = 0; turn < 6; turn++) {
        ops_miner *m = fresh(0);
        uint64_t refused = 0;
        for (size_t i = 0; i < 6; i++) {
            char line[96];
            size_t k = (i + turn) % 6;
            snprintf(line, sizeof line, "connection 7 of the peer was %s by the listener", ends[k]);
            uint64_t now = add(m, line);
            refused = k == 3 ? now : refused;
        }
        assert_text(m, refused, "connection <*> of the peer was refused by the listener");
        uint64_t went_well = add(m, "connection 8 of the peer was opened by the listener");
        assert_text(m, went_well, "connection <*> of the peer was <*> by the listener");
        assert_true(turn == 0 || (ids[0] == refused && ids[1] == went_well));
        ids[0] = refused;
        ids[1] = went_well;
        assert_int_equal(add(m, "connection 9 of the peer was refused by the listener"), refused);
        ops_miner_free(m);
    }
}

static void counts_are_exact_at_every_prefix(void **state)
{
    (void)state;
    ops_miner *m = fresh(256);
    char buf[256];
    int form;
    for (uint64_t i = 1; i <= 6000; i++) {
        if (i % 3 != 0)
            line_of(rng(), buf, &form);
        else /* words never seen before: forces folding and eviction */
            snprintf(buf, sizeof buf, "%c%c%c%c unheard %c%c%c of", 'a' + rng() % 26, 'a' + rng() % 26,
                     'a' + rng() % 26, 'a' + rng() % 26, 'a' + rng() % 26, 'a' + rng() % 26,
                     'a' + rng() % 26);
        add(m, buf);
        if (i % 37 == 0 || i < 300)
            assert_int_equal(sum_of(m), i);
    }
    ops_miner_stats st;
    ops_miner_stats_get(m, &st);
    assert_true(st.templates <= 257 && st.evicted > 0);
    assert_int_equal(sum_of(m), st.lines);
    ops_miner_free(m);
}

static double choose2(double n)
{
    return n * (n - 1) / 2;
}

/* Adjusted Rand index (Hubert and Arabie 1985) of two labelings below 64. */
static double ari(const int *a, const int *b, size_t n)
{
    static double cell[64][64], row[64], col[64];
    memset(cell, 0, sizeof cell);
    memset(row, 0, sizeof row);
    memset(col, 0, sizeof col);
    for (size_t i = 0; i < n; i++) {
        cell[a[i]][b[i]]++;
        row[a[i]]++;
        col[b[i]]++;
    }
    double index = 0, ra = 0, rb = 0;
    for (int i = 0; i < 64; i++) {
        ra += choose2(row[i]);
        rb += choose2(col[i]);
        for (int k = 0; k < 64; k++)
            index += choose2(cell[i][k]);
    }
    double expected = ra * rb / choose2((double)n);
    return (index - expected) / ((ra + rb) / 2 - expected);
}

static void order_and_partition_do_not_matter(void **state)
{
    (void)state;
    enum { N = 4000 };
    static char lines[N][256];
    static int truth[N], mine[N];
    static uint64_t ids[3][N];
    static uint32_t order[N];
    for (int i = 0; i < N; i++) {
        line_of(rng(), lines[i], &truth[i]);
        order[i] = (uint32_t)i;
    }
    for (int turn = 0; turn < 3; turn++) {
        ops_miner *m = fresh(0);
        for (uint32_t i = N - 1; turn > 0 && i > 0; i--) {
            uint32_t k = rng() % (i + 1), t = order[i];
            order[i] = order[k];
            order[k] = t;
        }
        for (int i = 0; i < N; i++)
            ids[turn][order[i]] = add(m, lines[order[i]]);
        uint64_t seen[64];
        int n = 0;
        for (int i = 0; i < N; i++) {
            ids[turn][i] = ops_miner_resolve(m, ids[turn][i]);
            mine[i] = 0;
            while (mine[i] < n && seen[mine[i]] != ids[turn][i])
                mine[i]++;
            assert_true(mine[i] < 64);
            if (mine[i] == n)
                seen[n++] = ids[turn][i];
        }
        assert_true(ari(mine, truth, N) > 0.999);
        ops_miner_free(m);
    }
    assert_memory_equal(ids[0], ids[1],
                        sizeof ids[0]); /* three partitions that never met agree on every id */
    assert_memory_equal(ids[0], ids[2], sizeof ids[0]);
}

typedef struct store {
    ops_map *kv;
} store;

static ops_status keep(void *u, ops_slice key, ops_slice val)
{
    store *s = u;
    if (val.n == 0) {
        ops_free(ops_map_del(s->kv, key));
        return OPS_OK;
    }
    ops_slice *copy = ops_malloc(sizeof *copy + val.n);
    void *old = NULL;
    memcpy(copy + 1, val.p, val.n);
    *copy = ops_slice_of(copy + 1, val.n);
    ops_status st = ops_map_put(s->kv, key, copy, &old);
    ops_free(old);
    return st;
}

static ops_miner *reload(const store *s, size_t max)
{
    ops_miner *m = fresh(max);
    ops_slice key;
    void *val;
    ops_err err;
    for (size_t iter = 0; ops_map_next(s->kv, &iter, &key, &val);)
        assert_int_equal(ops_miner_load(m, key, *(ops_slice *)val, &err), OPS_OK);
    assert_int_equal(ops_miner_load_done(m, &err), OPS_OK);
    return m;
}

static void store_done(store *s)
{
    ops_slice key;
    void *val;
    for (size_t iter = 0; ops_map_next(s->kv, &iter, &key, &val);)
        ops_free(val);
    ops_map_free(s->kv);
}

static void a_restart_changes_nothing(void **state)
{
    (void)state;
    store s = {ops_map_new()};
    ops_miner *steady = fresh(256), *restarted = fresh(256);
    char buf[256];
    int form;
    for (int i = 0; i < 5000; i++) {
        if (i % 4 != 0)
            line_of(rng(), buf, &form);
        else
            snprintf(buf, sizeof buf, "job %c%c%c of group %c%c done by hand", 'a' + rng() % 26,
                     'a' + rng() % 26, 'a' + rng() % 26, 'a' + rng() % 26, 'a' + rng() % 26);
        ops_template_hit a, b;
        assert_int_equal(ops_miner_add(steady, ops_slice_str(buf), i, &a), OPS_OK);
        assert_int_equal(ops_miner_add(restarted, ops_slice_str(buf), i, &b), OPS_OK);
        assert_int_equal(a.id, b.id);
        assert_int_equal(a.count, b.count);
        assert_int_equal(a.is_new, b.is_new);
        if (rng() % 61 == 0) {
            assert_int_equal(ops_miner_save_dirty(restarted, keep, &s, NULL), OPS_OK);
            ops_miner_free(restarted);
            restarted = reload(&s, 256);
        }
    }
    ops_template_info x, y;
    size_t ix = 0, iy = 0;
    while (ops_miner_next(steady, &ix, &x)) {
        assert_true(ops_miner_next(restarted, &iy, &y));
        assert_int_equal(x.id, y.id);
        assert_int_equal(x.count, y.count);
        assert_int_equal(x.first_ns, y.first_ns);
        assert_int_equal(x.last_ns, y.last_ns);
        assert_true(ops_slice_eq(x.text, y.text));
        assert_int_equal(x.example_count, y.example_count);
        for (size_t e = 0; e < x.example_count; e++)
            assert_true(ops_slice_eq(x.examples[e], y.examples[e]));
    }
    assert_false(ops_miner_next(restarted, &iy, &y));
    ops_miner_free(steady);
    ops_miner_free(restarted);
    store_done(&s);
}

static void a_spoilt_record_is_refused(void **state)
{
    (void)state;
    store s = {ops_map_new()};
    ops_miner *m = fresh(0);
    add(m, "one plain line of words");
    assert_int_equal(ops_miner_save_dirty(m, keep, &s, NULL), OPS_OK);
    ops_miner_free(m);
    ops_slice key;
    void *val;
    for (size_t iter = 0; ops_map_next(s.kv, &iter, &key, &val);) {
        ops_slice whole = *(ops_slice *)val;
        for (size_t n = 0; n < whole.n; n++) {
            m = fresh(0);
            ops_err err = {0};
            assert_int_equal(ops_miner_load(m, key, ops_slice_sub(whole, 0, n), &err), OPS_ECORRUPT);
            assert_true(err.msg[0] != '\0');
            ops_miner_free(m);
        }
    }
    store_done(&s);
}

#ifdef __SANITIZE_THREAD__
enum { HOSTILE_LINES = 20000 }; /* one thread, ten times as slow */
#else
enum { HOSTILE_LINES = 200000 };
#endif

static void hostile_lines_have_a_place(void **state)
{
    (void)state;
    ops_miner *m = fresh(1024);
    ops_template_hit hit;
    assert_text(m, add(m, ""), "");
    assert_text(m, add(m, " \t \r "), "");
    assert_int_equal(ops_miner_add(m, OPS_SLICE("nul\0here and there"), 1, &hit), OPS_OK);
    assert_text(m, hit.id, "nul here and there");
    assert_int_equal(ops_miner_add(m, OPS_SLICE("bad \xff\xfe bytes"), 1, &hit), OPS_OK);
    assert_text(m, hit.id, "bad \xef\xbf\xbd\xef\xbf\xbd bytes");
    size_t big = 1 << 20;
    char *huge = malloc(big);
    memset(huge, 'x', big);
    assert_int_equal(ops_miner_add(m, ops_slice_of(huge, big), 1, &hit), OPS_OK);
    assert_true(hit.truncated);
    assert_text(m, hit.id, "<*>");
    for (size_t i = 0; i < big; i++)
        huge[i] = i % 2 == 0 ? '=' : 'a';
    assert_int_equal(ops_miner_add(m, ops_slice_of(huge, big), 1, &hit), OPS_OK);
    free(huge);
    for (int i = 0; i < HOSTILE_LINES; i++) { /* random bytes of every kind */
        char line[160];
        size_t n = rng() % sizeof line;
        for (size_t k = 0; k < n; k++)
            line[k] = (i % 2 == 0 ? (char)rng() : " abcdefgh="[rng() % 10]);
        assert_int_equal(ops_miner_add(m, ops_slice_of(line, n), i, &hit), OPS_OK);
    }
    ops_miner_stats st;
    ops_miner_stats_get(m, &st);
    assert_true(st.templates <= 1025 && st.lineage <= 4 * 1024);
    assert_int_equal(st.truncated, 2);
    assert_int_equal(sum_of(m), st.lines);
    size_t iter = 0;
    for (ops_template_info t; ops_miner_next(m, &iter, &t);)
        assert_true(ops_utf8_valid(t.text));
    ops_miner_free(m);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    static const char *const lines[] = {"alpha beta gamma delta root", "alpha beta gamma delta admin",
                                        "alpha beta gamma delta mail", "plain"};
    for (long nth = 1;; nth++) {
        ops_miner *m = NULL;
        ops_alloc_fail_at(nth);
        bool failed = ops_miner_new(NULL, &m, NULL) != OPS_OK;
        uint64_t added = 0;
        for (size_t i = 0; !failed && i < 4; i++) {
            ops_template_hit hit;
            failed = ops_miner_add(m, ops_slice_str(lines[i]), 1, &hit) != OPS_OK;
            added += !failed;
        }
        if (m != NULL)
            assert_int_equal(sum_of(m), added);
        ops_alloc_fail_at(0);
        ops_miner_free(m);
        assert_int_equal(ops_alloc_live(), live);
        if (nth > 200)
            break;
    }
}

typedef struct lines_io {
    const char *const *lines;
    size_t n, at, out_n;
    char out[4096];
} lines_io;

static ops_status read_line(void *u, ops_slice *ret, ops_err *reterr)
{
    lines_io *io = u;
    (void)reterr;
    if (io->at == io->n)
        return OPS_ENOTFOUND;
    *ret = ops_slice_str(io->lines[io->at++]);
    return OPS_OK;
}

static ops_status write_rows(void *u, ops_slice rows, ops_err *reterr)
{
    lines_io *io = u;
    (void)reterr;
    memcpy(io->out + io->out_n, rows.p, rows.n);
    io->out_n += rows.n;
    return OPS_OK;
}

static void offline_answers_as_the_contract_says(void **state)
{
    (void)state;
    static const char *const lines[] = {"a b c d root", "a b c d admin", "n 5", "a b c d mail"};
    lines_io io = {.lines = lines, .n = 4};
    assert_int_equal(ops_templates_offline(read_line, &io, write_rows, &io, false, NULL, NULL), OPS_OK);
    assert_string_equal(io.out, "4\ta b c d <*>\n4\ta b c d <*>\n3\tn <*>\n4\ta b c d <*>\n");
    memset(&io, 0, sizeof io);
    io.lines = lines;
    io.n = 4;
    assert_int_equal(ops_templates_offline(read_line, &io, write_rows, &io, true, NULL, NULL), OPS_OK);
    assert_string_equal(io.out,
                        "1\ta b c d root\n2\ta b c d admin\n3\tn <*>\n4\ta b c d <*>\n=1\t4\n=2\t4\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_by_form),
        cmocka_unit_test(siblings_fold_and_a_descendant_is_never_new),
        cmocka_unit_test(how_it_went_is_never_a_variable),
        cmocka_unit_test(counts_are_exact_at_every_prefix),
        cmocka_unit_test(order_and_partition_do_not_matter),
        cmocka_unit_test(a_restart_changes_nothing),
        cmocka_unit_test(a_spoilt_record_is_refused),
        cmocka_unit_test(hostile_lines_have_a_place),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(offline_answers_as_the_contract_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
