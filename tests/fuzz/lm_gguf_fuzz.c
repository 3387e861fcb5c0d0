/* A GGUF file as a decoder: hyperparameters, tensors, and a step of what is accepted; or as an encoder: those, its
 * vocabulary, and the vector of a text. */
#include "tests/fuzz/lm_step.h"
#include "worker/model/bert.h"
#include "worker/model/wordpiece.h"

static void embed(const ops_gguf *g, const ops_bert_config *c)
{
    enum { TOKENS = 8 };
    const int tokens = c->tokens_max < TOKENS ? c->tokens_max : TOKENS;
    const ops_lm_source s = ops_lm_source_gguf(g);
    ops_wordpiece *w = NULL;
    ops_bert *b = NULL;
    if (tokens < 2 || c->vocab < 1 || c->heads < 1 || c->hidden % c->heads != 0 || !(c->eps > 0))
        return;
    if (ops_wordpiece_from_gguf(g, &w, NULL) == OPS_OK && ops_wordpiece_id_max(w) < c->vocab &&
        ops_bert_load_from(c, &s, ops_kern_cpu(), lm_device(), OPS_KERN_F32, TOKENS, 1, &b, NULL) == OPS_OK) {
        int32_t ids[TOKENS];
        const size_t n = ops_wordpiece_encode(w, OPS_SLICE("Ab \xc3\xa4 b!"), (size_t)tokens, ids);
        const int32_t starts[] = {0, (int32_t)n};
        float *v = malloc((size_t)c->hidden * sizeof *v);
        if (n < 2 || v == NULL || ops_bert_embed(b, ids, starts, 1, v, NULL) != OPS_OK)
            abort();
        free(v);
    }
    ops_bert_free(b);
    ops_wordpiece_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_gguf *g = NULL;
    ops_lm_config c;
    ops_bert_config b;
    if (ops_gguf_parse(ops_slice_of(data, size), &g, NULL) != OPS_OK)
        return 0;
    const ops_lm_source s = ops_lm_source_gguf(g);
    if (ops_lm_config_read(g, &c, NULL) == OPS_OK)
        lm_load_and_step(&c, &s);
    if (ops_bert_config_gguf(g, &b, NULL) == OPS_OK)
        embed(g, &b);
    ops_gguf_free(g);
    return 0;
}
