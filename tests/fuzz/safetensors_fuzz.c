/* A whole file; every tensor that is accepted is read to its last byte. */
#include "base/mem/alloc.h"
#include "worker/model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_safetensors *s = NULL;
    if (ops_safetensors_parse(ops_slice_of(data, size), &s, NULL) != OPS_OK)
        return 0;
    for (size_t i = 0; i < ops_safetensors_count(s); i++) {
        const ops_safetensor *t = ops_safetensors_at(s, i);
        if (ops_safetensors_find(s, t->name) != t)
            __builtin_trap();
        float *v = ops_malloc((size_t)t->count * sizeof *v + 1);
        if (v != NULL)
            (void)(ops_safetensors_f32(t, v, NULL) == OPS_OK);
        ops_free(v);
    }
    ops_safetensors_free(s);
    return 0;
}
