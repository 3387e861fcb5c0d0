/* Configuration: precedence, kinds, errors with their place, what is written from the table, each allocation failing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/conf/conf.h"
#include "base/mem/alloc.h"

enum { ROLE, DATA, PORT, LIMIT, WAIT, TLS, FILES, TOKEN, COUNT };
static const ops_conf_row rows[COUNT] = {
    [ROLE] = {"role", OPS_CONF_CHOICE, "all", .choices = "all|worker", .help = "What to be.",
              .help_zh = "角色。"},
    [DATA] = {"data", OPS_CONF_STR, "", .help = "Data folder."},
    [PORT] = {"ingest.port", OPS_CONF_UINT, "4317", .min = 1, .max = 65535, .help = "Port."},
    [LIMIT] = {"ingest.limit.bytes", OPS_CONF_BYTES, "64MiB", .min = 1024, .help = "Most."},
    [WAIT] = {"ingest.wait", OPS_CONF_DURATION, "30s", .traits = OPS_CONF_RELOAD, .help = "How long."},
    [TLS] = {"ingest.tls", OPS_CONF_BOOL, "false", .help = "Whether."},
    [FILES] = {"source.files", OPS_CONF_LIST, "", .help = "Which."},
    [TOKEN] = {"token", OPS_CONF_STR, "", .traits = OPS_CONF_SECRET, .help = "Secret."},
};

/* A word that may be written to, as main() gets them. */
#define ARG(s) ((char[]){s})

static ops_conf *fresh(void)
{
    ops_conf *c = NULL;
    assert_int_equal(ops_conf_new(rows, COUNT, &c, NULL), OPS_OK);
    return c;
}

static void yaml_ok(ops_conf *c, const char *text)
{
    ops_err err = {0};
    if (ops_conf_read_yaml(c, "opsd.yaml", ops_slice_str(text), &err) != OPS_OK)
        fail_msg("%s", err.msg);
}

static void yaml_bad(const char *text, const char *words)
{
    OPS_AUTO(ops_conf_free) ops_conf *c = fresh();
    ops_err err = {0};
    assert_int_equal(ops_conf_read_yaml(c, "opsd.yaml", ops_slice_str(text), &err), OPS_EINVAL);
    assert_string_equal(err.msg, words);
}

static void defaults_hold(void **state)
{
    (void)state;
    OPS_AUTO(ops_conf_free) ops_conf *c = fresh();
    size_t n = 9;
    assert_int_equal(ops_conf_uint(c, ROLE), 0);
    assert_string_equal(ops_conf_str(c, DATA), "");
    assert_int_equal(ops_conf_uint(c, LIMIT), 64 * 1048576);
    assert_int_equal(ops_conf_uint(c, WAIT), 30000);
    assert_false(ops_conf_bool(c, TLS));
    (void)ops_conf_list(c, FILES, &n);
    assert_int_equal(n, 0);
    assert_string_equal(ops_conf_origin(c, PORT), "default");
}

static void the_file_is_read(void **state)
{
    (void)state;
    OPS_AUTO(ops_conf_free) ops_conf *c = fresh();
    yaml_ok(c, "# comment\nrole: worker\ningest:\n  port: 5_000\n  limit:\n    bytes: 1.5KiB\n  wait: 2m\n  "
               "tls: yes\n"
               "source:\n  files: [/var/log/a.log, \"/b c\"]\n");
    assert_string_equal(ops_conf_str(c, ROLE), "worker");
    assert_int_equal(ops_conf_uint(c, ROLE), 1);
    assert_int_equal(ops_conf_uint(c, PORT), 5000);
    assert_int_equal(ops_conf_uint(c, LIMIT), 1536);
    assert_int_equal(ops_conf_uint(c, WAIT), 120000);
    assert_true(ops_conf_bool(c, TLS));
    size_t n;
    const char *const *files = ops_conf_list(c, FILES, &n);
    assert_int_equal(n, 2);
    assert_string_equal(files[0], "/var/log/a.log");
    assert_string_equal(files[1], "/b c");
    assert_null(files[2]);
    assert_string_equal(ops_conf_origin(c, PORT), "opsd.yaml:4");
    yaml_ok(c, "");
    yaml_ok(c, "# nothing\n");
    yaml_ok(c, "ingest:\n#  port: 1\n");
}

