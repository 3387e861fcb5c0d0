#include "worker/engine/generator.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem/alloc.h"
#include "worker/engine/generator_internal.h"

enum { MASK_CACHE_BYTES = 32 << 20, JUMP_TOKENS_MAX = 512 };

static void free_parts(ops_generator_parts *p)
{
    ops_chat_free(p->chat);
    ops_tokenizer_free(p->tokenizer);
    ops_lm_free(p->lm);
    if (p->dev != NULL)
        ops_kern_cpu()->dev_free(p->dev);
}

static uint32_t or_else(uint32_t v, uint32_t usual)
{
    return v > 0 ? v : usual;
}

static ops_status check(const ops_generator *g, const ops_generator_conf *conf, ops_err *reterr)
{
    const ops_lm_limits *l = ops_lm_limits_of(g->parts.lm);
    const size_t pieces = ops_tokenizer_count(g->parts.tokenizer);
    const uint32_t seqs = or_else(conf->seqs_max, OPS_GENERATOR_SEQS_DEFAULT);
    if (pieces > g->info.vocab)
        return ops_fail(reterr, OPS_ECORRUPT, "a tokenizer of %zu pieces, embeddings of %u", pieces,
                        g->info.vocab);
    if ((int64_t)l->blocks * l->block < l->positions)
        return ops_fail(reterr, OPS_ETOOBIG, "a context of %d tokens, a cache of %d blocks of %d",
                        l->positions, l->blocks, l->block);
    if (seqs > (uint32_t)l->seqs || l->outputs < l->seqs || g->step_tokens > (uint32_t)l->tokens)
        return ops_fail(reterr, OPS_EINVAL,
                        "%u sequences and %u tokens at once, the decoder takes %d, %d outputs and %d", seqs,
                        g->step_tokens, l->seqs, l->outputs, l->tokens);
    return OPS_OK;
}

static uint64_t cache_bytes(const ops_lm_config *c, const ops_lm_limits *l)
{
    const uint64_t of_layer =
        (uint64_t)l->block * 2 * (uint64_t)c->kv_heads * (uint64_t)c->width * (l->cache_f32 ? 4 : 2);
    const uint64_t windowed = l->window_blocks > 0 ? (uint64_t)ops_lm_window_layers(c) : 0;
    return of_layer *
           ((uint64_t)l->blocks * ((uint64_t)c->layers - windowed) + (uint64_t)l->window_blocks * windowed);
}

static void describe(ops_generator *g)
{
    const ops_lm_config *c = ops_lm_config_of(g->parts.lm);
    const ops_lm_limits *l = ops_lm_limits_of(g->parts.lm);
    ops_generator_info *i = &g->info;
    memcpy(i->model, g->parts.name, sizeof i->model);
    memcpy(i->content_hash, g->parts.content_hash, sizeof i->content_hash);
    const ops_slice chat = ops_slice_str(g->parts.chat != NULL ? ops_chat_name(g->parts.chat) : "");
    memcpy(i->chat, chat.p, chat.n < sizeof i->chat ? chat.n : sizeof i->chat - 1);
    i->context = (uint32_t)l->positions;
    i->vocab = (uint32_t)c->vocab;
    i->blocks = (uint32_t)l->blocks;
    i->block_tokens = (uint32_t)l->block;
    i->weight_bytes = ops_lm_step_bytes(g->parts.lm);
    i->window_blocks = (uint32_t)l->window_blocks;
    i->cache_bytes = cache_bytes(c, l);
}

static ops_status take_blocks(ops_generator *g, const ops_generator_conf *conf, ops_err *reterr)
{
    const ops_lm_limits *l = ops_lm_limits_of(g->parts.lm);
    ops_schedule_conf sc = {.seqs_max = (int)or_else(conf->seqs_max, OPS_GENERATOR_SEQS_DEFAULT),
                            .reading_tokens =
                                (int)or_else(conf->reading_tokens, OPS_GENERATOR_READING_TOKENS_DEFAULT)};
    ops_status st = OPS_OK;
    if (l->window_blocks > 0) {
        sc.window = ops_lm_config_of(g->parts.lm)->window;
        st = ops_kv_window_new(l->window_blocks, l->blocks, &g->window, reterr);
    }
    if (st == OPS_OK)
        st = ops_kv_pool_new(l->blocks, l->block, g->window, &g->pool, reterr);
    return st == OPS_OK ? ops_schedule_new(g->pool, g->window, &sc, &g->schedule, reterr) : st;
}

