/* What sessions want of a worker comes out of the owners by their port, and what it says goes back in, over a restart. The worker is
 * this test. */
#include <stdatomic.h>
#include <string.h>

#include "tests/component/shard/world.h"

enum { PER_SECOND = 2, CHUNK_S = 60, STEPS = 3 };
static const int64_t start_s = 1764000000;

/* What was asked last. */
static struct asked {
    pthread_mutex_t lock;
    size_t trainings, scorings;
    uint32_t part;
    uint64_t stream, ticket;
    size_t n;
    uint32_t kinds;
    char service[32];
} asked = {.lock = PTHREAD_MUTEX_INITIALIZER};
static atomic_bool there, takes;

static bool can_work(void *u)
{
    (void)u;
    return atomic_load(&there);
}

static bool on_work(void *u, uint32_t part, const ops_pipeline_work *w)
{
    (void)u;
    pthread_mutex_lock(&asked.lock);
    asked.trainings += w->work.train;
    asked.scorings += !w->work.train;
    asked.part = part;
    asked.stream = w->stream;
    asked.ticket = w->work.ticket;
    asked.n = w->work.n;
    asked.kinds = w->work.kinds;
    (void)snprintf(asked.service, sizeof asked.service, OPS_SLICE_FMT, OPS_SLICE_ARG(w->service));
    pthread_mutex_unlock(&asked.lock);
    return atomic_load(&takes);
}

static struct asked now(void)
{
    pthread_mutex_lock(&asked.lock);
    const struct asked copy = asked;
    pthread_mutex_unlock(&asked.lock);
    return copy;
}

static void wait_asked(const size_t *what, size_t n)
{
    for (int i = 0; i < 10000; i++, nap()) {
        pthread_mutex_lock(&asked.lock);
        const bool enough = *what >= n;
        pthread_mutex_unlock(&asked.lock);
        if (enough)
            return;
    }
    fail_msg("not asked for work in time");
}

struct source {
    int64_t at_s;
    uint64_t key, sent;
};

/* A minute of requests, each of three lines that name it. */
static void send_minute(struct world *w, struct source *s)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 16 << 20);
    ops_strbuf_str(&b,
                   "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
                   "{\"stringValue\":\"shop\"}}]},\"scopeLogs\":[{\"logRecords\":[");
    static const char *const steps[STEPS] = {"order received", "stock reserved", "answered"};
    for (int i = 0; i < CHUNK_S * PER_SECOND; i++, s->key++)
        for (int k = 0; k < STEPS; k++, s->sent++) {
            const int64_t at_ns = s->at_s * SECOND + (int64_t)i * SECOND / PER_SECOND + (int64_t)k * 1000000;
            ops_strbuf_printf(&b,
                              "%s{\"timeUnixNano\":\"%lld\",\"severityNumber\":9,\"body\":{\"stringValue\":"
                              "\"%s request_id=r%llux\"}}",
                              i + k > 0 ? "," : "", (long long)at_ns, steps[k], (unsigned long long)s->key);
        }
    ops_strbuf_str(&b, "]}]}]}");
    assert_false(b.failed);
    s->at_s += CHUNK_S;
    send_json(w, b.p);
    ops_strbuf_done(&b);
    assert_int_equal(w->last_st, OPS_OK);
}

static void minutes(struct world *w, struct source *s, int n)
{
    for (int i = 0; i < n; i++)
        send_minute(w, s);
    wait_analysed(w, s->sent);
}

static ops_partition_info info_of(struct world *w, uint32_t part)
{
    ops_partition_info i;
    ops_err err;
    ok(ops_owners_partition(w->owners, part, &i, &err), &err);
    assert_string_equal(i.failure, "");
    return i;
}

static const double tail[] = {3, 2}, rising[] = {2, 3};
static ops_session_answer model(void)
{
    return (ops_session_answer){.model_hash = OPS_SLICE("00ff"),
                                .model = OPS_SLICE("a model"),
                                .allowance = 1.5,
                                .tail = tail,
                                .tail_n = 2};
}

