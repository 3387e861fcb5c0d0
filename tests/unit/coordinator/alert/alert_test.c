/* Alertmanager's webhook: the fields of its form, what is refused and where, and the finding that comes of an alert. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "coordinator/alert/alert.h"
#include "proto/ops/v1/finding.pb-c.h"

/* The form of Alertmanager's documentation, version 4. */
#define ALERT(status, more)                                                                                  \
    "{\"status\":\"" status                                                                                  \
    "\",\"labels\":{\"alertname\":\"HighLoad\",\"job\":\"api\",\"severity\":\"page\"},"                      \
    "\"annotations\":{\"summary\":\"load of 中\",\"description\":\"seen with password=hunter2secret\"},"    \
    "\"startsAt\":\"2025-11-24T16:00:00.5+00:00\",\"endsAt\":\"2025-11-24T17:00:00Z\","                      \
    "\"generatorURL\":\"http://p/g\",\"fingerprint\":\"c0ffee\"" more "}"
#define BODY(alerts)                                                                                         \
    "{\"version\":\"4\",\"groupKey\":\"{}:{}\",\"truncatedAlerts\":3,\"status\":\"firing\",\"receiver\":"    \
    "\"r\",\"groupLabels\":{},"                                                                              \
    "\"commonLabels\":{},\"commonAnnotations\":{},\"externalURL\":\"http://am\",\"alerts\":[" alerts "]}"

struct seen {
    size_t n;
    bool firing[4];
    char id[4][OPS_ALERT_ID_LEN + 1];
    ops_strbuf bodies;
    Ops__V1__Finding *f;
    const ops_redactor *redactor;
    ops_redact_scratch *scratch;
};

static ops_status see(void *u, const ops_alert *a, ops_err *reterr)
{
    struct seen *s = u;
    assert_true(s->n < 4);
    s->firing[s->n] = a->firing;
    ops_alert_id(OPS_SLICE("acme"), a, s->id[s->n]);
    s->n++;
    ops_arena arena;
    ops_arena_init(&arena, 1 << 20);
    ops_strbuf_clear(&s->bodies);
    ops_status st =
        ops_alert_encode(a, OPS_SLICE("acme"), 77, s->redactor, s->scratch, &arena, &s->bodies, reterr);
    ops_arena_done(&arena);
    if (st != OPS_OK)
        return st;
    if (s->f != NULL)
        ops__v1__finding__free_unpacked(s->f, NULL);
    s->f = ops__v1__finding__unpack(NULL, s->bodies.n, (const uint8_t *)s->bodies.p);
    assert_non_null(s->f);
    return OPS_OK;
}

static void begin(struct seen *s)
{
    *s = (struct seen){0};
    ops_strbuf_init(&s->bodies, 1 << 20);
}

static void end(struct seen *s)
{
    if (s->f != NULL)
        ops__v1__finding__free_unpacked(s->f, NULL);
    ops_strbuf_done(&s->bodies);
    ops_redact_scratch_free(s->scratch);
}

static void an_alert_becomes_a_finding(void **state)
{
    (void)state;
    struct seen s;
    uint64_t truncated = 0;
    begin(&s);
    assert_int_equal(ops_alert_decode(OPS_SLICE(BODY(ALERT("firing", ""))), see, &s, &truncated, NULL),
                     OPS_OK);
    assert_true(s.n == 1 && s.firing[0] && truncated == 3);
    const Ops__V1__Finding *f = s.f;
    assert_int_equal(f->kind, OPS__V1__FINDING_KIND__FINDING_KIND_ALERT);
    assert_int_equal(f->severity, OPS__V1__LEVEL__LEVEL_CRITICAL);
    assert_int_equal(f->state, OPS__V1__FINDING_STATE__FINDING_STATE_OPEN);
    assert_string_equal(f->id, s.id[0]);
    assert_string_equal(f->tenant, "acme");
    assert_string_equal(f->fingerprint, "c0ffee");
    assert_string_equal(f->summary, "load of 中");
    assert_true(f->n_services == 1);
    assert_string_equal(f->services[0], "api");
    assert_true(f->start_time_unix_nano == 1764000000500000000 && f->last_time_unix_nano == 77);
    assert_true(f->n_labels == 3 && f->n_annotations == 2);
    end(&s);
}