static ops_status take_memory(ops_generator *g, const ops_generator_conf *conf, ops_err *reterr)
{
    const ops_lm_limits *l = ops_lm_limits_of(g->parts.lm);
    const size_t tokens = (size_t)l->tokens, seqs = (size_t)l->seqs, outputs = (size_t)l->outputs;
    const size_t tables = seqs * (size_t)ops_lm_table(g->parts.lm);
    g->mask_words = ops_grammar_mask_words(g->info.vocab);
    g->outputs_max = l->outputs;
    g->turns = ops_calloc(seqs, sizeof *g->turns);
    g->ids = ops_calloc(tokens, sizeof *g->ids);
    g->rows = ops_calloc(tokens, 2 * sizeof *g->rows);
    g->table = ops_calloc(tables, sizeof *g->table);
    if (l->window_blocks > 0)
        g->window_table = ops_calloc(tables, sizeof *g->window_table);
    g->out = ops_calloc(outputs, sizeof *g->out);
    g->logits = ops_calloc(outputs, g->info.vocab * sizeof *g->logits);
    g->greatest = ops_calloc(outputs, (OPS_GREATEST_MAX + 1) * sizeof *g->greatest);
    g->mask = ops_calloc(outputs, g->mask_words * sizeof *g->mask);
    if (g->turns == NULL || g->ids == NULL || g->rows == NULL || g->table == NULL || g->out == NULL ||
        g->logits == NULL || g->greatest == NULL || g->mask == NULL ||
        (l->window_blocks > 0 && g->window_table == NULL))
        return ops_fail(reterr, OPS_ENOMEM, "steps of %zu tokens", tokens);
    ops_tokens_init(&g->jump, JUMP_TOKENS_MAX);
    ops_status st = take_blocks(g, conf, reterr);
    if (st == OPS_OK)
        st = ops_grammar_vocab_new(g->parts.tokenizer, &g->vocab, reterr);
    if (st == OPS_OK)
        st = ops_grammar_cache_new(g->vocab, MASK_CACHE_BYTES, &g->masks, reterr);
    return st == OPS_OK ? ops_forms_new(g->vocab, &g->forms, reterr) : st;
}

static void find_bytes(ops_generator *g)
{
    for (int i = 0; i < 256; i++)
        g->byte_ids[i] = -1;
    for (int32_t id = (int32_t)ops_tokenizer_count(g->parts.tokenizer) - 1; id >= 0; id--) {
        const ops_piece_kind kind = ops_tokenizer_kind(g->parts.tokenizer, id);
        const ops_slice piece = ops_tokenizer_piece(g->parts.tokenizer, id);
        if (piece.n == 1 && (kind == OPS_PIECE_NORMAL || kind == OPS_PIECE_USER || kind == OPS_PIECE_BYTE))
            g->byte_ids[(unsigned char)piece.p[0]] = id;
    }
}

static ops_status draw_key(uint64_t key[2], ops_err *reterr)
{
    return getrandom(key, 2 * sizeof *key, 0) == (ssize_t)(2 * sizeof *key)
               ? OPS_OK
               : ops_fail(reterr, OPS_EIO, "random bytes: %s", strerror(errno));
}

static void free_generator(ops_generator *g)
{
    ops_schedule_free(g->schedule);
    ops_kv_pool_free(g->pool);
    ops_kv_window_free(g->window);
    ops_grammar_cache_free(g->masks);
    ops_forms_free(g->forms);
    ops_grammar_vocab_free(g->vocab);
    ops_tokens_done(&g->jump);
    ops_free(g->turns);
    ops_free(g->ids);
    ops_free(g->rows);
    ops_free(g->table);
    ops_free(g->window_table);
    ops_free(g->out);
    ops_free(g->logits);
    ops_free(g->greatest);
    ops_free(g->mask);
    pthread_mutex_destroy(&g->lock);
    ops_free(g);
}

