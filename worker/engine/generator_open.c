/* From a GGUF file, or a Hugging Face folder, to the parts of a generator. */
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "worker/engine/generator.h"
#include "worker/engine/kv_share.h"
#include "worker/model/lm_file.h"
#include "worker/model/model_place.h"

enum { BLOCK = 32, GUESSES = 32 };

static uint32_t or_else(uint32_t v, uint32_t usual)
{
    return v > 0 ? v : usual;
}

static ops_lm_limits limits_for(const ops_generator_conf *conf, const ops_lm_config *c)
{
    const uint32_t context = or_else(conf->context_max, OPS_GENERATOR_CONTEXT_DEFAULT);
    const uint64_t cache =
        conf->cache_bytes > 0 ? conf->cache_bytes : (uint64_t)OPS_GENERATOR_CACHE_MIB_DEFAULT << 20;
    ops_lm_limits l = {.tokens = (int)or_else(conf->step_tokens, OPS_GENERATOR_STEP_TOKENS_DEFAULT),
                       .seqs = (int)or_else(conf->seqs_max, OPS_GENERATOR_SEQS_DEFAULT),
                       .block = BLOCK,
                       .cache_f32 = conf->cache_f32,
                       .exact = conf->exact};
    l.positions = context < (uint32_t)c->context ? (int)context : c->context;
    l.outputs = l.seqs + GUESSES;
    l.tokens = l.tokens > l.outputs ? l.tokens : l.outputs;
    const uint64_t of_layer =
        (uint64_t)BLOCK * 2 * (uint64_t)c->kv_heads * (uint64_t)c->width * (conf->cache_f32 ? 4 : 2);
    const uint64_t windowed = (uint64_t)ops_lm_window_layers(c);
    const ops_kv_ask ask = {.positions = l.positions,
                            .block = BLOCK,
                            .seqs = l.seqs,
                            .step_tokens = l.tokens,
                            .window = windowed > 0 ? c->window : 0,
                            .bytes = cache,
                            .block_bytes = ((uint64_t)c->layers - windowed) * of_layer,
                            .window_bytes = windowed * of_layer};
    const ops_kv_counts counts = ops_kv_share(&ask);
    l.blocks = counts.blocks;
    l.window_blocks = counts.window;
    return l;
}

static ops_status open_chat(const ops_lm_file *f, ops_generator_parts *p, ops_err *reterr)
{
    ops_err why = {.msg = ""};
    const ops_status st = ops_lm_file_chat(f, p->tokenizer, &p->chat, &why);
    if (st == OPS_ENOTFOUND)
        (void)snprintf(p->chat_why, sizeof p->chat_why, "it has no template for conversations");
    else if (st == OPS_EUNIMPL)
        (void)snprintf(p->chat_why, sizeof p->chat_why, "%.*s", (int)sizeof p->chat_why - 1, why.msg);
    else if (st != OPS_OK)
        return ops_fail(reterr, st, "%s", why.msg);
    return OPS_OK;
}

static ops_status open_decoder(const ops_lm_file *f, const ops_generator_conf *conf, ops_generator_parts *p,
                               ops_err *reterr)
{
    ops_lm_config c;
    ops_status st = ops_lm_file_config(f, &c, reterr);
    if (st != OPS_OK)
        return st;
    const ops_kern_cpu_conf device = {.delayed = conf->delayed, .threads = (int)conf->threads};
    const ops_kern_status opened = ops_kern_cpu_open(&device, &p->dev);
    if (opened != OPS_KERN_OK)
        return ops_fail(reterr, opened == OPS_KERN_ENOMEM ? OPS_ENOMEM : OPS_EINVAL,
                        "%u threads, at most %d; or OPS_KERN_LEVEL is none of this processor's",
                        conf->threads, OPS_KERN_THREADS_MAX);
    const ops_lm_limits l = limits_for(conf, &c);
    return ops_lm_file_load(f, ops_kern_cpu(), p->dev, &l, &p->lm, reterr);
}

typedef struct digest {
    uint64_t a, b;
} digest;

static void digest_add(digest *d, const void *p, size_t n)
{
    d->a = ops_hash64(p, n, d->a);
    d->b = ops_hash64(p, n, d->b);
}

static void digest_keys(digest *d, const ops_gguf *g)
{
    for (size_t i = 0; g != NULL && i < ops_gguf_keys(g); i++) {
        const ops_gguf_key *k = ops_gguf_key_at(g, i);
        const ops_gguf_value *v = &k->value;
        digest_add(d, k->name.p, k->name.n);
        digest_add(d, &v->u, sizeof v->u);
        digest_add(d, &v->i, sizeof v->i);
        digest_add(d, &v->f, sizeof v->f);
        digest_add(d, v->text.p, v->text.n);
        digest_add(d, v->array.rest.p, v->array.rest.n);
    }
}

/* What answers depend on: what the file says of itself, and every tensor. Two seeds make 128 bits. */
static void hash_content(const ops_lm_file *f, ops_generator_parts *p)
{
    digest d = {1, 2};
    const ops_slice json = ops_lm_file_json(f);
    const ops_lm_source source = ops_lm_file_source(f);
    ops_lm_tensor t;
    digest_add(&d, json.p, json.n);
    digest_keys(&d, ops_lm_file_gguf(f));
    for (size_t i = 0; i < source.count && source.at(source.from, i, &t); i++) {
        digest_add(&d, t.name.p, t.name.n);
        digest_add(&d, t.bytes.p, t.bytes.n);
    }
    (void)snprintf(p->content_hash, sizeof p->content_hash, "%016llx%016llx", (unsigned long long)d.a,
                   (unsigned long long)d.b);
}

static ops_status open_parts(const ops_generator_conf *conf, ops_generator_parts *p, ops_err *reterr)
{
    char path[OPS_MODEL_PLACE_MAX];
    bool folder = false;
    OPS_AUTO(ops_lm_file_free) ops_lm_file *f = NULL;
    ops_status st = ops_model_place_find(conf->path, path, &folder, reterr);
    if (st == OPS_OK)
        st = ops_lm_file_open(path, &f, reterr);
    if (st == OPS_OK)
        st = ops_lm_file_tokenizer(f, &p->tokenizer, reterr);
    if (st == OPS_OK)
        st = open_chat(f, p, reterr);
    if (st == OPS_OK)
        st = open_decoder(f, conf, p, reterr);
    if (st != OPS_OK)
        return st;
    hash_content(f, p);
    if (conf->name != NULL)
        (void)snprintf(p->name, sizeof p->name, "%s", conf->name);
    else
        ops_model_place_name(conf->path, folder, p->name, sizeof p->name);
    return OPS_OK;
}

ops_status ops_generator_open(const ops_generator_conf *conf, ops_generator **ret, ops_err *reterr)
{
    ops_generator_parts p = {.dev = NULL};
    ops_status st =
        conf->threads > OPS_KERN_THREADS_MAX
            ? ops_fail(reterr, OPS_EINVAL, "%u threads, at most %d", conf->threads, OPS_KERN_THREADS_MAX)
            : open_parts(conf, &p, reterr);
    if (st == OPS_OK)
        st = ops_generator_new(conf, &p, ret, reterr);
    if (st != OPS_OK) {
        ops_generator_parts_done(&p);
        ops_err_prefix(reterr, "%s", conf->path);
    }
    return st;
}
