/* Bodies, read back by a JSON library: every field where its format says, hostile text as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "coordinator/notify/format.h"

/* Messages have no const; nothing writes to these. */
#define TEXT(s) ((char *)(uintptr_t)(s))

static char hostile[] = "<!channel> & \"quoted\"\n\xff\x01 \xe4\xb8\xad";

struct sample {
    Ops__V1__Finding f;
    Ops__V1__Statistic statistic;
    Ops__V1__Evidence evidence, *evidence_list[1];
    char *services[2];
};

static void make(struct sample *s)
{
    ops__v1__finding__init(&s->f);
    ops__v1__statistic__init(&s->statistic);
    ops__v1__evidence__init(&s->evidence);
    s->services[0] = TEXT("pay");
    s->services[1] = TEXT("db");
    s->evidence.service = TEXT("pay");
    s->evidence.text = hostile;
    s->evidence.template_id = TEXT("00000000000000aa");
    s->evidence.time_unix_nano = 1764000000123000000;
    s->evidence_list[0] = &s->evidence;
    s->statistic.name = TEXT("rate");
    s->statistic.value = 12.5;
    s->statistic.p_value = 1e-300;
    s->statistic.score = INFINITY;
    s->f.id = TEXT("f-0123456789abcdef");
    s->f.tenant = TEXT("acme");
    s->f.kind = OPS__V1__FINDING_KIND__FINDING_KIND_RATE_UP;
    s->f.severity = OPS__V1__LEVEL__LEVEL_ERROR;
    s->f.state = OPS__V1__FINDING_STATE__FINDING_STATE_OPEN;
    s->f.summary = hostile;
    s->f.words = TEXT("more than ever");
    s->f.start_time_unix_nano = 1764000000000000000;
    s->f.last_time_unix_nano = 1764000001000000000;
    s->f.statistic = &s->statistic;
    s->f.services = s->services;
    s->f.n_services = 2;
    s->f.evidence = s->evidence_list;
    s->f.n_evidence = 1;
}

static json_t *load(ops_strbuf *b)
{
    json_error_t e;
    assert_false(b->failed);
    json_t *j = json_loadb(b->p, b->n, 0, &e);
    if (j == NULL)
        fail_msg("%s at %d: %s", e.text, e.position, b->p);
    return j;
}

static const char *str(json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    assert_non_null(s);
    return s;
}

static void alertmanager_body(void **state)
{
    (void)state;
    struct sample s;
    ops_strbuf b;
    make(&s);
    ops_strbuf_init(&b, 1 << 20);
    const ops_notify_item items[] = {{.f = &s.f, .end_ns = 1764000240000000000},
                                     {.f = &s.f, .end_ns = 1763999999000000000}};
    ops_notify_format_alertmanager(items, 2, "https://ops.example", &b);
    json_t *all = load(&b), *a = json_array_get(all, 0), *labels = json_object_get(a, "labels");
    assert_int_equal(json_array_size(all), 2);
    assert_int_equal(json_object_size(labels), 5);
    assert_string_equal(str(labels, "alertname"), "opsd");
    assert_string_equal(str(labels, "finding"), "f-0123456789abcdef");
    assert_string_equal(str(labels, "service"), "pay");
    assert_string_equal(str(labels, "severity"), "error");
    assert_string_equal(str(labels, "tenant"), "acme");
    assert_string_equal(str(json_object_get(a, "annotations"), "kind"), "rate_up");
    assert_string_equal(str(json_object_get(a, "annotations"), "services"), "pay, db");
    assert_string_equal(str(a, "startsAt"), "2025-11-24T16:00:00.000Z");
    assert_string_equal(str(a, "endsAt"), "2025-11-24T16:04:00.000Z");
    assert_string_equal(str(a, "generatorURL"), "https://ops.example/findings/f-0123456789abcdef");
    /* An end before the start would be refused. */
    a = json_array_get(all, 1);
    assert_string_equal(str(a, "startsAt"), str(a, "endsAt"));
    json_decref(all);
    ops_strbuf_clear(&b);
    ops_notify_format_alertmanager(items, 1, "", &b);
    all = load(&b);
    assert_null(json_object_get(json_array_get(all, 0), "generatorURL"));
    json_decref(all);
    ops_strbuf_done(&b);
}

