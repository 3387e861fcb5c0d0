/* Streams simulated over event time: faults give findings soon, quiet kinds give none. No clock anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "coordinator/analysis/finding/book.h"
#include "coordinator/analysis/pipeline/pipeline.h"

#define SECOND ((int64_t)1000000000)
#define START  (1700000000 * SECOND)

typedef struct seen {
    int64_t now; /* event time of the simulation */
    int candidates, opened, closed;
    int64_t first_ns; /* when the first finding opened */
    ops_candidate_kind kind;
    char service[64], evidence[256], words[512];
} seen;

typedef struct world {
    ops_pipeline *p;
    ops_finding_book *book;
    seen s;
    uint64_t random;
} world;

static uint32_t rng(world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint32_t)(w->random >> 32);
}

static void on_candidate(void *u, const ops_candidate *c)
{
    world *w = u;
    w->s.candidates++;
    assert_int_equal(ops_finding_book_add(w->book, c, w->s.now, NULL), OPS_OK);
}

static void on_change(void *u, ops_finding_change change, const ops_finding *f)
{
    world *w = u;
    w->s.closed += change == OPS_FINDING_WAS_CLOSED;
    if (change != OPS_FINDING_OPENED)
        return;
    if (w->s.opened++ > 0)
        return;
    w->s.first_ns = w->s.now;
    w->s.kind = f->kind;
    snprintf(w->s.service, sizeof w->s.service, OPS_SLICE_FMT, OPS_SLICE_ARG(f->services[0]));
    snprintf(w->s.words, sizeof w->s.words, OPS_SLICE_FMT, OPS_SLICE_ARG(f->summary));
    if (f->evidence_count > 0)
        snprintf(w->s.evidence, sizeof w->s.evidence, OPS_SLICE_FMT, OPS_SLICE_ARG(f->evidence[0].text));
}

static void begin(world *w, uint64_t seed)
{
    *w = (world){.random = seed * 0x9e3779b97f4a7c15ull + 1, .s.now = START};
    ops_pipeline_limits pl = {.on_candidate = on_candidate, .u = w};
    ops_finding_limits fl = {.tenant = OPS_SLICE("t"), .on_change = on_change, .u = w};
    assert_int_equal(ops_pipeline_new(&pl, &w->p, NULL), OPS_OK);
    assert_int_equal(ops_finding_book_new(&fl, &w->book, NULL), OPS_OK);
}

static void end(world *w)
{
    ops_pipeline_free(w->p);
    ops_finding_book_free(w->book);
}

static void say(world *w, const char *service, uint8_t severity, const char *text)
{
    ops_event e = {.tenant = OPS_SLICE("t"),
                   .service = ops_slice_str(service),
                   .message = ops_slice_str(text),
                   .time_ns = w->s.now + rng(w) % SECOND,
                   .severity = severity};
    assert_int_equal(ops_pipeline_add(w->p, &e, NULL, NULL), OPS_OK);
}

enum {
    WEB_DOWN = 1,
    APP_ERRORS = 2,
    DB_DEAD = 4,
    DEPLOYED = 8,
    DEPLOYING = 16,
    BURST = 32,
    FEW_REQUESTS = 64
};

