/* What the miner makes one template of, and what it keeps apart: forms, gaps, reasons, shown values, pins, slots, lineage. */
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
#include "coordinator/analysis/template/miner.h"
#include "coordinator/analysis/template/pin.h"

static uint64_t rng_state = 99;
static uint32_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 32);
}

static ops_miner *fresh(bool slots)
{
    ops_miner *m = NULL;
    ops_miner_limits lim = {.slots = slots};
    assert_int_equal(ops_miner_new(&lim, &m, NULL), OPS_OK);
    return m;
}

static uint64_t add(ops_miner *m, const char *line)
{
    ops_template_hit hit = {0};
    assert_int_equal(ops_miner_add(m, ops_slice_str(line), 7, &hit), OPS_OK);
    return hit.id;
}

static const char *text_of(const ops_miner *m, uint64_t id)
{
    static char buf[1024];
    ops_template_info t;
    assert_true(ops_miner_info(m, id, &t));
    snprintf(buf, sizeof buf, OPS_SLICE_FMT, OPS_SLICE_ARG(t.text));
    return buf;
}

static void assert_shown_as(const ops_miner *m, uint64_t id, bool typed, const char *want)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    assert_true(ops_miner_shown(m, id, typed, &b));
    ops_strbuf_char(&b, '\0');
    assert_string_equal(b.p, want);
    ops_strbuf_done(&b);
}

static void assert_shown(const ops_miner *m, uint64_t id, const char *want)
{
    assert_shown_as(m, id, false, want);
}

/* Values of several words are one variable, whatever their number of words. */
static void values_by_form(void **state)
{
    (void)state;
    static const struct {
        const char *line, *text;
    } rows[] = {
        /* lists and dumped objects: Python, JSON, Go, Java notation */
        {"loaded plugins ['a', 'b', 'c'] in order", "loaded plugins [<*>] in order"},
        {"loaded plugins [] in order", "loaded plugins [<*>] in order"},
        {"loaded plugins [alpha, beta] in order", "loaded plugins [<*>] in order"},
        {"state is {'up': 3, 'down': None}", "state is {<*>}"},
        {"state is {}", "state is {<*>}"},
        {"got event {\"id\": 7, \"tags\": [\"x\", \"y\"]} from bus", "got event {<*>} from bus"},
        /* brackets that hold words are no values */
        {"thread [main loop] started", "thread [main loop] started"},
        {"[preauth] closing", "[preauth] closing"},
        {"{\"level\":\"info\",\"code\":3}", "{\"level\":\"<*>\",\"code\":<*>}"},
        {"sync Option{mode=fast, size=3}", "sync Option{mode=<*>, size=<*>}"},
        /* dates, clocks, addresses in groups (RFC 7042, RFC 4291) */
        {"at Thu Aug 04 15:29:45 PDT 2005 exactly", "at <*> exactly"},
        {"at Jun 9 2005 exactly", "at <*> exactly"},
        {"May is a word and Sun too", "May is a word and Sun too"},
        {"neighbour 00:1b:21:3c:9d:f8 lost", "neighbour <*> lost"},
        {"neighbour FF:F2:9F:16:EB:27:00:0D lost", "neighbour <*> lost"},
        {"neighbour fe80::1 lost", "neighbour <*> lost"},
        {"std::vector grew", "std::vector grew"},
        /* request lines (RFC 9110): the method stays */
        {"10.0.0.1 \"GET /a HTTP/1.1\" done", "<*> \"GET <*>\" done"},
        {"10.0.0.1 \"hello you\" done", "<*> \"<*>\" done"},
        /* quotes of other scripts, CJK marks */
        {"无法打开“配置文件”，原因未知", "无法打开“<*>”，原因未知"},
        {"用户「张三」登录成功", "用户「<*>」登录成功"},
        {"can’t open “x y z” now", "can’t open “<*>” now"},
        /* assignments, comparisons, units, paths with blanks, names of one kind in a row */
        {"retry = no after x", "retry = <*> after x"},
        {"lifetime <1 sec", "lifetime <*>"},
        {"a < b and c <d", "a < b and c <d"},
        {"free 12.5 KB of 3 GB", "free <*> <*> of <*> <*>"},
        {"open /Library/Application Support/foo/bar failed", "open <*> failed"},
        {"get /quote?n=5&x=a of 3", "get <*> of <*>"},
        {"ask blk_17 blk_25 blk_-9 now", "ask <*> now"},
        {"    ^^^^^^^^^^", "^^^"},
        {"leader.......0", "leader.......<*>"},
        /* classes are values, exceptions and constants say what happened */
        {"handler org.example.app.UserHandler ready", "handler <*> ready"},
        {"java.net.http.ConnectException thrown", "java.net.http.ConnectException thrown"},
        {"action android.intent.action.SCREEN_ON seen", "action android.intent.action.SCREEN_ON seen"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ops_miner *m = fresh(false);
        assert_string_equal(text_of(m, add(m, rows[i].line)), rows[i].text);
        ops_miner_free(m);
    }
}

/* The text of a template, taken as a line, is a line of it. */
static void a_text_is_a_line_of_its_own(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "user=root rhost=10.0.0.1 port 22", "\"GET /x HTTP/1.1\" 200 12ms",
        "state [1, 2, 3] and {'a': 1}",     "at Sat Jun 18 02:08:10 2005 by cron(17)",
        "open '/etc/passwd': no (errno=2)", "free 3 MB, used 4 %",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        ops_miner *m = fresh(false);
        uint64_t id = add(m, lines[i]);
        char text[256];
        snprintf(text, sizeof text, "%s", text_of(m, id));
        (void)add(m, text);
        assert_string_equal(text_of(m, add(m, text)), text);
        assert_int_equal(add(m, text), id);
        ops_miner_free(m);
    }
}

