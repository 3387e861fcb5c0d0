/* Delivery: at least once and in order, waits, what is given up and counted, what an Alertmanager is told again, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <jansson.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "coordinator/digest/digest.h"
#include "coordinator/notify/judge.h"
#include "coordinator/notify/notify.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/coordinator/notify/script.h"

/* Messages have no const; nothing writes to these. */
#define TEXT(s) ((char *)(uintptr_t)(s))

#define START_NS  1764000000000000000
#define SECOND_NS 1000000000ll

struct world {
    ops_kv *kv;
    ops_repo *repo;
    struct fake_clock clock;
    script script;
    ops_metrics *metrics;
    ops_notify_receiver receiver;
    ops_notify_lane *lane;
    bool silent;
    ops_status (*firing)(void *u, ops_notify_firing_fn fn, void *fu, ops_err *reterr);
};

static bool silenced(void *u, const Ops__V1__Finding *f, int64_t now_ns)
{
    (void)f;
    (void)now_ns;
    return ((struct world *)u)->silent;
}

static void start_lane(struct world *w)
{
    const ops_notify_lane_conf conf = {.repo = w->repo,
                                       .clock = &w->clock.base,
                                       .receiver = &w->receiver,
                                       .metrics = w->metrics,
                                       .port = {&w->script, script_post},
                                       .link = "",
                                       .resend_ms = 60000,
                                       .age_max_ms = 3600 * 1000,
                                       .timeout_ms = 1000,
                                       .firing = w->firing,
                                       .silenced = silenced,
                                       .u = w};
    assert_int_equal(ops_notify_lane_new(&conf, &w->lane, NULL), OPS_OK);
}

static struct world *begin(void **state, ops_notify_kind kind)
{
    static struct world w;
    w = (struct world){.clock = FAKE_CLOCK(START_NS)};
    assert_int_equal(ops_kv_open_memory(OPS_REPO_FAMILIES, &w.kv, NULL), OPS_OK);
    assert_int_equal(ops_repo_open(w.kv, 1, &w.repo, NULL), OPS_OK);
    assert_int_equal(ops_metrics_new(ops_notify_rows, OPS_NOTIFY_ROWS, &w.metrics, NULL), OPS_OK);
    w.receiver = (ops_notify_receiver){.name = "r", .kind = kind, .url = "http://r.invalid/"};
    w.script.answers[0] = (script_answer){.status = 200};
    w.script.answer_count = 1;
    start_lane(&w);
    *state = &w;
    return &w;
}

static int webhook_world(void **state)
{
    (void)begin(state, OPS_NOTIFY_WEBHOOK);
    return 0;
}

static int alertmanager_world(void **state)
{
    (void)begin(state, OPS_NOTIFY_ALERTMANAGER);
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    ops_notify_lane_free(w->lane);
    ops_metrics_free(w->metrics);
    ops_repo_free(w->repo);
    ops_kv_close(w->kv);
    return 0;
}

/* Killed and started again: only what is in the store is left. */
static void restart(struct world *w)
{
    ops_notify_lane_free(w->lane);
    ops_repo_free(w->repo);
    assert_int_equal(ops_repo_open(w->kv, 1, &w->repo, NULL), OPS_OK);
    start_lane(w);
}

/* One commit of the tenant's owner: a finding and the notice of it. */
static void happens(struct world *w, const char *id, int severity, bool open)
{
    Ops__V1__Finding f = OPS__V1__FINDING__INIT;
    uint8_t body[512];
    char *services[] = {TEXT("pay")};
    f.id = TEXT(id);
    f.tenant = TEXT("acme");
    f.kind = OPS__V1__FINDING_KIND__FINDING_KIND_RATE_UP;
    f.severity = (Ops__V1__Level)severity;
    f.state =
        open ? OPS__V1__FINDING_STATE__FINDING_STATE_OPEN : OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED;
    f.services = services;
    f.n_services = 1;
    f.start_time_unix_nano = START_NS - SECOND_NS;
    const ops_slice bytes = ops_slice_of(body, ops__v1__finding__pack(&f, body));
    const ops_repo_finding rf = {ops_slice_str(id), bytes};
    const ops_tenant_commit c = {.tenant = OPS_SLICE("acme"),
                                 .findings = &rf,
                                 .finding_count = 1,
                                 .notices = &bytes,
                                 .notice_count = 1,
                                 .notice_ns = w->clock.wall_ns};
    assert_int_equal(ops_repo_commit_tenant(w->repo, &c, NULL, NULL), OPS_OK);
}