/* One second of three services under `load` requests a second, with the chance errors every system has. */
static void second(world *w, double load, unsigned what)
{
    char buf[160];
    uint32_t n = (uint32_t)(load / 2) + rng(w) % ((uint32_t)load + 1);
    for (uint32_t i = 0; i < n; i++) {
        if ((what & WEB_DOWN) == 0) {
            snprintf(buf, sizeof buf, "GET /items/%u answered in %u ms", rng(w) % 9999, rng(w) % 90);
            say(w, "web", 9, buf);
        }
        snprintf(buf, sizeof buf,
                 (what & DEPLOYED) != 0 ? "order %u accepted by v2 for customer=%u"
                                        : "order %u stored for customer=%u",
                 rng(w), rng(w) % 500);
        if ((what & (APP_ERRORS | DB_DEAD)) == 0)
            say(w, "app", 9, buf);
        else
            say(w, "app", 17, "could not connect to database: connection refused");
    }
    if (rng(w) % 97 == 0)
        say(w, "app", 17, "client went away before the answer was written");
    if (rng(w) % 31 == 0 && (what & DB_DEAD) == 0) {
        snprintf(buf, sizeof buf, "checkpoint complete: wrote %u buffers", rng(w) % 999);
        say(w, "db", 9, buf);
    }
    for (unsigned i = 0; (what & DEPLOYING) != 0 && i < 12; i++) {
        static const char *const news[] = {"alpha", "beta",  "gamma", "delta", "epsilon", "zeta",
                                           "eta",   "theta", "iota",  "kappa", "mu",      "nu"};
        static const char *const verbs[] = {"opened", "tuned",  "warmed", "mapped", "read",  "bound",
                                            "joined", "sealed", "primed", "linked", "drawn", "set"};
        snprintf(buf, sizeof buf, "%s module %s", verbs[i], news[i]);
        say(w, "app", 9, buf);
    }
    for (unsigned i = 0; (what & BURST) != 0 && i < 60; i++)
        say(w, "app", 9, "nightly job compacts one more segment of the archive");
    w->s.now += SECOND;
    assert_int_equal(ops_pipeline_tick(w->p, w->s.now - START, NULL), OPS_OK);
    assert_int_equal(ops_finding_book_tick(w->book, w->s.now, NULL), OPS_OK);
}

static void run(world *w, int seconds, double load, unsigned what)
{
    for (int i = 0; i < seconds; i++)
        second(w, load, what);
}

static void assert_found(world *w, int64_t onset, const char *service)
{
    assert_true(w->s.opened >= 1);
    assert_true(w->s.opened <= 10);
    assert_true(w->s.first_ns >= onset);
    assert_true(w->s.first_ns - onset <= 30 * SECOND);
    assert_string_equal(w->s.service, service);
}

static void a_killed_database_is_found_within_30_s(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        world w;
        begin(&w, seed);
        run(&w, 600 + (int)seed, 6, 0);
        assert_int_equal(w.s.opened, 0);
        int64_t onset = w.s.now;
        run(&w, 120, 6, DB_DEAD);
        assert_found(&w, onset, "app");
        assert_int_equal(w.s.kind, OPS_CANDIDATE_NEW_TEMPLATE);
        assert_string_equal(w.s.evidence, "could not connect to database: connection refused");
        assert_non_null(strstr(w.s.words, "never seen here before"));
        run(&w, 600, 6, 0);
        assert_int_equal(w.s.closed, w.s.opened);
        end(&w);
    }
}

static void low_traffic_faults_are_found_too(void **state)
{
    (void)state;
    world w;
    begin(&w, 3);
    run(&w, 600, 2, 0);
    int64_t onset = w.s.now;
    run(&w, 60, 2, APP_ERRORS);
    assert_found(&w, onset, "app");
    end(&w);
}

static void a_service_that_falls_silent_is_found(void **state)
{
    (void)state;
    world w;
    begin(&w, 5);
    run(&w, 900, 6, 0);
    assert_int_equal(w.s.opened, 0);
    run(&w, 90, 6, WEB_DOWN);
    assert_int_equal(w.s.opened, 1);
    assert_int_equal(w.s.kind, OPS_CANDIDATE_SILENT);
    assert_string_equal(w.s.service, "web");
    end(&w);
}

static void a_known_error_in_numbers_is_found(void **state)
{
    (void)state;
    world w;
    begin(&w, 7);
    run(&w, 1800, 4, 0);
    assert_int_equal(w.s.opened, 0);
    int64_t onset = w.s.now;
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 5; k++)
            say(&w, "app", 17, "client went away before the answer was written");
        second(&w, 4, 0);
    }
    assert_found(&w, onset, "app");
    assert_true(w.s.kind == OPS_CANDIDATE_SEVERITY_SHIFT || w.s.kind == OPS_CANDIDATE_RARE_BURST);
    end(&w);
}

static void load_that_leaps_and_stays_is_found(void **state)
{
    (void)state;
    world w;
    begin(&w, 8);
    run(&w, 1800, 4, 0);
    run(&w, 300, 60, 0);
    assert_true(w.s.opened >= 1 && w.s.opened <= 2);
    assert_int_equal(w.s.kind, OPS_CANDIDATE_RATE_UP);
    end(&w);
}

