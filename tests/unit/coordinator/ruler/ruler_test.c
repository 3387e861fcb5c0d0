/* Rules evaluated live, turn by turn: what is told, what goes on over a restart and a reload, what is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "coordinator/ruler/ruler.h"
#include "tests/support/fake_clock.h"

#define T0 1764000000000ll /* ms; a multiple of 10 s */

static const char down[] = "groups:\n"
                           "- name: hosts\n"
                           "  interval: 10s\n"
                           "  rules:\n"
                           "  - record: job:up:sum\n"
                           "    expr: sum by (job) (up)\n"
                           "  - alert: Down\n"
                           "    expr: job:up:sum == 0\n"
                           "    for: 20s\n"
                           "    labels: {severity: page}\n"
                           "    annotations: {summary: '{{ $labels.job }} is at {{ $value }}'}\n";

/* What the outside has: one state and one line a group, as it was told last. */
typedef struct outside {
    char key[8][64], state[8][4096], firing[8][256];
    size_t state_n[8], n, words;
    ops_status answer;
} outside;

typedef struct world {
    outside out;
    struct fake_clock clock;
    ops_ruler *r;
    /* stored samples of up{job="api"}, for the history */
    ops_sample stored[16];
    size_t stored_n;
    int64_t asked_since_ns;
} world;

static size_t slot(outside *o, ops_slice tenant, ops_slice group)
{
    char key[64];
    (void)snprintf(key, sizeof key, OPS_SLICE_FMT "/" OPS_SLICE_FMT, OPS_SLICE_ARG(tenant),
                   OPS_SLICE_ARG(group));
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->key[i], key) == 0)
            return i;
    assert_true(o->n < 8);
    memcpy(o->key[o->n], key, sizeof key);
    return o->n++;
}

static ops_status tell(void *u, const ops_ruler_word *w, ops_err *reterr)
{
    outside *o = &((world *)u)->out;
    size_t at = slot(o, w->tenant, w->group);
    (void)reterr;
    o->words++;
    if (o->answer != OPS_OK)
        return o->answer;
    assert_true(w->state.n <= sizeof o->state[at]);
    if (w->state.n > 0)
        memcpy(o->state[at], w->state.p, w->state.n);
    o->state_n[at] = w->state.n;
    o->firing[at][0] = '\0';
    for (size_t i = 0; i < w->n; i++) {
        const ops_rules_alert *a = w->firing[i].alert;
        ops_slice job = ops_rules_labels_get(a->labels, OPS_SLICE("job")),
                  summary = ops_rules_labels_get(a->annotations, OPS_SLICE("summary"));
        assert_int_equal(strlen(w->firing[i].fingerprint), OPS_RULER_FINGERPRINT_LEN);
        assert_memory_equal(w->firing[i].fingerprint, w->group.p, w->group.n);
        size_t have = strlen(o->firing[at]);
        (void)snprintf(o->firing[at] + have, sizeof o->firing[at] - have,
                       "[" OPS_SLICE_FMT ": " OPS_SLICE_FMT "]", OPS_SLICE_ARG(job), OPS_SLICE_ARG(summary));
    }
    return OPS_OK;
}

static ops_status states(void *u, void (*fn)(void *fu, ops_slice tenant, ops_slice group, ops_slice state),
                         void *fu, ops_err *reterr)
{
    outside *o = &((world *)u)->out;
    (void)reterr;
    for (size_t i = 0; i < o->n; i++) {
        ops_slice key = ops_slice_str(o->key[i]);
        size_t cut = (size_t)ops_slice_find_char(key, '/');
        if (o->state_n[i] > 0)
            fn(fu, ops_slice_sub(key, 0, cut), ops_slice_sub(key, cut + 1, key.n),
               ops_slice_of(o->state[i], o->state_n[i]));
    }
    return OPS_OK;
}

static const ops_attr api[] = {{{"instance", 8}, {"a", 1}}, {{"job", 3}, {"api", 3}}};

static ops_series_id up(void)
{
    return (ops_series_id){OPS_SERIES_GAUGE, {"api", 3}, {"up", 2}, api, 2};
}

static ops_status history(void *u, int64_t since_ns, ops_series_fn fn, void *fu, ops_err *reterr)
{
    world *w = u;
    ops_series_id id = up();
    w->asked_since_ns = since_ns;
    return w->stored_n > 0 ? fn(fu, OPS_SLICE("acme"), &id, w->stored, w->stored_n, reterr) : OPS_OK;
}

