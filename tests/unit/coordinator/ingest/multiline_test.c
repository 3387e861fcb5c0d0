/* Traces as the runtimes print them. Each case is a list of lines and where its events begin ('>' marks a first line). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/ingest/multiline.h"

#define SEC INT64_C(1000000000)

struct seen {
    uint32_t n, lines;
    bool truncated;
    int64_t first_ns;
    char key[32], text[8192];
    char all[16384]; /* every event, after a '|' each */
};

static void on_event(void *u, const ops_multiline_event *e)
{
    struct seen *s = u;
    s->n++;
    s->lines = e->lines;
    s->truncated = e->truncated;
    s->first_ns = e->first_ns;
    snprintf(s->key, sizeof s->key, OPS_SLICE_FMT, OPS_SLICE_ARG(e->key));
    snprintf(s->text, sizeof s->text, OPS_SLICE_FMT, OPS_SLICE_ARG(e->text));
    const size_t at = strlen(s->all);
    snprintf(s->all + at, sizeof s->all - at, "|%s", s->text);
}

static ops_multiline *joiner(const ops_multiline_conf *conf, struct seen *s)
{
    ops_multiline_conf d;
    ops_multiline *m = NULL;
    ops_multiline_conf_default(&d);
    assert_int_equal(ops_multiline_new(conf != NULL ? conf : &d, on_event, s, &m, NULL), OPS_OK);
    return m;
}

static void push(ops_multiline *m, const char *key, const char *line, int64_t now)
{
    assert_int_equal(ops_multiline_push(m, ops_slice_str(key), ops_slice_str(line), false, now, NULL),
                     OPS_OK);
}

static const char *const cases[][24] = {
    {">10:00 INFO up", ">10:01 ERROR request failed", "java.lang.IllegalStateException: no",
     "\tat a.B.c(B.java:1)", "\t... 3 more", "Caused by: java.io.IOException: disk", "\tat a.D.e(D.java:2)",
     "\tSuppressed: x.Y: z", "\t\tat q.R.s(R.java:3)", ">10:02 INFO next"},
    {">Exception in thread \"main\" java.lang.NullPointerException", "    at A.main(A.java:5)", ">done"},
    {">2026-01-01 ERROR:root:oops",
     "Traceback (most recent call last):", "  File \"a.py\", line 1, in <module>", "    f()", "KeyError: 'x'",
     "", "During handling of the above exception, another exception occurred:", "",
     "Traceback (most recent call last):", "  File \"a.py\", line 3, in <module>", "ValueError: bad",
     ">INFO after", ">plain"},
    {">Traceback (most recent call last):", "  File \"b.py\", line 2, in g",
     "ZeroDivisionError: division by zero", ">started again"},
    {">panic: runtime error: index out of range [5] with length 3", "",
     "goroutine 1 [running]:", "main.(*T).f(0xc0000b2000, 0x1)", "\t/app/main.go:12 +0x1d", "main.main()",
     "\t/app/main.go:20 +0x20", "created by main.start in goroutine 1", "exit status 2", ">restarting"},
    {">terminate called after throwing an instance of 'std::runtime_error'", "  what():  boom",
     "Aborted (core dumped)", ">next"},
    {">#0  0x00007f1 in raise () from /lib/libc.so.6", "#1  0x00007f2 in abort ()", "#12 main () at m.cpp:3",
     ">ok"},
    {">TypeError: Cannot read properties of undefined", "    at f (/app/x.js:3:9)",
     "    at node:internal/main:1:2", "", "Node.js v20.1.0", ">listening"},
    {">Starting with options:", "  port: 80", "  host: x", ">ready"},
    {">one", ">two", ">java.lang.Foo is a class we like", ">three"},
};

static void traces_are_one_event(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct seen s = {0};
        ops_multiline *m = joiner(NULL, &s);
        char want[16384] = "";
        size_t n = 0;
        for (size_t i = 0; i < 24 && cases[c][i] != NULL; i++) {
            const bool first = cases[c][i][0] == '>';
            const char *line = cases[c][i] + first;
            push(m, "k", line, (int64_t)i);
            n += (size_t)snprintf(want + n, sizeof want - n, "%c%s", first ? '|' : '\n', line);
        }
        ops_multiline_flush(m);
        assert_string_equal(s.all, want);
        ops_multiline_free(m);
    }
}