static void two_quiet_hours_are_quiet(void **state)
{
    (void)state;
    int opened = 0;
    for (uint64_t seed = 11; seed <= 14; seed++) {
        world w;
        begin(&w, seed);
        run(&w, 7200, 3, 0);
        opened += w.s.opened;
        end(&w);
    }
    assert_true(opened <= 1); /* over eight hours */
}

static void a_restart_is_quiet(void **state)
{
    (void)state;
    world w;
    begin(&w, 21);
    say(&w, "app", 9, "listening");
    run(&w, 900, 6, 0);
    run(&w, 6, 6, WEB_DOWN | APP_ERRORS);
    say(&w, "db", 9, "database system is ready to accept connections");
    run(&w, 600, 6, 0);
    assert_int_equal(w.s.opened, 0);
    end(&w);
}

/* What a service needs is restarted twice: two bursts of errors that together span more than ten seconds, at any phase of the
 * windows. An error every other second for as long is another thing. */
static void two_restarts_in_a_row_are_quiet(void **state)
{
    (void)state;
    for (int phase = 0; phase < 10; phase++)
        for (int lasting = 0; lasting < 2; lasting++) {
            world w;
            begin(&w, 60 + (uint64_t)phase);
            run(&w, 900 + phase, 6, 0);
            for (int i = 0; i < 16; i++)
                second(&w, 6, lasting ? (i % 2 == 0 ? APP_ERRORS : 0) : i < 2 || i >= 14 ? APP_ERRORS : 0);
            run(&w, 300, 6, 0);
            assert_int_equal(w.s.opened, lasting);
            end(&w);
        }
}

static void a_cron_burst_and_a_slow_ramp_are_quiet(void **state)
{
    (void)state;
    world w;
    begin(&w, 22);
    run(&w, 900, 6, 0);
    run(&w, 45, 6, BURST);
    run(&w, 600, 6, 0);
    for (int i = 0; i < 3600; i++)
        second(&w, 4 + i / 100.0, 0);
    assert_int_equal(w.s.opened, 0);
    end(&w);
}

static void a_deploy_and_a_new_service_are_at_most_one(void **state)
{
    (void)state;
    world w;
    begin(&w, 23);
    run(&w, 900, 6, 0);
    run(&w, 3, 6, DEPLOYING | DEPLOYED);
    run(&w, 900, 6, DEPLOYED);
    assert_true(w.s.opened <= 1);
    int before = w.s.opened;
    for (int i = 0; i < 600; i++) {
        char buf[64];
        snprintf(buf, sizeof buf, "mail %d sent", i);
        say(&w, "mailer", 9, buf);
        second(&w, 6, DEPLOYED);
    }
    assert_true(w.s.opened - before <= 1);
    end(&w);
}

/* Half of one template's lines turn into errors: those are a series of their own, the healthy half says nothing. */
static void errors_of_a_template_are_told_apart(void **state)
{
    (void)state;
    world w;
    begin(&w, 41);
    for (int i = 0; i < 700; i++) {
        bool ill = i >= 600 && i < 660;
        for (int k = 0; k < 4; k++) {
            char text[96];
            bool bad = ill && k % 2 == 0;
            snprintf(text, sizeof text, "10.0.0.1 \"GET /items/%d HTTP/1.1\" %d 99", i + k, bad ? 504 : 200);
            say(&w, "proxy", bad ? 17 : 9, text);
        }
        second(&w, 2, 0);
    }
    assert_found(&w, START + 600 * SECOND, "proxy");
    assert_non_null(strstr(w.s.evidence, " 504 "));
    size_t iter = 0;
    for (ops_stream_info s; ops_pipeline_next_stream(w.p, &iter, &s);)
        if (ops_slice_eq(s.service, OPS_SLICE("proxy"))) {
            assert_int_equal(s.errors, 120);
            assert_int_equal(s.templates, 1);
        }
    end(&w);
}

/* A stream that speaks every eight seconds is young for long, and its errors are seen all the same. */
static void errors_of_a_stream_of_few_lines_are_found_early(void **state)
{
    (void)state;
    world w;
    begin(&w, 42);
    for (int i = 0; i < 240; i++) {
        char text[96];
        snprintf(text, sizeof text, "checkpoint %d complete", i);
        if (i % 8 == 0)
            say(&w, "store", 9, text);
        for (int k = 0; i >= 180 && k < 2; k++)
            say(&w, "store", 17, "could not extend file: quota exceeded");
        second(&w, 2, 0);
    }
    assert_found(&w, START + 180 * SECOND, "store");
    end(&w);
}

