/* Pins: what a file says, what is wrong with it and where, and regexes that may not stall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/pin/pinset.h"

static const char whole[] = "# house rules\n"
                            "one:\n"
                            "  - [\"user <*> logged in\", \"login of <ip> from <host>\"]\n"
                            "apart:\n"
                            "  - [\"link is up\", link is down]\n"
                            "  - state=ready\n"
                            "slots:\n"
                            "  - name: order\n"
                            "    regex: 'ORD-[0-9A-F]+'\n"
                            "  - '(?<=key=)\\S+'\n";

static ops_pinset *parse(const char *text)
{
    ops_pinset *s = NULL;
    ops_err err = {0};
    if (ops_pinset_parse(ops_slice_str(text), "pins.yaml", &s, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return s;
}

static void a_file_becomes_pins(void **state)
{
    (void)state;
    OPS_AUTO(ops_pinset_unref) ops_pinset *s = parse(whole);
    OPS_AUTO(ops_pin_finder_free) ops_pin_finder *f = NULL;
    ops_pinset_counts n;
    ops_pin_set view;
    ops_pinset_counts_get(s, &n);
    assert_true(n.one == 1 && n.apart == 2 && n.slots == 2);
    assert_int_equal(ops_pin_finder_new(s, &f, NULL), OPS_OK);
    ops_pin_finder_view(f, &view);
    assert_int_equal(view.n, 3);
    assert_true(view.pins[0].kind == OPS_PIN_ONE && view.pins[0].n == 2);
    assert_true(
        ops_slice_eq(view.pins[0].patterns[1], OPS_SLICE("login of <*> from <*>"))); /* types mean any */
    assert_true(view.pins[1].kind == OPS_PIN_APART && view.pins[1].n == 2);
    assert_true(ops_slice_eq(view.pins[2].patterns[0], OPS_SLICE("state=ready")));
    assert_non_null(view.find);
}

static void an_empty_file_is_an_empty_set(void **state)
{
    static const char *const texts[] = {"", "\n# nothing\n", "one:\napart:\nslots:\n", "one: []\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        OPS_AUTO(ops_pinset_unref) ops_pinset *s = parse(texts[i]);
        OPS_AUTO(ops_pin_finder_free) ops_pin_finder *f = NULL;
        ops_pin_set view;
        assert_int_equal(ops_pin_finder_new(s, &f, NULL), OPS_OK);
        ops_pin_finder_view(f, &view);
        assert_int_equal(view.n, 0);
        assert_null(view.find);
    }
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text, *say;
    } cases[] = {
        {"one:\n  - [a]\n", "pins.yaml:2: 'one' takes two"},
        {"one:\n  - [\"a <*>\",\n     \"<*> <*>\"]\n", "pins.yaml:3: '<*> <*>' has no word"},
        {"one:\n  - [a, b]\n  - [c, a]\n", "pins.yaml:3: 'a' stands in line 2 already"},
        {"once:\n  - [a, b]\n", "pins.yaml:1: 'once' is no key"},
        {"one:\n  - [a, b]\none:\n  - [c, d]\n", "pins.yaml:3: 'one' stands here a second time"},
        {"one: yes\n", "pins.yaml:1: a list is wanted"},
        {"apart:\n  - {x: y}\n", "pins.yaml:2: a pin is a list"},
        {"apart:\n  - [[a]]\n", "pins.yaml:2: a pattern is a text"},
        {"apart:\n  - [\"a\\nb\"]\n", "pins.yaml:2: a pattern is one line"},
        {"slots:\n  - name: x\n", "pins.yaml:2: a slot without 'regex'"},
        {"slots:\n  - name: x\n    regexp: y\n", "pins.yaml:3: 'regexp' is no key of a slot"},
        {"slots:\n  - name: x\n    regex: '(a'\n",
         "pins.yaml:3: regex '(a' at byte 2: missing closing parenthesis"},
        {"slots:\n  - ''\n", "pins.yaml:2: a regex of 0 bytes"},
        {"apart:\n  - [ok]\n  - [\"12 34\"]\n",
         "pins.yaml:3: pin 1: the pattern '12 34' has no constant word"},
        {"one: [\n", "pins.yaml:2: "},
        {"- a\n", "pins.yaml:1: the file is a mapping"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ops_pinset *s = NULL;
        ops_err err = {0};
        assert_int_equal(ops_pinset_parse(ops_slice_str(cases[i].text), "pins.yaml", &s, &err), OPS_EINVAL);
        if (strncmp(err.msg, cases[i].say, strlen(cases[i].say)) != 0)
            fail_msg("%s for %s", err.msg, cases[i].say);
        assert_null(s);
    }
}

static size_t spans_of(const char *yaml, const char *line, ops_pin_span *ret, size_t max,
                       ops_pin_finder_stats *stats)
{
    OPS_AUTO(ops_pinset_unref) ops_pinset *s = parse(yaml);
    OPS_AUTO(ops_pin_finder_free) ops_pin_finder *f = NULL;
    ops_pin_set view;
    assert_int_equal(ops_pin_finder_new(s, &f, NULL), OPS_OK);
    ops_pin_finder_view(f, &view);
    size_t n = view.find(view.u, ops_slice_str(line), ret, max);
    if (stats != NULL)
        ops_pin_finder_stats_get(f, stats);
    return n;
}

