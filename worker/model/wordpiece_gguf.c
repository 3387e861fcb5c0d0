/* tokenizer.ggml.* of an encoder's GGUF file. There the vocabulary is turned round: a piece that begins a word has U+2581
 * before it, one that goes on with a word stands bare (tokenizer.json has "##" before those), and special tokens are
 * bare too, so only their kind tells them from pieces. Texts are normalized as BertNormalizer does; of its rules the
 * format has but two keys, which converters leave out: by default letters are lowered unless the vocabulary has pieces
 * with great letters, as only that of a cased model does. */
#include "base/coll/map.h"
#include "worker/model/tok_internal.h"
#include "worker/model/wordpiece_internal.h"

enum { WORD_CHARS_MAX = 100, CLS_DEFAULT = 101, SEP_DEFAULT = 102, UNK_DEFAULT = 100 };
static const char where[] = "tokenizer.ggml";

/* Does the piece hold a great letter of ASCII? */
static bool has_great(ops_slice piece)
{
    for (size_t i = 0; i < piece.n; i++)
        if (piece.p[i] >= 'A' && piece.p[i] <= 'Z')
            return true;
    return false;
}

static ops_status put(ops_wordpiece *w, ops_slice piece, int32_t id, bool *great)
{
    static const ops_slice mark = {"\xe2\x96\x81", 3};
    const bool first = piece.n > mark.n && ops_slice_starts(piece, mark);
    const bool named =
        piece.n > 0 && piece.p[first ? mark.n : 0] == '['; /* "[unused7]", which no text gives */
    const ops_slice bare = first ? ops_slice_sub(piece, mark.n, piece.n) : piece;
    *great = *great || (!named && has_great(bare));
    return bare.n > 0 ? ops_wordpiece_put_piece(first ? w->first : w->more, w, bare, id) : OPS_OK;
}

static ops_status read_pieces(const ops_gguf *g, ops_wordpiece *w, bool *great, ops_err *reterr)
{
    ops_gguf_array tokens, kinds;
    if (!ops_gguf_list(g, "tokenizer.ggml.tokens", OPS_GGUF_TEXT, &tokens) ||
        !ops_gguf_list(g, "tokenizer.ggml.token_type", OPS_GGUF_I32, &kinds) || tokens.n != kinds.n)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: tokens and token_type are not lists of one length", where);
    if (tokens.n < 1 || tokens.n > OPS_WORDPIECE_VOCAB_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s.tokens: %llu pieces, 1 to %d are read", where,
                        (unsigned long long)tokens.n, OPS_WORDPIECE_VOCAB_MAX);
    ops_gguf_value text = {0}, kind = {0};
    for (int32_t id = 0; ops_gguf_next(&tokens, &text); id++) {
        (void)ops_gguf_next(&kinds, &kind); /* as many as tokens */
        if (kind.i < OPS_PIECE_NORMAL || kind.i > OPS_PIECE_BYTE)
            return ops_fail(reterr, OPS_ECORRUPT, "%s.token_type: kind %lld of piece %d", where,
                            (long long)kind.i, (int)id);
        const bool written = kind.i == OPS_PIECE_NORMAL || kind.i == OPS_PIECE_USER;
        if (written && put(w, text.text, id, great) != OPS_OK)
            return ops_fail(reterr, OPS_ENOMEM, "%s.tokens", where);
        w->id_max = id;
    }
    return OPS_OK;
}

/* The first of two keys that is there; else `otherwise`, which is what the format's own reader takes. */
static ops_status read_id(const ops_gguf *g, const ops_wordpiece *w, const char *key, const char *other,
                          uint64_t otherwise, int32_t *ret, ops_err *reterr)
{
    uint64_t v = otherwise;
    if (ops_gguf_find(g, key) == NULL && other != NULL)
        key = other;
    if (ops_gguf_find(g, key) != NULL && !ops_gguf_u64(g, key, &v))
        return ops_fail(reterr, OPS_ECORRUPT, "the key '%s' is no whole number", key);
    if (v > (uint64_t)w->id_max)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: id %llu is not in the vocabulary", key,
                        (unsigned long long)v);
    *ret = (int32_t)v;
    return OPS_OK;
}

static ops_status read_specials(const ops_gguf *g, ops_wordpiece *w, ops_err *reterr)
{
    w->head.n = w->tail.n = 1;
    w->pairs = true; /* [CLS] first [SEP] second [SEP] */
    ops_status st = read_id(g, w, "tokenizer.ggml.unknown_token_id", NULL, UNK_DEFAULT, &w->unk, reterr);
    if (st == OPS_OK)
        st = read_id(g, w, "tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id", CLS_DEFAULT,
                     &w->head.id[0], reterr);
    return st == OPS_OK ? read_id(g, w, "tokenizer.ggml.seperator_token_id", /* so the format spells it */
                                  "tokenizer.ggml.eos_token_id", SEP_DEFAULT, &w->tail.id[0], reterr)
                        : st;
}

static ops_status read_flag(const ops_gguf *g, const char *key, bool otherwise, bool *ret, ops_err *reterr)
{
    *ret = otherwise;
    return ops_gguf_find(g, key) == NULL || ops_gguf_bool(g, key, ret)
               ? OPS_OK
               : ops_fail(reterr, OPS_ECORRUPT, "the key '%s' is no boolean", key);
}

static ops_status read_all(const ops_gguf *g, ops_wordpiece *w, ops_err *reterr)
{
    bool great = false;
    ops_status st = read_pieces(g, w, &great, reterr);
    if (st == OPS_OK)
        st = read_specials(g, w, reterr);
    w->rules.clean = w->rules.cjk = true;
    w->word_chars_max = WORD_CHARS_MAX;
    if (st == OPS_OK)
        st = read_flag(g, "tokenizer.ggml.normalizer.lowercase", !great, &w->rules.lower, reterr);
    return st == OPS_OK ? read_flag(g, "tokenizer.ggml.normalizer.strip_accents", w->rules.lower,
                                    &w->rules.strip, reterr)
                        : st;
}

ops_status ops_wordpiece_from_gguf(const ops_gguf *g, ops_wordpiece **ret, ops_err *reterr)
{
    ops_slice model = {0};
    if (!ops_gguf_text(g, "tokenizer.ggml.model", &model))
        return ops_fail(reterr, OPS_ENOTFOUND, "%s.model is absent: the file brings no tokenizer", where);
    if (!ops_slice_eq(model, OPS_SLICE("bert")))
        return ops_fail(reterr, OPS_EUNIMPL, "%s.model '" OPS_SLICE_FMT "' of an encoder is not built", where,
                        OPS_SLICE_ARG(ops_slice_sub(model, 0, 60)));
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = ops_wordpiece_new();
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", where);
    const ops_status st = read_all(g, w, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(w);
    return st;
}