static void begin(struct world *w)
{
    pthread_mutex_lock(&asked.lock);
    asked.trainings = asked.scorings = 0;
    pthread_mutex_unlock(&asked.lock);
    atomic_store(&there, false);
    atomic_store(&takes, true);
    stop_readers(w);
    w->can_work = can_work;
    w->on_work = on_work;
    start_readers(w);
}

static void a_model_comes_and_stays(void **state)
{
    struct world *w = *state;
    struct source s = {.at_s = start_s};
    ops_err err;
    begin(w);
    minutes(w, &s, 16);
    assert_int_equal(now().trainings, 0); /* nobody is there */
    atomic_store(&there, true);
    wait_asked(&asked.trainings, 1);
    struct asked a = now();
    assert_string_equal(a.service, "shop");
    assert_true(a.kinds >= STEPS && a.n >= 60);
    /* What is no model is refused and counted, and it is asked for again in its time. */
    ops_session_answer m = model();
    m.tail = rising;
    ok(ops_owners_answer(w->owners, a.part, a.stream, a.ticket, &m, &err), &err);
    for (int i = 0; i < 10000 && info_of(w, a.part).answers_refused == 0; i++)
        nap();
    assert_int_equal(info_of(w, a.part).answers_refused, 1);
    assert_int_equal(info_of(w, a.part).stats.trained, 0);
    minutes(w, &s, 2);
    wait_asked(&asked.trainings, 2);
    a = now();
    m = model();
    ok(ops_owners_answer(w->owners, a.part, a.stream, a.ticket, &m, &err), &err);
    for (int i = 0; i < 10000 && info_of(w, a.part).stats.trained == 0; i++)
        nap();
    assert_int_equal(info_of(w, a.part).stats.trained, 1);
    minutes(w, &s, 1);
    wait_asked(&asked.scorings, 1);
    assert_true(now().n > 0 && now().n <= 128);
    /* Over a restart it is there, and sessions go out as before. */
    stop_readers(w);
    start_readers(w);
    assert_int_equal(info_of(w, a.part).stats.trained, 1);
    minutes(w, &s, 1);
    wait_asked(&asked.scorings, 2);
    assert_int_equal(now().trainings, 2);
}

static void what_is_not_taken_is_asked_again(void **state)
{
    struct world *w = *state;
    struct source s = {.at_s = start_s};
    begin(w);
    atomic_store(&there, true);
    atomic_store(&takes, false);
    minutes(w, &s, 16);
    wait_asked(&asked.trainings, 1);
    const size_t before = now().trainings;
    minutes(w, &s, 2);
    wait_asked(&asked.trainings, before + 1);
}

static void answers_are_bounded(void **state)
{
    struct world *w = *state;
    static char big[OPS_SESSION_MODEL_MAX + 1];
    ops_err err;
    begin(w);
    ops_session_answer m = model();
    assert_int_equal(ops_owners_answer(w->owners, PARTITIONS, 1, 1, &m, &err), OPS_ENOTFOUND);
    m.model = ops_slice_of(big, sizeof big);
    assert_int_equal(ops_owners_answer(w->owners, 0, 1, 1, &m, &err), OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "1048577 bytes"));
    m = model();
    m.n = OPS_OWNERS_SCORES_MAX + 1;
    assert_int_equal(ops_owners_answer(w->owners, 0, 1, 1, &m, &err), OPS_ETOOBIG);
    m = model();
    stop_readers(w); /* nobody takes them up */
    start_readers(w);
    ops_owners_stop(w->owners);
    for (int i = 0; i < OPS_OWNERS_ANSWERS_MAX; i++)
        ok(ops_owners_answer(w->owners, 0, 1, 1, &m, &err), &err);
    assert_int_equal(ops_owners_answer(w->owners, 0, 1, 1, NULL, &err), OPS_EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_model_comes_and_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_taken_is_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_are_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
