/* Sequences whose layers in part look back over a window only. Without a model: a cache is what was last written to each place of
 * each block, and every token of a turn must find there, at every position that it looks at, what comes of just the tokens before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "worker/engine/schedule.h"

enum { EACH = 4, BLOCKS_MAX = 64, SEQS = 6, LONGEST = 120, GUESSES = 5, ALL = 30, TURNS = SEQS };

static const uint64_t KEY[2] = {11, 12};

typedef struct writer {
    ops_seq q;
    int32_t ids[LONGEST + GUESSES + 2], blocks[LONGEST / EACH + 3], windows[LONGEST / EACH + 3];
    uint64_t salt;
    int last; /* tokens at its end */
    bool in;
} writer;

typedef struct world {
    ops_kv_pool *pool;
    ops_kv_window *window;
    ops_schedule *s;
    ops_turn turns[TURNS];
    int tokens;                                             /* of the window */
    uint64_t all[BLOCKS_MAX][EACH], seen[BLOCKS_MAX][EACH]; /* the two caches */
    int computed;
    uint64_t seed;
} world;

static uint32_t draw(world *w, uint32_t below)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->seed >> 33) % below;
}

static void open_world(world *w, int blocks, int window_blocks, int tokens, int seqs, int reading)
{
    const ops_schedule_conf conf = {.seqs_max = seqs, .reading_tokens = reading, .window = tokens};
    *w = (world){.tokens = tokens, .seed = 1};
    assert_int_equal(ops_kv_window_new(window_blocks, blocks, &w->window, NULL), OPS_OK);
    assert_int_equal(ops_kv_pool_new(blocks, EACH, w->window, &w->pool, NULL), OPS_OK);
    assert_int_equal(ops_schedule_new(w->pool, w->window, &conf, &w->s, NULL), OPS_OK);
}

static void close_world(world *w)
{
    assert_int_equal(ops_kv_pool_available(w->pool), ops_kv_pool_blocks(w->pool)); /* nothing is held */
    assert_int_equal(ops_kv_window_available(w->window), ops_kv_window_blocks(w->window));
    ops_schedule_free(w->s);
    ops_kv_pool_free(w->pool);
    ops_kv_window_free(w->window);
}

static void begin(world *w, writer *o, const char *salt, int first_id, int n, int more, unsigned line)
{
    memset(o, 0, sizeof *o);
    assert_true(n + more <= LONGEST);
    for (int i = 0; i < n; i++)
        o->ids[i] = first_id + i;
    o->q = (ops_seq){.ids = o->ids,
                     .n = n,
                     .blocks = o->blocks,
                     .windows = o->windows,
                     .start = ops_kv_start(ops_slice_str(salt), KEY),
                     .line = line,
                     .owner = o};
    o->salt = o->q.start.a;
    o->last = n + more;
    o->in = true;
    ops_schedule_add(w->s, &o->q);
}

/* What a model would have for the token at `pos`: it depends on every token up to it. */
static uint64_t content(const writer *o, int pos)
{
    return ops_hash64(o->ids, (size_t)(pos + 1) * sizeof *o->ids, o->salt) | 1;
}

static int32_t next_id(const writer *o)
{
    return (int32_t)((content(o, o->q.n - 1) >> 8) % 5);
}

/* All tokens of all turns are written to both caches, as a step does, before any is read. */
static void write_turns(world *w, int n)
{
    for (int i = 0; i < n; i++) {
        const ops_turn *t = &w->turns[i];
        const writer *o = t->seq->owner;
        for (int pos = t->from; pos < t->from + t->n; pos++) {
            const int k = pos / EACH;
            assert_true(k < t->seq->n_blocks && k >= t->seq->window_from && k >= t->seq->n_sealed);
            w->all[o->blocks[k]][pos % EACH] = w->seen[o->windows[k]][pos % EACH] = content(o, pos);
        }
    }
}

static void read_turns(const world *w, int n)
{
    for (int i = 0; i < n; i++) {
        const ops_turn *t = &w->turns[i];
        const writer *o = t->seq->owner;
        for (int k = 0; k < t->seq->n_blocks; k++)
            assert_int_equal(o->windows[k] >= 0, k >= t->seq->window_from);
        for (int pos = 0; pos < t->from + t->n; pos++) {
            const int k = pos / EACH;
            assert_true(w->all[o->blocks[k]][pos % EACH] == content(o, pos));
            if (pos > t->from - w->tokens) /* the first token looks back furthest */
                assert_true(w->seen[o->windows[k]][pos % EACH] == content(o, pos));
        }
    }
}

/* No more of the window than the turn looks at, and the block behind that the last one reached into. */
static void check_held(const world *w, const ops_turn *t)
{
    const int first = t->from >= w->tokens ? (t->from - w->tokens + 1) / EACH : 0;
    assert_int_equal(t->seq->window_from, first);
    assert_true(t->seq->n_blocks - first <=
                ops_kv_window_needs(w->tokens, EACH) + (t->n + GUESSES + EACH - 1) / EACH + 1);
}