static void words_that_differ_in_two_places_fold(void **state)
{
    (void)state;
    ops_miner *m = fresh(false);
    const char *const a[] = {"orders", "users", "carts", "prices"}, *const b[] = {"alpha", "beta", "gamma",
                                                                                  "delta"};
    uint64_t ids[4];
    char line[128];
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof line, "cannot move table %s to the tablespace %s while it is locked", a[i],
                 b[i]);
        ids[i] = add(m, line);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(ops_miner_resolve(m, ids[i]), ids[3]);
    assert_string_equal(text_of(m, ids[3]), "cannot move table <*> to the tablespace <*> while it is locked");
    /* states in capitals are what happened, not values */
    const char *const s[] = {"NEW", "READY", "RUNNING", "DONE", "GONE"};
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof line, "task attempt number seven moved from state %s to state %s", s[i],
                 s[i + 1]);
        ids[i] = add(m, line);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(ops_miner_resolve(m, ids[i]), ids[i]);
    ops_miner_free(m);
}

static void parts_of_several_words_fold(void **state)
{
    (void)state;
    ops_miner *m = fresh(false);
    const char *const who[] = {"anna", "the night shift", "bo berg", "our old friend carl"};
    uint64_t ids[4];
    char line[128];
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof line, "approval was given by %s for the change request today", who[i]);
        ids[i] = add(m, line);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(ops_miner_resolve(m, ids[i]), ids[3]);
    assert_string_equal(text_of(m, ids[3]), "approval was given by <*> for the change request today");
    /* a line nobody saw before is a line of it; one that says it was denied is not */
    assert_int_equal(add(m, "approval was given by a machine of ours for the change request today"), ids[3]);
    assert_true(add(m, "approval was denied by anna for the change request today") != ids[3]);
    ops_miner_free(m);
}

