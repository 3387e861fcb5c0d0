/* tokenizer.ggml.* of a GGUF file. Key names: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; which defaults go
 * with a model is what llama.cpp's converter leaves out. */
#include <stdio.h>

#include "base/mem/alloc.h"
#include "worker/model/tok_internal.h"

static const char where[] = "tokenizer.ggml";

static const struct {
    const char *pre;
    ops_tok_split split;
    bool whole, bos, nfc; /* ignore_merges, add_bos by default, NFC first */
} splits[] = {
    {"gpt-2", OPS_SPLIT_GPT2, false, false, false},    {"gpt2", OPS_SPLIT_GPT2, false, false, false},
    {"smollm", OPS_SPLIT_SMOLLM, false, false, false}, {"llama-bpe", OPS_SPLIT_LLAMA3, true, true, false},
    {"llama3", OPS_SPLIT_LLAMA3, true, true, false},   {"llama-v3", OPS_SPLIT_LLAMA3, true, true, false},
    {"qwen2", OPS_SPLIT_QWEN2, false, false, true},
};

static ops_status read_bpe(const ops_gguf *g, ops_tokenizer *t, ops_err *reterr)
{
    ops_slice pre = {0};
    if (!ops_gguf_text(g, "tokenizer.ggml.pre", &pre))
        return ops_fail(reterr, OPS_EUNIMPL, "%s.pre is absent: how texts are split is not known", where);
    t->model = OPS_TOK_BPE;
    t->byte_level = true;
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (ops_slice_eq(pre, ops_slice_str(splits[i].pre))) {
            t->split = splits[i].split;
            t->ignore_merges = splits[i].whole;
            t->add_bos = splits[i].bos;
            t->nfc = splits[i].nfc;
            (void)snprintf(t->name, sizeof t->name, "bpe/%s", splits[i].pre);
            return OPS_OK;
        }
    return ops_fail(reterr, OPS_EUNIMPL,
                    "%s.pre '" OPS_SLICE_FMT "': this way of splitting texts is not built", where,
                    OPS_SLICE_ARG(ops_slice_sub(pre, 0, 60)));
}

static ops_status read_pieces_like(const ops_gguf *g, ops_tokenizer *t, ops_tok_model model, const char *name,
                                   ops_err *reterr)
{
    ops_gguf_array charsmap;
    if (ops_gguf_list(g, "tokenizer.ggml.precompiled_charsmap", OPS_GGUF_U8, &charsmap) && charsmap.n > 0)
        return ops_fail(reterr, OPS_EUNIMPL, "%s.precompiled_charsmap: this normalizer is not built", where);
    t->model = model;
    t->spaces = t->prefix = t->fuse_unk = true;
    t->add_bos = model == OPS_TOK_SPM;
    t->add_eos = model == OPS_TOK_UNIGRAM;
    t->byte_fallback = true;
    (void)ops_gguf_bool(g, "tokenizer.ggml.add_space_prefix", &t->prefix);
    bool squeeze = false;
    (void)ops_gguf_bool(g, "tokenizer.ggml.remove_extra_whitespaces", &squeeze);
    if (squeeze)
        return ops_fail(reterr, OPS_EUNIMPL, "%s.remove_extra_whitespaces is not built", where);
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    return OPS_OK;
}

static ops_status read_model(const ops_gguf *g, ops_tokenizer *t, ops_err *reterr)
{
    ops_slice model = {0};
    if (!ops_gguf_text(g, "tokenizer.ggml.model", &model))
        return ops_fail(reterr, OPS_ENOTFOUND, "%s.model is absent: the file brings no tokenizer", where);
    if (ops_slice_eq(model, OPS_SLICE("gpt2")))
        return read_bpe(g, t, reterr);
    if (ops_slice_eq(model, OPS_SLICE("llama")))
        return read_pieces_like(g, t, OPS_TOK_SPM, "spm", reterr);
    if (ops_slice_eq(model, OPS_SLICE("t5")))
        return read_pieces_like(g, t, OPS_TOK_UNIGRAM, "unigram", reterr);
    return ops_fail(reterr, OPS_EUNIMPL, "%s.model '" OPS_SLICE_FMT "' is not built", where,
                    OPS_SLICE_ARG(ops_slice_sub(model, 0, 60)));
}

static ops_status read_id(const ops_gguf *g, const char *key, int32_t *ret, ops_err *reterr)
{
    uint64_t v = 0;
    *ret = -1;
    if (!ops_gguf_u64(g, key, &v))
        return OPS_OK;
    if (v >= OPS_TOKENIZER_VOCAB_MAX)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: id %llu is not in the vocabulary", key,
                        (unsigned long long)v);
    *ret = (int32_t)v;
    return OPS_OK;
}