/* What a rule of the operators' own fired: as an alert, but a kind and ids of its own. */
static void a_rule_becomes_a_finding(void **state)
{
    (void)state;
    struct seen s;
    ops_err err = {0};
    ops_alert a = {.firing = true, .fingerprint = OPS_SLICE("0123456789abcdef-c0ffee"), .start_ns = 5};
    begin(&s);
    a.labels[a.label_count++] = (ops_alert_pair){OPS_SLICE("severity"), OPS_SLICE("page")};
    assert_int_equal(see(&s, &a, &err), OPS_OK);
    a.own = true;
    assert_int_equal(see(&s, &a, &err), OPS_OK);
    assert_true(s.id[0][0] == 'a' && s.id[1][0] == 'r');
    assert_string_equal(s.id[0] + 1, s.id[1] + 1);
    assert_int_equal(s.f->kind, OPS__V1__FINDING_KIND__FINDING_KIND_RULE);
    assert_string_equal(s.f->id, s.id[1]);
    assert_string_equal(s.f->fingerprint, "0123456789abcdef-c0ffee");
    assert_int_equal(s.f->severity, OPS__V1__LEVEL__LEVEL_CRITICAL);
    end(&s);
}

static void an_end_closes_and_has_its_time(void **state)
{
    (void)state;
    struct seen s;
    begin(&s);
    assert_int_equal(
        ops_alert_decode(OPS_SLICE(BODY(ALERT("resolved", "") "," ALERT("firing", ""))), see, &s, NULL, NULL),
        OPS_OK);
    assert_true(s.n == 2 && !s.firing[0] && s.firing[1]);
    assert_string_equal(s.id[0], s.id[1]); /* the same alert */
    end(&s);
    begin(&s);
    assert_int_equal(ops_alert_decode(OPS_SLICE(BODY(ALERT("resolved", ""))), see, &s, NULL, NULL), OPS_OK);
    assert_int_equal(s.f->state, OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED);
    assert_true(s.f->last_time_unix_nano == 1764003600000000000);
    end(&s);
}

static void secrets_do_not_come_through(void **state)
{
    (void)state;
    struct seen s;
    OPS_AUTO(ops_redactor_unref) ops_redactor *r = NULL;
    const ops_redact_conf conf = {.kinds = OPS_REDACT_DEFAULT};
    begin(&s);
    assert_int_equal(ops_redactor_new(&conf, &r, NULL), OPS_OK);
    assert_int_equal(ops_redact_scratch_new(&s.scratch, NULL), OPS_OK);
    s.redactor = r;
    assert_int_equal(ops_alert_decode(OPS_SLICE(BODY(ALERT("firing", ""))), see, &s, NULL, NULL), OPS_OK);
    assert_true(ops_slice_find(ops_strbuf_get(&s.bodies), OPS_SLICE("hunter2secret")) < 0);
    assert_string_equal(s.f->words, "seen with password=<redacted:secret>");
    end(&s);
}

static void what_is_wrong_is_named_and_nothing_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *body, *says;
    } rows[] = {
        {"", "JSON: "},
        {"nope", "JSON: "},
        {"{\"version\":4,\"alerts\":[]}", "version: \"4\" is expected"},
        {"{\"version\":\"4\"}", "alerts: an array"},
        {BODY(ALERT("firing", "") "," ALERT("firing", ",\"status\":\"x\"")), "JSON: duplicate"},
        {BODY(ALERT("firing", "") ",{}"), "alerts[1].status"},
        {BODY(ALERT("firing", "") ",{\"status\":\"firing\"}"), "alerts[1].fingerprint"},
        {BODY("{\"status\":\"firing\",\"fingerprint\":\"a\",\"startsAt\":\"\"}"), "alerts[0].startsAt"},
        {BODY("{\"status\":\"firing\",\"fingerprint\":\"a\",\"startsAt\":\"2025-11-24T16:00:00Z\"}"),
         "alerts[0].labels"},
        {BODY("{\"status\":\"firing\",\"fingerprint\":\"a\",\"startsAt\":\"2025-11-24T16:00:00Z\",\"labels\":"
              "{\"\":\"\"}}"),
         "alerts[0].labels: a name of 0 bytes"},
        {BODY("{\"status\":\"firing\",\"fingerprint\":\"a\",\"startsAt\":\"2025-11-24T16:00:00Z\",\"labels\":"
              "{\"a\\nb\":[]}}"),
         "alerts[0].labels.a?b: a string"},
        {BODY("{\"status\":\"firing\",\"fingerprint\":\"a\",\"startsAt\":\"2025-11-24T16:00:00Z\",\"labels\":"
              "{},"
              "\"annotations\":[]}"),
         "alerts[0].annotations: an object"},
        {"[[[[[[[[[[[[[[[[[[[[", "byte 16: objects and arrays more than 16 deep"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seen s;
        ops_err err = {0};
        begin(&s);
        assert_int_equal(ops_alert_decode(ops_slice_str(rows[i].body), see, &s, NULL, &err), OPS_EINVAL);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].body, err.msg);
        assert_int_equal(s.n, 0);
        end(&s);
    }
}