static void begin(world *w, const ops_rules_store_limits *store)
{
    const ops_ruler_ports ports = {w, tell, states, history};
    ops_ruler_conf conf = {.clock = &w->clock.base, .inbox_bytes_max = 64 * 1024};
    if (store != NULL)
        conf.store = *store;
    assert_int_equal(ops_ruler_new(&conf, &ports, &w->r, NULL), OPS_OK);
}

static void use(world *w, const char *yaml, const char *path)
{
    ops_ruler_set *set = NULL;
    ops_err err = {0};
    assert_int_equal(ops_ruler_set_new(60000, 3600000, &set), OPS_OK);
    if (yaml != NULL && ops_ruler_set_add(set, OPS_SLICE("acme"), ops_slice_str(yaml), path, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    ops_ruler_use(w->r, set);
}

static void give(world *w, const char *tenant, double v, int64_t t_ms)
{
    const ops_sample s = {t_ms * 1000000, v, 0};
    const ops_series_id id = up();
    ops_ruler_samples(w->r, ops_slice_str(tenant), &id, &s, 1);
}

static void steps(world *w, int64_t from_s, int64_t to_s)
{
    for (int64_t s = from_s; s <= to_s; s++)
        ops_ruler_step(w->r, T0 + s * 1000);
}

static const char *fires(const world *w)
{
    return w->out.n > 0 ? w->out.firing[0] : "";
}

static bool counts(world *w, const char *line)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    ops_ruler_text(w->r, &b);
    bool yes = ops_slice_find(ops_strbuf_get(&b), ops_slice_str(line)) >= 0;
    if (!yes)
        print_message("%s", b.p);
    ops_strbuf_done(&b);
    return yes;
}

static void an_alert_waits_fires_and_ends(void **state)
{
    world w = {.clock = FAKE_CLOCK(T0 * 1000000)};
    (void)state;
    begin(&w, NULL);
    use(&w, down, "hosts.yml");
    ops_ruler_step(w.r, T0);
    assert_true(w.asked_since_ns == (T0 - 300000) * 1000000);
    give(&w, "acme", 0, T0);
    give(&w, "other", 0, T0); /* a tenant without rules */
    steps(&w, 1, 20);
    assert_true(w.out.words >= 1 && w.out.state_n[0] > 0); /* pending: kept, not told */
    assert_string_equal(fires(&w), "");
    steps(&w, 21, 45);
    assert_string_equal(fires(&w), "[api: api is at 0]");
    size_t words = w.out.words;
    steps(&w, 46, 80); /* nothing new */
    assert_int_equal(w.out.words, words);
    assert_true(counts(&w, "opsd_rule_alerts{state=\"firing\"} 1"));
    give(&w, "acme", 1, T0 + 80000);
    steps(&w, 81, 100);
    assert_string_equal(fires(&w), "");
    assert_true(w.out.state_n[0] > 0); /* resolved ones are remembered a while */
    steps(&w, 101, 101 + 16 * 60);
    assert_int_equal(w.out.state_n[0], 0);
    ops_ruler_free(w.r);
}

/* `for` goes on where it was: pending since 10 s, it fires 10 s after the restart, on samples read back. */
static void a_pending_alert_goes_on_over_a_restart(void **state)
{
    world w = {.clock = FAKE_CLOCK(T0 * 1000000)};
    (void)state;
    begin(&w, NULL);
    use(&w, down, "hosts.yml");
    ops_ruler_step(w.r, T0);
    give(&w, "acme", 0, T0);
    steps(&w, 1, 15);
    assert_string_equal(fires(&w), "");
    ops_ruler_free(w.r);
    w.stored[0] = (ops_sample){T0 * 1000000, 0, 0};
    w.stored_n = 1;
    begin(&w, NULL);
    use(&w, down, "hosts.yml");
    size_t words = w.out.words;
    steps(&w, 16, 17);
    assert_int_equal(w.out.words, words); /* as it was told */
    steps(&w, 18, 35);
    assert_string_equal(fires(&w), "[api: api is at 0]");
    /* A restart while it fires changes nothing either; without its rules it ends. */
    ops_ruler_free(w.r);
    begin(&w, NULL);
    use(&w, down, "hosts.yml");
    steps(&w, 36, 60);
    assert_string_equal(fires(&w), "[api: api is at 0]");
    ops_ruler_free(w.r);
    begin(&w, NULL);
    use(&w, NULL, NULL);
    steps(&w, 61, 62);
    assert_string_equal(fires(&w), "");
    assert_int_equal(w.out.state_n[0], 0);
    ops_ruler_free(w.r);
}

static void a_reload_keeps_what_it_knows_and_ends_the_rest(void **state)
{
    static const char more[] =
        "groups:\n- name: others\n  interval: 10s\n  rules:\n  - {record: x, expr: vector(1)}\n";
    world w = {.clock = FAKE_CLOCK(T0 * 1000000)};
    (void)state;
    begin(&w, NULL);
    use(&w, down, "hosts.yml");
    ops_ruler_step(w.r, T0);
    give(&w, "acme", 0, T0);
    steps(&w, 1, 45);
    assert_string_equal(fires(&w), "[api: api is at 0]");
    use(&w, down, "hosts.yml");
    steps(&w, 46, 70);
    assert_string_equal(fires(&w), "[api: api is at 0]");
    use(&w, more, "others.yml");
    steps(&w, 71, 90);
    assert_string_equal(fires(&w), "");
    assert_true(counts(&w, "opsd_rule_groups 1"));
    ops_ruler_free(w.r);
}

static void what_was_not_taken_is_told_again(void **state)
{
    world w = {.clock = FAKE_CLOCK(T0 * 1000000)};
    (void)state;
    begin(&w, NULL);
    use(&w, down, "hosts.yml");
    ops_ruler_step(w.r, T0);
    give(&w, "acme", 0, T0);
    w.out.answer = OPS_EAGAIN;
    steps(&w, 1, 45);
    assert_string_equal(fires(&w), "");
    assert_true(w.out.words >= 3); /* at every turn */
    w.out.answer = OPS_OK;
    steps(&w, 46, 56);
    assert_string_equal(fires(&w), "[api: api is at 0]");
    size_t words = w.out.words;
    ops_ruler_untold(w.r); /* taken, and then not written */
    steps(&w, 57, 67);
    assert_int_equal(w.out.words, words + 1);
    ops_ruler_free(w.r);
}

static void every_sample_has_a_fate(void **state)
{
    const ops_rules_store_limits small = {.series_max = 2};
    world w = {.clock = FAKE_CLOCK(T0 * 1000000)};
    ops_attr other[] = {{{"instance", 8}, {"b", 1}}, {{"job", 3}, {"api", 3}}};
    ops_series_id id = up();
    ops_sample s = {T0 * 1000000, 1, 0};
    (void)state;
    begin(&w, &small);
    use(&w, down, "hosts.yml");
    ops_ruler_step(w.r, T0);
    give(&w, "acme", 1, T0);
    give(&w, "acme", 1, T0);         /* once more */
    give(&w, "acme", 2, T0);         /* another value at that time */
    give(&w, "acme", 1, T0 - 10000); /* late */
    id.labels = other;
    ops_ruler_samples(w.r, OPS_SLICE("acme"), &id, &s, 1);
    other[0].val = OPS_SLICE("c");
    ops_ruler_samples(w.r, OPS_SLICE("acme"), &id, &s, 1); /* one series too many */
    id.name = OPS_SLICE("down");
    ops_ruler_samples(w.r, OPS_SLICE("acme"), &id, &s, 1); /* no rule looks at it */
    ops_ruler_step(w.r, T0 + 1);
    assert_true(counts(&w, "opsd_rule_samples_total{fate=\"kept\"} 3"));
    assert_true(counts(&w, "opsd_rule_samples_total{fate=\"duplicate\"} 1"));
    assert_true(counts(&w, "opsd_rule_samples_total{fate=\"late\"} 1"));
    assert_true(counts(&w, "opsd_rule_samples_total{fate=\"full\"} 1"));
    for (int i = 0; i < 2000; i++) /* nobody takes them: the box fills */
        give(&w, "acme", 1, T0 + 1000 * i);
    assert_true(counts(&w, "opsd_rule_samples_total{fate=\"dropped\"}"));
    /* A turn that comes late for several instants is one. */
    steps(&w, 10, 10);
    steps(&w, 75, 75);
    assert_true(counts(&w, "opsd_rule_group_missed_total 6"));
    ops_ruler_free(w.r);
}

static bool see_alert(void *u, const ops_ruler_group_view *g)
{
    const ops_ruler_rule_view *v = &g->rules[1];
    ops_strbuf_printf(u, "%zu/%zu", v->pending, v->firing);
    for (size_t i = 0; i < v->alert_n; i++) {
        ops_strbuf_char(u, ' ');
        ops_rules_labels_print(v->alerts[i].labels, u);
        ops_strbuf_printf(u, v->alerts[i].firing ? " fires since %lld" : " waits since %lld",
                          (long long)(v->alerts[i].active_ms - T0) / 1000);
    }
    return true;
}

/* The group's instants are 3 s after multiples of 10 s, by the hash of its file and name. */
static void alerts_can_be_seen(void **state)
{
    world w = {.clock = FAKE_CLOCK(T0 * 1000000)};
    ops_strbuf b;
    (void)state;
    ops_strbuf_init(&b, 4096);
    begin(&w, NULL);
    use(&w, down, "hosts.yml");
    ops_ruler_step(w.r, T0);
    give(&w, "acme", 0, T0);
    steps(&w, 1, 12);
    ops_ruler_groups(w.r, OPS_SLICE("acme"), see_alert, &b);
    steps(&w, 13, 45);
    ops_strbuf_str(&b, "; ");
    ops_ruler_groups(w.r, OPS_SLICE("acme"), see_alert, &b);
    assert_string_equal(b.p, "1/0 {alertname=\"Down\", job=\"api\", severity=\"page\"} waits since 3; "
                             "0/1 {alertname=\"Down\", job=\"api\", severity=\"page\"} fires since 3");
    ops_strbuf_done(&b);
    ops_ruler_free(w.r);
}

static bool look(void *u, const ops_ruler_group_view *g)
{
    int *seen = u;
    ++*seen;
    assert_true(ops_slice_eq(g->name, OPS_SLICE("bad")) && g->interval_ms == 60000 && g->n == 2);
    assert_true(g->rules[0].evaluated && strstr(g->rules[0].error, "many-to-many") != NULL);
    assert_true(g->rules[1].evaluated && g->rules[1].error[0] == '\0');
    assert_true(g->evaluations == 1 && g->last_ms > T0);
    return true;
}

static void a_rule_that_fails_says_so_and_the_others_go_on(void **state)
{
    static const char bad[] = "groups:\n- name: bad\n  rules:\n  - {record: a, expr: up + on(job) up}\n"
                              "  - {record: b, expr: vector(1)}\n";
    world w = {.clock = FAKE_CLOCK(T0 * 1000000)};
    ops_attr two[] = {{{"instance", 8}, {"b", 1}}, {{"job", 3}, {"api", 3}}};
    ops_series_id id = up();
    const ops_sample s = {T0 * 1000000, 1, 0};
    int seen = 0;
    (void)state;
    id.labels = two;
    begin(&w, NULL);
    use(&w, bad, "bad.yml");
    ops_ruler_step(w.r, T0);
    give(&w, "acme", 1, T0);
    ops_ruler_samples(w.r, OPS_SLICE("acme"), &id, &s, 1);
    steps(&w, 1, 60);
    ops_ruler_groups(w.r, OPS_SLICE("acme"), look, &seen);
    ops_ruler_groups(w.r, OPS_SLICE("other"), look, &seen);
    assert_int_equal(seen, 1);
    assert_true(counts(&w, "opsd_rules{health=\"failed\"} 1"));
    ops_ruler_free(w.r);
}

static void what_a_set_does_not_take_is_told_by_line(void **state)
{
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"groups:\n- name: g\n  rules:\n  - {record: a, expr: vector(1)}\n  - {alert: B, expr: 'rate(x[2h]) "
         "> 0'}\n",
         "r.yml:5: rule 'B' looks back further than rules.keep_max (3600 s)"},
        {"groups:\n- name: g\n  rules:\n  - {record: a, expr: x @ 100}\n",
         "r.yml:4: rule 'a' looks back to a time of its own"},
        {"groups:\n- name: g\n  rules:\n  - {record: a, expr: 'x +'}\n", "r.yml:4: "},
        {"groups: 7\n", "r.yml:1: "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ops_ruler_set *set = NULL;
        ops_err err = {0};
        assert_int_equal(ops_ruler_set_new(60000, 3600000, &set), OPS_OK);
        assert_int_not_equal(
            ops_ruler_set_add(set, OPS_SLICE("acme"), ops_slice_str(cases[i].yaml), "r.yml", &err), OPS_OK);
        if (strstr(err.msg, cases[i].says) == NULL)
            fail_msg("%s, not %s", err.msg, cases[i].says);
        ops_ruler_set_free(set);
    }
}