/* An incident, in the shape that its owner writes notices in. */
static ops_slice incident(const char *id, const char *origin, bool open, uint8_t body[512])
{
    Ops__V1__Finding f = OPS__V1__FINDING__INIT;
    Ops__V1__Label l = OPS__V1__LABEL__INIT, *labels[] = {&l};
    l.name = TEXT("origin");
    l.value = TEXT(origin);
    f.id = TEXT(id);
    f.tenant = TEXT("acme");
    f.kind = OPS__V1__FINDING_KIND__FINDING_KIND_INCIDENT;
    f.severity = OPS__V1__LEVEL__LEVEL_ERROR;
    f.state =
        open ? OPS__V1__FINDING_STATE__FINDING_STATE_OPEN : OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED;
    f.labels = labels;
    f.n_labels = 1;
    f.start_time_unix_nano = START_NS - SECOND_NS;
    return ops_slice_of(body, ops__v1__finding__pack(&f, body));
}

static void incident_happens(struct world *w, const char *id, const char *origin)
{
    uint8_t body[512];
    const ops_slice notice = incident(id, origin, true, body);
    const ops_incident_commit c = {
        .tenant = OPS_SLICE("acme"), .notices = &notice, .notice_count = 1, .notice_ns = w->clock.wall_ns};
    assert_int_equal(ops_repo_commit_incidents(w->repo, &c, 1, 0, NULL, NULL), OPS_OK);
}

static uint64_t fate(struct world *w, const char *what)
{
    const ops_slice labels[] = {OPS_SLICE("r"), ops_slice_str(what)};
    return ops_metric_count(ops_metric_at_n(w->metrics, OPS_NOTIFY_ROW_NOTICES, labels, 2));
}

static bool body_has(struct world *w, size_t at, const char *text)
{
    return at < w->script.asked && strstr(w->script.bodies[at], text) != NULL;
}

static void pass(struct world *w, int64_t ms)
{
    fake_clock_advance(&w->clock, ms * 1000000);
}

static void each_change_is_told_once_in_order(void **state)
{
    struct world *w = *state;
    happens(w, "f-1", 2, true);
    happens(w, "f-2", 3, true);
    happens(w, "f-1", 2, false);
    assert_true(ops_notify_lane_turn(w->lane) > 0);
    assert_int_equal(w->script.asked, 3);
    assert_true(body_has(w, 0, "\"number\":1,") && body_has(w, 0, "acme/f-1") && body_has(w, 0, "firing"));
    assert_true(body_has(w, 1, "acme/f-2"));
    assert_true(body_has(w, 2, "acme/f-1") && body_has(w, 2, "resolved"));
    assert_non_null(strstr(w->script.heads[2], "X-Opsd-Dedupe: acme/f-1 3\n"));
    (void)ops_notify_lane_turn(w->lane);
    restart(w);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 3);
    assert_true(fate(w, "delivered") == 3);
}

/* What holds nothing but an Alertmanager's own alerts does not go back to one. */
static void an_alertmanager_hears_of_incidents_that_are_news(void **state)
{
    struct world *w = *state;
    incident_happens(w, "i-1", "alerts");
    incident_happens(w, "i-2", "opsd");
    (void)ops_notify_lane_turn(w->lane);
    pass(w, 60001);
    (void)ops_notify_lane_turn(w->lane); /* it goes on */
    assert_true(w->script.asked >= 2);
    for (size_t i = 0; i < w->script.asked; i++)
        assert_true(body_has(w, i, "\"incident\":\"i-2\"") && !body_has(w, i, "i-1"));
    assert_true(fate(w, "not_for_it") == 1 && fate(w, "delivered") == 1);
}

static ops_status firing(void *u, ops_notify_firing_fn fn, void *fu, ops_err *reterr)
{
    uint8_t body[512];
    (void)u;
    ops_status st = fn(fu, incident("i-7", "opsd", true, body), reterr);
    if (st == OPS_OK)
        st = fn(fu, incident("i-8", "opsd", false, body), reterr);
    return st == OPS_OK ? fn(fu, incident("i-9", "alerts", true, body), reterr) : st;
}

static void after_a_restart_what_fires_is_asked_for(void **state)
{
    struct world *w = *state;
    w->firing = firing;
    restart(w);
    pass(w, 60001);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 1);
    assert_true(body_has(w, 0, "i-7") && !body_has(w, 0, "i-8") && !body_has(w, 0, "i-9"));
}

