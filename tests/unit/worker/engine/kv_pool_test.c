/* The blocks of both caches against a plain list of what must be, through long random lives; and how many there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem/alloc.h"
#include "worker/engine/kv_pool.h"
#include "worker/engine/kv_share.h"

enum { EACH = 2, BLOCKS_MAX = 16, HANDS = 24 };

static const uint64_t KEY[2] = {3, 4};

/* A block as the plain twin has it: `since` says in which order those that nobody holds came to be so. */
typedef struct plain_block {
    int refs;
    bool known;
    ops_kv_before before;
    int32_t ids[EACH];
    int of; /* of a window's: whose companion; -1 */
    long since;
} plain_block;

typedef struct plain {
    plain_block all[BLOCKS_MAX], window[BLOCKS_MAX];
    int blocks, window_blocks;
    long now;
} plain;

/* One that somebody holds. */
typedef struct hand {
    int32_t block, window; /* -1: let go of, or never had */
    ops_kv_before before;
    bool sealed;
} hand;

typedef struct world {
    ops_kv_pool *p;
    ops_kv_window *w;
    plain twin;
    hand hands[HANDS];
    int n;
    uint64_t seed;
} world;

static uint32_t draw(world *w, uint32_t below)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->seed >> 33) % below;
}

/* The one that must be given next: of the empty ones, else of the kept ones, who is so longest. */
static int next_of(const plain_block *v, int n, bool window)
{
    int best = -1;
    for (int kept = 0; kept < 2 && best < 0; kept++)
        for (int i = 0; i < n; i++)
            if (v[i].refs == 0 && (window ? v[i].of >= 0 : v[i].known) == kept &&
                (best < 0 || v[i].since < v[best].since))
                best = i;
    return best;
}

static int companion_of(const plain *t, int block)
{
    for (int i = 0; i < t->window_blocks; i++)
        if (t->window[i].of == block)
            return i;
    return -1;
}

static int find_plain(const plain *t, ops_kv_before before, const int32_t *ids)
{
    for (int i = 0; i < t->blocks; i++)
        if (t->all[i].known && t->all[i].before.a == before.a && t->all[i].before.b == before.b &&
            memcmp(t->all[i].ids, ids, sizeof t->all[i].ids) == 0)
            return i;
    return -1;
}

static void drop_plain(plain *t, plain_block *b)
{
    if (--b->refs == 0)
        b->since = ++t->now;
}

static void check_counts(const world *w)
{
    int available = 0, known = 0, window_available = 0, window_known = 0;
    for (int i = 0; i < w->twin.blocks; i++) {
        available += w->twin.all[i].refs == 0;
        known += w->twin.all[i].refs == 0 && w->twin.all[i].known;
        assert_int_equal(ops_kv_window_has(w->w, i), companion_of(&w->twin, i) >= 0);
    }
    for (int i = 0; i < w->twin.window_blocks; i++) {
        window_available += w->twin.window[i].refs == 0;
        window_known += w->twin.window[i].refs == 0 && w->twin.window[i].of >= 0;
    }
    assert_int_equal(ops_kv_pool_available(w->p), available);
    assert_int_equal(ops_kv_pool_known(w->p), known);
    assert_int_equal(ops_kv_window_available(w->w), window_available);
    assert_int_equal(ops_kv_window_known(w->w), window_known);
}

static int32_t take_window(world *w)
{
    const int want = next_of(w->twin.window, w->twin.window_blocks, true);
    const int32_t got = ops_kv_window_take(w->w);
    assert_int_equal(got, want);
    if (want >= 0)
        w->twin.window[want] = (plain_block){.refs = 1, .of = -1};
    return got;
}

/* Where somebody begins: at a salt, or behind what somebody else holds. */
static ops_kv_before some_place(world *w)
{
    const int i = w->n > 0 ? (int)draw(w, (uint32_t)w->n) : 0;
    if (w->n > 0 && w->hands[i].sealed && w->hands[i].block >= 0 && draw(w, 4) > 0)
        return ops_kv_pool_after(w->p, w->hands[i].block);
    return ops_kv_start(draw(w, 2) ? OPS_SLICE("t") : OPS_SLICE("u"), KEY);
}