/* web dies, and app, who needs it, fails: one finding names both within half a minute of event time. */
static void a_silence_bears_out_the_failure_of_others(void **state)
{
    (void)state;
    world w;
    begin(&w, 43);
    run(&w, 900, 6, 0);
    run(&w, 27, 6, WEB_DOWN | APP_ERRORS);
    assert_int_equal(w.s.opened, 1);
    assert_string_equal(w.s.service, "app");
    size_t iter = 0;
    ops_finding f;
    assert_true(ops_finding_book_next(w.book, &iter, &f));
    assert_int_equal(f.service_count, 2);
    assert_true(ops_slice_eq(f.services[1], OPS_SLICE("web")));
    bool shown = false;
    for (size_t i = 0; i < f.evidence_count; i++)
        shown |= ops_slice_eq(f.evidence[i].service, OPS_SLICE("web"));
    assert_true(shown);
    end(&w);
    begin(&w, 44); /* the silence alone is a restart's, for as long */
    run(&w, 900, 6, 0);
    run(&w, 24, 6, WEB_DOWN);
    run(&w, 300, 6, 0);
    assert_true(w.s.candidates > 0);
    assert_int_equal(w.s.opened, 0);
    end(&w);
}

/* Twelve kinds of new lines: said once they are a restart's, coming again they are a change, and one finding of information. */
static void new_kinds_are_a_change_only_when_they_stay(void **state)
{
    (void)state;
    for (int stay = 0; stay < 2; stay++) {
        world w;
        begin(&w, 45);
        run(&w, 3600, 6, 0);
        for (int i = 0; i < 60; i++)
            second(&w, 6, i == 0 || (stay && i % 12 == 0) ? DEPLOYING : 0);
        run(&w, 300, 6, 0);
        assert_int_equal(w.s.opened, stay);
        if (stay)
            assert_int_equal(w.s.kind, OPS_CANDIDATE_CHANGE);
        end(&w);
    }
}

static ops_status keep(void *u, ops_slice key, ops_slice val)
{
    ops_map *kv = u;
    if (val.n == 0) {
        ops_free(ops_map_del(kv, key));
        return OPS_OK;
    }
    ops_slice *copy = ops_malloc(sizeof *copy + val.n);
    void *old = NULL;
    memcpy(copy + 1, val.p, val.n);
    *copy = ops_slice_of(copy + 1, val.n);
    ops_status st = ops_map_put(kv, key, copy, &old);
    ops_free(old);
    return st;
}

static void restart(world *w)
{
    ops_map *pk = ops_map_new(), *bk = ops_map_new();
    assert_int_equal(ops_pipeline_save_dirty(w->p, keep, pk, NULL), OPS_OK);
    assert_int_equal(ops_finding_book_save_dirty(w->book, keep, bk, NULL), OPS_OK);
    seen s = w->s;
    uint64_t random = w->random;
    end(w);
    begin(w, 1);
    w->s = s;
    w->random = random;
    ops_slice key;
    void *val;
    ops_err err = {0};
    for (size_t iter = 0; ops_map_next(pk, &iter, &key, &val); ops_free(val))
        assert_int_equal(ops_pipeline_load(w->p, key, *(ops_slice *)val, &err), OPS_OK);
    for (size_t iter = 0; ops_map_next(bk, &iter, &key, &val); ops_free(val))
        assert_int_equal(ops_finding_book_load(w->book, key, *(ops_slice *)val, &err), OPS_OK);
    assert_int_equal(ops_pipeline_load_done(w->p, &err), OPS_OK);
    assert_int_equal(ops_finding_book_load_done(w->book, &err), OPS_OK);
    ops_map_free(pk);
    ops_map_free(bk);
}

