/* The models of tests/golden/lm on a device, and what the reference says of them. */
#ifndef OPS_TESTS_LM_GOLDEN_H
#define OPS_TESTS_LM_GOLDEN_H

#include <stdio.h>

#include "tests/support/golden.h"
#include "worker/model/lm.h"

enum { LM_SEQS = 4, LM_TOKENS = 1 + 2 + 17 + 40, LM_VOCAB = 96, LM_BLOCK = 16, LM_TABLE = 4, LM_BLOCKS = 24 };
static const int lm_lengths[LM_SEQS] = {1, 2, 17, 40};

typedef struct lm_world {
    ops_slice file;
    ops_gguf *g; /* or */
    ops_shards *shards;
    ops_kern_dev *dev;
    ops_lm *m;
    int32_t ids[LM_TOKENS]; /* of all sequences, one behind the other */
} lm_world;

/* The numbers of ids.json, in order. */
static inline void lm_read_ids(int32_t ids[LM_TOKENS])
{
    ops_slice text = golden_read("tests/golden/lm/ids.json");
    int n = 0;
    for (size_t i = 0; i < text.n && n < LM_TOKENS;) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            i++;
            continue;
        }
        for (ids[n] = 0; text.p[i] >= '0' && text.p[i] <= '9'; i++)
            ids[n] = ids[n] * 10 + (text.p[i] - '0');
        n++;
    }
    golden_free(text);
    assert_int_equal(n, LM_TOKENS);
}

static inline void lm_open_from(lm_world *w, const ops_lm_config *c, const ops_lm_source *s,
                                const ops_kern_cpu_conf *conf, bool exact)
{
    ops_err err;
    assert_int_equal(ops_kern_cpu_open(conf, &w->dev), OPS_KERN_OK);
    const ops_lm_limits limits = {.tokens = LM_TOKENS,
                                  .outputs = LM_TOKENS,
                                  .seqs = LM_SEQS,
                                  .block = LM_BLOCK,
                                  .blocks = LM_BLOCKS,
                                  .cache_f32 = true,
                                  .exact = exact};
    if (ops_lm_load_from(c, s, ops_kern_cpu(), w->dev, &limits, &w->m, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(ops_lm_table(w->m), LM_TABLE);
    lm_read_ids(w->ids);
}

static inline void lm_open(lm_world *w, const char *name, const ops_kern_cpu_conf *conf, bool exact)
{
    char path[96];
    (void)snprintf(path, sizeof path, "tests/golden/lm/%s.gguf", name);
    w->file = golden_read(path);
    ops_err err;
    ops_lm_config c;
    if (ops_gguf_parse(w->file, &w->g, &err) != OPS_OK || ops_lm_config_read(w->g, &c, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    const ops_lm_source s = ops_lm_source_gguf(w->g);
    lm_open_from(w, &c, &s, conf, exact);
}

/* The Hugging Face folder of that name. */
static inline void lm_open_folder(lm_world *w, const char *name, const ops_kern_cpu_conf *conf, bool exact)
{
    char folder[96], path[128];
    (void)snprintf(folder, sizeof folder, "tests/golden/lm/hf/%s", name);
    (void)snprintf(path, sizeof path, "%s/config.json", folder);
    ops_slice json = golden_read(path);
    ops_err err;
    ops_lm_config c;
    if (ops_lm_config_parse(json, &c, &err) != OPS_OK || ops_shards_open(folder, &w->shards, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    golden_free(json);
    const ops_lm_source s = ops_lm_source_shards(w->shards);
    lm_open_from(w, &c, &s, conf, exact);
}

static inline void lm_close(lm_world *w)
{
    ops_lm_free(w->m);
    ops_kern_cpu()->dev_free(w->dev);
    ops_gguf_free(w->g);
    ops_shards_free(w->shards);
    golden_free(w->file);
}

/* Blocks of the sequences, scattered over the cache. */
static inline void lm_table(int32_t table[LM_SEQS * LM_TABLE])
{
    for (int i = 0; i < LM_SEQS * LM_TABLE; i++)
        table[i] = (i * 7 + 5) % LM_BLOCKS; /* 7 and 24 have no common divisor */
}

/* Tokens [from, to) of one sequence into the batch, every one an output. */
static inline void lm_add(const lm_world *w, int seq, int from, int to, ops_lm_batch *b, int32_t *ids,
                          int32_t *rows, int32_t *out)
{
    int first = 0;
    for (int s = 0; s < seq; s++)
        first += lm_lengths[s];
    for (int p = from; p < to; p++) {
        ids[b->tokens] = w->ids[first + p];
        rows[2 * b->tokens] = seq;
        rows[2 * b->tokens + 1] = p;
        out[b->outputs++] = b->tokens++;
    }
}

#endif