static void reasons_after_a_colon_fold_when_they_are_many(void **state)
{
    (void)state;
    ops_miner *m = fresh(false);
    const char *const why[] = {"Permission denied",  "No such file or directory", "Broken pipe",
                               "connection refused", "timed out after 30s",       "unexpected end of file"};
    uint64_t ids[6], other[6];
    char line[128];
    for (int i = 0; i < 6; i++) {
        snprintf(line, sizeof line, "could not read the file /tmp/%d: %s", i, why[i]);
        ids[i] = add(m, line);
        snprintf(line, sizeof line, "sshd: %s", why[i]); /* who says it, not what failed */
        other[i] = add(m, line);
        if (i == 4)
            for (int k = 0; k < 5; k++)
                assert_int_equal(ops_miner_resolve(m, ids[k]), ids[k]); /* a few are things that happened */
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(ops_miner_resolve(m, ids[i]), ids[5]);
        assert_int_equal(ops_miner_resolve(m, other[i]), other[i]);
    }
    assert_string_equal(text_of(m, ids[5]), "could not read the file <*>: <*>");
    assert_int_equal(add(m, "could not read the file /x: a reason of its own"), ids[5]);
    ops_miner_free(m);
}

static void up_and_down_stay_apart(void **state)
{
    (void)state;
    ops_miner *m = fresh(false);
    uint64_t up = add(m, "the link of port 3 to the core switch is up"),
             down = add(m, "the link of port 3 to the core switch is down");
    for (int i = 0; i < 1000; i++) {
        add(m, "the link of port 4 to the core switch is up");
        add(m, "the link of port 5 to the core switch is down");
    }
    assert_true(ops_miner_resolve(m, up) != ops_miner_resolve(m, down));
    const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"};
    uint64_t ids[6];
    char line[64];
    for (int i = 0; i < 6; i++) {
        snprintf(line, sizeof line, "the shop answered %s /items in 7 ms", methods[i]);
        ids[i] = add(m, line);
    }
    for (int i = 0; i < 6; i++)
        assert_int_equal(ops_miner_resolve(m, ids[i]), ids[i]);
    ops_miner_free(m);
}

static void what_never_varied_is_shown(void **state)
{
    (void)state;
    ops_miner *m = fresh(false);
    uint64_t id = add(m, "auth: tty=ssh ruser= user=root uid=0 proto ssh2");
    assert_string_equal(text_of(m, id), "auth: tty=<*> ruser=<*> user=<*> uid=<*> proto <*>");
    assert_shown(m, id, "auth: tty=ssh ruser= user=root uid=<*> proto ssh2");
    add(m, "auth: tty=ssh ruser= user=guest uid=0 proto ssh2");
    assert_shown(m, id, "auth: tty=ssh ruser= user=<*> uid=<*> proto ssh2");
    add(m, "auth: tty=ssh ruser= user=root uid=0 proto ssh2"); /* what varied once is variable for good */
    assert_shown(m, id, "auth: tty=ssh ruser= user=<*> uid=<*> proto ssh2");
    ops_miner_free(m);
}

static void slots_know_their_values_across_folds(void **state)
{
    (void)state;
    ops_miner *m = fresh(true);
    const char *const who[] = {"anna", "bert", "carl", "dora"};
    uint64_t id = 0;
    char line[128];
    for (int i = 0; i < 4000; i++) {
        snprintf(line, sizeof line, "worker %s finished the nightly job in %d ms at 10.0.%d.7", who[i % 4],
                 i % 1000, i % 50);
        id = add(m, line);
    }
    assert_string_equal(text_of(m, id), "worker <*> finished the nightly job in <*> <*> at <*>");
    assert_shown_as(m, id, true, "worker <*> finished the nightly job in <num> ms at <ip>");
    const ops_slots *s = ops_miner_slots(m, id);
    ops_slot_info info;
    assert_true(ops_slots_info(s, 0, &info));
    assert_int_equal(info.seen, 4000);
    assert_int_equal(info.distinct, 4);
    assert_int_equal(info.top_n, 4);
    assert_int_equal(info.top[0].count, 1000);
    assert_true(ops_slots_info(s, 1, &info));
    assert_int_equal(info.type, OPS_SLOT_NUM);
    assert_true(info.error <= 0.08);
    assert_true(info.p50 >= 499 * (1 - info.error) - 1 && info.p50 <= 500 * (1 + info.error) + 1);
    assert_true(ops_slots_info(s, 3, &info));
    assert_int_equal(info.type, OPS_SLOT_IP);
    assert_int_equal(info.seen, 4000);
    ops_miner_free(m);
}

