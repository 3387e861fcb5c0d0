#include "worker/engine/engine.h"

static ops_status check_count(size_t n, ops_err *reterr)
{
    if (n == 0)
        return ops_fail(reterr, OPS_EINVAL, "no texts");
    if (n > OPS_ENGINE_TEXTS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%zu texts in one call, at most %d", n, OPS_ENGINE_TEXTS_MAX);
    return OPS_OK;
}

ops_status ops_engine_embed(ops_engine *e, const ops_slice *texts, size_t n, float *ret, uint64_t *ret_tokens,
                            const ops_engine_stop *stop, ops_err *reterr)
{
    ops_status st = check_count(n, reterr);
    if (st == OPS_OK && e->info.does != OPS_ENGINE_EMBEDS)
        st = ops_fail(reterr, OPS_EINVAL, "the model has a head and makes no vectors");
    if (st != OPS_OK)
        return st;
    uint64_t tokens = 0;
    st = e->ops->embed(e, texts, n, ret, &tokens, stop, reterr);
    if (st == OPS_OK && ret_tokens != NULL)
        *ret_tokens = tokens;
    return st;
}

ops_status ops_engine_score(ops_engine *e, const ops_engine_question *q, float *ret, ops_engine_spans *spans,
                            uint64_t *ret_tokens, const ops_engine_stop *stop, ops_err *reterr)
{
    ops_status st = check_count(q->n, reterr);
    if (st == OPS_OK && (e->ops->score == NULL || e->info.does == OPS_ENGINE_EMBEDS))
        st = ops_fail(reterr, OPS_EINVAL, "the model has no head to score with");
    if (st == OPS_OK && (q->query != NULL) != (e->info.does == OPS_ENGINE_RERANKS))
        st = ops_fail(reterr, OPS_EINVAL, "a query, and a model that reranks: one without the other");
    if (st != OPS_OK)
        return st;
    uint64_t tokens = 0;
    st = e->ops->score(e, q, ret, spans, &tokens, stop, reterr);
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
