/* Blocks and turns, without a model: many random sequences come, write, are called off and end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem/alloc.h"
#include "worker/engine/schedule.h"

enum { EACH = 4, BLOCKS = 24, SEQS = 6, LONGEST = BLOCKS * EACH, ALL = 40 };

static const uint64_t KEY[2] = {11, 12};

typedef struct world {
    ops_kv_pool *pool;
    ops_schedule *s;
    ops_turn turns[SEQS];
    int computed; /* tokens */
} world;

typedef struct writer {
    ops_seq q;
    int32_t ids[LONGEST + 8], blocks[BLOCKS];
    int last; /* tokens at its end */
    bool in;
} writer;

static void open_world(world *w, int blocks, int seqs, int reading)
{
    const ops_schedule_conf conf = {.seqs_max = seqs, .reading_tokens = reading};
    memset(w, 0, sizeof *w);
    assert_int_equal(ops_kv_pool_new(blocks, EACH, NULL, &w->pool, NULL), OPS_OK);
    assert_int_equal(ops_schedule_new(w->pool, NULL, &conf, &w->s, NULL), OPS_OK);
}

static void close_world(world *w)
{
    assert_int_equal(ops_kv_pool_available(w->pool), ops_kv_pool_blocks(w->pool)); /* nothing is held */
    ops_schedule_free(w->s);
    ops_kv_pool_free(w->pool);
}

static void begin(world *w, writer *o, const char *salt, int first_id, int n, int more, unsigned line)
{
    memset(o, 0, sizeof *o);
    for (int i = 0; i < n; i++)
        o->ids[i] = first_id + i;
    o->q = (ops_seq){.ids = o->ids,
                     .n = n,
                     .blocks = o->blocks,
                     .start = ops_kv_start(ops_slice_str(salt), KEY),
                     .line = line,
                     .owner = o};
    o->last = n + more;
    o->in = true;
    ops_schedule_add(w->s, &o->q);
}

/* Computes a step: everyone whose last token was reached gets one more, or ends. */
static int step(world *w, int budget)
{
    const int n = ops_schedule_step(w->s, budget, w->turns);
    int sum = 0;
    for (int i = 0; i < n; i++) {
        ops_seq *q = w->turns[i].seq;
        writer *o = q->owner;
        sum += w->turns[i].n;
        assert_true(w->turns[i].n > 0 && w->turns[i].from == q->done);
        assert_true(w->turns[i].from + w->turns[i].n <= q->n_blocks * EACH);
        const bool whole = w->turns[i].from + w->turns[i].n == q->n;
        assert_int_equal(w->turns[i].outputs, whole ? 1 : 0);
        if (whole && q->n < o->last)
            o->ids[q->n] = o->ids[q->n - 1] * 31 % 1009 + 1;
        ops_schedule_advance(w->s, q, w->turns[i].n);
        if (whole && q->n == o->last) {
            ops_schedule_remove(w->s, q);
            o->in = false;
        } else if (whole)
            q->n++;
    }
    assert_true(sum <= budget);
    w->computed += sum;
    return n;
}

static void one_reads_in_pieces_and_writes(void **state)
{
    (void)state;
    world w;
    writer o;
    open_world(&w, BLOCKS, SEQS, 0);
    begin(&w, &o, "t", 1, 10, 3, 0);
    assert_int_equal(step(&w, 7), 1); /* ends with a block */
    assert_int_equal(w.turns[0].n, 4);
    assert_int_equal(step(&w, 7), 1);
    assert_int_equal(w.turns[0].n, 6);
    assert_int_equal(w.turns[0].outputs, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(step(&w, 7), 1);
        assert_int_equal(w.turns[0].n, 1);
    }
    assert_false(o.in);
    assert_int_equal(step(&w, 7), 0);
    assert_int_equal(ops_kv_pool_known(w.pool), 3); /* 13 tokens */
    close_world(&w);
}

static void the_same_start_is_computed_once(void **state)
{
    (void)state;
    world w;
    writer o[SEQS];
    open_world(&w, 64, SEQS, 0);
    for (int i = 0; i < SEQS; i++) {
        begin(&w, &o[i], "t", 1, 20, 2, 0);
        o[i].ids[18] = 500 + i; /* they part in the last block */
    }
    while (step(&w, 8) > 0)
        ;
    /* 16 once, then 4 and 2 each, of which the last one written needs nothing */
    assert_int_equal(w.computed, 16 + SEQS * 6);
    w.computed = 0;
    begin(&w, &o[0], "t", 1, 20, 0, 0);
    while (step(&w, 100) > 0)
        ;
    assert_int_equal(w.computed, 4);
    w.computed = 0;
    begin(&w, &o[0], "another", 1, 20, 0, 0); /* shares nothing */
    while (step(&w, 100) > 0)
        ;
    assert_int_equal(w.computed, 20);
    close_world(&w);
}

static void whole_blocks_leave_a_token_to_compute(void **state)
{
    (void)state;
    world w;
    writer o;
    open_world(&w, BLOCKS, SEQS, 0);
    for (int i = 0; i < 2; i++) {
        begin(&w, &o, "t", 1, 2 * EACH, 0, 0);
        assert_int_equal(step(&w, 100), 1);
        assert_int_equal(w.turns[0].n, i == 0 ? 2 * EACH : EACH);
        assert_int_equal(o.q.cached, i == 0 ? 0 : EACH);
    }
    close_world(&w);
}