static void what_was_not_delivered_survives_a_restart(void **state)
{
    struct world *w = *state;
    w->script.answers[0] = (script_answer){.status = 503};
    w->script.answers[1] = (script_answer){.status = 200};
    w->script.answer_count = 2;
    happens(w, "f-1", 2, true);
    assert_true(ops_notify_lane_turn(w->lane) > 0);
    assert_int_equal(w->script.asked, 1);
    happens(w, "f-1", 2, false);
    restart(w);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 3);
    assert_true(body_has(w, 0, "firing") && body_has(w, 1, "firing") && body_has(w, 2, "resolved"));
}

static void a_failure_waits_and_longer_each_time(void **state)
{
    struct world *w = *state;
    w->script.answers[0] = (script_answer){.status = 0};
    happens(w, "f-1", 2, true);
    int64_t least = OPS_NOTIFY_WAIT_FIRST_MS / 2;
    for (size_t i = 1; i <= 12; i++) {
        const int64_t wait = ops_notify_lane_turn(w->lane);
        assert_int_equal(w->script.asked, i);
        assert_true(wait >= least && wait <= OPS_NOTIFY_WAIT_MAX_MS + 1);
        pass(w, wait / 2);
        (void)ops_notify_lane_turn(w->lane); /* too early: nothing is sent */
        assert_int_equal(w->script.asked, i);
        pass(w, wait - wait / 2 + 1);
        least = least * 2 < OPS_NOTIFY_WAIT_MAX_MS / 2 ? least * 2 : OPS_NOTIFY_WAIT_MAX_MS / 2;
        const double circuit = ops_metric_value(ops_metric_at(w->metrics, OPS_NOTIFY_ROW_CIRCUIT, "r"));
        assert_true(circuit == (i >= OPS_NOTIFY_CIRCUIT_AFTER ? 1 : 0));
    }
    w->script.answers[0] = (script_answer){.status = 200};
    (void)ops_notify_lane_turn(w->lane);
    assert_true(fate(w, "delivered") == 1);
    assert_true(ops_metric_value(ops_metric_at(w->metrics, OPS_NOTIFY_ROW_CIRCUIT, "r")) == 0);
}

static void retry_after_is_kept_to(void **state)
{
    struct world *w = *state;
    w->script.answers[0] = (script_answer){.status = 429, .retry_s = 120};
    happens(w, "f-1", 2, true);
    assert_true(ops_notify_lane_turn(w->lane) >= 120000);
    pass(w, 119000);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 1);
    pass(w, 1001);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 2);
}

static void what_is_refused_for_good_is_counted_and_passed(void **state)
{
    struct world *w = *state;
    w->script.answers[0] = (script_answer){.status = 400, .words = "bad"};
    w->script.answers[1] = (script_answer){.status = 200};
    w->script.answer_count = 2;
    happens(w, "f-1", 2, true);
    happens(w, "f-2", 2, true);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 2);
    assert_true(fate(w, "rejected") == 1 && fate(w, "delivered") == 1);
}

static void too_old_is_not_told(void **state)
{
    struct world *w = *state;
    happens(w, "f-1", 2, true);
    pass(w, 3600 * 1000 + 1);
    happens(w, "f-2", 2, true);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 1);
    assert_true(body_has(w, 0, "f-2"));
    assert_true(fate(w, "expired") == 1);
}

static void what_the_outbox_let_go_is_counted(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 5; i++)
        happens(w, "f-1", 2, true);
    assert_int_equal(ops_repo_notices_trim(w->repo, 3, NULL), OPS_OK);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 2);
    assert_true(fate(w, "overflowed") == 3 && fate(w, "delivered") == 2);
}

static void a_silenced_finding_is_told_when_the_silence_ends(void **state)
{
    struct world *w = *state;
    w->silent = true;
    happens(w, "f-1", 2, true);
    happens(w, "f-2", 2, true);
    happens(w, "f-2", 2, false); /* over before anybody was to hear of it */
    (void)ops_notify_lane_turn(w->lane);
    pass(w, 3600 * 1000 * 2);
    restart(w);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 0);
    assert_true(fate(w, "silenced") == 3);
    w->silent = false;
    pass(w, 5001);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 1);
    assert_true(body_has(w, 0, "acme/f-1") && body_has(w, 0, "\"number\":1,"));
    pass(w, 5001);
    (void)ops_notify_lane_turn(w->lane);
    restart(w);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 1);
}

