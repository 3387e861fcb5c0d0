/* The token file: who gets in, what a broken file does, and that nothing opens by accident. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "coordinator/access/access.h"

static char folder[64], path[128];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/opsd-access-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/tokens", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put(const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fchmod(fileno(f), 0600), 0);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* SHA-256 of "correct-horse", by sha256sum. */
#define HORSE "9dca666eb54730714630d1519264a7bf1eeaad00b8f2edc90d3ecbfad928d163"
static const char good[] = "# comment\n"
                           "collector ingest acme sha256:" HORSE "\n"
                           "\n"
                           "\tboss  admin  acme  token:battery-staple # trailing\n"
                           "eye viewer other token:looks-only\n";

static void no_file_is_open_until_there_is_one(void **state)
{
    (void)state;
    unlink(path);
    OPS_AUTO(ops_access_free) ops_access *a = NULL;
    ops_identity who;
    assert_int_equal(ops_access_new(path, &a, NULL), OPS_OK);
    assert_true(ops_access_is_open(a));
    assert_int_equal(ops_access_check(a, (ops_slice){0}, &who), OPS_OK);
    assert_string_equal(who.tenant, "default");
    put(good);
    assert_int_equal(ops_access_reload(a, NULL), OPS_OK);
    assert_int_equal(ops_access_check(a, (ops_slice){0}, &who), OPS_EAUTH);
    assert_int_equal(ops_access_count(a), 3);
    unlink(path); /* gone again: the last table stays */
    assert_int_equal(ops_access_reload(a, NULL), OPS_ENOTFOUND);
    assert_int_equal(ops_access_check(a, OPS_SLICE("nobody-knows"), &who), OPS_EAUTH);
    assert_int_equal(ops_access_check(a, OPS_SLICE("correct-horse"), &who), OPS_OK);
}

static void tokens_name_clients(void **state)
{
    (void)state;
    put(good);
    OPS_AUTO(ops_access_free) ops_access *a = NULL;
    ops_identity who;
    ops_err err = {0};
    assert_int_equal(ops_access_new(path, &a, NULL), OPS_OK);
    assert_int_equal(ops_access_check(a, OPS_SLICE("correct-horse"), &who), OPS_OK);
    assert_string_equal(who.name, "collector");
    assert_string_equal(who.tenant, "acme");
    assert_int_equal(who.role, OPS_ROLE_INGEST);
    assert_int_equal(ops_access_check(a, OPS_SLICE("correct-hors"), &who), OPS_EAUTH);
    assert_int_equal(ops_access_check(a, OPS_SLICE(HORSE), &who), OPS_EAUTH);
    assert_int_equal(ops_access_require(a, OPS_SLICE("correct-horse"), OPS_ROLE_VIEWER, &who, &err),
                     OPS_EPERM);
    assert_non_null(strstr(err.msg, "'collector' has role ingest, this needs viewer"));
    assert_int_equal(ops_access_require(a, OPS_SLICE("battery-staple"), OPS_ROLE_OPERATOR, &who, &err),
                     OPS_OK);
}

static void roles_imply(void **state)
{
    (void)state;
    const bool want[OPS_ROLE_COUNT][OPS_ROLE_COUNT] = {
        /* need:          none  ingest viewer operator admin */
        [OPS_ROLE_NONE] = {true, false, false, false, false},
        [OPS_ROLE_INGEST] = {true, true, false, false, false},
        [OPS_ROLE_VIEWER] = {true, false, true, false, false},
        [OPS_ROLE_OPERATOR] = {true, false, true, true, false},
        [OPS_ROLE_ADMIN] = {true, true, true, true, true},
    };
    for (int have = 0; have < OPS_ROLE_COUNT; have++)
        for (int need = 0; need < OPS_ROLE_COUNT; need++)
            assert_int_equal(ops_role_implies((ops_role)have, (ops_role)need), want[have][need]);
}

static void broken_files_name_the_line(void **state)
{
    (void)state;
    const struct {
        const char *text, *message;
        ops_status st;
    } rows[] = {
        {"a ingest t\n", ":1: expected NAME", OPS_EINVAL},
        {"\na king t token:12345678\n", ":2: unknown role 'king'", OPS_EINVAL},
        {"a ingest t md5:12345678\n", ":1: the fourth field", OPS_EINVAL},
        {"a ingest t sha256:12\n", ":1: sha256:", OPS_EINVAL},
        {"a ingest t token:short\n", ":1: a token has 8", OPS_EINVAL},
        {"a/b ingest t token:12345678\n", ":1: name and tenant", OPS_EINVAL},
        {"a ingest t token:12345678 x\n", ":1: more than four", OPS_EINVAL},
        {"a ingest t token:12345678\nb admin t token:12345678\n",
         ":2: the token of 'b' is also the one of 'a'", OPS_EEXIST},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ops_access *a = NULL;
        ops_err err = {0};
        put(rows[i].text);
        assert_int_equal(ops_access_new(path, &a, &err), rows[i].st);
        assert_null(a);
        if (strstr(err.msg, rows[i].message) == NULL)
            fail_msg("'%s' lacks '%s'", err.msg, rows[i].message);
        assert_null(strstr(err.msg, "12345678")); /* never the token */
    }
    put(good);
    assert_int_equal(chmod(path, 0666), 0);
    ops_access *a = NULL;
    assert_int_equal(ops_access_new(path, &a, NULL), OPS_EPERM);
}

static void a_bad_reload_changes_nothing(void **state)
{
    (void)state;
    put(good);
    OPS_AUTO(ops_access_free) ops_access *a = NULL;
    ops_identity who;
    assert_int_equal(ops_access_new(path, &a, NULL), OPS_OK);
    put("rubbish\n");
    assert_int_equal(ops_access_reload(a, NULL), OPS_EINVAL);
    assert_int_equal(ops_access_check(a, OPS_SLICE("looks-only"), &who), OPS_OK);
    put(""); /* an empty table is a table: nobody gets in */
    assert_int_equal(ops_access_reload(a, NULL), OPS_OK);
    assert_int_equal(ops_access_check(a, OPS_SLICE("looks-only"), &who), OPS_EAUTH);
    assert_int_equal(ops_access_check(a, (ops_slice){0}, &who), OPS_EAUTH);
}

static void bearer(void **state)
{
    (void)state;
    assert_true(ops_slice_eq(ops_access_bearer(OPS_SLICE("Bearer abc")), OPS_SLICE("abc")));
    assert_true(ops_slice_eq(ops_access_bearer(OPS_SLICE("bEARER   abc ")), OPS_SLICE("abc")));
    assert_int_equal(ops_access_bearer(OPS_SLICE("Basic abc")).n, 0);
    assert_int_equal(ops_access_bearer((ops_slice){0}).n, 0);
}

static void torture(void **state)
{
    (void)state;
    put(good);
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; nth < 50 && st != OPS_OK; nth++) {
        ops_access *a = NULL;
        long live = ops_alloc_live();
        ops_alloc_fail_at(nth);
        st = ops_access_new(path, &a, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || a == NULL);
        ops_access_free(a);
        assert_int_equal(ops_alloc_live(), live);
    }
    assert_int_equal(st, OPS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file_is_open_until_there_is_one),
        cmocka_unit_test(tokens_name_clients),
        cmocka_unit_test(roles_imply),
        cmocka_unit_test(broken_files_name_the_line),
        cmocka_unit_test(a_bad_reload_changes_nothing),
        cmocka_unit_test(bearer),
        cmocka_unit_test(torture),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
