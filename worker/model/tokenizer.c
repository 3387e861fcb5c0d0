/* The port: encoding walks from the text to segments (around user-defined pieces), to words, to ids. */
#include "worker/model/tokenizer.h"

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "worker/model/tok_internal.h"

void ops_tokens_init(ops_tokens *t, size_t max)
{
    *t = (ops_tokens){.max = max};
}

void ops_tokens_done(ops_tokens *t)
{
    ops_free(t->v);
    *t = (ops_tokens){.max = t->max};
}

ops_status ops_tokens_put(ops_tokens *t, int32_t id, ops_err *reterr)
{
    if (t->n >= t->max)
        return ops_fail(reterr, OPS_ETOOBIG, "more than %zu tokens", t->max);
    void *raw = t->v;
    if (t->n >= t->cap && !ops_vec_grow(&raw, &t->cap, t->n + 1, sizeof *t->v))
        return ops_fail(reterr, OPS_ENOMEM, "%zu tokens", t->n + 1);
    t->v = raw;
    t->v[t->n++] = id;
    return OPS_OK;
}

void ops_tokenizer_free(ops_tokenizer *t)
{
    if (t == NULL)
        return;
    ops_free(t->piece);
    ops_free(t->score);
    ops_free(t->weight);
    ops_free(t->inside);
    ops_strbuf_done(&t->text);
    ops_map_free(t->by_text);
    ops_map_free(t->by_name);
    ops_pairs_free(t->pairs);
    ops_trie_free(t->user);
    ops_trie_free(t->trie);
    ops_free(t);
}

const char *ops_tokenizer_name(const ops_tokenizer *t)
{
    return t->name;
}

size_t ops_tokenizer_count(const ops_tokenizer *t)
{
    return t->n;
}

static bool known(const ops_tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->n;
}

ops_piece_kind ops_tokenizer_kind(const ops_tokenizer *t, int32_t id)
{
    return known(t, id) ? (ops_piece_kind)t->piece[id].kind : OPS_PIECE_NONE;
}

ops_slice ops_tokenizer_piece(const ops_tokenizer *t, int32_t id)
{
    if (!known(t, id) || t->piece[id].n == 0)
        return OPS_SLICE("");
    return ops_slice_of(t->text.p + t->piece[id].at, t->piece[id].n);
}

int32_t ops_tokenizer_bos(const ops_tokenizer *t)
{
    return t->bos;
}

int32_t ops_tokenizer_eos(const ops_tokenizer *t)
{
    return t->eos;
}

int32_t ops_tokenizer_unk(const ops_tokenizer *t)
{
    return t->unk;
}

bool ops_tokenizer_add_bos(const ops_tokenizer *t)
{
    return t->add_bos;
}

bool ops_tokenizer_add_eos(const ops_tokenizer *t)
{
    return t->add_eos;
}

bool ops_tokenizer_ends(const ops_tokenizer *t, int32_t id)
{
    for (size_t i = 0; i < t->n_eog; i++)
        if (t->eog[i] == id)
            return true;
    return id >= 0 && id == t->eos;
}

/* --- encoding --- */
static ops_status put_word(const ops_tokenizer *t, ops_slice word, ops_tok_out *out, ops_err *reterr)
{
    return t->model == OPS_TOK_UNIGRAM ? ops_tok_unigram(t, word, out, reterr)
                                       : ops_tok_merge(t, word, OPS_TOK_SCAN_MAX, out, reterr);
}

/* Pieces of code points: a place where no piece has these two neighbours parts words without changing an id. */
static ops_status put_words(const ops_tokenizer *t, ops_slice text, ops_tok_out *out, ops_err *reterr)
{
    size_t from = 0, last = 0;
    ops_status st = OPS_OK;
    out->after_unk = false;
    for (size_t at = 0; at < text.n && st == OPS_OK;
         last = at, at += ops_tok_bytes((unsigned char)text.p[at])) {
        const bool apart = t->split_spaces && text.p[at] == ' ';
        if (at == from ||
            (!apart && ops_tok_inside(t, ops_tok_code(text.p + last), ops_tok_code(text.p + at))))
            continue;
        st = put_word(t, ops_slice_sub(text, from, at - from), out, reterr);
        out->after_unk = out->after_unk && !apart;
        from = at;
    }
    return st == OPS_OK ? put_word(t, ops_slice_sub(text, from, text.n), out, reterr) : st;
}