static void flags_win_over_variables_over_the_file(void **state)
{
    (void)state;
    char *argv[] = {ARG("opsd"),   ARG("--ingest-port"), ARG("3"),
                    ARG("config"), ARG("--ingest-tls"),  ARG("--source-files=a, b"),
                    ARG("--"),     ARG("--x"),           NULL};
    int argc = 8;
    const char *const env[] = {"OPSD_INGEST_PORT=2", "OPSD_INGEST_WAIT=5s", "OPSD_SERVICE_HOST=10.0.0.1",
                               "PATH=/bin", NULL};
    OPS_AUTO(ops_conf_free) ops_conf *c = fresh();
    assert_int_equal(ops_conf_read_args(c, &argc, argv, NULL), OPS_OK);
    assert_int_equal(ops_conf_read_env(c, env, "OPSD_", NULL), OPS_OK);
    yaml_ok(c, "ingest: {port: 1, wait: 1s, limit: {bytes: 1MB}}");
    assert_int_equal(ops_conf_uint(c, PORT), 3);
    assert_int_equal(ops_conf_uint(c, WAIT), 5000);
    assert_int_equal(ops_conf_uint(c, LIMIT), 1000000);
    assert_string_equal(ops_conf_origin(c, PORT), "--ingest-port");
    assert_string_equal(ops_conf_origin(c, WAIT), "OPSD_INGEST_WAIT");
    assert_true(ops_conf_bool(c, TLS));
    assert_int_equal(argc, 3);
    assert_string_equal(argv[1], "config");
    assert_string_equal(argv[2], "--x");
    char *no[] = {ARG("opsd"), ARG("--no-ingest-tls"), NULL};
    argc = 2;
    assert_int_equal(ops_conf_read_args(c, &argc, no, NULL), OPS_OK);
    assert_false(ops_conf_bool(c, TLS));
}

static void errors_name_the_place(void **state)
{
    (void)state;
    yaml_bad("role: all\ningest:\n  prot: 1\n",
             "opsd.yaml:3: unknown key ingest.prot; did you mean ingest.port?");
    yaml_bad("weather: fine\n", "opsd.yaml:1: unknown key weather");
    yaml_bad("ingest:\n  port: 70000\n", "opsd.yaml:2: ingest.port: 70000 is not between 1 and 65535");
    yaml_bad("ingest: {port: many}", "opsd.yaml:1: ingest.port: \"many\" is not a whole number");
    yaml_bad("role: king", "opsd.yaml:1: role: \"king\" is not one of all|worker");
    yaml_bad("ingest: {wait: 5}",
             "opsd.yaml:1: ingest.wait: \"5\" is not a duration such as 250ms, 30s, 15m or 7d");
    yaml_bad("ingest:\n  port: 1\n  port: 2\n", "opsd.yaml:3: ingest.port is given twice (first in line 2)");
    yaml_bad("ingest:\n  port: [1, 2]\n", "opsd.yaml:2: ingest.port: one value expected, not a list");
    yaml_bad("ingest: 5", "opsd.yaml:1: ingest holds further keys, not a value");
    yaml_bad("role: {a: 1}", "opsd.yaml:1: a value expected, not further keys");
    yaml_bad("- a\n- b\n", "opsd.yaml:1: keys and values expected");
    yaml_bad("role: &x all\n", "opsd.yaml:1: tags and anchors are not taken");
    yaml_bad("role: all\n---\nrole: all\n", "opsd.yaml:2: a second document");
    yaml_bad("source: {files: [a, [b]]}", "opsd.yaml:1: plain items expected");
    OPS_AUTO(ops_conf_free) ops_conf *c = fresh();
    ops_err err = {0};
    char *argv[] = {ARG("opsd"), ARG("--ingest-prt=1"), NULL};
    int argc = 2;
    assert_int_equal(ops_conf_read_args(c, &argc, argv, &err), OPS_EINVAL);
    assert_string_equal(err.msg, "command line: unknown key --ingest-prt; did you mean --ingest-port?");
    char *missing[] = {ARG("opsd"), ARG("--data"), NULL};
    argc = 2;
    assert_int_equal(ops_conf_read_args(c, &argc, missing, &err), OPS_EINVAL);
    assert_string_equal(err.msg, "--data: a value is missing");
    const char *const env[] = {"OPSD_INGEST_TLS=maybe", NULL};
    assert_int_equal(ops_conf_read_env(c, env, "OPSD_", &err), OPS_EINVAL);
    assert_string_equal(err.msg, "OPSD_INGEST_TLS: ingest.tls: \"maybe\" is not true or false");
    assert_int_equal(ops_conf_read_file(c, "/nowhere/opsd.yaml", &err), OPS_ENOTFOUND);
    assert_non_null(strstr(err.msg, "/nowhere/opsd.yaml"));
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    char deep[4096] = "";
    for (int i = 0; i < 200; i++)
        strcat(deep, "{ingest: ");
    OPS_AUTO(ops_conf_free) ops_conf *c = fresh();
    assert_int_equal(ops_conf_read_yaml(c, "f", ops_slice_str(deep), NULL), OPS_EINVAL);
}