static void a_restart_of_opsd_changes_nothing(void **state)
{
    (void)state;
    for (int at = 605; at < 660; at += 9) { /* before, within and after the moment of telling */
        world a, b;
        begin(&a, 31);
        begin(&b, 31);
        for (int i = 0; i < 900; i++) {
            unsigned what = i >= 610 && i < 700 ? DB_DEAD : 0;
            second(&a, 5, what);
            second(&b, 5, what);
            if (i == at)
                restart(&b);
        }
        assert_int_equal(a.s.candidates, b.s.candidates);
        assert_int_equal(a.s.opened, b.s.opened);
        assert_int_equal(a.s.first_ns, b.s.first_ns);
        assert_string_equal(a.s.words, b.s.words);
        ops_pipeline_stats x, y;
        ops_pipeline_stats_get(a.p, &x);
        ops_pipeline_stats_get(b.p, &y);
        assert_int_equal(x.records, y.records);
        assert_int_equal(x.templates, y.templates);
        end(&a);
        end(&b);
    }
}

/* What a book says it is made of; an empty value takes a key away. */
struct saved {
    size_t n;
    struct {
        char key[64], val[256];
        size_t key_n, val_n;
    } v[32];
};

static ops_status to_saved(void *u, ops_slice key, ops_slice val)
{
    struct saved *s = u;
    size_t i = 0;
    while (i < s->n && !ops_slice_eq(ops_slice_of(s->v[i].key, s->v[i].key_n), key))
        i++;
    s->n += i == s->n;
    memcpy(s->v[i].key, key.p, s->v[i].key_n = key.n);
    memcpy(s->v[i].val, val.p, s->v[i].val_n = val.n);
    return OPS_OK;
}

/* One request of a shop, whose lines name it; `ill`: the money is not asked for. */
static void request(world *w, bool ill)
{
    static const char *const steps[] = {"order received", "stock of 3 items reserved", "card charged 12 EUR",
                                        "parcel handed over", "answered 201 in 30 ms"};
    const uint32_t id = rng(w);
    char buf[160];
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if ((ill && i == 2) || (i == 3 && id % 3 == 0))
            continue;
        snprintf(buf, sizeof buf, "request_id=%08x %s", id, steps[i]);
        say(w, "shop", 9, buf);
    }
}

/* Nothing fails, nothing is new, no count is odd for the stream: only the requests are not as they were. */
static void requests_that_lack_a_step_are_found(void **state)
{
    (void)state;
    world w;
    const int restarts[] = {-1, 400, 700, 2500,
                            3010}; /* while it learns, proves, watches, and while requests are ill */
    for (size_t r = 0; r < sizeof restarts / sizeof restarts[0]; r++) {
        begin(&w, 31);
        for (int i = 0; i < 3600; i++) {
            for (uint32_t n = 1 + rng(&w) % 3; n > 0; n--)
                request(&w, i >= 3000 && rng(&w) % 4 == 0);
            w.s.now += SECOND;
            if (i == restarts[r])
                restart(&w);
            assert_int_equal(ops_finding_book_tick(w.book, w.s.now, NULL), OPS_OK);
            if (i == 2999)
                assert_int_equal(w.s.opened, 0);
        }
        assert_int_equal(w.s.opened, 1);
        assert_int_equal(w.s.kind, OPS_CANDIDATE_SEQUENCE);
        assert_true(w.s.first_ns - START < 3090 * SECOND);
        assert_non_null(strstr(w.s.words, "sessions are unlike those of normal traffic"));
        assert_non_null(strstr(w.s.words, "card charged"));
        assert_non_null(strstr(w.s.evidence, "request_id="));
        end(&w);
    }
}

static void what_is_to_come_is_told_beside_what_is_odd(void **state)
{
    (void)state;
    world w;
    begin(&w, 1);
    const ops_candidate_kind kinds[] = {OPS_CANDIDATE_METRIC, OPS_CANDIDATE_RUNOUT, OPS_CANDIDATE_METRIC,
                                        OPS_CANDIDATE_RUNOUT};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const ops_candidate c = {.kind = kinds[i],
                                 .severity = OPS_LEVEL_WARNING,
                                 .tenant = OPS_SLICE("t"),
                                 .service = OPS_SLICE("db"),
                                 .statistic = "x",
                                 .score = 12 - (double)i,
                                 .words = OPS_SLICE("words"),
                                 .start_ns = START,
                                 .end_ns = START + SECOND};
        assert_int_equal(ops_finding_book_add(w.book, &c, START, NULL), OPS_OK);
    }
    assert_int_equal(w.s.opened, 2);
    end(&w);
}

