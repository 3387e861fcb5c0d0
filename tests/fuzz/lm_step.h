/* What the fuzzers of decoders share: a model that was accepted is loaded on a device and must answer a step. */
#ifndef OPS_FUZZ_LM_STEP_H
#define OPS_FUZZ_LM_STEP_H

#include <stdlib.h>

#include "worker/model/lm.h"

static ops_kern_dev *lm_device(void)
{
    static ops_kern_dev *dev;
    const ops_kern_cpu_conf conf = {.threads = 1};
    if (dev == NULL && ops_kern_cpu_open(&conf, &dev) != OPS_KERN_OK)
        abort();
    return dev;
}

/* A prompt of three and one more: as many as the context allows. */
static void lm_load_and_step(const ops_lm_config *c, const ops_lm_source *s)
{
    enum { TOKENS = 4, BLOCK = 4 };
    static const int32_t ids[TOKENS], out[] = {TOKENS - 1}, table[1];
    static const int32_t rows[2 * TOKENS] = {0, 0, 0, 1, 0, 2, 0, 3};
    const int tokens = c->context < TOKENS ? c->context : TOKENS;
    const ops_lm_limits limits = {
        .tokens = TOKENS, .outputs = 1, .seqs = 1, .positions = tokens, .block = BLOCK, .blocks = 1};
    const int32_t last = tokens - 1;
    ops_lm *m = NULL;
    if (c->vocab < 1 || c->layers < 1 || c->heads < 1 || c->heads % c->kv_heads != 0 || c->width < 1 ||
        c->rotary > c->width || !(c->eps > 0) || (c->window > 0 && c->period < 1))
        abort();
    if (ops_lm_load_from(c, s, ops_kern_cpu(), lm_device(), &limits, &m, NULL) != OPS_OK)
        return;
    float *logits = malloc((size_t)c->vocab * sizeof *logits);
    const ops_lm_batch b = {.tokens = tokens,
                            .seqs = 1,
                            .outputs = 1,
                            .ids = ids,
                            .rows = rows,
                            .table = table,
                            .out = tokens == TOKENS ? out : &last};
    if (logits == NULL || ops_lm_step(m, &b, logits, NULL) != OPS_OK)
        abort();
    free(logits);
    ops_lm_free(m);
}

#endif