static void note(void *u, size_t row, bool reloadable)
{
    unsigned *bits = u;
    *bits |= 1u << row | (reloadable ? 1u << (row + 16) : 0);
}

static void a_reload_is_compared(void **state)
{
    (void)state;
    OPS_AUTO(ops_conf_free) ops_conf *a = fresh();
    OPS_AUTO(ops_conf_free) ops_conf *b = fresh();
    unsigned bits = 0;
    ops_conf_diff(a, b, note, &bits);
    assert_int_equal(bits, 0);
    yaml_ok(b, "ingest: {wait: 31s, port: 4317}\nsource: {files: [x]}\n");
    ops_conf_diff(a, b, note, &bits);
    assert_int_equal(bits, 1u << WAIT | 1u << (WAIT + 16) | 1u << FILES);
}

static void what_is_written_can_be_read(void **state)
{
    (void)state;
    OPS_AUTO(ops_conf_free) ops_conf *c = fresh();
    yaml_ok(c, "data: \"a: b\"\ntoken: hunter2\nsource: {files: [\"x, y\", z]}\n");
    ops_strbuf out;
    ops_strbuf_init(&out, 65536);
    ops_conf_effective(c, &out);
    assert_false(out.failed);
    assert_null(strstr(out.p, "hunter2"));
    OPS_AUTO(ops_conf_free) ops_conf *d = fresh();
    yaml_ok(d, out.p);
    assert_string_equal(ops_conf_str(d, DATA), "a: b");
    size_t n;
    assert_string_equal(ops_conf_list(d, FILES, &n)[0], "x, y");
    assert_int_equal(ops_conf_uint(d, LIMIT), 64 * 1048576);

    ops_strbuf_clear(&out);
    ops_conf_sample(c, &out);
    OPS_AUTO(ops_conf_free) ops_conf *e = fresh();
    yaml_ok(e, out.p);
    /* With its comments taken away each line is a key again. */
    assert_non_null(
        strstr(out.p, "ingest:\n  # Port.\n  # port: 4317\n  limit:\n    # Most.\n    # bytes: 64MiB\n"));

    ops_strbuf_clear(&out);
    ops_conf_help(c, "OPSD_", false, &out);
    assert_non_null(strstr(out.p, "--ingest-limit-bytes <size>\n      Most. (default 64MiB)"));
    ops_strbuf_clear(&out);
    ops_conf_markdown(c, "OPSD_", true, &out);
    assert_non_null(strstr(out.p, "| `role` | all\\|worker | `all` | `--role` | `OPSD_ROLE` |  | 角色。 |"));
    ops_strbuf_done(&out);
}

static void bad_tables_are_refused(void **state)
{
    (void)state;
    const ops_conf_row twice[] = {{"a.b", OPS_CONF_BOOL, "no", .help = ""},
                                  {"a.b", OPS_CONF_BOOL, "no", .help = ""}};
    const ops_conf_row key[] = {{"a..b", OPS_CONF_BOOL, "no", .help = ""}};
    const ops_conf_row value[] = {{"a", OPS_CONF_BOOL, "perhaps", .help = ""}};
    ops_conf *c = NULL;
    assert_int_equal(ops_conf_new(twice, 2, &c, NULL), OPS_EINVAL);
    assert_int_equal(ops_conf_new(key, 1, &c, NULL), OPS_EINVAL);
    assert_int_equal(ops_conf_new(value, 1, &c, NULL), OPS_EINVAL);
    assert_null(c);
}

static ops_status everything(void)
{
    ops_conf *c = NULL;
    ops_status st = ops_conf_new(rows, COUNT, &c, NULL);
    if (st != OPS_OK)
        return st;
    st = ops_conf_read_yaml(c, "f", OPS_SLICE("role: worker\nsource: {files: [a, b]}\n"), NULL);
    if (st == OPS_OK)
        st = ops_conf_set(c, "data", OPS_SLICE("x"), NULL);
    ops_conf_free(c);
    return st;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    long before = ops_alloc_live();
    bool done = false;
    for (long nth = 1; !done && nth < 1000; nth++) {
        ops_alloc_fail_at(nth);
        ops_status st = everything();
        ops_alloc_fail_at(0);
        done = st == OPS_OK;
        assert_true(done || st == OPS_ENOMEM);
        assert_int_equal(ops_alloc_live(), before);
    }
    assert_true(done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold),
        cmocka_unit_test(the_file_is_read),
        cmocka_unit_test(flags_win_over_variables_over_the_file),
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_reload_is_compared),
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(bad_tables_are_refused),
        cmocka_unit_test(each_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