/* Many templates with many values: the bytes of the statistics stay within the bound, the counts stay exact. */
static void slots_are_bounded(void **state)
{
    (void)state;
    ops_miner *m = NULL;
    ops_miner_limits lim = {.slots = true, .slots_bytes_max = 1 << 17};
    assert_int_equal(ops_miner_new(&lim, &m, NULL), OPS_OK);
    char line[128];
    ops_template_hit hit;
    for (int i = 0; i < 60000; i++) {
        snprintf(line, sizeof line, "module%c%c failed with %u and %u and %u", 'a' + i % 26,
                 'a' + i / 26 % 26, rng(), rng(), rng());
        line[6] = (char)('a' + i % 20);
        assert_int_equal(ops_miner_add(m, ops_slice_str(line), i, &hit), OPS_OK);
    }
    size_t iter = 0, bytes = 0, kept = 0;
    uint64_t sum = 0;
    for (ops_template_info t; ops_miner_next(m, &iter, &t);) {
        const ops_slots *s = ops_miner_slots(m, t.id);
        bytes += ops_slots_bytes(s);
        kept += s != NULL;
        sum += t.count;
    }
    assert_int_equal(sum, 60000);
    assert_true(kept > 0);
    assert_true(bytes < 2 * lim.slots_bytes_max);
    ops_miner_free(m);
}

static void the_lineage_says_when_and_what(void **state)
{
    (void)state;
    ops_miner *m = fresh(false);
    char line[64];
    ops_template_hit hit;
    const char *const who[] = {"anna", "bert", "carl"};
    for (int i = 0; i < 3; i++) {
        snprintf(line, sizeof line, "session of user %s was opened", who[i]);
        assert_int_equal(ops_miner_add(m, ops_slice_str(line), 100 + i, &hit), OPS_OK);
    }
    size_t iter = 0, n = 0;
    for (ops_miner_fold_info f; ops_miner_next_fold_info(m, &iter, &f); n++) {
        assert_int_equal(f.new_id, hit.id);
        assert_int_equal(f.at_ns, 102);
        assert_int_equal(f.why, OPS_MINER_FOLD_ALIKE);
        assert_int_equal(f.old_count, f.old_text.n == strlen("session of user carl was opened") &&
                                              ops_slice_find(f.old_text, OPS_SLICE("carl")) >= 0
                                          ? 0
                                          : 1);
    }
    assert_int_equal(n, 3);
    ops_miner_free(m);
}

static size_t find_ticket(void *u, ops_slice line, ops_pin_span *ret, size_t max)
{
    (void)u;
    ptrdiff_t at = ops_slice_find(line, OPS_SLICE("ticket "));
    if (at < 0 || max == 0)
        return 0;
    size_t from = (size_t)at + 7, to = from;
    while (to < line.n && line.p[to] != ';')
        to++;
    *ret = (ops_pin_span){(uint32_t)from, (uint32_t)(to - from)};
    return 1;
}