static void spans_ascend_and_do_not_overlap(void **state)
{
    ops_pin_span v[8];
    (void)state;
    assert_int_equal(spans_of(whole, "pay ORD-1F for key=abc and ORD-22", v, 8, NULL), 3);
    assert_true(v[0].off == 4 && v[0].len == 6);
    assert_true(v[1].off == 19 && v[1].len == 3); /* what look-behind sees is no part of it */
    assert_true(v[2].off == 27 && v[2].len == 6);
    assert_int_equal(spans_of(whole, "pay ORD-1F for key=abc and ORD-22", v, 2, NULL), 2);
    /* The longer of two that begin together, the earlier of two that overlap. */
    assert_int_equal(spans_of("slots: ['a+', 'aab', 'bc']\n", "xaabc", v, 8, NULL), 1);
    assert_true(v[0].off == 1 && v[0].len == 3);
    assert_int_equal(spans_of("slots: ['x*']\n", "abc", v, 8, NULL), 0); /* empty matches are none */
    assert_int_equal(spans_of("slots: ['\xE4\xB8\xAD+']\n",
                              "a\xE4\xB8\xAD\xE4\xB8\xAD\xFF"
                              "b",
                              v, 8, NULL),
                     1);
    assert_true(v[0].off == 1 && v[0].len == 6);
    assert_int_equal(spans_of("slots: ['a\\Kb']\n", "ab", v, 8, NULL), 1);
    assert_true(v[0].off == 1 && v[0].len == 1);
}

/* (a+)+$ over a's and a b takes 2^n steps without a limit. */
static void a_hostile_regex_is_given_up_and_left_out(void **state)
{
    (void)state;
    OPS_AUTO(ops_pinset_unref) ops_pinset *s = parse("slots: ['(a+)+$', 'ORD-\\d+']\n");
    OPS_AUTO(ops_pin_finder_free) ops_pin_finder *f = NULL;
    ops_pin_finder_stats stats;
    ops_pin_set view;
    ops_pin_span v[4];
    assert_int_equal(ops_pin_finder_new(s, &f, NULL), OPS_OK);
    ops_pin_finder_view(f, &view);
    for (int i = 0; i < 100; i++)
        assert_int_equal(
            view.find(view.u, OPS_SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab ORD-7"), v, 4), 1);
    ops_pin_finder_stats_get(f, &stats);
    assert_int_equal(stats.limited, 64);
    assert_int_equal(stats.off, 1);
    assert_int_equal(stats.lines, 100);
    assert_int_equal(stats.spans, 100); /* the other one goes on */
}

static void only_the_head_of_a_huge_line_is_looked_at(void **state)
{
    (void)state;
    OPS_AUTO(ops_pinset_unref) ops_pinset *s = parse("slots: ['x']\n");
    OPS_AUTO(ops_pin_finder_free) ops_pin_finder *f = NULL;
    ops_pin_set view;
    ops_pin_span v[4];
    OPS_AUTO(ops_free_str) char *line = ops_calloc(1, 1 << 20);
    memset(line, 'a', 1 << 20);
    line[70000] = 'x';
    assert_int_equal(ops_pin_finder_new(s, &f, NULL), OPS_OK);
    ops_pin_finder_view(f, &view);
    assert_int_equal(view.find(view.u, ops_slice_of(line, 1 << 20), v, 4), 0);
    line[65000] = 'x';
    assert_int_equal(view.find(view.u, ops_slice_of(line, 1 << 20), v, 4), 1);
}

static void changes_are_told(void **state)
{
    (void)state;
    OPS_AUTO(ops_pinset_unref) ops_pinset *a = parse("one: [[a, b]]\napart: [c]\n");
    OPS_AUTO(ops_pinset_unref) ops_pinset *b = parse("one: [[a, b]]\nslots: [{name: n, regex: x+}]\n");
    ops_strbuf out;
    ops_strbuf_init(&out, 4096);
    ops_pinset_changes(NULL, a, &out);
    assert_string_equal(out.p, "+one a | b; +apart c");
    ops_strbuf_clear(&out);
    ops_pinset_changes(a, b, &out);
    assert_string_equal(out.p, "+slot n x+; -apart c");
    ops_strbuf_clear(&out);
    ops_pinset_changes(b, b, &out);
    assert_int_equal(out.n, 0);
    ops_pinset_changes(b, NULL, &out);
    assert_string_equal(out.p, "-one a | b; -slot n x+");
    ops_strbuf_done(&out);
}

static void limits_hold(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_err err;
    ops_pinset *s = NULL;
    ops_strbuf_init(&b, 4 << 20);
    ops_strbuf_str(&b, "apart:\n");
    for (int i = 0; i <= OPS_PINS_MAX; i++)
        ops_strbuf_printf(&b, "  - word%d\n", i);
    assert_int_equal(ops_pinset_parse(ops_strbuf_get(&b), "p", &s, &err), OPS_EINVAL);
    assert_string_equal(err.msg, "p:258: more than 256 pins");
    ops_strbuf_clear(&b);
    for (int i = 0; i <= OPS_PINSET_FILE_BYTES_MAX; i++)
        ops_strbuf_char(&b, '#');
    assert_int_equal(ops_pinset_parse(ops_strbuf_get(&b), "p", &s, &err), OPS_EINVAL);
    ops_strbuf_done(&b);
}

static void without_memory_nothing_is_lost(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    for (long nth = 1; nth < 60; nth++) {
        ops_pinset *s = NULL;
        ops_pin_finder *f = NULL;
        ops_alloc_fail_at(nth);
        ops_status st = ops_pinset_parse(ops_slice_str(whole), "p", &s, NULL);
        if (st == OPS_OK)
            st = ops_pin_finder_new(s, &f, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        ops_pin_finder_free(f);
        ops_pinset_unref(s);
    }
    assert_int_equal(ops_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_becomes_pins),
        cmocka_unit_test(an_empty_file_is_an_empty_set),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(spans_ascend_and_do_not_overlap),
        cmocka_unit_test(a_hostile_regex_is_given_up_and_left_out),
        cmocka_unit_test(only_the_head_of_a_huge_line_is_looked_at),
        cmocka_unit_test(changes_are_told),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(without_memory_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
