#include "worker/model/lm_source.h"

#include "kernels/include/kern_quant.h"

/* Extents with the innermost last or first, as rows and their length. */
static void set_extents(ops_lm_tensor *t, int rank, uint64_t inner, uint64_t outer)
{
    t->rank = rank == 1 || rank == 2 ? rank : 0;
    t->k = t->rank > 0 ? inner : 0;
    t->n = t->rank == 2 ? outer : (uint64_t)t->rank;
}

static bool of_gguf(const ops_gguf_tensor *t, ops_lm_tensor *ret)
{
    if (t == NULL)
        return false;
    *ret = (ops_lm_tensor){
        .name = t->name, .type_name = ops_gguf_type_name(t->type), .count = t->count, .bytes = t->bytes};
    ret->type = ops_kern_quant_bytes((int)t->type, (size_t)t->count) == t->bytes.n ? (int)t->type : -1;
    set_extents(ret, t->rank, t->dim[0], t->dim[1]);
    return true;
}

static bool gguf_find(const void *from, const char *name, ops_lm_tensor *ret)
{
    return of_gguf(ops_gguf_tensor_find(from, name), ret);
}

static bool gguf_at(const void *from, size_t i, ops_lm_tensor *ret)
{
    return of_gguf(ops_gguf_tensor_at(from, i), ret);
}

ops_lm_source ops_lm_source_gguf(const ops_gguf *g)
{
    return (ops_lm_source){g, ops_gguf_tensors(g), gguf_find, gguf_at};
}

static bool of_safetensor(const ops_safetensor *t, ops_lm_tensor *ret)
{
    static const int types[OPS_SAFETENSORS_TYPE_COUNT] = {[OPS_SAFETENSORS_F64] = -1,
                                                          [OPS_SAFETENSORS_F32] = OPS_KERN_QUANT_F32,
                                                          [OPS_SAFETENSORS_F16] = OPS_KERN_QUANT_F16,
                                                          [OPS_SAFETENSORS_BF16] = OPS_KERN_QUANT_BF16,
                                                          [OPS_SAFETENSORS_I64] = -1,
                                                          [OPS_SAFETENSORS_I32] = -1,
                                                          [OPS_SAFETENSORS_I16] = -1,
                                                          [OPS_SAFETENSORS_I8] = -1,
                                                          [OPS_SAFETENSORS_U8] = -1,
                                                          [OPS_SAFETENSORS_BOOL] = -1};
    if (t == NULL)
        return false;
    *ret = (ops_lm_tensor){.name = ops_slice_str(t->name),
                           .type = types[t->type],
                           .type_name = ops_safetensors_type_name(t->type),
                           .count = t->count,
                           .bytes = t->bytes};
    set_extents(ret, t->rank, t->rank > 0 ? t->dim[t->rank - 1] : 0, t->dim[0]);
    return true;
}

static bool shards_find(const void *from, const char *name, ops_lm_tensor *ret)
{
    return of_safetensor(ops_shards_find(from, name), ret);
}

static bool shards_at(const void *from, size_t i, ops_lm_tensor *ret)
{
    return of_safetensor(ops_shards_at(from, i), ret);
}

ops_lm_source ops_lm_source_shards(const ops_shards *s)
{
    return (ops_lm_source){s, ops_shards_count(s), shards_find, shards_at};
}

static bool safetensors_find(const void *from, const char *name, ops_lm_tensor *ret)
{
    return of_safetensor(ops_safetensors_find(from, name), ret);
}

static bool safetensors_at(const void *from, size_t i, ops_lm_tensor *ret)
{
    return of_safetensor(ops_safetensors_at(from, i), ret);
}

ops_lm_source ops_lm_source_safetensors(const ops_safetensors *s)
{
    return (ops_lm_source){s, ops_safetensors_count(s), safetensors_find, safetensors_at};
}