static void every_allocation_of_a_set_may_fail(void **state)
{
    ops_status st = OPS_ENOMEM;
    (void)state;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_ruler_set *set = NULL;
        ops_alloc_fail_at(nth);
        st = ops_ruler_set_new(60000, 3600000, &set);
        if (st == OPS_OK)
            st = ops_ruler_set_add(set, OPS_SLICE("acme"), ops_slice_str(down), "hosts.yml", NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM || st == OPS_EINVAL || st == OPS_ETOOBIG);
        ops_ruler_set_free(set);
        assert_int_equal(ops_alloc_live(), 0);
        assert_true(nth < 10000);
    }
}

/* A life under memory pressure: no crash, and with memory again it goes on. */
static void turns_survive_failed_allocations(void **state)
{
    (void)state;
    for (long nth = 1; nth < 400; nth += 7) {
        world w = {.clock = FAKE_CLOCK(T0 * 1000000)};
        begin(&w, NULL);
        use(&w, down, "hosts.yml");
        ops_alloc_fail_at(nth);
        ops_ruler_step(w.r, T0);
        give(&w, "acme", 0, T0);
        steps(&w, 1, 20);
        ops_alloc_fail_at(0);
        give(&w, "acme", 0, T0 + 20000);
        steps(&w, 21, 65);
        if (strcmp(fires(&w), "[api: api is at 0]") != 0)
            fail_msg("allocation %ld: '%s'", nth, fires(&w));
        ops_ruler_free(w.r);
        assert_int_equal(ops_alloc_live(), 0);
    }
}