static ops_finding_book *book_of(const struct saved *s, size_t vectors_max)
{
    ops_finding_book *b = NULL;
    ops_err err = {0};
    const ops_finding_limits l = {.tenant = {"t", 1}, .vectors_max = vectors_max};
    assert_int_equal(ops_finding_book_new(&l, &b, NULL), OPS_OK);
    for (size_t i = 0; s != NULL && i < s->n; i++)
        if (ops_finding_book_load(b, ops_slice_of(s->v[i].key, s->v[i].key_n),
                                  ops_slice_of(s->v[i].val, s->v[i].val_n), &err) != OPS_OK)
            fail_msg("%s", err.msg);
    assert_int_equal(ops_finding_book_load_done(b, NULL), OPS_OK);
    return b;
}

static void expect_vectors(const ops_finding_book *b, const char *ids)
{
    for (uint64_t id = 1; id <= 9; id++)
        assert_int_equal(ops_finding_book_has_vector(b, id), strchr(ids, (int)('0' + id)) != NULL);
}

static void meanings_survive_and_the_oldest_makes_room(void **state)
{
    (void)state;
    static struct saved s;
    s.n = 0;
    ops_finding_book *b = book_of(NULL, 3);
    for (uint64_t id = 1; id <= 5; id++) {
        const float v[] = {1, (float)id};
        assert_int_equal(ops_finding_book_vector(b, id, v, 2, NULL), OPS_OK);
        assert_int_equal(ops_finding_book_save_dirty(b, to_saved, &s, NULL), OPS_OK);
    }
    expect_vectors(b, "345");
    ops_finding_book_free(b);
    b = book_of(&s, 3);
    expect_vectors(b, "345");
    const float v[] = {1, 6};
    assert_int_equal(ops_finding_book_vector(b, 6, v, 2, NULL), OPS_OK);
    expect_vectors(b, "456");
    assert_int_equal(ops_finding_book_save_dirty(b, to_saved, &s, NULL), OPS_OK);
    const size_t before = s.n;
    assert_int_equal(ops_finding_book_save_dirty(b, to_saved, &s, NULL), OPS_OK);
    assert_int_equal(s.n, before);
    ops_finding_book_free(b);

    b = book_of(&s, 8); /* a greater limit: all are there, and new ones find room */
    expect_vectors(b, "456");
    for (uint64_t id = 7; id <= 9; id++)
        assert_int_equal(ops_finding_book_vector(b, id, v, 2, NULL), OPS_OK);
    expect_vectors(b, "456789");
    ops_finding_book_free(b);
    ops_finding_book_free(book_of(&s, 1)); /* a smaller one: what does not fit is dropped */

    ops_finding_book *bad = book_of(NULL, 3);
    assert_int_equal(ops_finding_book_load(bad, ops_slice_of("v\0\0\0\0", 5),
                                           OPS_SLICE("\x01\x04"
                                                     "abcd"),
                                           NULL),
                     OPS_ECORRUPT); /* of a length that is not 1 */
    assert_int_equal(ops_finding_book_load(bad, ops_slice_of("v\0\0\0\1", 5),
                                           OPS_SLICE("\x01\x03"
                                                     "abc"),
                                           NULL),
                     OPS_ECORRUPT); /* no whole float */
    ops_finding_book_free(bad);
}

static void say_span(world *w, const char *text)
{
    const ops_event e = {.tenant = OPS_SLICE("t"),
                         .service = OPS_SLICE("app"),
                         .message = ops_slice_str(text),
                         .time_ns = w->s.now,
                         .severity = 17,
                         .echo = true};
    assert_int_equal(ops_pipeline_add(w->p, &e, NULL, NULL), OPS_OK);
}