/* Takes what the turn computed, with as many of its guesses as are right. False: it is over. */
static bool take_turn(world *w, const ops_turn *t)
{
    writer *o = t->seq->owner;
    ops_seq *q = t->seq;
    const int known = t->n - (t->outputs > 0 ? t->outputs - 1 : 0);
    int right = 0;
    bool over = false;
    for (int i = 0; i < t->outputs && !over; i++) {
        const int32_t guess = i + 1 < t->outputs ? o->ids[q->n] : -1;
        over = q->n >= o->last;
        if (over)
            break;
        o->ids[q->n] = next_id(o);
        q->n++;
        if (o->ids[q->n - 1] != guess)
            break;
        right++;
    }
    ops_schedule_advance(w->s, q, known + right);
    return !over;
}

static void guess(world *w, writer *o)
{
    const int room = o->last - o->q.n;
    o->q.drafts = o->q.n - o->q.done == 1 && room > 0
                      ? (int)draw(w, (uint32_t)(room < GUESSES ? room : GUESSES) + 1)
                      : 0;
    ops_seq *q = &o->q;
    const int n = q->n;
    for (int i = 0; i < q->drafts; i++) { /* the first ones mostly right */
        o->ids[q->n] = draw(w, 4) > 0 ? next_id(o) : 77;
        q->n++;
    }
    q->n = n;
}

static int step(world *w, int budget)
{
    const int n = ops_schedule_step(w->s, budget, w->turns);
    int sum = 0;
    write_turns(w, n);
    read_turns(w, n);
    for (int i = 0; i < n; i++) {
        ops_turn t = w->turns[i];
        writer *o = t.seq->owner;
        sum += t.n;
        assert_true(t.n > 0 && t.from == t.seq->done);
        check_held(w, &t);
        if (take_turn(w, &t))
            continue;
        ops_schedule_remove(w->s, t.seq);
        o->in = false;
    }
    assert_true(sum <= budget);
    w->computed += sum;
    return n;
}

static void run(world *w, int budget)
{
    int steps = 0;
    while (step(w, budget) > 0)
        assert_true(++steps < 10000);
}

static int window_held(const world *w)
{
    return ops_kv_window_blocks(w->window) - ops_kv_window_available(w->window);
}

static void a_long_sequence_holds_a_window(void **state)
{
    (void)state;
    world w;
    writer o;
    open_world(&w, 32, 32, 10, SEQS, 0);
    begin(&w, &o, "t", 1, 60, 60, 0);
    const int needs = ops_kv_window_needs(10, EACH);
    for (int most = 0; o.in; most = 0) {
        assert_int_equal(step(&w, 8), 1);
        most = window_held(&w);
        assert_true(most <= needs + 2); /* two blocks are a step */
        if (o.q.n > 61)
            assert_true(most <= needs);
        assert_int_equal(ops_kv_pool_blocks(w.pool) - ops_kv_pool_available(w.pool), o.in ? o.q.n_blocks : 0);
    }
    assert_int_equal(ops_kv_window_known(w.window), 30); /* all are kept while there is room: 120 tokens */
    close_world(&w);
}

