/* Two bytes of length, a config.json, a safetensors file: a decoder of both, and a step of what is accepted. */
#include "tests/fuzz/lm_step.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_lm_config c;
    ops_shards *weights = NULL;
    if (size < 2)
        return 0;
    const ops_slice all = ops_slice_of(data + 2, size - 2);
    const size_t length = (size_t)data[0] | (size_t)data[1] << 8;
    if (ops_lm_config_parse(ops_slice_sub(all, 0, length), &c, NULL) != OPS_OK || length > all.n ||
        ops_shards_parse(ops_slice_sub(all, length, all.n), &weights, NULL) != OPS_OK)
        return 0;
    const ops_lm_source s = ops_lm_source_shards(weights);
    lm_load_and_step(&c, &s);
    ops_shards_free(weights);
    return 0;
}