static void take(world *w)
{
    const ops_kv_before at = some_place(w);
    const int want = next_of(w->twin.all, w->twin.blocks, false);
    const int32_t got = ops_kv_pool_take(w->p);
    assert_int_equal(got, want);
    if (want < 0)
        return;
    const int companion = w->twin.all[want].known ? companion_of(&w->twin, want) : -1;
    w->twin.all[want] = (plain_block){.refs = 1, .of = -1};
    if (companion >= 0) {
        w->twin.window[companion].of = -1;
        if (w->twin.window[companion].refs == 0)
            w->twin.window[companion].since = ++w->twin.now;
    }
    w->hands[w->n++] = (hand){.block = got, .window = draw(w, 8) > 0 ? take_window(w) : -1, .before = at};
}

static void find(world *w)
{
    ops_kv_before at = some_place(w);
    const int32_t ids[EACH] = {(int32_t)draw(w, 2), (int32_t)draw(w, 2)};
    const int want = find_plain(&w->twin, at, ids), companion = want < 0 ? -1 : companion_of(&w->twin, want);
    const int32_t got = ops_kv_pool_find(w->p, &at, ids);
    assert_int_equal(got, want);
    if (got < 0)
        return;
    const ops_kv_before after = ops_kv_pool_after(w->p, got);
    assert_true(after.a == at.a && after.b == at.b);
    w->twin.all[want].refs++;
    const int32_t window = ops_kv_window_find(w->w, got);
    assert_int_equal(window, companion);
    if (companion >= 0)
        w->twin.window[companion].refs++;
    w->hands[w->n++] = (hand){.block = got, .window = window, .sealed = true};
}

static void seal(world *w, hand *h)
{
    plain *t = &w->twin;
    const int32_t ids[EACH] = {(int32_t)draw(w, 2), (int32_t)draw(w, 2)};
    const int known = find_plain(t, h->before, ids), mine = h->block;
    const ops_kv_before at = h->before;
    h->block = ops_kv_pool_seal(w->p, h->block, &h->before, ids);
    h->sealed = true;
    assert_int_equal(h->block, known >= 0 ? known : mine);
    if (known >= 0) {
        t->all[known].refs++;
        drop_plain(t, &t->all[mine]);
    } else {
        t->all[mine].known = true;
        t->all[mine].before = at;
        memcpy(t->all[mine].ids, ids, sizeof ids);
    }
    if (h->window < 0)
        return;
    const int companion = companion_of(t, h->block), window = h->window;
    h->window = ops_kv_window_join(w->w, h->block, h->window);
    assert_int_equal(h->window, companion >= 0 ? companion : window);
    if (companion >= 0) {
        t->window[companion].refs++;
        drop_plain(t, &t->window[window]);
    } else
        t->window[window].of = h->block;
}

static void let_window_go(world *w, hand *h)
{
    if (h->window < 0)
        return;
    ops_kv_window_release(w->w, h->window);
    drop_plain(&w->twin, &w->twin.window[h->window]);
    h->window = -1;
}

static void let_block_go(world *w, hand *h)
{
    if (h->block < 0)
        return;
    ops_kv_pool_release(w->p, h->block);
    drop_plain(&w->twin, &w->twin.all[h->block]);
    h->block = -1;
}

/* One or both: whoever still holds the window's block goes on with it, whatever becomes of the other. */
static void let_go(world *w, hand *h)
{
    if (draw(w, 2))
        let_window_go(w, h);
    let_block_go(w, h);
    if (h->window < 0 || draw(w, 4) == 0) {
        let_window_go(w, h);
        *h = w->hands[--w->n];
    }
}