static void a_rule_goes_under_its_own_labels(void **state)
{
    (void)state;
    struct sample s;
    ops_strbuf b;
    Ops__V1__Label l[3], *labels[2], *annotations[1];
    make(&s);
    for (size_t i = 0; i < 3; i++)
        ops__v1__label__init(&l[i]);
    l[0].name = TEXT("alertname");
    l[0].value = TEXT("Errors");
    l[1].name = TEXT("job");
    l[1].value = hostile;
    l[2].name = TEXT("runbook");
    l[2].value = TEXT("https://ops.example/errors");
    labels[0] = &l[0];
    labels[1] = &l[1];
    annotations[0] = &l[2];
    s.f.kind = OPS__V1__FINDING_KIND__FINDING_KIND_RULE;
    s.f.labels = labels;
    s.f.n_labels = 2;
    s.f.annotations = annotations;
    s.f.n_annotations = 1;
    ops_strbuf_init(&b, 1 << 20);
    const ops_notify_item item = {.f = &s.f, .end_ns = 1764000240000000000};
    ops_notify_format_alertmanager(&item, 1, "", &b);
    json_t *all = load(&b), *a = json_array_get(all, 0);
    assert_int_equal(json_object_size(json_object_get(a, "labels")), 3);
    assert_string_equal(str(json_object_get(a, "labels"), "alertname"), "Errors");
    assert_string_equal(str(json_object_get(a, "labels"), "tenant"), "acme");
    assert_int_equal(json_object_size(json_object_get(a, "annotations")), 2);
    assert_string_equal(str(json_object_get(a, "annotations"), "runbook"), "https://ops.example/errors");
    assert_string_equal(str(json_object_get(a, "annotations"), "finding"), "f-0123456789abcdef");
    json_decref(all);
    /* A label of that name is the rule's; without any labels it is still an alert. */
    ops_strbuf_clear(&b);
    l[1].name = TEXT("tenant");
    l[1].value = TEXT("blue");
    ops_notify_format_alertmanager(&item, 1, "", &b);
    all = load(&b);
    assert_string_equal(str(json_object_get(json_array_get(all, 0), "labels"), "tenant"), "blue");
    json_decref(all);
    ops_strbuf_clear(&b);
    s.f.n_labels = s.f.n_annotations = 0;
    ops_notify_format_alertmanager(&item, 1, "", &b);
    json_decref(load(&b));
    ops_strbuf_done(&b);
}

static void webhook_body(void **state)
{
    (void)state;
    struct sample s;
    ops_strbuf b;
    make(&s);
    ops_strbuf_init(&b, 1 << 20);
    const ops_notify_item item = {.f = &s.f, .number = 17, .time_ns = 1764000002000000000};
    ops_notify_format_webhook(&item, "pager", "", &b);
    json_t *j = load(&b), *f = json_object_get(j, "finding");
    assert_string_equal(str(j, "version"), "1");
    assert_int_equal(json_integer_value(json_object_get(j, "number")), 17);
    assert_string_equal(str(j, "dedupe_key"), "acme/f-0123456789abcdef");
    assert_string_equal(str(j, "status"), "firing");
    assert_string_equal(str(j, "time"), "2025-11-24T16:00:02.000Z");
    assert_null(json_object_get(j, "link"));
    assert_string_equal(str(f, "summary"), "<!channel> & \"quoted\"\n\xef\xbf\xbd\x01 \xe4\xb8\xad");
    json_t *x = json_object_get(f, "statistic");
    assert_true(json_real_value(json_object_get(x, "value")) == 12.5);
    assert_true(json_is_null(json_object_get(x, "score"))); /* JSON has no infinity */
    x = json_array_get(json_object_get(f, "evidence"), 0);
    assert_string_equal(str(x, "template"), "00000000000000aa");
    json_decref(j);
    s.f.state = OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED;
    ops_strbuf_clear(&b);
    ops_notify_format_webhook(&item, "pager", "", &b);
    j = load(&b);
    assert_string_equal(str(j, "status"), "resolved");
    json_decref(j);
    ops_strbuf_done(&b);
}