/* A body of nothing but "{}," would cost a hundred times its size. */
static void what_would_cost_too_much_is_refused_unread(void **state)
{
    (void)state;
    const size_t n = 3 << 20;
    char *body = ops_malloc(n);
    ops_err err = {0};
    assert_non_null(body);
    body[0] = '[';
    for (size_t i = 1; i + 3 <= n; i += 3)
        memcpy(body + i, "{},", 3);
    assert_int_equal(ops_alert_decode(ops_slice_of(body, n), see, NULL, NULL, &err), OPS_ETOOBIG);
    ops_free(body);
}

static void a_long_annotation_is_cut_between_characters(void **state)
{
    (void)state;
    struct seen s;
    ops_strbuf b;
    begin(&s);
    ops_strbuf_init(&b, 1 << 20);
    ops_strbuf_str(&b,
                   "{\"version\":\"4\",\"alerts\":[{\"status\":\"firing\",\"fingerprint\":\"a\",\"startsAt\":"
                   "\"2025-11-24T16:00:00Z\",\"labels\":{},\"annotations\":{\"description\":\"x");
    for (int i = 0; i < 2000; i++)
        ops_strbuf_str(&b, "中");
    ops_strbuf_str(&b, "\"}}]}");
    assert_int_equal(ops_alert_decode(ops_strbuf_get(&b), see, &s, NULL, NULL), OPS_OK);
    assert_true(strlen(s.f->words) <= OPS_ALERT_ANNOTATION_MAX &&
                strlen(s.f->words) > OPS_ALERT_ANNOTATION_MAX - 4);
    assert_true(ops_utf8_valid(ops_slice_str(s.f->words)));
    assert_string_equal(s.f->summary, "an alert without a name");
    ops_strbuf_done(&b);
    end(&s);
}

static void ids_part_what_is_not_the_same(void **state)
{
    (void)state;
    char a[OPS_ALERT_ID_LEN + 1], b[OPS_ALERT_ID_LEN + 1];
    ops_alert x = {.fingerprint = OPS_SLICE("f"), .start_ns = 1}, y = x;
    ops_alert_id(OPS_SLICE("t"), &x, a);
    ops_alert_id(OPS_SLICE("t"), &y, b);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), OPS_ALERT_ID_LEN);
    ops_alert_id(OPS_SLICE("u"), &y, b);
    assert_string_not_equal(a, b);
    y.start_ns = 2;
    ops_alert_id(OPS_SLICE("t"), &y, b);
    assert_string_not_equal(a, b);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long nth = 1;; nth++) {
        struct seen s;
        ops_err err = {0};
        begin(&s);
        ops_alloc_fail_at(nth);
        ops_status st = ops_alert_decode(OPS_SLICE(BODY(ALERT("firing", ""))), see, &s, NULL, &err);
        ops_alloc_fail_at(0);
        end(&s);
        if (st == OPS_OK)
            break;
        assert_int_equal(st, OPS_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_becomes_a_finding),
        cmocka_unit_test(a_rule_becomes_a_finding),
        cmocka_unit_test(an_end_closes_and_has_its_time),
        cmocka_unit_test(secrets_do_not_come_through),
        cmocka_unit_test(what_is_wrong_is_named_and_nothing_is_taken),
        cmocka_unit_test(what_would_cost_too_much_is_refused_unread),
        cmocka_unit_test(a_long_annotation_is_cut_between_characters),
        cmocka_unit_test(ids_part_what_is_not_the_same),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
