/* Models that write beside models that embed, on one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_writer.h"
#include "tests/support/gate_engine.h"
#include "worker/serve/runner.h"

typedef struct asked {
    atomic_int dones;
    atomic_bool behind;
    int tells, tokens, top;
    char text[512], letters[64], message[128];
    ops_status status;
    Ops__V1__GenerateEnd end;
    ops_runner_writing *writing;
} asked;

static void on_tell(void *ctx, const Ops__V1__GenerateDelta *d)
{
    asked *a = ctx;
    assert_int_equal(atomic_load(&a->dones), 0);
    a->tells++;
    const size_t n = strlen(a->text);
    (void)snprintf(a->text + n, sizeof a->text - n, "%s", d->text);
    for (size_t i = 0; i < d->n_tokens; i++) {
        const Ops__V1__TokenChoice *c = d->tokens[i]->chosen;
        assert_int_equal(c->id, a->tokens);
        assert_int_equal(c->text.len, 1);
        a->letters[a->tokens++] = (char)c->text.data[0];
        a->top += (int)d->tokens[i]->n_top;
        for (size_t k = 0; k < d->tokens[i]->n_top; k++)
            assert_int_equal(d->tokens[i]->top[k]->id, c->id + (int32_t)k);
    }
}
static void on_done(void *ctx, const ops_runner_generated *r)
{
    asked *a = ctx;
    a->status = r->status;
    if (r->end != NULL)
        a->end = *r->end;
    assert_int_equal(r->end != NULL, r->status == OPS_OK);
    (void)snprintf(a->message, sizeof a->message, "%s", r->message);
    atomic_fetch_add(&a->dones, 1);
}
static bool is_behind(void *ctx)
{
    return atomic_load(&((asked *)ctx)->behind);
}
static int dones(void *a)
{
    return atomic_load(&((asked *)a)->dones);
}

static Ops__V1__GenerateTask prompt(const char *text)
{
    Ops__V1__GenerateTask t = OPS__V1__GENERATE_TASK__INIT;
    t.prompt = (char *)(uintptr_t)text;
    return t;
}
static ops_status ask_reader(ops_runner *r, asked *a, unsigned line, const Ops__V1__GenerateTask *t,
                             uint32_t ms, bool behind)
{
    memset(a, 0, sizeof *a);
    atomic_init(&a->behind, behind);
    const ops_runner_listener l = {on_tell, on_done, is_behind, a};
    return ops_runner_generate(r, line, t, ms, &l, &a->writing, NULL);
}
static ops_status ask(ops_runner *r, asked *a, unsigned line, const Ops__V1__GenerateTask *t, uint32_t ms)
{
    return ask_reader(r, a, line, t, ms, false);
}
static ops_runner *open_runner(ops_engine *engine, struct fake_writer *w, ops_clock *clock)
{
    ops_runner *r = NULL;
    assert_int_equal(ops_runner_new(engine, 0, clock, &r, NULL), OPS_OK);
    if (w != NULL)
        assert_int_equal(ops_runner_add(r, NULL, &w->base, NULL), OPS_OK);
    return r;
}

static void an_answer_comes_in_pieces_or_together(void **state)
{
    (void)state;
    ops_runner *r = open_runner(NULL, fake_writer_new("w", true), NULL);
    asked a;
    Ops__V1__GenerateTask t = prompt("one two three");
    t.stream = true;
    assert_int_equal(ask(r, &a, 0, &t, 60000), OPS_OK);
    assert_true(gate_until(dones, &a, 1));
    assert_string_equal(a.text, "one two three");
    assert_int_equal(a.tells, 4);
    assert_int_equal(a.tokens, 0); /* nobody asked for them */
    assert_int_equal(a.end.finish_reason, OPS__V1__FINISH_REASON__FINISH_REASON_STOP);
    assert_int_equal(a.end.prompt_tokens, 13);
    assert_int_equal(a.end.cached_tokens, 1);
    assert_int_equal(a.end.completion_tokens, 4);
    t.stream = false;
    t.echo = true;
    t.tokens_max = 3;
    t.logprobs = true;
    t.top_logprobs = 5;
    assert_int_equal(ask(r, &a, 0, &t, 60000), OPS_OK);
    assert_true(gate_until(dones, &a, 1));
    assert_string_equal(a.text, "one two threeone two thre");
    assert_int_equal(a.tells, 1);
    assert_string_equal(a.letters, "abc");
    assert_int_equal(a.top, 3 * 2); /* there were no more than two */
    assert_int_equal(a.end.finish_reason, OPS__V1__FINISH_REASON__FINISH_REASON_LENGTH);
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

