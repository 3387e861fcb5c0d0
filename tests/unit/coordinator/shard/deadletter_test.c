/* The ring in memory and in a file: what is kept, what makes room, and what a new process finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/shard/deadletter.h"

static char folder[] = "/tmp/opsd-dead-XXXXXX", path[64];

static ops_deadletters *open_ring(const char *at, size_t max)
{
    ops_deadletters *d = NULL;
    ops_err err = {0};
    if (ops_deadletters_new(at, max, &d, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return d;
}

static void add(ops_deadletters *d, unsigned i)
{
    char detail[32];
    (void)snprintf(detail, sizeof detail, "letter %u", i);
    const ops_deadletter l = {.time_ns = i,
                              .tenant = OPS_SLICE("acme"),
                              .door = "otlp-http",
                              .reason = "too large",
                              .detail = ops_slice_str(detail),
                              .head = OPS_SLICE("\x00head")};
    ops_deadletters_add(d, &l);
}

struct seen {
    unsigned n;
    uint64_t numbers[64];
};

static bool take(void *u, const ops_deadletter *l)
{
    struct seen *s = u;
    char want[32];
    (void)snprintf(want, sizeof want, "letter %u", (unsigned)l->time_ns);
    assert_true(ops_slice_eq(l->detail, ops_slice_str(want)) && ops_slice_eq(l->tenant, OPS_SLICE("acme")));
    assert_true(ops_slice_eq(l->head, OPS_SLICE("\x00head")));
    assert_string_equal(l->door, "otlp-http");
    assert_string_equal(l->reason, "too large");
    s->numbers[s->n++] = l->number;
    return true;
}

static void expect(ops_deadletters *d, uint64_t newest, uint64_t oldest)
{
    struct seen s = {0};
    (void)ops_deadletters_each(d, 0, take, &s);
    assert_int_equal(s.n, newest - oldest + 1);
    for (unsigned i = 0; i < s.n; i++)
        assert_int_equal(s.numbers[i], newest - i);
}

static void a_full_ring_lets_the_oldest_go(void **state)
{
    (void)state;
    for (int in_file = 0; in_file < 2; in_file++) {
        ops_deadletters *d = open_ring(in_file ? path : NULL, 4);
        for (unsigned i = 1; i <= 10; i++)
            add(d, i);
        expect(d, 10, 7);
        struct seen s = {0};
        assert_int_equal(ops_deadletters_each(d, 9, take, &s), 6);
        assert_true(s.n == 2 && s.numbers[0] == 8 && s.numbers[1] == 7);
        ops_deadletters_free(d);
    }
}

static void another_process_finds_them(void **state)
{
    (void)state;
    ops_deadletters *d = open_ring(path, 8);
    for (unsigned i = 1; i <= 5; i++)
        add(d, i);
    ops_deadletters *other = open_ring(path, 8); /* the first never closed it */
    expect(other, 5, 1);
    add(other, 6);
    expect(other, 6, 1);
    ops_deadletters_free(other);
    ops_deadletters_free(d);
}

static void another_size_takes_them_over(void **state)
{
    (void)state;
    ops_deadletters *d = open_ring(path, 8);
    for (unsigned i = 1; i <= 11; i++)
        add(d, i);
    ops_deadletters_free(d);
    d = open_ring(path, 3);
    expect(d, 11, 9);
    add(d, 12);
    ops_deadletters_free(d);
    d = open_ring(path, 100);
    expect(d, 12, 10);
    add(d, 13);
    expect(d, 13, 10);
    ops_deadletters_free(d);
}

static void poke(long at, int byte)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fputc(byte, f), byte);
    assert_int_equal(fclose(f), 0);
}

static void a_torn_slot_is_left_out(void **state)
{
    (void)state;
    ops_deadletters *d = open_ring(path, 4);
    for (unsigned i = 1; i <= 4; i++)
        add(d, i);
    ops_deadletters_free(d);
    poke(64 + 8, 0x7f); /* the first slot's time */
    d = open_ring(path, 4);
    expect(d, 4, 2);
    ops_deadletters_free(d);
}

static void what_is_no_such_file_is_left_alone(void **state)
{
    (void)state;
    ops_deadletters *d = NULL;
    ops_err err = {0};
    ops_deadletters_free(open_ring(path, 4));
    poke(0, 'x');
    assert_int_equal(ops_deadletters_new(path, 4, &d, &err), OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, path));
    poke(0, 'o');
    assert_int_equal(truncate(path, 1000), 0);
    assert_int_equal(ops_deadletters_new(path, 4, &d, &err), OPS_ECORRUPT);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(ops_deadletters_new(path, 4, &d, &err), OPS_ECORRUPT);
    assert_int_equal(ops_deadletters_new("/nowhere/at/all", 4, &d, &err), OPS_EIO);
    assert_int_equal(ops_deadletters_new(NULL, 0, &d, &err), OPS_EINVAL);
    assert_int_equal(truncate(path, 0), 0); /* never begun */
    ops_deadletters_free(open_ring(path, 4));
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/dead", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
    assert_int_equal(ops_alloc_live(), 0);
    return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_full_ring_lets_the_oldest_go),     T(another_process_finds_them),
        T(another_size_takes_them_over),       T(a_torn_slot_is_left_out),
        T(what_is_no_such_file_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