static void pins_join_hold_and_name(void **state)
{
    (void)state;
    ops_miner *m = fresh(false);
    uint64_t a = add(m, "user anna logged in"), b = add(m, "login of user anna"),
             c = add(m, "user anna logged out");
    ops_slice one[] = {OPS_SLICE("user <*> logged in"), OPS_SLICE("login of user <*>")};
    ops_slice apart[] = {OPS_SLICE("valve <*> of tank <*> is <*>"),
                         OPS_SLICE("pump north of tank <*> runs well")};
    ops_pin pins[] = {{OPS_PIN_ONE, one, 2}, {OPS_PIN_APART, apart, 2}};
    ops_pin_set set = {.pins = pins, .n = 2, .find = find_ticket};
    /* before: pumps of three sides are one */
    const char *const side[] = {"north", "south", "west"};
    char line[128];
    uint64_t pump = 0;
    for (int i = 0; i < 3; i++) {
        snprintf(line, sizeof line, "pump %s of tank 4 runs well", side[i]);
        pump = add(m, line);
    }
    assert_string_equal(text_of(m, pump), "pump <*> of tank <*> runs well");
    assert_int_equal(ops_miner_pins_set(m, &set, NULL), OPS_OK);
    /* one: at once, with a row of the lineage, and for lines to come */
    assert_int_equal(ops_miner_resolve(m, a), ops_miner_resolve(m, b));
    assert_true(ops_miner_resolve(m, c) != ops_miner_resolve(m, a));
    assert_string_equal(text_of(m, a), "user <*> logged in");
    assert_int_equal(add(m, "login of user zoe"), ops_miner_resolve(m, a));
    ops_template_info t;
    assert_true(ops_miner_info(m, a, &t));
    assert_int_equal(t.count, 3);
    size_t iter = 0, pinned = 0;
    for (ops_miner_fold_info f; ops_miner_next_fold_info(m, &iter, &f);)
        pinned += f.why == OPS_MINER_FOLD_PINNED;
    assert_int_equal(pinned, 2);
    /* apart: the pump of the north is itself again, the others stay one */
    uint64_t north = add(m, "pump north of tank 5 runs well"),
             south = add(m, "pump south of tank 5 runs well");
    assert_true(north != pump);
    assert_int_equal(south, pump);
    assert_int_equal(add(m, "pump north of tank 6 runs well"), north);
    for (int i = 0; i < 20; i++) {
        snprintf(line, sizeof line, "pump %c%c of tank 4 runs well", 'a' + i, 'k');
        assert_int_equal(add(m, line), pump);
    }
    assert_int_equal(add(m, "pump north of tank 7 runs well"), north);
    /* a span is one variable, whatever is in it */
    uint64_t ticket = add(m, "see ticket about the blue screen; soon");
    assert_int_equal(add(m, "see ticket X; soon"), ticket);
    assert_string_equal(text_of(m, ticket), "see ticket <*>; soon");
    /* refused whole, with the place */
    ops_slice nothing[] = {OPS_SLICE("<*>")};
    ops_pin bad[] = {{OPS_PIN_ONE, one, 2}, {OPS_PIN_ONE, nothing, 1}};
    ops_err err = {0};
    assert_int_equal(ops_miner_pins_set(m, &(ops_pin_set){.pins = bad, .n = 2}, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "pin 2"));
    assert_int_equal(add(m, "login of user yan"), ops_miner_resolve(m, a)); /* the pins before still hold */
    /* an empty set takes them away */
    assert_int_equal(ops_miner_pins_set(m, &(ops_pin_set){0}, NULL), OPS_OK);
    assert_true(add(m, "see ticket about the red screen; soon") != ticket);
    uint64_t sum = 0;
    iter = 0;
    ops_miner_stats st;
    ops_miner_stats_get(m, &st);
    while (ops_miner_next(m, &iter, &t))
        sum += t.count;
    assert_int_equal(sum, st.lines);
    ops_miner_free(m);
}

static void every_allocation_of_pins_may_fail(void **state)
{
    (void)state;
    ops_slice one[] = {OPS_SLICE("user <*> logged in"), OPS_SLICE("login of user <*>")};
    ops_slice apart[] = {OPS_SLICE("login of host <*>")};
    ops_pin pins[] = {{OPS_PIN_ONE, one, 2}, {OPS_PIN_APART, apart, 1}};
    ops_status r = OPS_ENOMEM;
    for (long nth = 1; r != OPS_OK && nth < 1000; nth++) {
        ops_miner *m = fresh(true);
        add(m, "user anna logged in");
        add(m, "login of user anna");
        add(m, "login of host web");
        ops_alloc_fail_at(nth);
        r = ops_miner_pins_set(m, &(ops_pin_set){.pins = pins, .n = 2}, NULL);
        ops_alloc_fail_at(0);
        assert_true(r == OPS_OK || r == OPS_ENOMEM);
        uint64_t sum = 0;
        size_t iter = 0;
        for (ops_template_info t; ops_miner_next(m, &iter, &t);)
            sum += t.count;
        assert_int_equal(sum, 3);
        ops_miner_free(m);
        assert_int_equal(ops_alloc_live(), 0);
    }
    assert_int_equal(r, OPS_OK);
}