static void what_is_told_later_replaces_what_was_kept_back(void **state)
{
    struct world *w = *state;
    w->silent = true;
    happens(w, "f-1", 2, true);
    (void)ops_notify_lane_turn(w->lane);
    w->silent = false;
    happens(w, "f-1", 2, false);
    (void)ops_notify_lane_turn(w->lane);
    pass(w, 5001);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 1);
    assert_true(body_has(w, 0, "resolved"));
}

static void what_was_kept_back_waits_for_a_dead_receiver(void **state)
{
    struct world *w = *state;
    w->silent = true;
    happens(w, "f-1", 2, true);
    (void)ops_notify_lane_turn(w->lane);
    w->silent = false;
    w->script.answers[0] = (script_answer){.status = 503};
    w->script.answers[1] = (script_answer){.status = 200};
    w->script.answer_count = 2;
    for (int i = 0; i < 3; i++) {
        pass(w, 5001);
        (void)ops_notify_lane_turn(w->lane);
    }
    assert_int_equal(w->script.asked, 2);
    assert_true(fate(w, "delivered") == 1);
}

static void bodies_are_signed(void **state)
{
    struct world *w = *state;
    uint8_t mac[OPS_DIGEST_BYTES];
    char hex[2 * OPS_DIGEST_BYTES + 1], text[5000], want[128];
    (void)snprintf(w->receiver.secret, sizeof w->receiver.secret, "key");
    happens(w, "f-1", 2, true);
    (void)ops_notify_lane_turn(w->lane);
    (void)snprintf(text, sizeof text, "1764000000.%s", w->script.bodies[0]);
    assert_int_equal(ops_digest_hmac_sha256(OPS_SLICE("key"), ops_slice_str(text), mac), OPS_OK);
    ops_hex_put(hex, mac, sizeof mac);
    (void)snprintf(want, sizeof want, "X-Opsd-Signature: sha256=%s\n", hex);
    assert_non_null(strstr(w->script.heads[0], want));
    assert_non_null(strstr(w->script.heads[0], "X-Opsd-Timestamp: 1764000000\n"));
}

/* The nth alert of a request to an Alertmanager. */
static json_t *alerts(struct world *w, size_t at)
{
    assert_true(at < w->script.asked);
    json_t *j = json_loads(w->script.bodies[at], 0, NULL);
    assert_non_null(j);
    return j;
}

static const char *field(json_t *all, size_t at, const char *outer, const char *key)
{
    json_t *a = json_array_get(all, at);
    const char *s = json_string_value(json_object_get(outer != NULL ? json_object_get(a, outer) : a, key));
    assert_non_null(s);
    return s;
}

static void what_fires_is_told_again_until_it_ends(void **state)
{
    struct world *w = *state;
    happens(w, "f-1", 2, true);
    happens(w, "f-2", 2, true);
    (void)ops_notify_lane_turn(w->lane);
    const size_t first = w->script.asked; /* the news, and at once the first round of what fires */
    json_t *j = alerts(w, 0);
    assert_int_equal(json_array_size(j), 2);
    assert_string_equal(field(j, 0, NULL, "endsAt"), "2025-11-24T16:04:00.000Z"); /* four rounds ahead */
    json_decref(j);
    pass(w, 59000);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, first);
    pass(w, 1001);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, first + 1);
    happens(w, "f-1", 2, false);
    (void)ops_notify_lane_turn(w->lane);
    j = alerts(w, first + 1);
    assert_int_equal(json_array_size(j), 1);
    assert_string_equal(field(j, 0, "labels", "finding"), "f-1");
    assert_string_equal(field(j, 0, NULL, "endsAt"), "2025-11-24T16:01:00.001Z");
    json_decref(j);
    restart(w); /* what fires is known from the findings themselves */
    (void)ops_notify_lane_turn(w->lane);
    j = alerts(w, w->script.asked - 1);
    assert_int_equal(json_array_size(j), 1);
    assert_string_equal(field(j, 0, "labels", "finding"), "f-2");
    json_decref(j);
}

static void another_severity_is_another_alert(void **state)
{
    struct world *w = *state;
    happens(w, "f-1", 2, true);
    (void)ops_notify_lane_turn(w->lane);
    const size_t at = w->script.asked;
    happens(w, "f-1", 4, true);
    (void)ops_notify_lane_turn(w->lane);
    json_t *j = alerts(w, at);
    assert_int_equal(json_array_size(j), 2);
    assert_string_equal(field(j, 0, "labels", "severity"), "warning");
    assert_string_equal(field(j, 0, NULL, "endsAt"), "2025-11-24T16:00:00.000Z");
    assert_string_equal(field(j, 1, "labels", "severity"), "critical");
    json_decref(j);
}