static void who_is_behind_is_told_in_larger_pieces(void **state)
{
    (void)state;
    ops_runner *r = open_runner(NULL, fake_writer_new("w", true), NULL);
    asked a;
    Ops__V1__GenerateTask t = prompt("one two three");
    t.stream = true;
    assert_int_equal(ask_reader(r, &a, 0, &t, 60000, true), OPS_OK);
    assert_true(gate_until(dones, &a, 1));
    assert_string_equal(a.text, "one two three");
    assert_int_equal(a.tells, 1);
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

static void what_can_not_be_done_is_said_at_once(void **state)
{
    (void)state;
    ops_runner *r = open_runner(NULL, fake_writer_new("w", true), NULL);
    asked a;
    Ops__V1__GenerateTask t = prompt("bad");
    assert_int_equal(ask(r, &a, 0, &t, 60000), OPS_OK);
    assert_true(gate_until(dones, &a, 1));
    assert_int_equal(a.status, OPS_ETOOBIG);
    assert_string_equal(a.message, "a bad request of 3 bytes");
    char other[] = "other";
    t.model = other;
    assert_int_equal(ask(r, &a, 0, &t, 60000), OPS_ENOTFOUND);
    t.model = (char *)(uintptr_t) "";
    assert_int_equal(ask(r, &a, OPS_RUNNER_CLASSES, &t, 60000), OPS_EINVAL);
    char *big = ops_malloc(OPS_RUNNER_REQUEST_BYTES_MAX + 1);
    memset(big, 'x', OPS_RUNNER_REQUEST_BYTES_MAX);
    big[OPS_RUNNER_REQUEST_BYTES_MAX] = '\0';
    t.prompt = big;
    assert_int_equal(ask(r, &a, 0, &t, 60000), OPS_ETOOBIG);
    ops_free(big);
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

static void cancelled_late_and_stopped_answers_are_told_so(void **state)
{
    (void)state;
    struct fake_clock clock = FAKE_CLOCK(0);
    struct fake_writer *w = fake_writer_new("w", false);
    ops_runner *r = open_runner(NULL, w, &clock.base);
    asked a[3];
    const Ops__V1__GenerateTask t = prompt("some text");
    assert_int_equal(ask(r, &a[0], 0, &t, 60000), OPS_OK);
    assert_true(gate_until(fake_writer_running, w, 1));
    ops_runner_stop_writing(a[0].writing);
    assert_true(gate_until(dones, &a[0], 1));
    assert_int_equal(a[0].status, OPS_ECANCELLED);
    assert_int_equal(fake_writer_running(w), 0);
    assert_int_equal(ask(r, &a[1], 0, &t, 0), OPS_OK); /* its deadline is over when it is read */
    assert_true(gate_until(dones, &a[1], 1));
    assert_int_equal(a[1].status, OPS_ETIMEOUT);
    assert_int_equal(ask(r, &a[2], 0, &t, 60000), OPS_OK);
    assert_true(gate_until(fake_writer_running, w, 1));
    ops_runner_free(r);
    assert_int_equal(a[2].status, OPS_ECANCELLED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(dones(&a[i]), 1);
    assert_int_equal(ops_alloc_live(), 0);
}

/* Cancels race with the reading of the request and with its end; whichever is first, it is done once. */
static void a_cancel_may_come_at_any_moment(void **state)
{
    (void)state;
    ops_runner *r = open_runner(NULL, fake_writer_new("w", false), NULL);
    const Ops__V1__GenerateTask t = prompt("some text");
    for (int i = 0; i < 300; i++) {
        asked a;
        assert_int_equal(ask(r, &a, 0, &t, 60000), OPS_OK);
        const struct timespec nap = {0, 1000 * (i % 50)};
        (void)nanosleep(&nap, NULL);
        ops_runner_stop_writing(a.writing); /* behind a gate: it cannot be done by itself */
        assert_true(gate_until(dones, &a, 1));
        assert_int_equal(a.status, OPS_ECANCELLED);
    }
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

static void count_change(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void models_come_and_go(void **state)
{
    (void)state;
    struct gate g = GATE(true);
    bool freed = false;
    atomic_int changes = 0;
    ops_runner *r = open_runner(gate_engine_new(&g), NULL, NULL);
    assert_int_equal(ops_runner_watch(r, count_change, &changes, NULL), OPS_OK);
    struct fake_writer *w = fake_writer_new("w", false), *again = fake_writer_new("w", false);
    w->freed = &freed;
    assert_int_equal(ops_runner_add(r, NULL, &w->base, NULL), OPS_OK);
    assert_int_equal(ops_runner_add(r, NULL, &again->base, NULL), OPS_EEXIST);
    ops_writer_free(&again->base);
    ops_runner_model m[OPS_RUNNER_MODELS_MAX];
    assert_int_equal(ops_runner_models(r, m), 2);
    assert_string_equal(m[0].name, "gate");
    assert_int_equal(m[0].dim, 1);
    assert_int_equal(m[1].does, OPS_RUNNER_WRITES);
    assert_string_equal(m[1].name, "w");
    assert_int_equal(m[1].blocks, FAKE_WRITER_BLOCKS);
    assert_int_equal(m[1].window_blocks, FAKE_WRITER_WINDOW_BLOCKS);
    assert_int_equal(m[1].cache_tokens, FAKE_WRITER_BLOCKS * FAKE_WRITER_BLOCK_TOKENS);
    asked a;
    const Ops__V1__GenerateTask t = prompt("some text");
    assert_int_equal(ask(r, &a, 0, &t, 60000), OPS_OK);
    assert_true(gate_until(fake_writer_running, w, 1));
    assert_int_equal(ops_runner_remove(r, "none", NULL), OPS_ENOTFOUND);
    assert_int_equal(ops_runner_remove(r, "w", NULL), OPS_OK);
    assert_true(freed);
    assert_int_equal(dones(&a), 1);
    assert_int_equal(a.status, OPS_ECANCELLED);
    assert_int_equal(ask(r, &a, 0, &t, 60000), OPS_ENOTFOUND);
    assert_int_equal(atomic_load(&changes), 2);
    ops_runner_unwatch(r, &changes);
    assert_int_equal(ops_runner_remove(r, "gate", NULL), OPS_OK);
    assert_int_equal(ops_runner_models(r, m), 0);
    assert_int_equal(atomic_load(&changes), 2);
    for (int i = 0; i < OPS_RUNNER_MODELS_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%d", i);
        assert_int_equal(ops_runner_add(r, NULL, &fake_writer_new(name, true)->base, NULL), OPS_OK);
    }
    again = fake_writer_new("more", true);
    assert_int_equal(ops_runner_add(r, NULL, &again->base, NULL), OPS_EAGAIN);
    ops_writer_free(&again->base);
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

typedef struct embedded {
    atomic_int dones;
    ops_status status;
    size_t rows;
    float first, last;
    uint64_t tokens;
} embedded;
static void on_embedded(void *ctx, const ops_runner_result *r)
{
    embedded *e = ctx;
    e->status = r->status;
    e->rows = r->rows;
    e->tokens = r->tokens;
    e->first = r->vectors != NULL ? r->vectors[0] : -1;
    e->last = r->vectors != NULL ? r->vectors[r->rows - 1] : -1;
    atomic_fetch_add(&e->dones, 1);
}
static int embedded_dones(void *e)
{
    return atomic_load(&((embedded *)e)->dones);
}
static void embed(ops_runner *r, embedded *e, unsigned line, size_t n)
{
    static ops_slice texts[OPS_RUNNER_TEXTS_MAX];
    ops_runner_job *job;
    memset(e, 0, sizeof *e);
    for (size_t i = 0; i < n; i++)
        texts[i] = ops_slice_of("nine bytes", 1 + i % 9);
    assert_int_equal(ops_runner_submit(r, line, OPS_SLICE(""), texts, n, 60000, on_embedded, e, &job, NULL),
                     OPS_OK);
}

/* Each goes on while the other has work: a long job in pieces, and answers step by step. */
static void writing_and_embedding_share_the_rounds(void **state)
{
    (void)state;
    struct gate g = GATE(true);
    struct fake_writer *w = fake_writer_new("w", false); /* never done by itself: always busy */
    ops_runner *r = open_runner(gate_engine_new(&g), w, NULL);
    asked a;
    embedded bulk, chat;
    const Ops__V1__GenerateTask t = prompt("some text");
    assert_int_equal(ask(r, &a, 0, &t, 60000), OPS_OK);
    assert_true(gate_until(fake_writer_running, w, 1));
    const uint64_t steps = fake_writer_counts(&w->base).steps;
    embed(r, &bulk, 2, OPS_RUNNER_TEXTS_MAX);
    embed(r, &chat, 0, 2);
    assert_true(gate_until(embedded_dones, &chat, 1));
    assert_true(gate_until(embedded_dones, &bulk, 1));
    assert_int_equal(bulk.status, OPS_OK);
    assert_int_equal(bulk.rows, OPS_RUNNER_TEXTS_MAX);
    assert_true(bulk.first == 1 && bulk.last == 4);
    assert_int_equal(bulk.tokens, OPS_RUNNER_TEXTS_MAX);
    assert_true(gate_came(&g) > 2); /* in pieces */
    assert_true(fake_writer_counts(&w->base).steps > steps);
    assert_true(w->budget_min >= OPS_RUNNER_ROUND_TOKENS / 8 && w->budget_min <= OPS_RUNNER_ROUND_TOKENS);
    assert_int_equal(dones(&a), 0);
    fake_writer_open(w, true);
    assert_true(gate_until(dones, &a, 1));
    assert_string_equal(a.text, "some text");
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

/* As long as interactive jobs never end, bulk still has its turns. */
struct stream {
    ops_runner *r;
    atomic_int stop, sent;
};
static void again_and_again(void *ctx, const ops_runner_result *r)
{
    (void)r;
    struct stream *s = ctx;
    ops_runner_job *job;
    const ops_slice texts[1] = {OPS_SLICE("chat")};
    if (atomic_load(&s->stop) == 0 &&
        ops_runner_submit(s->r, 0, OPS_SLICE(""), texts, 1, 60000, again_and_again, s, &job, NULL) == OPS_OK)
        atomic_fetch_add(&s->sent, 1);
}
static void nobody_starves(void **state)
{
    (void)state;
    struct gate g = GATE(true);
    ops_runner *r = open_runner(gate_engine_new(&g), NULL, NULL);
    struct stream s = {.r = r};
    embedded triage, bulk;
    again_and_again(&s, NULL); /* the next is in line before the one before is gone */
    again_and_again(&s, NULL);
    embed(r, &bulk, 2, 3);
    embed(r, &triage, 1, 3);
    assert_true(gate_until(embedded_dones, &triage, 1));
    assert_true(gate_until(embedded_dones, &bulk, 1));
    assert_int_equal(bulk.status, OPS_OK);
    atomic_store(&s.stop, 1);
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_in_pieces_or_together),
        cmocka_unit_test(who_is_behind_is_told_in_larger_pieces),
        cmocka_unit_test(what_can_not_be_done_is_said_at_once),
        cmocka_unit_test(cancelled_late_and_stopped_answers_are_told_so),
        cmocka_unit_test(a_cancel_may_come_at_any_moment),
        cmocka_unit_test(models_come_and_go),
        cmocka_unit_test(writing_and_embedding_share_the_rounds),
        cmocka_unit_test(nobody_starves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