static size_t find_nothing(void *u, ops_slice line, ops_pin_span *ret, size_t max)
{
    (void)u, (void)line, (void)ret, (void)max;
    return 0;
}

/* `form` with numbers of very different lengths for its #. */
static void numbered(const char *form, char *ret, size_t cap)
{
    static const uint32_t limits[] = {2, 10, 100, 3000, 2000000000u};
    size_t n = 0;
    for (; *form != '\0' && n + 16 < cap; form++)
        n += *form == '#' ? (size_t)snprintf(ret + n, cap - n, "%u", rng() % limits[rng() % 5])
                          : (size_t)snprintf(ret + n, cap - n, "%c", *form);
}

/* Lines that differ in digits only are not cut anew. A miner that asks an operator's regexes cuts every line: the answers are
 * the same, whatever the digits stand next to. */
static void the_short_way_gives_the_same_answers(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "proto ssh# used by v#",
        "at Jun # 2005 by #",
        "init#(x) of #",
        "fe80::# is #",
        "00:1b:2#:3c:9d:f# here",
        "a# b# c",
        "eth#:# up",
        "<# sec or <# ms",
        "x=# y = #",
        "list [#, 'a#']",
        "\"GET /# HTTP/1.#\"",
        "node-#.example#.org",
        "word#word #",
        "# # B",
        "用户#在#",
        "blk_# blk_# gone",
        "kernel #.#.0-x86_64 on host1",
        "level#",
        "[<#>] {#}",
        "ratio .# and 5.#.",
    };
    ops_miner *quick = fresh(true), *thorough = fresh(true);
    assert_int_equal(ops_miner_pins_set(thorough, &(ops_pin_set){.find = find_nothing}, NULL), OPS_OK);
    char line[128];
    for (int i = 0; i < 40000; i++) {
        numbered(forms[rng() % (sizeof forms / sizeof forms[0])], line, sizeof line);
        ops_template_hit x, y;
        assert_int_equal(ops_miner_add(quick, ops_slice_str(line), i, &x), OPS_OK);
        assert_int_equal(ops_miner_add(thorough, ops_slice_str(line), i, &y), OPS_OK);
        assert_int_equal(x.id, y.id);
        assert_int_equal(x.count, y.count);
    }
    size_t ix = 0, iy = 0;
    for (ops_template_info x, y; ops_miner_next(quick, &ix, &x);) {
        assert_true(ops_miner_next(thorough, &iy, &y));
        ops_strbuf p, q;
        ops_strbuf_init(&p, 1 << 16);
        ops_strbuf_init(&q, 1 << 16);
        assert_true(ops_miner_shown(quick, x.id, true, &p) && ops_miner_shown(thorough, y.id, true, &q));
        ops_slots_save(ops_miner_slots(quick, x.id), &p);
        ops_slots_save(ops_miner_slots(thorough, y.id), &q);
        assert_true(ops_slice_eq(ops_strbuf_get(&p), ops_strbuf_get(&q)));
        ops_strbuf_done(&p);
        ops_strbuf_done(&q);
    }
    ops_miner_free(quick);
    ops_miner_free(thorough);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_form),
        cmocka_unit_test(a_text_is_a_line_of_its_own),
        cmocka_unit_test(words_that_differ_in_two_places_fold),
        cmocka_unit_test(parts_of_several_words_fold),
        cmocka_unit_test(reasons_after_a_colon_fold_when_they_are_many),
        cmocka_unit_test(up_and_down_stay_apart),
        cmocka_unit_test(what_never_varied_is_shown),
        cmocka_unit_test(slots_know_their_values_across_folds),
        cmocka_unit_test(slots_are_bounded),
        cmocka_unit_test(the_lineage_says_when_and_what),
        cmocka_unit_test(pins_join_hold_and_name),
        cmocka_unit_test(every_allocation_of_pins_may_fail),
        cmocka_unit_test(the_short_way_gives_the_same_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