static void one_bad_alert_takes_no_others_with_it(void **state)
{
    struct world *w = *state;
    const script_answer plan[] = {{.status = 400}, {.status = 200}, {.status = 400}, {.status = 200}};
    memcpy(w->script.answers, plan, sizeof plan);
    w->script.answer_count = 4;
    happens(w, "f-1", 2, true);
    happens(w, "f-2", 2, true);
    happens(w, "f-3", 2, true);
    (void)ops_notify_lane_turn(w->lane);
    assert_true(fate(w, "delivered") == 2 && fate(w, "rejected") == 1);
    assert_true(body_has(w, 1, "f-1") && body_has(w, 2, "f-2") && body_has(w, 3, "f-3"));
}

static void a_new_receiver_hears_from_now_on(void **state)
{
    struct world *w = *state;
    happens(w, "f-1", 2, true);
    ops_notify_lane_free(w->lane);
    (void)snprintf(w->receiver.name, sizeof w->receiver.name, "other");
    start_lane(w);
    (void)ops_notify_lane_turn(w->lane);
    assert_int_equal(w->script.asked, 0);
    (void)snprintf(w->receiver.name, sizeof w->receiver.name, "r");
}

struct count {
    size_t n;
    uint64_t first;
};

static ops_status count_one(void *u, const ops_repo_notice *n, ops_err *reterr)
{
    struct count *c = u;
    (void)reterr;
    if (c->n++ == 0)
        c->first = n->number;
    return OPS_OK;
}

static bool idle(ops_repo *repo)
{
    uint64_t at = 0;
    return ops_repo_cursor_get(repo, OPS_SLICE("well"), &at, NULL) == OPS_OK && at == 10;
}

/* Through the threads: one receiver is dead, the other is told all. */
static void a_dead_receiver_holds_up_no_other(void **state)
{
    struct world *w = *state;
    static script dead = {.answers = {{.status = 0}}, .answer_count = 1};
    static script well = {.answers = {{.status = 200}}, .answer_count = 1};
    const ops_notify_receiver two[] = {
        {.name = "dead", .kind = OPS_NOTIFY_SLACK, .url = "http://d.invalid/"},
        {.name = "well", .kind = OPS_NOTIFY_SLACK, .url = "http://w.invalid/"}};
    const ops_notify_port ports[] = {{&dead, script_post}, {&well, script_post}};
    const ops_notify_conf conf = {
        .repo = w->repo, .clock = &w->clock.base, .receivers = two, .receiver_count = 2, .ports = ports};
    ops_notify *n = NULL;
    assert_int_equal(ops_notify_new(&conf, &n, NULL), OPS_OK);
    for (int i = 0; i < 10; i++)
        happens(w, "f-1", 2, true);
    assert_int_equal(ops_notify_start(n, NULL), OPS_OK);
    while (!idle(w->repo))
        ops_notify_wake(n);
    ops_notify_stop(n);
    assert_int_equal(well.asked, 10);
    ops_strbuf text;
    ops_strbuf_init(&text, 1 << 16);
    ops_notify_text(n, &text);
    assert_non_null(strstr(text.p, "opsd_notify_waiting{receiver=\"dead\"} 10\n"));
    assert_non_null(strstr(text.p, "opsd_notify_waiting{receiver=\"well\"} 0\n"));
    assert_non_null(strstr(text.p, "opsd_notify_notices_total{receiver=\"well\",fate=\"delivered\"} 10\n"));
    ops_strbuf_done(&text);
    ops_notify_free(n);
}

/* A receiver that is dead lets the outbox grow to its bound and no further. */
static void the_queue_has_a_bound(void **state)
{
    struct world *w = *state;
    static script dead = {.answers = {{.status = 0}}, .answer_count = 1},
                  well = {.answers = {{.status = 200}}, .answer_count = 1};
    const ops_notify_receiver two[] = {
        {.name = "dead", .kind = OPS_NOTIFY_SLACK, .url = "http://d.invalid/"},
        {.name = "well", .kind = OPS_NOTIFY_SLACK, .url = "http://w.invalid/"}};
    const ops_notify_port ports[] = {{&dead, script_post}, {&well, script_post}};
    const ops_notify_conf conf = {
        .repo = w->repo, .receivers = two, .receiver_count = 2, .queue_max = 3, .ports = ports};
    ops_notify *n = NULL;
    assert_int_equal(ops_notify_new(&conf, &n, NULL), OPS_OK);
    for (int i = 0; i < 10; i++)
        happens(w, "f-1", 2, true);
    assert_int_equal(ops_notify_trim(n, NULL), OPS_OK);
    ops_notify_free(n);
    struct count c = {0};
    assert_int_equal(ops_repo_notices_since(w->repo, 0, count_one, &c, NULL), OPS_OK);
    assert_true(c.n == 3 && c.first == 8);
}

