#include "worker/engine/engine_bert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/engine/engine_bert_internal.h"
#include "worker/model/model_place.h"

static void free_engine(ops_engine *base)
{
    bert_engine *e = (bert_engine *)base;
    if (e == NULL)
        return;
    ops_bert_free(e->bert);
    if (e->dev != NULL)
        e->kern->dev_free(e->dev);
    ops_wordpiece_free(e->words);
    ops_free(e->ids);
    ops_free(e->starts);
    ops_free(e->types);
    ops_free(e->logits);
    ops_free(e->at_words);
    ops_free(e->word_counts);
    ops_free(e->labels);
    ops_free(e);
}
OPS_AUTO_DEFINE(ops_engine, free_engine)

static uint32_t tokens_of(ops_engine *base, ops_slice text)
{
    const bert_engine *e = (const bert_engine *)base;
    return (uint32_t)ops_wordpiece_encode(e->words, text, base->info.tokens_max, e->ids);
}

static ops_status embed(ops_engine *base, const ops_slice *texts, size_t n, float *ret, uint64_t *ret_tokens,
                        const ops_engine_stop *stop, ops_err *reterr)
{
    bert_engine *e = (bert_engine *)base;
    const size_t dim = base->info.dim, budget = base->info.batch_tokens_max;
    size_t done = 0, next = 0,
           held = 0; /* texts computed; texts tokenised; ids of the one that did not fit */
    while (done < n) {
        if (stop != NULL && stop->asked(stop->ctx))
            return ops_fail(reterr, OPS_ECANCELLED, "stopped after %zu of %zu texts", done, n);
        int seqs = 0;
        size_t filled = 0;
        e->starts[0] = 0;
        for (;;) {
            if (held == 0 && next < n)
                held = ops_wordpiece_encode(e->words, texts[next++], base->info.tokens_max, e->ids + filled);
            if (held == 0 || filled + held > budget || seqs == e->seqs_max)
                break;
            filled += held;
            held = 0;
            e->starts[++seqs] = (int32_t)filled;
        }
        const ops_status st = ops_bert_embed(e->bert, e->ids, e->starts, seqs, ret + done * dim, reterr);
        if (st != OPS_OK)
            return st;
        *ret_tokens += filled;
        done += (size_t)seqs;
        if (held > 0)
            memmove(e->ids, e->ids + filled, held * sizeof *e->ids);
    }
    return OPS_OK;
}

static void set_name(ops_engine_info *info, const ops_engine_bert_conf *conf)
{
    if (conf->name != NULL)
        (void)snprintf(info->model, sizeof info->model, "%s", conf->name);
    else
        ops_model_place_name(conf->path, false, info->model, sizeof info->model);
}

static ops_status prepare(bert_engine *e, const ops_engine_bert_conf *conf, const ops_bert_config *c,
                          ops_err *reterr)
{
    ops_engine_info *info = &e->base.info;
    uint32_t batch = conf->batch_tokens_max != 0 ? conf->batch_tokens_max : OPS_ENGINE_BATCH_TOKENS_DEFAULT;
    if (batch > OPS_BERT_TOKENS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a batch of %u tokens, at most %d", batch, OPS_BERT_TOKENS_MAX);
    info->dim = (uint32_t)c->hidden;
    info->tokens_max = (uint32_t)c->tokens_max;
    info->batch_tokens_max = batch < info->tokens_max ? info->tokens_max : batch;
    e->seqs_max =
        (int)(info->batch_tokens_max < OPS_ENGINE_TEXTS_MAX ? info->batch_tokens_max : OPS_ENGINE_TEXTS_MAX);
    e->kern = ops_kern_cpu();
    const ops_kern_cpu_conf device = {.delayed = conf->delayed, .threads = (int)conf->threads};
    if (conf->threads > OPS_KERN_THREADS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%u threads, at most %d", conf->threads, OPS_KERN_THREADS_MAX);
    const ops_kern_status opened = ops_kern_cpu_open(&device, &e->dev);
    if (opened == OPS_KERN_EINVAL)
        return ops_fail(reterr, OPS_EINVAL, "OPS_KERN_LEVEL names a level that this processor does not have");
    e->ids = ops_calloc((size_t)info->batch_tokens_max + info->tokens_max, sizeof *e->ids);
    e->starts = ops_calloc((size_t)e->seqs_max + 1, sizeof *e->starts);
    if (e->dev == NULL || e->ids == NULL || e->starts == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "engine for batches of %u tokens", info->batch_tokens_max);
    set_name(info, conf);
    return OPS_OK;
}

static ops_status open_engine(bert_engine *e, const ops_engine_bert_conf *conf, ops_err *reterr)
{
    OPS_AUTO(ops_bert_file_free) ops_bert_file *f = NULL;
    ops_status st = ops_bert_file_open(conf->path, &f, reterr);
    if (st != OPS_OK)
        return st;
    e->c = *ops_bert_file_config(f);
    st = prepare(e, conf, &e->c, reterr);
    if (st == OPS_OK)
        st = ops_bert_file_words(f, &e->words, reterr);
    if (st == OPS_OK && e->c.head != OPS_BERT_NO_HEAD)
        st = engine_bert_prepare_score(e, f, reterr);
    if (st == OPS_OK)
        st = ops_bert_file_load(f, &e->c, e->kern, e->dev, conf->weights, (int)e->base.info.batch_tokens_max,
                                e->seqs_max, &e->bert, reterr);
    if (st == OPS_OK)
        ops_bert_file_hash(f, e->base.info.content_hash, conf->weights);
    return st;
}

ops_status ops_engine_bert_open(const ops_engine_bert_conf *conf, ops_engine **ret, ops_err *reterr)
{
    static const ops_engine_ops ops = {embed, tokens_of, free_engine, engine_bert_score};
    bert_engine *e = ops_calloc(1, sizeof *e);
    if (e == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "engine");
    OPS_AUTO(free_engine) ops_engine *owned = &e->base;
    owned->ops = &ops;
    const ops_status st = open_engine(e, conf, reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "model in %s", conf->path);
        return st;
    }
    *ret = OPS_STEAL(owned);
    return OPS_OK;
}

ops_status ops_engine_bert_folder(const char *name, char *ret, size_t cap, ops_err *reterr)
{
    const struct {
        const char *variable, *below;
    } places[] = {
        {"OPSD_MODELS", ""}, {"XDG_DATA_HOME", "/opsd/models"}, {"HOME", "/.local/share/opsd/models"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *root = getenv(places[i].variable);
        if (root == NULL || *root == '\0')
            continue;
        const int n = snprintf(ret, cap, "%s%s/%s", root, places[i].below, name);
        if (n < 0 || (size_t)n >= cap)
            return ops_fail(reterr, OPS_ETOOBIG,
                            "the path of the model '%.60s' below $%s is longer than %zu bytes", name,
                            places[i].variable, cap - 1);
        return OPS_OK;
    }
    return ops_fail(reterr, OPS_ENOTFOUND,
                    "no place for models: none of OPSD_MODELS, XDG_DATA_HOME, HOME is set");
}
