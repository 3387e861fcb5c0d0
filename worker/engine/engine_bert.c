#include "worker/engine/engine_bert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "worker/model/bert.h"
#include "worker/model/mapped.h"
#include "worker/model/wordpiece.h"

enum { SIDE_BYTES_MAX = 1 << 20, PATH_BYTES_MAX = 4096 };
#define WEIGHTS_BYTES_MAX ((size_t)16 << 30)

typedef struct bert_engine {
    ops_engine base;
    const ops_kern *kern;
    ops_kern_dev *dev;
    ops_wordpiece *words;
    ops_bert *bert;
    int seqs_max;
    int32_t *ids;    /* a batch and one text more */
    int32_t *starts; /* seqs_max + 1 */
} bert_engine;

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

/* What vectors depend on: every file read, chained. Two seeds make 128 bits. */
typedef struct digest {
    uint64_t a, b;
} digest;

static void digest_add(digest *d, ops_slice bytes)
{
    d->a = ops_hash64(bytes.p, bytes.n, d->a);
    d->b = ops_hash64(bytes.p, bytes.n, d->b);
}

static ops_status open_file(const char *folder, const char *name, size_t bytes_max, digest *d,
                            ops_mapped **ret, ops_err *reterr)
{
    char path[PATH_BYTES_MAX];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return ops_fail(reterr, OPS_ETOOBIG, "the path of the model is longer than %d bytes", PATH_BYTES_MAX);
    const ops_status st = ops_mapped_open(path, bytes_max, ret, reterr);
    if (st == OPS_OK)
        digest_add(d, ops_mapped_bytes(*ret));
    return st;
}

static ops_status read_config(const char *folder, digest *d, ops_bert_config *c, ops_err *reterr)
{
    OPS_AUTO(ops_mapped_free)
    ops_mapped *main_file = NULL, *sentence = NULL, *pooling = NULL, *modules = NULL;
    ops_status st = open_file(folder, "config.json", SIDE_BYTES_MAX, d, &main_file, reterr);
    if (st == OPS_OK)
        st = ops_bert_config_parse(ops_mapped_bytes(main_file), c, reterr);
    if (st != OPS_OK)
        return st;
    c->head = OPS_BERT_NO_HEAD; /* vectors alone are asked for */
    c->labels = 0;
    st = open_file(folder, "sentence_bert_config.json", SIDE_BYTES_MAX, d, &sentence, reterr);
    if (st == OPS_OK)
        st = ops_bert_config_sentence(ops_mapped_bytes(sentence), c, reterr);
    if (st != OPS_OK && st != OPS_ENOTFOUND)
        return st;
    st = open_file(folder, "1_Pooling/config.json", SIDE_BYTES_MAX, d, &pooling, reterr);
    if (st == OPS_OK)
        st = ops_bert_config_pooling(ops_mapped_bytes(pooling), c, reterr);
    if (st != OPS_OK && st != OPS_ENOTFOUND)
        return st;
    digest unused = {0, 0}; /* a list of steps that are built changes no vector */
    st = open_file(folder, "modules.json", SIDE_BYTES_MAX, &unused, &modules, reterr);
    if (st == OPS_OK)
        st = ops_bert_config_modules(ops_mapped_bytes(modules), reterr);
    return st == OPS_ENOTFOUND ? OPS_OK : st;
}

static ops_status read_words(bert_engine *e, const char *folder, digest *d, const ops_bert_config *c,
                             ops_err *reterr)
{
    OPS_AUTO(ops_mapped_free) ops_mapped *file = NULL;
    ops_status st = open_file(folder, "tokenizer.json", OPS_WORDPIECE_JSON_MAX, d, &file, reterr);
    if (st == OPS_OK)
        st = ops_wordpiece_parse(ops_mapped_bytes(file), &e->words, reterr);
    if (st != OPS_OK)
        return st;
    if (ops_wordpiece_id_max(e->words) >= c->vocab)
        return ops_fail(reterr, OPS_ECORRUPT, "tokenizer.json has the id %d, config.json a vocabulary of %d",
                        ops_wordpiece_id_max(e->words), c->vocab);
    const size_t specials = ops_wordpiece_specials(e->words);
    if (specials < 1 || specials >= (size_t)c->tokens_max)
        return ops_fail(reterr, OPS_ECORRUPT, "%zu special tokens around a text of at most %d", specials,
                        c->tokens_max);
    return OPS_OK;
}

static ops_status read_weights(bert_engine *e, const char *folder, ops_kern_type weights, digest *d,
                               const ops_bert_config *c, ops_err *reterr)
{
    OPS_AUTO(ops_mapped_free) ops_mapped *file = NULL;
    OPS_AUTO(ops_safetensors_free) ops_safetensors *tensors = NULL;
    ops_status st = open_file(folder, "model.safetensors", WEIGHTS_BYTES_MAX, d, &file, reterr);
    if (st == OPS_OK)
        st = ops_safetensors_parse(ops_mapped_bytes(file), &tensors, reterr);
    if (st == OPS_OK)
        st = ops_bert_load(c, tensors, e->kern, e->dev, weights, (int)e->base.info.batch_tokens_max,
                           e->seqs_max, &e->bert, reterr);
    return st;
}

static void set_name(ops_engine_info *info, const ops_engine_bert_conf *conf)
{
    ops_slice name = ops_slice_str(conf->name != NULL ? conf->name : conf->folder);
    if (conf->name == NULL) {
        while (name.n > 1 && name.p[name.n - 1] == '/')
            name.n--;
        for (size_t i = name.n; i > 0; i--)
            if (name.p[i - 1] == '/') {
                name = ops_slice_sub(name, i, name.n);
                break;
            }
    }
    (void)snprintf(info->model, sizeof info->model, OPS_SLICE_FMT, OPS_SLICE_ARG(name));
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
    digest d = {1, 2};
    ops_bert_config c;
    ops_status st = read_config(conf->folder, &d, &c, reterr);
    if (st == OPS_OK)
        st = prepare(e, conf, &c, reterr);
    if (st == OPS_OK)
        st = read_words(e, conf->folder, &d, &c, reterr);
    if (st == OPS_OK)
        st = read_weights(e, conf->folder, conf->weights, &d, &c, reterr);
    if (conf->weights != OPS_KERN_F32) /* the same file at another precision makes other vectors */
        digest_add(&d, ops_slice_of((const char[]){(char)conf->weights}, 1));
    if (st == OPS_OK)
        (void)snprintf(e->base.info.content_hash, sizeof e->base.info.content_hash, "%016llx%016llx",
                       (unsigned long long)d.a, (unsigned long long)d.b);
    return st;
}

ops_status ops_engine_bert_open(const ops_engine_bert_conf *conf, ops_engine **ret, ops_err *reterr)
{
    static const ops_engine_ops ops = {embed, tokens_of, free_engine};
    bert_engine *e = ops_calloc(1, sizeof *e);
    if (e == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "engine");
    OPS_AUTO(free_engine) ops_engine *owned = &e->base;
    owned->ops = &ops;
    const ops_status st = open_engine(e, conf, reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "model in %s", conf->folder);
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