static void slack_calls_nobody(void **state)
{
    (void)state;
    struct sample s;
    ops_strbuf b;
    make(&s);
    ops_strbuf_init(&b, 1 << 20);
    const ops_notify_item item = {.f = &s.f, .number = 17};
    ops_notify_format_slack(&item, "https://ops.example", &b);
    json_t *j = load(&b), *a = json_array_get(json_object_get(j, "attachments"), 0);
    assert_int_equal(strncmp(str(j, "text"), "[error] &lt;!channel&gt; &amp; \"quoted\"", 38), 0);
    assert_string_equal(str(a, "color"), "danger");
    assert_string_equal(str(a, "title_link"), "https://ops.example/findings/f-0123456789abcdef");
    assert_null(strchr(str(a, "text"), '<'));
    assert_int_equal(json_array_size(json_object_get(a, "fields")), 3);
    json_decref(j);
    ops_strbuf_done(&b);
}

static void long_text_is_cut_between_characters(void **state)
{
    (void)state;
    struct sample s;
    ops_strbuf b;
    char text[3001];
    make(&s);
    text[0] = 'x'; /* so that the limit falls inside a character */
    for (size_t i = 1; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xe4\xb8\xad", 4);
    s.f.summary = text;
    ops_strbuf_init(&b, 1 << 20);
    const ops_notify_item item = {.f = &s.f};
    ops_notify_format_webhook(&item, "pager", "", &b);
    json_t *j = load(&b);
    const char *got = str(json_object_get(j, "finding"), "summary");
    assert_true(strlen(got) > 1000 && strlen(got) <= 1024 && strlen(got) % 3 == 1);
    assert_null(strstr(got, "\xef\xbf\xbd"));
    json_decref(j);
    ops_strbuf_done(&b);
}

/* An incident says that it is one, and what is likely its cause; everything else is as with a finding. */
static void an_incident_has_its_own_name_and_link(void **state)
{
    (void)state;
    struct sample s;
    ops_strbuf b;
    Ops__V1__Label cause = OPS__V1__LABEL__INIT, *labels[] = {&cause};
    make(&s);
    cause.name = TEXT("cause");
    cause.value = TEXT("db");
    s.f.labels = labels;
    s.f.n_labels = 1;
    s.f.id = TEXT("i-0123456789abcdef");
    s.f.kind = OPS__V1__FINDING_KIND__FINDING_KIND_INCIDENT;
    s.f.statistic = NULL;
    ops_strbuf_init(&b, 1 << 20);
    const ops_notify_item item = {
        .f = &s.f, .number = 17, .time_ns = 1764000002000000000, .end_ns = 1764000240000000000};
    ops_notify_format_alertmanager(&item, 1, "https://ops.example", &b);
    json_t *all = load(&b), *a = json_array_get(all, 0), *l = json_object_get(a, "labels");
    assert_int_equal(json_object_size(l), 5); /* the cause may change: no label */
    assert_string_equal(str(l, "incident"), "i-0123456789abcdef");
    assert_null(json_object_get(l, "finding"));
    assert_string_equal(str(json_object_get(a, "annotations"), "cause"), "db");
    assert_string_equal(str(a, "generatorURL"), "https://ops.example/incidents/i-0123456789abcdef");
    json_decref(all);
    ops_strbuf_clear(&b);
    ops_notify_format_webhook(&item, "pager", "https://ops.example", &b);
    json_t *j = load(&b);
    assert_null(json_object_get(j, "finding"));
    assert_string_equal(str(json_object_get(j, "incident"), "cause"), "db");
    assert_string_equal(str(json_object_get(j, "incident"), "kind"), "incident");
    assert_string_equal(str(j, "dedupe_key"), "acme/i-0123456789abcdef");
    assert_string_equal(str(j, "link"), "https://ops.example/incidents/i-0123456789abcdef");
    json_decref(j);
    ops_strbuf_clear(&b);
    ops_notify_format_slack(&item, "", &b);
    j = load(&b);
    json_t *fields = json_object_get(json_array_get(json_object_get(j, "attachments"), 0), "fields");
    assert_string_equal(str(json_array_get(fields, 2), "title"), "cause");
    assert_string_equal(str(json_array_get(fields, 2), "value"), "db");
    json_decref(j);
    ops_strbuf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_incident_has_its_own_name_and_link),
        cmocka_unit_test(alertmanager_body),
        cmocka_unit_test(a_rule_goes_under_its_own_labels),
        cmocka_unit_test(webhook_body),
        cmocka_unit_test(slack_calls_nobody),
        cmocka_unit_test(long_text_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
