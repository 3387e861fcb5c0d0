#include "worker/engine/engine.h"

ops_status ops_engine_embed(ops_engine *e, const ops_slice *texts, size_t n, float *ret, uint64_t *ret_tokens,
                            const ops_engine_stop *stop, ops_err *reterr)
{
    if (n == 0)
        return ops_fail(reterr, OPS_EINVAL, "no texts to embed");
    if (n > OPS_ENGINE_TEXTS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%zu texts in one call, at most %d", n, OPS_ENGINE_TEXTS_MAX);
    uint64_t tokens = 0;
    const ops_status st = e->ops->embed(e, texts, n, ret, &tokens, stop, reterr);
    if (st == OPS_OK && ret_tokens != NULL)
        *ret_tokens = tokens;
    return st;
}

uint32_t ops_engine_tokens(ops_engine *e, ops_slice text)
{
    return e->ops->tokens(e, text);
}

const ops_engine_info *ops_engine_info_get(const ops_engine *e)
{
    return &e->info;
}

void ops_engine_free(ops_engine *e)
{
    if (e != NULL)
        e->ops->free(e);
}
