/* Hyperparameters of an encoder from the metadata of a GGUF file. How many ids, positions and types there are is told by the
 * tables themselves. */
#include "worker/model/bert_config.h"

static ops_status whole(const ops_gguf *g, const char *key, int max, int *ret, ops_err *reterr)
{
    uint64_t v = 0;
    if (!ops_gguf_u64(g, key, &v))
        return ops_fail(reterr, OPS_ECORRUPT, "the key '%s' is missing or no whole number", key);
    if (v < 1 || v > (uint64_t)max)
        return ops_fail(reterr, OPS_ECORRUPT, "the key '%s' is %llu, not between 1 and %d", key,
                        (unsigned long long)v, max);
    *ret = (int)v;
    return OPS_OK;
}

static ops_status rows_of(const ops_gguf *g, const char *tensor, int max, int *ret, ops_err *reterr)
{
    const ops_gguf_tensor *t = ops_gguf_tensor_find(g, tensor);
    if (t == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "the model lacks the tensor '%s'", tensor);
    if (t->rank != 2 || t->dim[1] > (uint64_t)max)
        return ops_fail(reterr, OPS_ECORRUPT, "tensor '%s' has rank %d and %llu rows, not 2 and at most %d",
                        tensor, t->rank, (unsigned long long)t->dim[1], max);
    *ret = (int)t->dim[1];
    return OPS_OK;
}

static ops_status sizes(const ops_gguf *g, ops_bert_config *c, ops_err *reterr)
{
    const struct {
        const char *key;
        int max, *at;
    } keys[] = {{"bert.embedding_length", OPS_BERT_HIDDEN_MAX, &c->hidden},
                {"bert.block_count", OPS_BERT_LAYERS_MAX, &c->layers},
                {"bert.attention.head_count", OPS_BERT_HIDDEN_MAX, &c->heads},
                {"bert.feed_forward_length", OPS_BERT_INNER_MAX, &c->inner},
                {"bert.context_length", OPS_BERT_POSITIONS_MAX, &c->tokens_max}},
      tables[] = {{"token_embd.weight", OPS_BERT_VOCAB_MAX, &c->vocab},
                  {"position_embd.weight", OPS_BERT_POSITIONS_MAX, &c->positions},
                  {"token_types.weight", OPS_BERT_TYPES_MAX, &c->types}};
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < sizeof keys / sizeof *keys; i++)
        st = whole(g, keys[i].key, keys[i].max, keys[i].at, reterr);
    for (size_t i = 0; st == OPS_OK && i < sizeof tables / sizeof *tables; i++)
        st = rows_of(g, tables[i].key, tables[i].max, tables[i].at, reterr);
    if (st != OPS_OK)
        return st;
    if (c->hidden % c->heads != 0)
        return ops_fail(reterr, OPS_ECORRUPT, "%d heads do not divide an embedding of %d", c->heads,
                        c->hidden);
    if (c->tokens_max > c->positions)
        return ops_fail(reterr, OPS_ECORRUPT, "bert.context_length is %d, 'position_embd.weight' has %d rows",
                        c->tokens_max, c->positions);
    return OPS_OK;
}

static ops_status pooling(const ops_gguf *g, ops_bert_config *c, ops_err *reterr)
{
    enum { MEAN = 1, CLS = 2 }; /* the format's numbers */
    static const char key[] = "bert.pooling_type";
    uint64_t v = MEAN;
    if (ops_gguf_find(g, key) != NULL && !ops_gguf_u64(g, key, &v))
        return ops_fail(reterr, OPS_ECORRUPT, "the key '%s' is no whole number", key);
    if (v != MEAN && v != CLS)
        return ops_fail(reterr, OPS_EUNIMPL,
                        "%s %llu is not built, only 1 (the mean) and 2 (the first token)", key,
                        (unsigned long long)v);
    c->pooling = v == CLS ? OPS_BERT_CLS : OPS_BERT_MEAN;
    return OPS_OK;
}

static ops_status refuse_unbuilt(const ops_gguf *g, const ops_bert_config *c, ops_err *reterr)
{
    static const char *const unbuilt[] = {"bert.expert_count", "bert.attention.sliding_window"};
    bool causal = false;
    uint64_t kv = (uint64_t)c->heads;
    for (size_t i = 0; i < sizeof unbuilt / sizeof *unbuilt; i++)
        if (ops_gguf_find(g, unbuilt[i]) != NULL)
            return ops_fail(reterr, OPS_EUNIMPL, "the key '%s' is not built", unbuilt[i]);
    if (ops_gguf_bool(g, "bert.attention.causal", &causal) && causal)
        return ops_fail(reterr, OPS_EUNIMPL, "bert.attention.causal: an encoder that looks one way only");
    if (ops_gguf_u64(g, "bert.attention.head_count_kv", &kv) && kv != (uint64_t)c->heads)
        return ops_fail(reterr, OPS_EUNIMPL, "bert.attention.head_count_kv %llu beside %d heads is not built",
                        (unsigned long long)kv, c->heads);
    return OPS_OK;
}

ops_status ops_bert_config_gguf(const ops_gguf *g, ops_bert_config *ret, ops_err *reterr)
{
    static const char eps[] = "bert.attention.layer_norm_epsilon";
    ops_bert_config c = {0};
    ops_slice arch = {0};
    double v = 0;
    if (!ops_gguf_text(g, "general.architecture", &arch))
        return ops_fail(reterr, OPS_ECORRUPT, "the key 'general.architecture' is missing or no text");
    if (!ops_slice_eq(arch, OPS_SLICE("bert")))
        return ops_fail(reterr, OPS_EUNIMPL,
                        "architecture '" OPS_SLICE_FMT "' is not built, of encoders only 'bert'",
                        OPS_SLICE_ARG(ops_slice_sub(arch, 0, 60)));
    ops_status st = sizes(g, &c, reterr);
    if (st == OPS_OK)
        st = pooling(g, &c, reterr);
    if (st == OPS_OK)
        st = refuse_unbuilt(g, &c, reterr);
    if (st != OPS_OK)
        return st;
    if (!ops_gguf_f64(g, eps, &v) || !(v >= 1e-30 && v <= 1))
        return ops_fail(reterr, OPS_ECORRUPT, "the key '%s' is missing or not from 1e-30 to 1", eps);
    c.eps = (float)v;
    *ret = c;
    return OPS_OK;
}

bool ops_bert_config_is_gguf(const ops_gguf *g)
{
    ops_slice arch;
    return ops_gguf_text(g, "general.architecture", &arch) && ops_slice_eq(arch, OPS_SLICE("bert"));
}