static void one_life(uint64_t seed)
{
    world w = {.seed = seed};
    w.twin.blocks = 1 + (int)draw(&w, BLOCKS_MAX);
    w.twin.window_blocks = 1 + (int)draw(&w, BLOCKS_MAX);
    assert_int_equal(ops_kv_window_new(w.twin.window_blocks, w.twin.blocks, &w.w, NULL), OPS_OK);
    assert_int_equal(ops_kv_pool_new(w.twin.blocks, EACH, w.w, &w.p, NULL), OPS_OK);
    for (int i = 0; i < BLOCKS_MAX; i++) {
        w.twin.all[i] = w.twin.window[i] = (plain_block){.of = -1, .since = i};
        w.twin.now = i;
    }
    for (int step = 0; step < 3000; step++) {
        hand *h = w.n > 0 ? &w.hands[draw(&w, (uint32_t)w.n)] : NULL;
        const uint32_t what = draw(&w, 8);
        if (what < 2 && w.n < HANDS)
            take(&w);
        else if (what < 4 && w.n < HANDS)
            find(&w);
        else if (what < 6 && h != NULL && h->block >= 0 && !h->sealed)
            seal(&w, h);
        else if (what == 6 && h != NULL && h->sealed)
            let_window_go(&w, h);
        else if (what == 7 && h != NULL)
            let_go(&w, h);
        check_counts(&w);
    }
    while (w.n > 0)
        let_go(&w, &w.hands[0]);
    check_counts(&w);
    assert_int_equal(ops_kv_window_available(w.w), w.twin.window_blocks);
    ops_kv_pool_free(w.p);
    ops_kv_window_free(w.w);
}

static void blocks_are_where_a_plain_list_has_them(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        one_life(seed);
}

static void refuses_what_makes_no_sense_and_survives_the_heap(void **state)
{
    (void)state;
    ops_kv_window *w = NULL;
    assert_int_equal(ops_kv_window_new(0, 4, &w, NULL), OPS_EINVAL);
    assert_int_equal(ops_kv_window_new(4, 0, &w, NULL), OPS_EINVAL);
    assert_int_equal(ops_kv_window_new(OPS_KV_BLOCKS_MAX + 1, 4, &w, NULL), OPS_EINVAL);
    const long live = ops_alloc_live();
    for (long nth = 1; nth < 6; nth++) {
        ops_alloc_fail_at(nth);
        assert_int_equal(ops_kv_window_new(4, 4, &w, NULL), OPS_ENOMEM);
        ops_alloc_fail_at(0);
        assert_int_equal(ops_alloc_live(), live);
    }
    assert_null(w);
}

/* Blocks that a token at any place and those it looks back over lie in, counted. */
static void a_sequence_needs_what_its_window_can_lie_in(void **state)
{
    (void)state;
    for (int block = 1; block <= 9; block++)
        for (int window = 1; window <= 40; window++) {
            int most = 0;
            for (int at = 0; at < 200; at++) {
                const int first = at >= window ? at - window + 1 : 0, n = at / block - first / block + 1;
                most = n > most ? n : most;
            }
            assert_int_equal(ops_kv_window_needs(window, block), most);
        }
}

static void models_without_windows_have_one_cache(void **state)
{
    (void)state;
    ops_kv_ask a = {.positions = 1000, .block = 32, .seqs = 4, .step_tokens = 512, .block_bytes = 10};
    static const int want[][2] = {{0, 32}, {319, 32}, {320, 32}, {339, 33}, {1280, 128}, {1 << 20, 128}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        a.bytes = (uint64_t)want[i][0];
        const ops_kv_counts c = ops_kv_share(&a);
        assert_int_equal(c.blocks, want[i][1]);
        assert_int_equal(c.window, 0);
    }
    a.window =
        990; /* as long as a context, but for less than a block: all in one, whose blocks are the larger */
    a.window_bytes = 30;
    a.bytes = 40 * 50;
    const ops_kv_counts c = ops_kv_share(&a);
    assert_int_equal(c.blocks, 50);
    assert_int_equal(c.window, 0);
}

/* Every layer has a window: the others' blocks cost nothing, so there are as many as can be of use. */
static void models_with_nothing_but_windows_have_theirs(void **state)
{
    (void)state;
    ops_kv_ask a = {
        .positions = 3200, .block = 32, .seqs = 4, .step_tokens = 64, .window = 64, .window_bytes = 5};
    a.bytes = 40;
    ops_kv_counts c = ops_kv_share(&a);
    assert_int_equal(c.blocks, 400);
    assert_int_equal(c.window, 8);
    a.bytes = 1 << 20;
    c = ops_kv_share(&a);
    assert_int_equal(c.window, 4 * 3 + 2);
}