/* A stretch between user-defined pieces. */
static ops_status put_segment(const ops_tokenizer *t, ops_slice text, ops_tok_out *out, ops_err *reterr)
{
    if (text.n == 0)
        return OPS_OK;
    if (!t->byte_level)
        return put_words(t, text, out, reterr);
    ops_strbuf composed;
    ops_strbuf_init(&composed, 4 * text.n + 64);
    ops_status st = OPS_OK;
    if (t->nfc && !ops_tok_nfc_inert(text)) {
        st = ops_tok_nfc(text, &composed, reterr);
        text = ops_strbuf_get(&composed);
    }
    for (size_t at = 0, end; at < text.n && st == OPS_OK; at = end) {
        end = ops_tok_word(t->split, text, at);
        out->after_unk = false;
        st = put_word(t, ops_slice_sub(text, at, end - at), out, reterr);
    }
    ops_strbuf_done(&composed);
    return st;
}

/* Texts of SentencePiece: marks of spaces become spaces, and one goes before the first word where the model wants it. */
static void put_spaced(const ops_tokenizer *t, ops_slice text, bool first, ops_strbuf *out)
{
    const ops_slice mark = OPS_SLICE("\xe2\x96\x81");
    const bool has = ops_slice_starts(text, OPS_SLICE(" ")) || ops_slice_starts(text, mark);
    if (text.n > 0 && first && (t->prefix || (t->prefix_if && !has)))
        ops_strbuf_char(out, ' ');
    for (ptrdiff_t at; (at = ops_slice_find(text, mark)) >= 0;
         text = ops_slice_sub(text, (size_t)at + mark.n, text.n)) {
        ops_strbuf_put(out, text.p, (size_t)at);
        ops_strbuf_char(out, ' ');
    }
    ops_strbuf_slice(out, text);
}

static bool needs_spacing(const ops_tokenizer *t, ops_slice text, bool first)
{
    return t->spaces &&
           ((first && (t->prefix || t->prefix_if)) || ops_slice_find(text, OPS_SLICE("\xe2\x96\x81")) >= 0);
}

static ops_status spaced_segment(const ops_tokenizer *t, ops_slice text, bool first, ops_tok_out *out,
                                 ops_err *reterr)
{
    if (!t->raw_user || !needs_spacing(t, text, first))
        return put_segment(t, text, out, reterr);
    ops_strbuf b;
    ops_strbuf_init(&b, text.n + 2);
    put_spaced(t, text, first, &b);
    const ops_status st = b.failed ? ops_fail(reterr, OPS_ENOMEM, "%zu bytes", text.n)
                                   : put_segment(t, ops_strbuf_get(&b), out, reterr);
    ops_strbuf_done(&b);
    return st;
}

static ops_status put_text(const ops_tokenizer *t, ops_slice text, bool first, bool plain, ops_tok_out *out,
                           ops_err *reterr)
{
    if (t->user == NULL)
        return spaced_segment(t, text, first, out, reterr);
    size_t from = 0;
    ops_status st = OPS_OK;
    for (size_t at = 0; at < text.n && st == OPS_OK;) {
        int32_t id = -1;
        const ops_slice rest = ops_slice_sub(text, at, text.n);
        const size_t n = ops_trie_longest(t->user, rest, &id);
        if (n == 0 || (plain && ops_tok_tool_mark(rest) == n)) {
            at++;
            continue;
        }
        st = spaced_segment(t, ops_slice_sub(text, from, at - from), first && (from == 0 || t->prefix_each),
                            out, reterr);
        if (st == OPS_OK)
            st = ops_tok_put(out, id, reterr);
        from = at += n;
    }
    return st == OPS_OK ? spaced_segment(t, ops_slice_sub(text, from, text.n),
                                         first && (from == 0 || t->prefix_each), out, reterr)
                        : st;
}

/* What the text is before it falls apart: valid UTF-8, and for SentencePiece with its spaces in order. */
static ops_status prepare(const ops_tokenizer *t, ops_slice *text, bool first, ops_strbuf *clean,
                          ops_strbuf *spaced, ops_err *reterr)
{
    const size_t bytes = text->n;
    if (!ops_utf8_valid(*text)) {
        ops_tok_clean(clean, *text, NULL);
        *text = ops_strbuf_get(clean);
    }
    if (!t->raw_user && needs_spacing(t, *text, first)) {
        put_spaced(t, *text, first, spaced);
        *text = ops_strbuf_get(spaced);
    }
    return clean->failed || spaced->failed ? ops_fail(reterr, OPS_ENOMEM, "a text of %zu bytes", bytes)
                                           : OPS_OK;
}