static void streams_interleave(void **state)
{
    struct seen s = {0};
    ops_multiline *m = joiner(NULL, &s);
    (void)state;

    push(m, "a", "x ERROR one", 1);
    push(m, "b", "Traceback (most recent call last):", 2);
    push(m, "a", "java.lang.Error: a", 3);
    push(m, "b", "  File \"b\"", 4);
    push(m, "a", "\tat q.r(s)", 5);
    push(m, "b", "E: b", 6);
    assert_int_equal(s.n, 0);
    assert_int_equal(ops_multiline_open(m), 2);
    push(m, "b", "fresh", 7);
    assert_string_equal(s.key, "b");
    assert_int_equal(s.lines, 3);
    assert_true(s.first_ns == 2);
    ops_multiline_flush(m);
    assert_string_equal(
        s.all, "|Traceback (most recent call last):\n  File \"b\"\nE: b|x ERROR one\njava.lang.Error: "
               "a\n\tat q.r(s)|fresh");
    ops_multiline_free(m);
}

static void time_flushes(void **state)
{
    struct seen s = {0};
    ops_multiline *m = joiner(NULL, &s);
    (void)state;

    push(m, "a", "one", 10 * SEC);
    push(m, "b", "two", 11 * SEC);
    ops_multiline_tick(m, 12 * SEC);
    assert_int_equal(s.n, 0);
    ops_multiline_tick(m, 12 * SEC + 1);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.text, "one");
    ops_multiline_tick(m, 14 * SEC);
    assert_int_equal(s.n, 2);
    assert_int_equal(ops_multiline_open(m), 0);
    ops_multiline_free(m);
}

static void bounds_hold(void **state)
{
    ops_multiline_conf conf;
    struct seen s = {0};
    char key[16];
    (void)state;

    ops_multiline_conf_default(&conf);
    conf.lines_max = 3;
    conf.event_bytes_max = 20;
    conf.streams_max = 2;
    ops_multiline *m = joiner(&conf, &s);
    for (int i = 0; i < 5; i++)
        push(m, "a", " x", 1);
    assert_int_equal(s.n, 1); /* three lines, then a bound */
    assert_true(s.truncated && s.lines == 3);
    ops_multiline_flush(m);
    assert_int_equal(s.lines, 2);
    push(m, "a", "0123456789", 1);
    push(m, "a", " 0123456789abcdef", 1);
    assert_string_equal(s.text, "0123456789\n 01234567");
    assert_true(s.truncated);
    push(m, "b", "0123456789012345678901234567890", 1);
    assert_int_equal(strlen(s.text), 20);
    s.n = 0;
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "k%d", i);
        push(m, key, "v", 1);
        assert_true(ops_multiline_open(m) <= 2);
    }
    assert_int_equal(s.n, 8);
    ops_multiline_free(m);
    conf.lines_max = 0;
    assert_int_equal(ops_multiline_new(&conf, on_event, &s, &m, NULL), OPS_ERANGE);
}

static void partial_lines_join_without_newline(void **state)
{
    struct seen s = {0};
    ops_multiline *m = joiner(NULL, &s);
    (void)state;

    assert_int_equal(ops_multiline_push(m, OPS_SLICE("a"), OPS_SLICE("one "), true, 1, NULL), OPS_OK);
    assert_int_equal(ops_multiline_push(m, OPS_SLICE("a"), OPS_SLICE("two "), true, 2, NULL), OPS_OK);
    push(m, "a", "three", 3);
    push(m, "a", "next", 4);
    assert_string_equal(s.text, "one two three");
    assert_int_equal(s.lines, 1);
    /* an empty part, of no bytes at all, after a line that opens a JavaScript trace */
    push(m, "b", "TypeError: x", 5);
    assert_int_equal(ops_multiline_push(m, OPS_SLICE("b"), ops_slice_of(NULL, 0), true, 6, NULL), OPS_OK);
    push(m, "b", "tail", 7);
    assert_string_equal(s.text, "TypeError: x");
    ops_multiline_free(m);
}

static void survives_every_failed_allocation(void **state)
{
    const long live = ops_alloc_live();
    (void)state;

    for (long nth = 1; nth < 30; nth++) {
        struct seen s = {0};
        ops_multiline_conf conf;
        ops_multiline *m = NULL;
        uint32_t taken = 0;
        ops_multiline_conf_default(&conf);
        ops_alloc_fail_at(nth);
        if (ops_multiline_new(&conf, on_event, &s, &m, NULL) == OPS_OK) {
            for (int i = 0; i < 6; i++)
                taken += ops_multiline_push(m, i % 2 ? OPS_SLICE("a") : OPS_SLICE("b"), OPS_SLICE("line"),
                                            false, 1, NULL) == OPS_OK;
            ops_multiline_flush(m);
            assert_int_equal(s.n, taken);
            assert_true(taken >= 5);
        }
        ops_alloc_fail_at(0);
        ops_multiline_free(m);
        assert_int_equal(ops_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_are_one_event),
        cmocka_unit_test(streams_interleave),
        cmocka_unit_test(time_flushes),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(partial_lines_join_without_newline),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