static void both_caches_hold_what_runs(void **state)
{
    (void)state;
    world w = {.seed = 9};
    for (int i = 0; i < 20000; i++) {
        const ops_kv_ask a = {.positions = 1 + (int)draw(&w, 5000),
                              .block = 1 + (int)draw(&w, 40),
                              .seqs = 1 + (int)draw(&w, 70),
                              .step_tokens = 1 + (int)draw(&w, 600),
                              .window = 1 + (int)draw(&w, 1500),
                              .bytes = draw(&w, 4) ? draw(&w, 1 << 20) : UINT64_MAX - draw(&w, 9),
                              .block_bytes = draw(&w, 60),
                              .window_bytes = 1 + draw(&w, 60)};
        const ops_kv_counts c = ops_kv_share(&a);
        const uint64_t one = (uint64_t)((a.positions + a.block - 1) / a.block);
        const uint64_t needs = (uint64_t)ops_kv_window_needs(a.window, a.block);
        const uint64_t step = (uint64_t)((a.step_tokens + a.block - 1) / a.block);
        const uint64_t blocks = (uint64_t)c.blocks, window = (uint64_t)c.window;
        assert_true(blocks >= one && blocks <= one * (uint64_t)a.seqs);
        assert_int_equal(window == 0, needs >= one);
        if (window == 0) {
            assert_true(blocks == one || blocks * (a.block_bytes + a.window_bytes) <= a.bytes);
            continue;
        }
        const uint64_t least = needs + step < one ? needs + step : one;
        assert_true(window >= least && window <= needs * (uint64_t)a.seqs + step);
        assert_true(window <= blocks);
        const uint64_t sum = blocks * a.block_bytes + window * a.window_bytes;
        assert_true(sum <= a.bytes || (blocks == one && window == least));
        /* each whole context of the one cache, but for what less than a block of the other would make, has its window in the other */
        const uint64_t odd = a.block_bytes > 0 ? a.window_bytes / a.block_bytes + 1 : blocks;
        assert_true(window >= (blocks > odd ? blocks - odd : 0) / one * needs || window == least);
        /* nothing is left that either could use */
        const bool full = blocks == one * (uint64_t)a.seqs;
        assert_true(full || sum + a.block_bytes + a.window_bytes > a.bytes);
        if (a.bytes > 1 << 30) { /* room for everything */
            assert_int_equal(blocks, one * (uint64_t)a.seqs);
            assert_true(window >= least && (window == needs * (uint64_t)a.seqs + step || window == blocks));
        }
    }
}

/* Gemma 3 of 1 billion, by hand: 4 of 26 layers look at everything; 8,192 tokens in 256 MiB. In one cache 315 blocks were one context. */
static void a_model_of_windows_has_room_for_more(void **state)
{
    (void)state;
    const uint64_t layer = 32 * 2 * 256 * 2;
    const ops_kv_ask a = {.positions = 8192,
                          .block = 32,
                          .seqs = 64,
                          .step_tokens = 512,
                          .window = 512,
                          .bytes = 256 << 20,
                          .block_bytes = 4 * layer,
                          .window_bytes = 22 * layer};
    const ops_kv_counts c = ops_kv_share(&a);
    assert_int_equal(c.window, 186);  /* half: ten windows and a step */
    assert_int_equal(c.blocks, 1025); /* four contexts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_where_a_plain_list_has_them),
        cmocka_unit_test(refuses_what_makes_no_sense_and_survives_the_heap),
        cmocka_unit_test(a_sequence_needs_what_its_window_can_lie_in),
        cmocka_unit_test(models_without_windows_have_one_cache),
        cmocka_unit_test(models_with_nothing_but_windows_have_theirs),
        cmocka_unit_test(both_caches_hold_what_runs),
        cmocka_unit_test(a_model_of_windows_has_room_for_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