static ops_status encode(const ops_tokenizer *t, ops_slice text, unsigned flags, ops_tokens *to,
                         ops_err *reterr)
{
    const bool first = (flags & OPS_TOKENIZER_INSIDE) == 0, marks = (flags & OPS_TOKENIZER_BOS) != 0;
    ops_tok_out out = {to, false};
    ops_strbuf clean, spaced;
    ops_strbuf_init(&clean, 3 * text.n + 1);
    ops_strbuf_init(&spaced, 3 * text.n + 2);
    ops_status st = prepare(t, &text, first, &clean, &spaced, reterr);
    if (st == OPS_OK && marks && t->add_bos && t->bos >= 0)
        st = ops_tok_put(&out, t->bos, reterr);
    if (st == OPS_OK)
        st = put_text(t, text, first, (flags & OPS_TOKENIZER_PLAIN) != 0, &out, reterr);
    if (st == OPS_OK && marks && t->add_eos && t->eos >= 0)
        st = ops_tok_put(&out, t->eos, reterr);
    ops_strbuf_done(&clean);
    ops_strbuf_done(&spaced);
    return st;
}

/* Bytes of a text that may still fit into so many tokens: each stands for at most piece_max bytes, which composing and marks
 * of spaces may have made of thrice as many. Unknown tokens that fuse stand for any number. */
static size_t fits_max(const ops_tokenizer *t, size_t tokens)
{
    bool bounded = true;
    for (int b = 0; b < 256 && !t->byte_level; b++)
        bounded = bounded && t->byte_id[b] >= 0;
    const size_t each = t->piece_max * (t->nfc || t->spaces ? 3 : 1);
    size_t bytes;
    return !bounded || __builtin_mul_overflow(tokens, each, &bytes) ? SIZE_MAX : bytes;
}

ops_status ops_tokenizer_encode(const ops_tokenizer *t, ops_slice text, unsigned flags, ops_tokens *out,
                                ops_err *reterr)
{
    const size_t n = out->n;
    if (text.n > OPS_TOKENIZER_TEXT_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a text of %zu bytes, at most %d are encoded", text.n,
                        OPS_TOKENIZER_TEXT_MAX);
    if (text.n > fits_max(t, out->max - n))
        return ops_fail(reterr, OPS_ETOOBIG, "a text of %zu bytes can not fit into %zu tokens", text.n,
                        out->max - n);
    const ops_status st = encode(t, text, flags, out, reterr);
    if (st != OPS_OK)
        out->n = n;
    return st;
}

/* --- decoding --- */
void ops_detok_init(ops_detok *d, const ops_tokenizer *t)
{
    *d = (ops_detok){.t = t};
}

void ops_detok_put(ops_detok *d, int32_t id, ops_strbuf *out)
{
    const ops_piece_kind kind = ops_tokenizer_kind(d->t, id);
    if (kind == OPS_PIECE_CONTROL || kind == OPS_PIECE_NONE)
        return;
    ops_slice s = kind == OPS_PIECE_UNKNOWN ? OPS_SLICE("\xef\xbf\xbd") : ops_tokenizer_piece(d->t, id);
    if (!d->started && (d->t->prefix || d->t->prefix_if) && ops_slice_starts(s, OPS_SLICE(" ")))
        s = ops_slice_sub(s, 1, s.n);
    d->started = true;
    char joined[OPS_TOKENIZER_PIECE_MAX + 4];
    memcpy(joined, d->held, d->n_held);
    memcpy(joined + d->n_held, s.p, s.n);
    const size_t n = d->n_held + s.n;
    ops_tok_clean(out, ops_slice_of(joined, n), &d->n_held);
    memcpy(d->held, joined + n - d->n_held, d->n_held);
}

void ops_detok_end(ops_detok *d, ops_strbuf *out)
{
    ops_tok_clean(out, ops_slice_of(d->held, d->n_held), NULL);
    d->n_held = 0;
    d->started = false;
}