ops_status ops_generator_new(const ops_generator_conf *conf, ops_generator_parts *parts, ops_generator **ret,
                             ops_err *reterr)
{
    ops_generator *g = ops_calloc(1, sizeof *g);
    if (g == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a generator");
    pthread_mutex_init(&g->lock, NULL);
    g->parts = *parts;
    g->clock = conf->clock != NULL ? conf->clock : ops_clock_system();
    g->step_tokens = or_else(conf->step_tokens, OPS_GENERATOR_STEP_TOKENS_DEFAULT);
    g->guesses_max = conf->no_guesses ? 0 : OPS_GENERATOR_GUESSES_MAX;
    g->open_max = or_else(conf->seqs_max, OPS_GENERATOR_SEQS_DEFAULT) +
                  or_else(conf->waiting_max, OPS_GENERATOR_WAITING_DEFAULT);
    describe(g);
    find_bytes(g);
    ops_status st = check(g, conf, reterr);
    if (st == OPS_OK)
        st = draw_key(g->salt_key, reterr);
    if (st == OPS_OK)
        st = take_memory(g, conf, reterr);
    if (st != OPS_OK) {
        free_generator(g);
        return st;
    }
    *parts = (ops_generator_parts){.dev = NULL};
    *ret = g;
    return OPS_OK;
}

void ops_generator_free(ops_generator *g)
{
    if (g == NULL)
        return;
    pthread_mutex_lock(&g->lock);
    g->stopping = true;
    pthread_mutex_unlock(&g->lock);
    generator_drop_all(g);
    ops_generator_parts parts = g->parts;
    free_generator(g);
    free_parts(&parts);
}

void ops_generator_parts_done(ops_generator_parts *p)
{
    free_parts(p);
    *p = (ops_generator_parts){.dev = NULL};
}

const ops_generator_info *ops_generator_info_get(const ops_generator *g)
{
    return &g->info;
}

const ops_chat *ops_generator_chat(const ops_generator *g)
{
    return g->parts.chat;
}

const ops_tokenizer *ops_generator_tokenizer(const ops_generator *g)
{
    return g->parts.tokenizer;
}

ops_slice ops_generator_token_text(const ops_generator *g, int32_t id)
{
    return ops_tokenizer_piece(g->parts.tokenizer, id);
}

void ops_generator_on_work(ops_generator *g, void (*wake)(void *ctx), void *ctx)
{
    g->wake = wake;
    g->wake_ctx = ctx;
}

static void wake(const ops_generator *g)
{
    if (g->wake != NULL)
        g->wake(g->wake_ctx);
}

/* A place among the open ones. */
static ops_status reserve(ops_generator *g, ops_err *reterr)
{
    pthread_mutex_lock(&g->lock);
    const bool stopping = g->stopping, full = g->open >= g->open_max;
    if (!stopping && !full)
        g->open++;
    g->told.refused += full;
    pthread_mutex_unlock(&g->lock);
    return stopping ? ops_fail(reterr, OPS_ECANCELLED, "%s is being unloaded", g->info.model)
           : full ? ops_fail(reterr, OPS_EAGAIN, "%s has %u requests under way or waiting, and takes no more",
                             g->info.model, g->open_max)
                  : OPS_OK;
}

ops_status ops_generator_submit(ops_generator *g, const ops_generator_request *q, ops_generation **ret,
                                ops_err *reterr)
{
    ops_generation *r = NULL;
    ops_status st = reserve(g, reterr);
    if (st != OPS_OK)
        return st;
    st = generation_read(g, q, &r, reterr);
    pthread_mutex_lock(&g->lock);
    if (st != OPS_OK) {
        g->open--;
        pthread_mutex_unlock(&g->lock);
        return st;
    }
    *ret = r;
    g->told.submitted++;
    generation_put(&g->inbox, r);
    pthread_mutex_unlock(&g->lock);
    wake(g);
    return OPS_OK;
}

void ops_generator_cancel(ops_generator *g, ops_generation *r)
{
    pthread_mutex_lock(&g->lock);
    r->cancelled = true;
    pthread_mutex_unlock(&g->lock);
    wake(g);
}

ops_generator_counts ops_generator_counts_get(ops_generator *g)
{
    pthread_mutex_lock(&g->lock);
    const ops_generator_counts c = g->told;
    pthread_mutex_unlock(&g->lock);
    return c;
}