static void writers_go_before_readers_and_lines_in_order(void **state)
{
    (void)state;
    world w;
    writer a, b, c;
    open_world(&w, BLOCKS, 2, 4);
    begin(&w, &a, "t", 1, 2, 20, 2);
    assert_int_equal(step(&w, 100), 1);
    begin(&w, &b, "t", 100, 20, 1, 1);
    begin(&w, &c, "t", 200, 20, 1, 0);
    assert_int_equal(step(&w, 100), 2);
    assert_ptr_equal(w.turns[0].seq, &a.q); /* who writes goes on, bulk or not */
    assert_ptr_equal(w.turns[1].seq, &c.q); /* there is one more place */
    assert_int_equal(w.turns[1].n, 4);      /* not the whole prompt while somebody writes */
    while (step(&w, 100) > 0)
        ;
    close_world(&w);
}

/* Interactive work comes as fast as it can be done; bulk gets its turn all the same. */
static void nobody_starves(void **state)
{
    (void)state;
    world w;
    static writer o[2 * OPS_SCHEDULE_LINE_STEPS + 64];
    writer bulk;
    int n = 0, steps = 0;
    open_world(&w, BLOCKS, 1, 0);
    begin(&w, &o[n++], "t", 1, 3, 1, 0);
    begin(&w, &bulk, "t", 7, 3, 1, 2);
    for (; bulk.in && n < (int)(sizeof o / sizeof *o); steps++) {
        (void)step(&w, 100);
        if (steps % 2 == 0) /* each takes two steps */
            begin(&w, &o[n++], "t", 1, 3, 1, 0);
    }
    assert_false(bulk.in);
    assert_in_range(steps, 2 * OPS_SCHEDULE_LINE_STEPS, 2 * OPS_SCHEDULE_LINE_STEPS + 8);
    while (step(&w, 100) > 0)
        ;
    close_world(&w);
}

static void the_last_gives_way_and_comes_back(void **state)
{
    (void)state;
    world w;
    writer a, b;
    open_world(&w, 6, 2, 0);
    begin(&w, &a, "t", 1, 8, 15, 0);
    begin(&w, &b, "t", 100, 5, 15, 0);
    int steps = 0;
    while (step(&w, 100) > 0)
        assert_true(++steps < 100);
    assert_false(a.in || b.in);
    assert_true(ops_schedule_preempted(w.s) > 0);
    close_world(&w);
}

static uint32_t random_u32(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 33);
}

/* No block may be in two hands but as a known one with the same content before it. */
static void check_blocks(const writer *o, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; o[i].in && k < o[i].q.n_blocks; k++)
            for (int j = 0; j < n; j++)
                for (int l = 0; o[j].in && (i != j) && l < o[j].q.n_blocks; l++)
                    if (o[i].blocks[k] == o[j].blocks[l]) {
                        assert_int_equal(k, l);
                        assert_true(k < o[i].q.n_sealed && k < o[j].q.n_sealed);
                        assert_memory_equal(o[i].ids, o[j].ids, (size_t)(k + 1) * EACH * sizeof(int32_t));
                    }
}

static void random_life(uint64_t seed)
{
    world w;
    static writer o[ALL];
    int steps = 0, left = 300;
    memset(o, 0, sizeof o);
    open_world(&w, BLOCKS, SEQS, seed % 2 == 0 ? 0 : 6);
    for (;;) {
        for (int i = 0; i < ALL && left > 0; i++)
            if (!o[i].in && random_u32(&seed) % 4 == 0) {
                const int n = 1 + (int)(random_u32(&seed) % 40);
                begin(&w, &o[i], random_u32(&seed) % 8 ? "t" : "u", 1 + (int)(random_u32(&seed) % 3), n,
                      (int)(random_u32(&seed) % (LONGEST - 40)), random_u32(&seed) % 3);
                left--;
            }
        for (int i = 0; i < ALL; i++)
            if (o[i].in && random_u32(&seed) % 64 == 0) {
                ops_schedule_remove(w.s, &o[i].q);
                o[i].in = false;
            }
        const int n = step(&w, 1 + (int)(random_u32(&seed) % 40));
        check_blocks(o, ALL);
        assert_int_equal(ops_schedule_running(w.s) <= SEQS, 1);
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
    for (uint64_t seed = 1; seed <= 20; seed++)
        random_life(seed);
}

static void refuses_what_makes_no_sense_and_survives_the_heap(void **state)
{
    (void)state;
    ops_kv_pool *p = NULL;
    ops_schedule *s = NULL;
    const ops_schedule_conf none = {.seqs_max = 0};
    assert_int_equal(ops_kv_pool_new(0, EACH, NULL, &p, NULL), OPS_EINVAL);
    assert_int_equal(ops_kv_pool_new(4, 0, NULL, &p, NULL), OPS_EINVAL);
    assert_int_equal(ops_schedule_new(NULL, NULL, &none, &s, NULL), OPS_EINVAL);
    const long live = ops_alloc_live();
    for (long nth = 1; nth < 6; nth++) {
        ops_alloc_fail_at(nth);
        assert_int_equal(ops_kv_pool_new(4, EACH, NULL, &p, NULL), OPS_ENOMEM);
        ops_alloc_fail_at(0);
        assert_int_equal(ops_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_reads_in_pieces_and_writes),
        cmocka_unit_test(the_same_start_is_computed_once),
        cmocka_unit_test(whole_blocks_leave_a_token_to_compute),
        cmocka_unit_test(writers_go_before_readers_and_lines_in_order),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(the_last_gives_way_and_comes_back),
        cmocka_unit_test(random_lives_end),
        cmocka_unit_test(refuses_what_makes_no_sense_and_survives_the_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
