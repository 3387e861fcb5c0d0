/* Layers that look back over a window only, in blocks of their own that are given back: the bits of one table for all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/unit/worker/lm_golden.h"
#include "worker/model/lm_internal.h"

enum { WINDOW = 8, TABLE_MAX = 64, WINDOW_BLOCKS_MAX = 64, ALL_BLOCKS = 256 };

static float want[LM_TOKENS * LM_VOCAB], got[LM_TOKENS * LM_VOCAB];
static int32_t ids[LM_TOKENS], rows[LM_TOKENS * 2], out[LM_TOKENS];
static int32_t table[LM_SEQS * TABLE_MAX], window_table[LM_SEQS * TABLE_MAX];

typedef struct how {
    int block, window_blocks, period; /* window_blocks 0: one table; period 0: the file's */
    bool f32;
} how;

static void open_model(lm_world *w, how h)
{
    const ops_kern_cpu_conf conf = {.threads = 2};
    const ops_lm_limits limits = {.tokens = LM_TOKENS,
                                  .outputs = LM_TOKENS,
                                  .seqs = LM_SEQS,
                                  .block = h.block,
                                  .blocks = ALL_BLOCKS,
                                  .window_blocks = h.window_blocks,
                                  .cache_f32 = h.f32};
    ops_lm_config c;
    ops_err err;
    *w = (lm_world){.file = golden_read("tests/golden/lm/gemma3.gguf")};
    assert_int_equal(ops_gguf_parse(w->file, &w->g, NULL), OPS_OK);
    assert_int_equal(ops_lm_config_read(w->g, &c, NULL), OPS_OK);
    assert_int_equal(c.window, WINDOW);
    c.period = h.period > 0 ? h.period : c.period;
    const ops_lm_source s = ops_lm_source_gguf(w->g);
    assert_int_equal(ops_kern_cpu_open(&conf, &w->dev), OPS_KERN_OK);
    if (ops_lm_load_from(&c, &s, ops_kern_cpu(), w->dev, &limits, &w->m, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_true(ops_lm_table(w->m) <= TABLE_MAX);
    lm_read_ids(w->ids);
    for (int i = 0; i < LM_SEQS * ops_lm_table(w->m); i++)
        table[i] = i;
    memset(window_table, 0xff, sizeof window_table);
}

static ops_lm_batch empty(void)
{
    return (ops_lm_batch){
        .seqs = LM_SEQS, .ids = ids, .rows = rows, .out = out, .table = table, .window_table = window_table};
}

static void go(lm_world *w, const ops_lm_batch *b, float *ret)
{
    ops_err err;
    if (ops_lm_step(w->m, b, ret, &err) != OPS_OK)
        fail_msg("%s", err.msg);
}

/* What a layer with a window had in that block is no number from now on. */
static void poison(lm_world *w, how h, int32_t block)
{
    static uint8_t nan[1 << 16];
    const ops_kern_decoder one = {
        .blocks = 1, .kv_heads = w->m->c.kv_heads, .width = w->m->c.width, .block = h.block, .half = !h.f32};
    const size_t bytes = ops_kern_cache_bytes(&one);
    assert_true(bytes > 0 && bytes <= sizeof nan);
    memset(nan, 0xff, sizeof nan);
    for (int i = 0; i < w->m->c.layers; i++)
        if (ops_lm_windowed(&w->m->c, i))
            assert_int_equal(
                ops_kern_cpu()->upload(w->dev, w->m->layers[i].cache, (size_t)block * bytes, nan, bytes),
                OPS_KERN_OK);
}

typedef struct blocks {
    int32_t free[WINDOW_BLOCKS_MAX];
    int n, least; /* fewest that were free */
} blocks;

/* Has the sequence's blocks of the window cover [from, until) and what the first of them looks back at; those before are poison, and
 * all where it has ended. */
static void slide(lm_world *w, how h, blocks *f, int seq, int from, int until)
{
    int32_t *row = window_table + (ptrdiff_t)seq * ops_lm_table(w->m);
    const int first = from >= WINDOW ? (from - WINDOW + 1) / h.block : 0;
    for (int k = 0; k < (from < until ? first : TABLE_MAX) && k < ops_lm_table(w->m); k++)
        if (row[k] >= 0) {
            poison(w, h, row[k]);
            f->free[f->n++] = row[k];
            row[k] = -1;
        }
    for (int k = from / h.block; from < until && k <= (until - 1) / h.block; k++)
        if (row[k] < 0) {
            assert_true(f->n > 0);
            row[k] = f->free[--f->n];
        }
    f->least = f->n < f->least ? f->n : f->least;
}

/* All sequences side by side, in pieces of `piece` tokens; *to as all_at_once() would have it. */
static void in_pieces(lm_world *w, how h, int piece, float *to)
{
    blocks f = {.n = h.window_blocks, .least = h.window_blocks};
    for (int i = 0; i < h.window_blocks; i++) {
        f.free[i] = i;
        poison(w, h, i);
    }
    for (int from = 0; from < lm_lengths[LM_SEQS - 1]; from += piece) {
        ops_lm_batch b = empty();
        static float some[LM_TOKENS * LM_VOCAB];
        for (int s = 0; s < LM_SEQS; s++) {
            const int until = from + piece < lm_lengths[s] ? from + piece : lm_lengths[s];
            slide(w, h, &f, s, from, until);
            if (from < until)
                lm_add(w, s, from, until, &b, ids, rows, out);
        }
        go(w, &b, some);
        const float *at = some;
        for (int s = 0, first = 0; s < LM_SEQS; first += lm_lengths[s++]) {
            const int until = from + piece < lm_lengths[s] ? from + piece : lm_lengths[s];
            if (from >= until)
                continue;
            const size_t n = (size_t)(until - from) * LM_VOCAB;
            memcpy(to + (size_t)(first + from) * LM_VOCAB, at, n * sizeof *to);
            at += n;
        }
    }
    assert_int_equal(f.least, 0); /* as few as they can be */
}

static void same_bits(how h, int piece)
{
    lm_world w;
    how one = h;
    one.window_blocks = 0;
    open_model(&w, one);
    ops_lm_batch b = empty();
    for (int s = 0; s < LM_SEQS; s++)
        lm_add(&w, s, 0, lm_lengths[s], &b, ids, rows, out);
    go(&w, &b, want);
    lm_close(&w);
    open_model(&w, h);
    in_pieces(&w, h, piece, got);
    assert_memory_equal(got, want, sizeof want);
    lm_close(&w);
}

/* Blocks of 16, 4 and 1 tokens; windows in six layers of seven, in all. */
static void blocks_behind_the_window_are_anybodys(void **state)
{
    (void)state;
    same_bits((how){.block = 16, .window_blocks = 4}, 1);
    same_bits((how){.block = 16, .window_blocks = 4, .f32 = true}, 7);
    same_bits((how){.block = 4, .window_blocks = 6}, 1);
    same_bits((how){.block = 4, .window_blocks = 8}, 5);
    same_bits((how){.block = 1, .window_blocks = 16}, 1);
    same_bits((how){.block = 16, .window_blocks = 4, .period = 8}, 3);
}

/* A sequence of several windows in as few blocks as one of them can lie in. */
static void a_layer_with_a_window_takes_a_windows_memory(void **state)
{
    (void)state;
    lm_world w;
    open_model(&w, (how){.block = 16, .window_blocks = 3});
    assert_int_equal(ops_lm_window_layers(&w.m->c), 6);
    assert_int_equal(ops_lm_limits_of(w.m)->window_blocks, 3);
    uint8_t byte;
    const ops_kern_decoder three = {
        .blocks = 3, .kv_heads = w.m->c.kv_heads, .width = w.m->c.width, .block = 16, .half = 1};
    const size_t bytes = ops_kern_cache_bytes(&three);
    const ops_kern *k = ops_kern_cpu();
    assert_int_equal(k->download(w.dev, w.m->layers[0].cache, bytes - 1, &byte, 1), OPS_KERN_OK);
    assert_int_equal(k->download(w.dev, w.m->layers[0].cache, bytes, &byte, 1), OPS_KERN_EINVAL);
    assert_int_equal(k->download(w.dev, w.m->layers[5].cache, bytes, &byte, 1),
                     OPS_KERN_OK); /* looks at all */
    lm_close(&w);
}

/* Where no layer has one there is nothing to be had for it. */
static void a_model_without_windows_has_one_table(void **state)
{
    (void)state;
    lm_world w;
    open_model(&w, (how){.block = 16, .window_blocks = 3, .period = 1});
    assert_int_equal(ops_lm_window_layers(&w.m->c), 0);
    assert_int_equal(ops_lm_limits_of(w.m)->window_blocks, 0);
    ops_lm_batch b = empty();
    b.window_table = NULL;
    lm_add(&w, 3, 0, 40, &b, ids, rows, out);
    go(&w, &b, got);
    lm_close(&w);
}

static void refused(lm_world *w, const ops_lm_batch *b, const char *part)
{
    ops_err err;
    got[0] = 42;
    assert_int_equal(ops_lm_step(w->m, b, got, &err), OPS_EINVAL);
    if (strstr(err.msg, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.msg, part);
    assert_true(got[0] == 42);
}

static void refuses_tables_that_lie(void **state)
{
    (void)state;
    lm_world w;
    open_model(&w, (how){.block = 4, .window_blocks = 12});
    int32_t *row = window_table + (ptrdiff_t)3 * ops_lm_table(w.m);
    for (int k = 0; k < 10; k++)
        row[k] = k;
    ops_lm_batch b = empty();
    lm_add(&w, 3, 0, 40, &b, ids, rows, out);
    go(&w, &b, got);
    b = empty();
    lm_add(&w, 3, 30, 33, &b, ids, rows, out); /* looks at 23 and on, of block 5 */
    for (int k = 0; k < 5; k++)
        row[k] = k % 2 ? -1 : 1 << 30;
    go(&w, &b, got);
    row[5] = -1;
    refused(&w, &b, "entry 5 of its table is block -1 of 12");
    row[5] = 12;
    refused(&w, &b, "entry 5 of its table is block 12 of 12");
    row[5] = 5;
    row[8] = -1;
    refused(&w, &b, "entry 8 of its table is block -1 of 12");
    row[8] = 8;
    table[3 * ops_lm_table(w.m)] = -1; /* the other layers look at everything */
    refused(&w, &b, "entry 0 of its table is block -1 of 256");
    b.window_table = NULL;
    refused(&w, &b, "without a table");
    lm_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_behind_the_window_are_anybodys),
        cmocka_unit_test(a_layer_with_a_window_takes_a_windows_memory),
        cmocka_unit_test(a_model_without_windows_has_one_table),
        cmocka_unit_test(refuses_tables_that_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