/* Eight tokens of window, blocks of four: behind 40 tokens must be those of 33 and on; behind 20 those of 13 and on. */
static void a_start_is_found_as_far_as_its_window_is_there(void **state)
{
    (void)state;
    static const struct {
        int window_blocks, same, cached;
    } cases[] = {{4, 41, 40},  {4, 20, 0},   {4, 37, 36},  {4, 33, 0},
                 {30, 41, 40}, {30, 20, 20}, {30, 33, 32}, {30, 3, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world w;
        writer a, b;
        open_world(&w, 30, cases[i].window_blocks, 8, SEQS, 0);
        begin(&w, &a, "t", 1, 44, 0, 0);
        run(&w, EACH);
        begin(&w, &b, "t", 1, 50, 0, 0);
        for (int k = cases[i].same; k < 50; k++)
            b.ids[k] = 900 + k;
        run(&w, EACH);
        assert_int_equal(b.q.cached, cases[i].cached);
        close_world(&w);
    }
}

/* What is given up of the one cache, the other can not be found by. */
static void a_block_that_is_given_up_takes_its_companion_with_it(void **state)
{
    (void)state;
    world w;
    writer a, b;
    open_world(&w, 12, 12, 8, SEQS, 0);
    begin(&w, &a, "t", 1, 40, 0, 0);
    run(&w, 100);
    assert_int_equal(ops_kv_window_known(w.window), 10);
    begin(&w, &b, "t", 500, 48, 0, 0); /* the whole of the pool */
    run(&w, 100);
    assert_int_equal(ops_kv_window_known(w.window), 12);
    w.computed = 0;
    begin(&w, &a, "t", 1, 40, 0, 0);
    run(&w, 100);
    assert_int_equal(w.computed, 40);
    close_world(&w);
}

static void the_same_start_is_computed_once(void **state)
{
    (void)state;
    world w;
    writer o[SEQS];
    open_world(&w, 64, 40, 6, SEQS, 0);
    for (int i = 0; i < SEQS; i++) {
        begin(&w, &o[i], "t", 1, 40, 2, 0);
        o[i].ids[38] = 500 + i; /* they part in the last block */
    }
    run(&w, 8);
    assert_int_equal(w.computed, 36 + SEQS * (4 + 2));
    close_world(&w);
}

/* Who reads a long prompt takes nobody's place for the blocks that a step needs beside its window. */
static void a_piece_of_a_prompt_is_cut_to_the_blocks_there_are(void **state)
{
    (void)state;
    world w;
    writer a, b;
    open_world(&w, 64, 6, 8, SEQS, 0); /* two windows */
    begin(&w, &a, "t", 1, 100, 4, 0);
    begin(&w, &b, "t", 500, 100, 4, 0);
    for (int i = 0; i < 8; i++)
        (void)step(&w, 6);
    assert_int_equal(ops_schedule_running(w.s), 2);
    run(&w, 6);
    assert_int_equal(ops_schedule_preempted(w.s), 0);
    assert_false(a.in || b.in);
    close_world(&w);
}

/* While one that reads has no turn, another writes the very text that it reads. */
static void what_others_wrote_meanwhile_is_found_on_the_way(void **state)
{
    (void)state;
    world w;
    writer a, b, same;
    open_world(&w, 64, 64, 8, SEQS, 4);
    begin(&w, &a, "t", 1, 20, 40, 0);
    same = a;
    for (same.q.n = 20; same.q.n < 52; same.q.n++)
        same.ids[same.q.n] = next_id(&same);
    while (a.q.n < 23)
        (void)step(&w, 100);
    begin(&w, &b, "t", 1, 50, 1, 0);
    memcpy(b.ids, same.ids, 50 * sizeof *b.ids);
    (void)step(&w, 100);
    const int from = b.q.done;
    assert_in_range(from, 21, 24);
    for (int i = 0; i < 20; i++)
        (void)step(&w, 1);
    assert_int_equal(b.q.done, from);
    (void)step(&w, 100);
    assert_int_equal(b.q.done, 44);
    assert_int_equal(b.q.window_from, (44 - 7) / EACH);
    run(&w, 100);
    close_world(&w);
}

static void who_has_no_window_left_gives_way_and_comes_back(void **state)
{
    (void)state;
    world w;
    writer o[4];
    open_world(&w, 64, 5, 8, SEQS, 0);
    for (int i = 0; i < 4; i++)
        begin(&w, &o[i], "t", 100 * (i + 1), 5, 40, 0);
    run(&w, 100);
    assert_true(ops_schedule_preempted(w.s) > 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(o[i].q.n, 45);
    close_world(&w);
}

static void no_token_is_let_go_for_a_wrong_guess(void **state)
{
    (void)state;
    world w;
    writer o;
    open_world(&w, 32, 32, 4, SEQS, 0);
    begin(&w, &o, "t", 1, 12, 40, 0);
    (void)step(&w, 100);
    while (o.in && o.q.n + 4 < o.last) {
        const int done = o.q.done, from = o.q.window_from;
        for (int i = 0; i < 4; i++)
            o.ids[o.q.n + i] = 77; /* none is right */
        o.q.drafts = 4;
        assert_int_equal(step(&w, 100), 1);
        assert_int_equal(o.q.done, done + 1);
        assert_true(o.q.window_from <= from + 1);
    }
    o.q.drafts = 0;
    run(&w, 100);
    close_world(&w);
}

/* A block of the window has one content at a time: two hold it only where they hold the same block of the others. */
static void check_shared(const writer *o)
{
    for (int i = 0; i < ALL; i++)
        for (int k = o[i].q.window_from; o[i].in && k < o[i].q.n_blocks; k++)
            for (int j = 0; j < ALL; j++)
                for (int l = o[j].q.window_from; o[j].in && i != j && l < o[j].q.n_blocks; l++)
                    if (o[i].windows[k] == o[j].windows[l]) {
                        assert_int_equal(k, l);
                        assert_int_equal(o[i].blocks[k], o[j].blocks[l]);
                        assert_true(k < o[i].q.n_sealed && k < o[j].q.n_sealed);
                    }
}

/* What a sequence goes on behind is its own last full block. */
static void check_tails(const world *w, const writer *o)
{
    for (int i = 0; i < ALL; i++) {
        const ops_seq *q = &o[i].q;
        if (!o[i].in)
            continue;
        const ops_kv_before tail =
            q->n_sealed > 0 ? ops_kv_pool_after(w->pool, q->blocks[q->n_sealed - 1]) : q->start;
        assert_true(tail.a == q->tail.a && tail.b == q->tail.b);
    }
}

static void come_and_go(world *w, writer *o, int *left, int tokens)
{
    for (int i = 0; i < ALL; i++)
        if (!o[i].in && *left > 0 && draw(w, 4) == 0) {
            const int n = 1 + (int)draw(w, (uint32_t)tokens - 1);
            begin(w, &o[i], draw(w, 8) ? "t" : "u", 1, n, (int)draw(w, (uint32_t)(tokens - n) + 1),
                  draw(w, 3));
            for (int k = (int)draw(w, (uint32_t)n * 3); k < n;
                 k++) /* the same up to somewhere, often all of it */
                o[i].ids[k] = 300 + (int32_t)draw(w, 2);
            --*left;
        } else if (o[i].in && draw(w, 64) == 0) {
            ops_schedule_remove(w->s, &o[i].q);
            o[i].in = false;
        } else if (o[i].in)
            guess(w, &o[i]);
}

static void one_life(uint64_t seed)
{
    static writer o[ALL];
    static world w;
    world dice = {.seed = seed};
    const int tokens = 1 + (int)draw(&dice, 4) * (int)draw(&dice, 12),
              needs = ops_kv_window_needs(tokens, EACH);
    const int blocks = LONGEST / EACH + (int)draw(&dice, 30),
              more = (int)draw(&dice, 3) * (int)draw(&dice, 15);
    int steps = 0, left = 150;
    memset(o, 0, sizeof o);
    open_world(&w, blocks, needs + more, tokens, 1 + (int)draw(&dice, SEQS), draw(&dice, 2) ? 0 : 6);
    w.seed = seed + 100;
    for (;;) {
        come_and_go(&w, o, &left, LONGEST);
        const int n = step(&w, 1 + (int)draw(&w, 50));
        check_shared(o);
        check_tails(&w, o);
        if (n == 0) {
            assert_int_equal(ops_schedule_running(w.s) + ops_schedule_waiting(w.s), 0);
            if (left == 0)
                break;
        }
        assert_true(++steps < 200000);
    }
    close_world(&w);
}

static void random_lives_end(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        one_life(seed);
}

static void nothing_is_taken_in_a_step(void **state)
{
    (void)state;
    world w;
    writer o[3];
    open_world(&w, 40, 5, 8, SEQS, 0);
    for (int i = 0; i < 3; i++)
        begin(&w, &o[i], "t", 100 * (i + 1), 30, 40, 0);
    ops_alloc_fail_at(1);
    const long live = ops_alloc_live();
    run(&w, 16);
    ops_alloc_fail_at(0);
    assert_int_equal(ops_alloc_live(), live);
    close_world(&w);
}

static void a_window_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    ops_kv_pool *p = NULL;
    ops_kv_window *w = NULL;
    ops_schedule *s = NULL;
    assert_int_equal(ops_kv_window_new(2, 8, &w, NULL), OPS_OK);
    assert_int_equal(ops_kv_pool_new(8, EACH, w, &p, NULL), OPS_OK);
    ops_schedule_conf conf = {.seqs_max = 1, .window = 7}; /* as from the third of a block: three */
    assert_int_equal(ops_schedule_new(p, w, &conf, &s, NULL), OPS_EINVAL);
    conf.window = 0;
    assert_int_equal(ops_schedule_new(p, w, &conf, &s, NULL), OPS_EINVAL);
    conf.window = 5;
    assert_int_equal(ops_schedule_new(p, NULL, &conf, &s, NULL), OPS_EINVAL);
    assert_int_equal(ops_schedule_new(p, w, &conf, &s, NULL), OPS_OK);
    ops_schedule_free(s);
    ops_kv_pool_free(p);
    ops_kv_window_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_sequence_holds_a_window),
        cmocka_unit_test(a_start_is_found_as_far_as_its_window_is_there),
        cmocka_unit_test(a_block_that_is_given_up_takes_its_companion_with_it),
        cmocka_unit_test(the_same_start_is_computed_once),
        cmocka_unit_test(a_piece_of_a_prompt_is_cut_to_the_blocks_there_are),
        cmocka_unit_test(what_others_wrote_meanwhile_is_found_on_the_way),
        cmocka_unit_test(who_has_no_window_left_gives_way_and_comes_back),
        cmocka_unit_test(no_token_is_let_go_for_a_wrong_guess),
        cmocka_unit_test(random_lives_end),
        cmocka_unit_test(nothing_is_taken_in_a_step),
        cmocka_unit_test(a_window_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