/* The thread itself, with others that hand in samples, look, and bring new rules meanwhile. */
typedef struct busy {
    ops_ruler *r;
    atomic_bool stop;
    atomic_int fired;
} busy;

static ops_status tell_busy(void *u, const ops_ruler_word *w, ops_err *reterr)
{
    busy *b = u;
    (void)reterr;
    if (w->n > 0)
        atomic_fetch_add(&b->fired, 1);
    return OPS_OK;
}

static void *hand_in(void *u)
{
    busy *b = u;
    while (!atomic_load(&b->stop)) {
        const struct timespec pause = {0, 1000000};
        const ops_sample x = {ops_clock_wall_ns(ops_clock_system()), 0, 0};
        const ops_series_id id = up();
        ops_ruler_samples(b->r, OPS_SLICE("acme"), &id, &x, 1);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static bool look_only(void *u, const ops_ruler_group_view *g)
{
    *(size_t *)u += g->n;
    return true;
}

static void others_may_come_while_it_works(void **state)
{
    static const char quick[] = "groups:\n- name: g\n  interval: 1s\n  rules:\n"
                                "  - {alert: Down, expr: up == 0}\n";
    const ops_ruler_conf conf = {0};
    busy b = {0};
    const ops_ruler_ports ports = {.u = &b, .tell = tell_busy};
    pthread_t threads[2];
    (void)state;
    assert_int_equal(ops_ruler_new(&conf, &ports, &b.r, NULL), OPS_OK);
    assert_int_equal(ops_ruler_start(b.r, NULL), OPS_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hand_in, &b), 0);
    const int64_t end_ns = ops_clock_mono_ns(ops_clock_system()) + 30 * INT64_C(1000000000);
    for (size_t seen = 0, turn = 0; atomic_load(&b.fired) == 0 || seen == 0; turn++) {
        const struct timespec pause = {0, 20000000};
        ops_strbuf text;
        if (turn % 64 == 0) { /* often enough to meet an evaluation, seldom enough to let one happen */
            ops_ruler_set *set = NULL;
            assert_int_equal(ops_ruler_set_new(60000, 3600000, &set), OPS_OK);
            assert_int_equal(ops_ruler_set_add(set, OPS_SLICE("acme"), ops_slice_str(quick), "g.yml", NULL),
                             OPS_OK);
            ops_ruler_use(b.r, set);
        }
        ops_strbuf_init(&text, 1 << 20);
        ops_ruler_text(b.r, &text);
        ops_strbuf_done(&text);
        ops_ruler_groups(b.r, (ops_slice){0}, look_only, &seen);
        ops_ruler_untold(b.r);
        (void)nanosleep(&pause, NULL);
        assert_true(ops_clock_mono_ns(ops_clock_system()) < end_ns);
    }
    atomic_store(&b.stop, true);
    for (size_t i = 0; i < 2; i++)
        (void)pthread_join(threads[i], NULL);
    ops_ruler_free(b.r);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_waits_fires_and_ends),
        cmocka_unit_test(a_pending_alert_goes_on_over_a_restart),
        cmocka_unit_test(a_reload_keeps_what_it_knows_and_ends_the_rest),
        cmocka_unit_test(what_was_not_taken_is_told_again),
        cmocka_unit_test(alerts_can_be_seen),
        cmocka_unit_test(every_sample_has_a_fate),
        cmocka_unit_test(a_rule_that_fails_says_so_and_the_others_go_on),
        cmocka_unit_test(what_a_set_does_not_take_is_told_by_line),
        cmocka_unit_test(every_allocation_of_a_set_may_fail),
        cmocka_unit_test(turns_survive_failed_allocations),
        cmocka_unit_test(others_may_come_while_it_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
