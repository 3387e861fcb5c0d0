/* tokenizer.json: added tokens first, for they say which pieces of the vocabulary are control tokens; then the model. */
#include "worker/model/tok_json.h"

#include "base/mem/alloc.h"

static const char where[] = "tokenizer.json";

static ops_status read_id(const json_t *j, int32_t *ret, ops_err *reterr)
{
    const json_int_t v = json_integer_value(j);
    if (!json_is_integer(j) || v < 0 || v >= OPS_TOKENIZER_VOCAB_MAX)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: an id is not in 0..%d", where,
                        OPS_TOKENIZER_VOCAB_MAX - 1);
    *ret = (int32_t)v;
    return OPS_OK;
}

static bool empty_text(const json_t *j)
{
    return j == NULL || json_is_null(j) || ops_slice_eq(ops_tok_json_text(j), OPS_SLICE(""));
}

/* Which model, and the options that change what it does. */
static ops_status read_kind(const json_t *model, ops_tokenizer *t, ops_err *reterr)
{
    const json_t *dropout = json_object_get(model, "dropout");
    if (ops_tok_json_is(model, "Unigram"))
        t->model = OPS_TOK_UNIGRAM;
    else if (ops_tok_json_is(model, "BPE") ||
             (json_object_get(model, "type") == NULL && json_object_get(model, "merges") != NULL))
        t->model = OPS_TOK_BPE;
    else
        return ops_tok_json_unbuilt(reterr, "a model", model);
    if (!empty_text(json_object_get(model, "continuing_subword_prefix")) ||
        !empty_text(json_object_get(model, "end_of_word_suffix")) ||
        (dropout != NULL && !json_is_null(dropout) &&
         !(json_is_number(dropout) && json_number_value(dropout) == 0)))
        return ops_fail(reterr, OPS_EUNIMPL, "%s: a model with dropout, prefixes or suffixes is not built",
                        where);
    t->fuse_unk = t->model == OPS_TOK_UNIGRAM || json_is_true(json_object_get(model, "fuse_unk"));
    t->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    t->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    return OPS_OK;
}

/* Ids are below *ret. */
static ops_status count(const json_t *added, json_t *vocab, size_t *ret, ops_err *reterr)
{
    size_t n = 0;
    int32_t id = 0;
    ops_status st = OPS_OK;
    for (size_t i = 0; i < json_array_size(added) && st == OPS_OK; i++)
        if ((st = read_id(json_object_get(json_array_get(added, i), "id"), &id, reterr)) == OPS_OK &&
            (size_t)id >= n)
            n = (size_t)id + 1;
    if (json_is_array(vocab) && json_array_size(vocab) > n)
        n = json_array_size(vocab);
    const char *key;
    json_t *value;
    if (json_is_object(vocab))
        json_object_foreach(vocab, key, value)
        {
            if (st == OPS_OK && (st = read_id(value, &id, reterr)) == OPS_OK && (size_t)id >= n)
                n = (size_t)id + 1;
        }
    if (st == OPS_OK)
        *ret = n;
    return st;
}

static ops_status read_added(const json_t *j, ops_tok_maker *m, ops_err *reterr)
{
    const ops_tokenizer *t = m->t;
    const ops_slice text = ops_tok_json_text(json_object_get(j, "content"));
    const bool special = json_is_true(json_object_get(j, "special"));
    int32_t id = 0;
    const ops_status st = read_id(json_object_get(j, "id"), &id, reterr);
    if (st != OPS_OK)
        return st;
    if (text.n == 0)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: the added token %d has no content", where, (int)id);
    if (!special &&
        (json_is_true(json_object_get(j, "lstrip")) || json_is_true(json_object_get(j, "rstrip")) ||
         json_is_true(json_object_get(j, "single_word")) ||
         (json_is_true(json_object_get(j, "normalized")) && (t->nfc || t->spaces))))
        return ops_fail(reterr, OPS_EUNIMPL,
                        "%s: the added token %d strips, stands alone or is normalized: not built", where,
                        (int)id);
    return ops_tok_vocab_put(m, id, text, special ? OPS_PIECE_CONTROL : OPS_PIECE_USER, 0, reterr);
}

/* A piece of the vocabulary, unless an added token of its id came before. */
static ops_status read_piece(ops_tok_maker *m, int32_t id, ops_slice text, ops_piece_kind kind, double score,
                             ops_err *reterr)
{
    const ops_piece_kind before = ops_tokenizer_kind(m->t, id);
    if (before == OPS_PIECE_NONE)
        return ops_tok_vocab_put(m, id, text, kind, score, reterr);
    if (ops_tokenizer_find(m->t, text) != id)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: the id %d comes twice", where, (int)id);
    if (kind == OPS_PIECE_UNKNOWN)
        m->t->piece[id].kind = OPS_PIECE_UNKNOWN; /* listed as a special token, too */
    return OPS_OK;
}