static void failed_spans_are_found_and_double_no_count(void **state)
{
    (void)state;
    world w;
    begin(&w, 51);
    run(&w, 600, 6, 0);
    assert_int_equal(w.s.opened, 0);
    const int64_t onset = w.s.now;
    ops_stream_info before = {0}, after = {0};
    size_t at = 0;
    while (ops_pipeline_next_stream(w.p, &at, &before) && !ops_slice_eq(before.service, OPS_SLICE("app")))
        ;
    const uint64_t errors = before.errors;
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 3; k++)
            say_span(&w, "INCR failed at redis (cache-1)");
        second(&w, 6, 0);
    }
    assert_found(&w, onset, "app");
    assert_non_null(strstr(w.s.evidence, "redis"));
    at = 0;
    while (ops_pipeline_next_stream(w.p, &at, &after) && !ops_slice_eq(after.service, OPS_SLICE("app")))
        ;
    assert_true(after.errors - errors <= 3); /* those that every system has */
    end(&w);
}

static void meaning_groups_and_the_budget_holds(void **state)
{
    (void)state;
    world w;
    begin(&w, 41);
    const float near[] = {1, 0.1f}, close[] = {1, 0.2f}, far[] = {0, 1};
    assert_int_equal(ops_finding_book_vector(w.book, 1, near, 2, NULL), OPS_OK);
    assert_int_equal(ops_finding_book_vector(w.book, 2, close, 2, NULL), OPS_OK);
    assert_int_equal(ops_finding_book_vector(w.book, 3, far, 2, NULL), OPS_OK);
    assert_int_equal(ops_finding_book_vector(w.book, 4, far, 3, NULL), OPS_EINVAL);
    ops_candidate c = {.kind = OPS_CANDIDATE_RATE_UP,
                       .severity = OPS_LEVEL_ERROR,
                       .tenant = OPS_SLICE("t"),
                       .service = OPS_SLICE("a"),
                       .statistic = "x",
                       .score = 8,
                       .p_value = 1e-8,
                       .words = OPS_SLICE("a: odd"),
                       .template_ids = {1},
                       .template_count = 1};
    on_candidate(&w, &c);
    c.service = OPS_SLICE("b");
    c.template_ids[0] = 2;
    on_candidate(&w, &c);
    assert_int_equal(w.s.opened, 1);
    c.service = OPS_SLICE("c");
    c.template_ids[0] = 3;
    on_candidate(&w, &c);
    assert_int_equal(w.s.opened, 2);
    for (uint64_t i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%u", (unsigned)i);
        c.service = ops_slice_str(name);
        c.template_ids[0] = 100 + i;
        on_candidate(&w, &c);
    }
    assert_int_equal(w.s.opened, 6); /* the day's quiet budget */
    c.service = OPS_SLICE("loud");
    c.template_ids[0] = 999;
    c.score = 40;
    on_candidate(&w, &c);
    assert_int_equal(w.s.opened, 7);
    c.service = OPS_SLICE("weak");
    c.template_ids[0] = 998;
    c.score = 2;
    on_candidate(&w, &c);
    assert_int_equal(w.s.opened, 7);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_database_is_found_within_30_s),
        cmocka_unit_test(low_traffic_faults_are_found_too),
        cmocka_unit_test(a_service_that_falls_silent_is_found),
        cmocka_unit_test(a_known_error_in_numbers_is_found),
        cmocka_unit_test(load_that_leaps_and_stays_is_found),
        cmocka_unit_test(two_quiet_hours_are_quiet),
        cmocka_unit_test(a_restart_is_quiet),
        cmocka_unit_test(two_restarts_in_a_row_are_quiet),
        cmocka_unit_test(a_cron_burst_and_a_slow_ramp_are_quiet),
        cmocka_unit_test(a_deploy_and_a_new_service_are_at_most_one),
        cmocka_unit_test(errors_of_a_template_are_told_apart),
        cmocka_unit_test(errors_of_a_stream_of_few_lines_are_found_early),
        cmocka_unit_test(a_silence_bears_out_the_failure_of_others),
        cmocka_unit_test(new_kinds_are_a_change_only_when_they_stay),
        cmocka_unit_test(a_restart_of_opsd_changes_nothing),
        cmocka_unit_test(what_is_to_come_is_told_beside_what_is_odd),
        cmocka_unit_test(requests_that_lack_a_step_are_found),
        cmocka_unit_test(meanings_survive_and_the_oldest_makes_room),
        cmocka_unit_test(failed_spans_are_found_and_double_no_count),
        cmocka_unit_test(meaning_groups_and_the_budget_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
