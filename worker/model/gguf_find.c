/* What is asked of a parsed file. */
#include "worker/model/gguf_internal.h"

uint32_t ops_gguf_version(const ops_gguf *g)
{
    return g->version;
}

size_t ops_gguf_keys(const ops_gguf *g)
{
    return g->keys;
}

const ops_gguf_key *ops_gguf_key_at(const ops_gguf *g, size_t i)
{
    return i < g->keys ? &g->key[i] : NULL;
}

size_t ops_gguf_tensors(const ops_gguf *g)
{
    return g->tensors;
}

const ops_gguf_tensor *ops_gguf_tensor_at(const ops_gguf *g, size_t i)
{
    return i < g->tensors ? &g->tensor[i] : NULL;
}

const ops_gguf_tensor *ops_gguf_tensor_find(const ops_gguf *g, const char *name)
{
    return ops_map_get(g->tensor_by_name, ops_slice_str(name));
}

const ops_gguf_value *ops_gguf_find(const ops_gguf *g, const char *key)
{
    const ops_gguf_key *k = ops_map_get(g->key_by_name, ops_slice_str(key));
    return k != NULL ? &k->value : NULL;
}

bool ops_gguf_u64(const ops_gguf *g, const char *key, uint64_t *ret)
{
    const ops_gguf_value *v = ops_gguf_find(g, key);
    if (v == NULL)
        return false;
    switch (v->kind) {
    case OPS_GGUF_U8:
    case OPS_GGUF_U16:
    case OPS_GGUF_U32:
    case OPS_GGUF_U64:
        *ret = v->u;
        return true;
    case OPS_GGUF_I8:
    case OPS_GGUF_I16:
    case OPS_GGUF_I32:
    case OPS_GGUF_I64:
        if (v->i < 0)
            return false;
        *ret = (uint64_t)v->i;
        return true;
    default:
        return false;
    }
}

bool ops_gguf_f64(const ops_gguf *g, const char *key, double *ret)
{
    const ops_gguf_value *v = ops_gguf_find(g, key);
    if (v == NULL || (v->kind != OPS_GGUF_F32 && v->kind != OPS_GGUF_F64))
        return false;
    *ret = v->f;
    return true;
}

bool ops_gguf_bool(const ops_gguf *g, const char *key, bool *ret)
{
    const ops_gguf_value *v = ops_gguf_find(g, key);
    if (v == NULL || v->kind != OPS_GGUF_BOOL)
        return false;
    *ret = v->u != 0;
    return true;
}

bool ops_gguf_text(const ops_gguf *g, const char *key, ops_slice *ret)
{
    const ops_gguf_value *v = ops_gguf_find(g, key);
    if (v == NULL || v->kind != OPS_GGUF_TEXT)
        return false;
    *ret = v->text;
    return true;
}

bool ops_gguf_list(const ops_gguf *g, const char *key, ops_gguf_kind of, ops_gguf_array *ret)
{
    const ops_gguf_value *v = ops_gguf_find(g, key);
    if (v == NULL || v->kind != OPS_GGUF_ARRAY || v->array.of != of)
        return false;
    *ret = v->array;
    return true;
}