static ops_status read_bpe_vocab(json_t *vocab, ops_tok_maker *m, ops_err *reterr)
{
    const char *piece;
    json_t *value;
    if (!json_is_object(vocab))
        return ops_fail(reterr, OPS_ECORRUPT, "%s: model.vocab is no object", where);
    json_object_foreach(vocab, piece, value)
    {
        const ops_status st = read_piece(m, (int32_t)json_integer_value(value), ops_slice_str(piece),
                                         OPS_PIECE_NORMAL, 0, reterr);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static ops_status read_unigram_vocab(const json_t *model, const json_t *vocab, ops_tok_maker *m,
                                     ops_err *reterr)
{
    const json_t *unk = json_object_get(model, "unk_id");
    ops_status st = OPS_OK;
    if (!json_is_array(vocab))
        return ops_fail(reterr, OPS_ECORRUPT, "%s: model.vocab is no list", where);
    if (json_is_integer(unk) && (st = read_id(unk, &m->t->unk, reterr)) != OPS_OK)
        return st;
    for (size_t i = 0; i < json_array_size(vocab) && st == OPS_OK; i++) {
        const json_t *row = json_array_get(vocab, i);
        const ops_slice text = ops_tok_json_text(json_array_get(row, 0));
        const json_t *score = json_array_get(row, 1);
        if (text.p == NULL || !json_is_number(score))
            return ops_fail(reterr, OPS_ECORRUPT, "%s: model.vocab[%zu] is no text with a score", where, i);
        st = read_piece(m, (int32_t)i, text, (int32_t)i == m->t->unk ? OPS_PIECE_UNKNOWN : OPS_PIECE_NORMAL,
                        json_number_value(score), reterr);
    }
    return st;
}

/* "a b", or a list of the two. */
static bool read_merge(const json_t *j, ops_slice *ret_left, ops_slice *ret_right)
{
    if (json_is_array(j)) {
        *ret_left = ops_tok_json_text(json_array_get(j, 0));
        *ret_right = ops_tok_json_text(json_array_get(j, 1));
        return json_array_size(j) == 2 && ret_left->p != NULL && ret_right->p != NULL;
    }
    const ops_slice s = ops_tok_json_text(j);
    const ptrdiff_t gap = ops_slice_find_char(s, ' ');
    if (gap < 0)
        return false;
    *ret_left = ops_slice_sub(s, 0, (size_t)gap);
    *ret_right = ops_slice_sub(s, (size_t)gap + 1, s.n);
    return true;
}

static ops_status read_merges(const json_t *merges, ops_tok_maker *m, ops_err *reterr)
{
    const size_t n = json_array_size(merges);
    if (!json_is_array(merges) || n > OPS_TOKENIZER_MERGES_MAX)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: model.merges is no list of at most %d", where,
                        OPS_TOKENIZER_MERGES_MAX);
    m->t->pairs = ops_pairs_new(n);
    if (m->t->pairs == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s: %zu merges", where, n);
    ops_status st = OPS_OK;
    for (size_t i = 0; i < n && st == OPS_OK; i++) {
        ops_slice left, right;
        st = read_merge(json_array_get(merges, i), &left, &right)
                 ? ops_tok_merge_put(m, left, right, (uint32_t)i, reterr)
                 : ops_fail(reterr, OPS_ECORRUPT, "%s: model.merges[%zu] is not two texts", where, i);
    }
    return st;
}

static ops_status read_unk(const json_t *model, ops_tokenizer *t, ops_err *reterr)
{
    const ops_slice unk = ops_tok_json_text(json_object_get(model, "unk_token"));
    if (unk.n == 0 || t->unk >= 0)
        return OPS_OK;
    t->unk = ops_tokenizer_find(t, unk);
    if (t->unk < 0)
        t->unk = ops_tok_lookup(t, unk);
    if (t->unk >= 0 && !t->byte_level && ops_tokenizer_kind(t, t->unk) == OPS_PIECE_CONTROL)
        t->piece[t->unk].kind = OPS_PIECE_UNKNOWN;
    return t->unk >= 0 ? OPS_OK
                       : ops_fail(reterr, OPS_ECORRUPT, "%s: the unk_token '" OPS_SLICE_FMT "' is no piece",
                                  where, OPS_SLICE_ARG(ops_slice_sub(unk, 0, 60)));
}

static ops_status read_all(const json_t *root, ops_tok_maker *m, ops_err *reterr)
{
    const json_t *model = json_object_get(root, "model"), *added = json_object_get(root, "added_tokens");
    json_t *vocab = json_object_get(model, "vocab");
    size_t n = 0;
    ops_status st = read_kind(model, m->t, reterr);
    if (st == OPS_OK)
        st = ops_tok_json_rules(root, m->t, reterr);
    if (st == OPS_OK)
        st = count(added, vocab, &n, reterr);
    if (st == OPS_OK)
        st = ops_tok_vocab_room(m, n, reterr);
    for (size_t i = 0; i < json_array_size(added) && st == OPS_OK; i++)
        st = read_added(json_array_get(added, i), m, reterr);
    if (st != OPS_OK)
        return st;
    st = m->t->model == OPS_TOK_UNIGRAM ? read_unigram_vocab(model, vocab, m, reterr)
                                        : read_bpe_vocab(vocab, m, reterr);
    if (st == OPS_OK)
        st = read_unk(model, m->t, reterr);
    if (st == OPS_OK && m->t->model == OPS_TOK_BPE)
        st = read_merges(json_object_get(model, "merges"), m, reterr);
    if (st == OPS_OK)
        st = ops_tok_json_post(root, m->t, reterr);
    return st == OPS_OK ? ops_tok_vocab_done(m, reterr) : st;
}

ops_status ops_tokenizer_from_json(ops_slice json, ops_tokenizer **ret, ops_err *reterr)
{
    if (json.n > OPS_TOKENIZER_JSON_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s: %zu bytes, at most %d are read", where, json.n,
                        OPS_TOKENIZER_JSON_MAX);
    json_error_t e;
    json_t *root = json_loadb(json.p != NULL ? json.p : "", json.n, JSON_ALLOW_NUL, &e);
    if (root == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: line %d: %.160s", where, e.line, e.text);
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = ops_calloc(1, sizeof *t);
    ops_status st = OPS_ENOMEM;
    if (t == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "%s", where);
    else {
        ops_tok_maker m = {where, t};
        t->bos = t->eos = t->unk = -1;
        st = read_all(root, &m, reterr);
    }
    json_decref(root);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(t);
    return OPS_OK;
}