/* Whichever allocation fails, the change is told in the end, and the lane is whole. */
static void an_allocation_that_fails_loses_nothing(void **state)
{
    struct world *w = *state;
    for (long nth = 1; nth < 60; nth++) {
        const size_t before = w->script.asked;
        happens(w, "f-1", 2, true);
        ops_alloc_fail_at(nth);
        (void)ops_notify_lane_turn(w->lane);
        ops_alloc_fail_at(0);
        pass(w, 10 * 60 * 1000);
        (void)ops_notify_lane_turn(w->lane);
        assert_true(w->script.asked > before);
        assert_true(ops_notify_lane_cursor(w->lane) == ops_repo_notice_last(w->repo));
    }
    assert_true(fate(w, "rejected") == 0 && fate(w, "damaged") == 0);
}

static void an_allocation_that_fails_keeps_back_all_the_same(void **state)
{
    struct world *w = *state;
    for (long nth = 1; nth < 60; nth++) {
        const size_t before = w->script.asked;
        w->silent = true;
        happens(w, "f-1", 2, true);
        ops_alloc_fail_at(nth);
        (void)ops_notify_lane_turn(w->lane);
        ops_alloc_fail_at(0);
        (void)ops_notify_lane_turn(w->lane);
        assert_int_equal(w->script.asked, before);
        w->silent = false;
        pass(w, 10 * 60 * 1000);
        ops_alloc_fail_at(nth);
        (void)ops_notify_lane_turn(w->lane);
        ops_alloc_fail_at(0);
        pass(w, 10 * 60 * 1000);
        (void)ops_notify_lane_turn(w->lane);
        assert_true(w->script.asked > before);
    }
}

static void a_lane_that_can_not_begin_leaves_nothing(void **state)
{
    struct world *w = *state;
    ops_err err;
    happens(w, "f-1", 2, true);
    ops_notify_lane_free(w->lane);
    w->lane = NULL;
    const long live = ops_alloc_live();
    const ops_notify_lane_conf conf = {.repo = w->repo,
                                       .clock = &w->clock.base,
                                       .receiver = &w->receiver,
                                       .metrics = w->metrics,
                                       .port = {&w->script, script_post},
                                       .link = ""};
    for (long nth = 1;; nth++) {
        ops_alloc_fail_at(nth);
        ops_status st = ops_notify_lane_new(&conf, &w->lane, &err);
        ops_alloc_fail_at(0);
        if (st == OPS_OK)
            break;
        assert_int_equal(st, OPS_ENOMEM);
        assert_true(ops_alloc_live() == live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define W(test) cmocka_unit_test_setup_teardown(test, webhook_world, end_world)
#define A(test) cmocka_unit_test_setup_teardown(test, alertmanager_world, end_world)
        W(each_change_is_told_once_in_order),
        W(what_was_not_delivered_survives_a_restart),
        W(a_failure_waits_and_longer_each_time),
        W(retry_after_is_kept_to),
        W(what_is_refused_for_good_is_counted_and_passed),
        W(too_old_is_not_told),
        W(what_the_outbox_let_go_is_counted),
        W(a_silenced_finding_is_told_when_the_silence_ends),
        W(what_is_told_later_replaces_what_was_kept_back),
        W(what_was_kept_back_waits_for_a_dead_receiver),
        W(bodies_are_signed),
        W(a_new_receiver_hears_from_now_on),
        W(the_queue_has_a_bound),
        W(an_allocation_that_fails_loses_nothing),
        A(an_alertmanager_hears_of_incidents_that_are_news),
        A(after_a_restart_what_fires_is_asked_for),
        A(an_allocation_that_fails_loses_nothing),
        W(an_allocation_that_fails_keeps_back_all_the_same),
        A(a_lane_that_can_not_begin_leaves_nothing),
        W(a_dead_receiver_holds_up_no_other),
        A(what_fires_is_told_again_until_it_ends),
        A(another_severity_is_another_alert),
        A(one_bad_alert_takes_no_others_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
