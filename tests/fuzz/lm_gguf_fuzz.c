/* A GGUF file as a decoder: hyperparameters, tensors, and a step of what is accepted. */
#include "tests/fuzz/lm_step.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_gguf *g = NULL;
    ops_lm_config c;
    if (ops_gguf_parse(ops_slice_of(data, size), &g, NULL) != OPS_OK)
        return 0;
    const ops_lm_source s = ops_lm_source_gguf(g);
    if (ops_lm_config_read(g, &c, NULL) == OPS_OK)
        lm_load_and_step(&c, &s);
    ops_gguf_free(g);
    return 0;
}