static ops_status read_ids(const ops_gguf *g, ops_tokenizer *t, ops_err *reterr)
{
    static const char *const more[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    ops_status st = read_id(g, "tokenizer.ggml.bos_token_id", &t->bos, reterr);
    if (st == OPS_OK)
        st = read_id(g, "tokenizer.ggml.eos_token_id", &t->eos, reterr);
    if (st == OPS_OK)
        st = read_id(g, "tokenizer.ggml.unknown_token_id", &t->unk, reterr);
    for (size_t i = 0; i < 2 && st == OPS_OK; i++) {
        int32_t id;
        st = read_id(g, more[i], &id, reterr);
        if (st == OPS_OK && id >= 0)
            t->eog[t->n_eog++] = id;
    }
    (void)ops_gguf_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos);
    (void)ops_gguf_bool(g, "tokenizer.ggml.add_eos_token", &t->add_eos);
    return st;
}

static ops_status read_pieces(const ops_gguf *g, ops_tok_maker *m, ops_err *reterr)
{
    ops_gguf_array tokens, kinds = {.n = 0}, scores = {.n = 0};
    if (!ops_gguf_list(g, "tokenizer.ggml.tokens", OPS_GGUF_TEXT, &tokens))
        return ops_fail(reterr, OPS_ECORRUPT, "%s.tokens is no list of texts", where);
    const bool has_kinds = ops_gguf_list(g, "tokenizer.ggml.token_type", OPS_GGUF_I32, &kinds);
    const bool has_scores = ops_gguf_list(g, "tokenizer.ggml.scores", OPS_GGUF_F32, &scores);
    if ((has_kinds && kinds.n != tokens.n) || (has_scores && scores.n != tokens.n))
        return ops_fail(reterr, OPS_ECORRUPT, "%s: %llu tokens, %llu kinds and %llu scores", where,
                        (unsigned long long)tokens.n, (unsigned long long)kinds.n,
                        (unsigned long long)scores.n);
    if (!has_kinds || (!has_scores && m->t->model != OPS_TOK_BPE))
        return ops_fail(reterr, OPS_ECORRUPT, "%s.%s is absent", where, has_kinds ? "scores" : "token_type");
    ops_status st = ops_tok_vocab_room(m, (size_t)tokens.n, reterr);
    ops_gguf_value text = {0}, kind = {0}, score = {0};
    for (int32_t id = 0; st == OPS_OK && ops_gguf_next(&tokens, &text); id++) {
        (void)ops_gguf_next(&kinds, &kind); /* as many as tokens */
        if (kind.i < OPS_PIECE_NORMAL || kind.i > OPS_PIECE_BYTE)
            return ops_fail(reterr, OPS_ECORRUPT, "%s.token_type: kind %lld of piece %d", where,
                            (long long)kind.i, (int)id);
        score.f = 0;
        if (has_scores)
            (void)ops_gguf_next(&scores, &score);
        st = ops_tok_vocab_put(m, id, text.text, (ops_piece_kind)kind.i, score.f, reterr);
    }
    return st;
}

static ops_status read_merges(const ops_gguf *g, ops_tok_maker *m, ops_err *reterr)
{
    ops_gguf_array merges;
    if (m->t->model != OPS_TOK_BPE)
        return OPS_OK;
    if (!ops_gguf_list(g, "tokenizer.ggml.merges", OPS_GGUF_TEXT, &merges))
        return ops_fail(reterr, OPS_ECORRUPT, "%s.merges is no list of texts", where);
    if (merges.n > OPS_TOKENIZER_MERGES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s.merges: %llu merges, at most %d are read", where,
                        (unsigned long long)merges.n, OPS_TOKENIZER_MERGES_MAX);
    m->t->pairs = ops_pairs_new((size_t)merges.n);
    if (m->t->pairs == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s.merges", where);
    ops_status st = OPS_OK;
    ops_gguf_value v;
    for (uint32_t rank = 0; st == OPS_OK && ops_gguf_next(&merges, &v); rank++) {
        /* the parts hold no space, but the first may start with one in files of other kinds */
        const ptrdiff_t gap = ops_slice_find_char(v.text, ' ');
        const size_t at = gap < 0 ? v.text.n : (size_t)gap;
        st = ops_tok_merge_put(m, ops_slice_sub(v.text, 0, at), ops_slice_sub(v.text, at + 1, v.text.n), rank,
                               reterr);
    }
    return st;
}

ops_status ops_tokenizer_from_gguf(const ops_gguf *g, ops_tokenizer **ret, ops_err *reterr)
{
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = ops_calloc(1, sizeof *t);
    if (t == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", where);
    ops_tok_maker m = {where, t};
    ops_status st = read_model(g, t, reterr);
    if (st == OPS_OK)
        st = read_ids(g, t, reterr);
    if (st == OPS_OK)
        st = read_pieces(g, &m, reterr);
    if (st == OPS_OK)
        st = read_merges(g, &m, reterr);
    if (st == OPS_OK)
        st = ops_tok_vocab_done(&m, reterr);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(t);
    return OPS_OK;
}
