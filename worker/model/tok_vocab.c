/* The tables of a tokenizer: pieces as bytes, look-ups by text, merges, tries, and the filter of neighbours. Pieces that
 * can come out of a text are kept apart from those that only have a name, so that no text reaches a control token. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/hash.h"
#include "base/text/utf8.h"
#include "worker/model/tok_internal.h"

enum { INSIDE_BITS = 1 << 20 };

/* Ends of a turn under their own names, for files that give no more than one eos. */
static const char *const ends[] = {
    "<|im_end|>",      "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|endoftext|>",
    "<|end_of_text|>", "<|end|>",    "</s>",       "<eos>",         "<EOT>"};

static void *boxed(int32_t id)
{
    return (void *)(uintptr_t)((uint32_t)id + 1); // NOLINT(performance-no-int-to-ptr): a map of small numbers
}

static int32_t unboxed(const void *p)
{
    return (int32_t)(uintptr_t)p - 1;
}

int32_t ops_tok_lookup(const ops_tokenizer *t, ops_slice text)
{
    return unboxed(ops_map_get(t->by_text, text));
}

int32_t ops_tokenizer_find(const ops_tokenizer *t, ops_slice name)
{
    return unboxed(ops_map_get(t->by_name, name));
}

/* SentencePiece's Unigram has its user-defined pieces in the same trie as the others; everywhere else they stand alone. */
static bool user_in_trie(const ops_tokenizer *t)
{
    return t->model == OPS_TOK_UNIGRAM && !t->raw_user;
}

static bool from_text(const ops_tokenizer *t, size_t id)
{
    const uint8_t kind = t->piece[id].kind;
    return kind == OPS_PIECE_NORMAL || (kind == OPS_PIECE_USER && user_in_trie(t));
}

ops_status ops_tok_vocab_room(ops_tok_maker *m, size_t n, ops_err *reterr)
{
    ops_tokenizer *t = m->t;
    if (n == 0 || n > OPS_TOKENIZER_VOCAB_MAX)
        return ops_fail(reterr, n == 0 ? OPS_ECORRUPT : OPS_ETOOBIG, "%s: %zu pieces, 1 to %d are read",
                        m->where, n, OPS_TOKENIZER_VOCAB_MAX);
    t->n = n;
    ops_strbuf_init(&t->text, (size_t)256 << 20);
    t->piece = ops_calloc(n, sizeof *t->piece);
    t->by_text = ops_map_new();
    t->by_name = ops_map_new();
    bool ok = t->piece != NULL && t->by_text != NULL && t->by_name != NULL;
    if (t->model == OPS_TOK_SPM)
        ok = ok && (t->score = ops_calloc(n, sizeof *t->score)) != NULL;
    if (t->model == OPS_TOK_UNIGRAM)
        ok = ok && (t->weight = ops_calloc(n, sizeof *t->weight)) != NULL;
    for (int i = 0; i < 256; i++)
        t->byte_id[i] = -1;
    return ok ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "%s: %zu pieces", m->where, n);
}

/* The alphabet of byte-level BPE: printable bytes stand for themselves as code points, the other 68 are U+0100 and up, in
 * order (Radford et al. 2019, encoder.py of GPT-2). -1: no code point of the alphabet. */
static int byte_of(uint32_t c)
{
    if ((c >= 33 && c <= 126) || (c >= 161 && c <= 172) || (c >= 174 && c <= 255))
        return (int)c;
    if (c < 0x100 || c >= 0x100 + 68)
        return -1;
    c -= 0x100;
    return c < 33 ? (int)c : c < 67 ? (int)c + 94 : 173; /* 0..32, 127..160, 173 */
}

/* Appends what the piece stands for; false when it is no text of the alphabet (then it is kept as it is). */
static bool put_bytes(ops_strbuf *out, ops_slice text)
{
    const size_t n = out->n;
    for (size_t i = 0; i < text.n; i += ops_tok_bytes((unsigned char)text.p[i])) {
        const int b = byte_of(ops_tok_code(text.p + i));
        if (b < 0) {
            out->n = n;
            ops_strbuf_slice(out, text);
            return false;
        }
        ops_strbuf_char(out, (char)b);
    }
    return true;
}

/* U+2581 becomes a space. */
static void put_spaces(ops_strbuf *out, ops_slice text)
{
    const ops_slice mark = OPS_SLICE("\xe2\x96\x81");
    for (ptrdiff_t at; (at = ops_slice_find(text, mark)) >= 0;
         text = ops_slice_sub(text, (size_t)at + mark.n, text.n)) {
        ops_strbuf_put(out, text.p, (size_t)at);
        ops_strbuf_char(out, ' ');
    }
    ops_strbuf_slice(out, text);
}

/* "<0x0A>" */
static int byte_piece(ops_slice s)
{
    unsigned char b;
    return s.n == 6 && memcmp(s.p, "<0x", 3) == 0 && s.p[5] == '>' && ops_hex_get(s.p + 3, 2, &b, 1) ? b : -1;
}

static bool looks_like_mark(ops_slice s)
{
    return s.n > 4 && ops_slice_starts(s, OPS_SLICE("<|")) && ops_slice_ends(s, OPS_SLICE("|>"));
}

size_t ops_tok_tool_mark(ops_slice text)
{
    static const char *const marks[] = {"<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"};
    for (size_t i = 0; text.n > 0 && text.p[0] == '<' && i < sizeof marks / sizeof *marks; i++)
        if (ops_slice_starts(text, ops_slice_str(marks[i])))
            return strlen(marks[i]);
    return 0;
}

/* Kinds that the file gives, as they are used here. */
static ops_piece_kind kind_of(const ops_tokenizer *t, ops_slice text, ops_piece_kind kind)
{
    if (kind == OPS_PIECE_USER && looks_like_mark(text))
        return OPS_PIECE_CONTROL;
    if (kind == OPS_PIECE_NORMAL && t->byte_fallback && byte_piece(text) >= 0)
        return OPS_PIECE_BYTE;
    return text.n == 0 ? OPS_PIECE_UNUSED : kind;
}

static ops_status put_text(ops_tok_maker *m, ops_piece *p, ops_slice text, ops_err *reterr)
{
    ops_tokenizer *t = m->t;
    p->at = (uint32_t)t->text.n;
    bool known = true;
    if (p->kind == OPS_PIECE_BYTE)
        ops_strbuf_char(&t->text, (char)byte_piece(text));
    else if (t->byte_level && p->kind == OPS_PIECE_NORMAL)
        known = put_bytes(&t->text, text);
    else if (t->spaces && (p->kind == OPS_PIECE_NORMAL || p->kind == OPS_PIECE_USER))
        put_spaces(&t->text, text);
    else
        ops_strbuf_slice(&t->text, text);
    if (t->text.failed)
        return ops_fail(reterr, OPS_ENOMEM, "%s: text of the pieces", m->where);
    p->n = (uint32_t)(t->text.n - p->at);
    if (!known)
        p->kind = OPS_PIECE_UNUSED; /* no text reaches it */
    return OPS_OK;
}

ops_status ops_tok_vocab_put(ops_tok_maker *m, int32_t id, ops_slice text, ops_piece_kind kind, double score,
                             ops_err *reterr)
{
    ops_tokenizer *t = m->t;
    if (id < 0 || (size_t)id >= t->n || t->piece[id].kind != OPS_PIECE_NONE)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: id %d is out of range or comes twice", m->where, (int)id);
    if (text.n > OPS_TOKENIZER_PIECE_MAX || !ops_utf8_valid(text))
        return ops_fail(reterr, OPS_ECORRUPT, "%s: piece %d of %zu bytes is longer than %d or no UTF-8",
                        m->where, (int)id, text.n, OPS_TOKENIZER_PIECE_MAX);
    if (!(score >= -1e30 && score <= 1e30))
        return ops_fail(reterr, OPS_ECORRUPT, "%s: the score of piece %d is no number", m->where, (int)id);
    ops_piece *p = &t->piece[id];
    const ops_piece_kind used = kind_of(t, text, kind);
    if (used == OPS_PIECE_BYTE && byte_piece(text) < 0)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: the byte piece %d is not of the form <0x00>", m->where,
                        (int)id);
    p->kind = (uint8_t)used;
    const ops_status st = put_text(m, p, text, reterr);
    if (st != OPS_OK)
        return st;
    if (t->score != NULL)
        t->score[id] = (float)score;
    if (t->weight != NULL)
        t->weight[id] = score;
    if (p->kind == OPS_PIECE_BYTE && t->byte_id[byte_piece(text)] < 0)
        t->byte_id[byte_piece(text)] = id;
    ops_map *map = from_text(t, (size_t)id) ? t->by_text : t->by_name;
    const ops_slice key = from_text(t, (size_t)id) ? ops_tokenizer_piece(t, id) : text;
    if (!ops_map_has(map, key) && ops_map_put(map, key, boxed(id), NULL) != OPS_OK)
        return ops_fail(reterr, OPS_ENOMEM, "%s: piece %d", m->where, (int)id);
    if ((from_text(t, (size_t)id) || p->kind == OPS_PIECE_USER) && p->n > t->piece_max)
        t->piece_max = p->n;
    return OPS_OK;
}

/* Id of a part of a merge, in any of the forms above; -1: no piece that comes out of a text. *ret_outside: not of the
 * alphabet, so no text reaches it. */
static int32_t part(const ops_tokenizer *t, ops_slice text, ops_strbuf *tmp, bool *ret_outside)
{
    if (tmp->failed)
        return -1;
    ops_strbuf_clear(tmp);
    if (t->byte_level)
        *ret_outside = !put_bytes(tmp, text) || *ret_outside;
    else if (t->spaces)
        put_spaces(tmp, text);
    else
        ops_strbuf_slice(tmp, text);
    const int32_t id = ops_tok_lookup(t, ops_strbuf_get(tmp));
    return id >= 0 ? id : ops_tokenizer_find(t, text);
}

ops_status ops_tok_merge_put(ops_tok_maker *m, ops_slice left, ops_slice right, uint32_t rank,
                             ops_err *reterr)
{
    ops_tokenizer *t = m->t;
    char both[2 * OPS_TOKENIZER_PIECE_MAX];
    if (left.n == 0 || right.n == 0 || left.n + right.n > sizeof both || !ops_utf8_valid(left) ||
        !ops_utf8_valid(right))
        return ops_fail(reterr, OPS_ECORRUPT, "%s: merge %u is not two texts", m->where, rank);
    memcpy(both, left.p, left.n);
    memcpy(both + left.n, right.p, right.n);
    ops_strbuf tmp;
    ops_strbuf_init(&tmp, sizeof both);
    bool outside = false;
    const int32_t l = part(t, left, &tmp, &outside), r = part(t, right, &tmp, &outside);
    const int32_t id = part(t, ops_slice_of(both, left.n + right.n), &tmp, &outside);
    const bool failed = tmp.failed;
    ops_strbuf_done(&tmp);
    if (failed)
        return ops_fail(reterr, OPS_ENOMEM, "%s: merge %u", m->where, rank);
    if (outside)
        return OPS_OK;
    if (l < 0 || r < 0 || id < 0)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: merge %u ('%.40s' of %zu bytes) names what is no piece",
                        m->where, rank, both, left.n + right.n);
    if (from_text(t, (size_t)id) && !ops_pairs_put(t->pairs, l, r, rank, id))
        return ops_fail(reterr, OPS_ECORRUPT, "%s: merge %u is one of too many that are stored in one place",
                        m->where, rank);
    return OPS_OK;
}

/* --- after the last piece --- */
static uint64_t inside_bit(uint32_t a, uint32_t b)
{
    return ops_hash_mix((uint64_t)a << 32 | b) % INSIDE_BITS;
}

bool ops_tok_inside(const ops_tokenizer *t, uint32_t a, uint32_t b)
{
    const uint64_t bit = inside_bit(a, b);
    return (t->inside[bit / 64] >> (bit % 64) & 1) != 0;
}

static bool make_inside(ops_tokenizer *t)
{
    t->inside = ops_calloc(INSIDE_BITS / 64, sizeof *t->inside);
    for (size_t id = 0; id < t->n && t->inside != NULL; id++) {
        if (!from_text(t, id))
            continue;
        const ops_slice s = ops_tokenizer_piece(t, (int32_t)id);
        size_t at = ops_tok_bytes((unsigned char)s.p[0]);
        for (size_t last = 0; at < s.n; last = at, at += ops_tok_bytes((unsigned char)s.p[at])) {
            const uint64_t bit = inside_bit(ops_tok_code(s.p + last), ops_tok_code(s.p + at));
            t->inside[bit / 64] |= (uint64_t)1 << (bit % 64);
        }
    }
    return t->inside != NULL;
}

/* A trie of the pieces that are matched first, or of those that come out of a text; *ret stays NULL when there is none. */
static bool make_trie(const ops_tokenizer *t, bool user, ops_trie **ret, size_t *ret_n)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(t->n, sizeof(ops_trie_key));
    ops_trie_key *keys = block;
    size_t n = 0;
    for (size_t id = 0; id < t->n && keys != NULL; id++)
        if (user ? t->piece[id].kind == OPS_PIECE_USER && !user_in_trie(t) : from_text(t, id))
            keys[n++] = (ops_trie_key){ops_tokenizer_piece(t, (int32_t)id), (int32_t)id};
    *ret_n = n;
    if (keys == NULL || n == 0 || (user && n > OPS_TOKENIZER_USER_MAX))
        return keys != NULL;
    *ret = ops_trie_new(keys, n);
    return *ret != NULL;
}

static void make_bytes(ops_tokenizer *t)
{
    for (int b = 0; b < 256 && t->byte_level; b++) {
        const char c = (char)b;
        t->byte_id[b] = ops_tok_lookup(t, ops_slice_of(&c, 1));
    }
}

static void make_ends(ops_tokenizer *t)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const int32_t id = ops_tokenizer_find(t, ops_slice_str(ends[i]));
        if (id >= 0 && t->n_eog < OPS_TOKENIZER_EOG_MAX && ops_tokenizer_kind(t, id) == OPS_PIECE_CONTROL &&
            !ops_tokenizer_ends(t, id))
            t->eog[t->n_eog++] = id;
    }
}

/* What SentencePiece gives a user-defined piece: nearly the best weight for each of its bytes, a space being three there. */
static double user_weight(ops_slice piece, double best)
{
    size_t bytes = piece.n;
    for (size_t i = 0; i < piece.n; i++)
        bytes += piece.p[i] == ' ' ? 2 : 0;
    return (double)((float)bytes * (float)best) - 0.1;
}

/* A code point that is no piece weighs as much as the least piece, minus ten. */
static void make_weights(ops_tokenizer *t)
{
    double least = 0, best = 0;
    bool any = false;
    for (size_t id = 0; id < t->n; id++) {
        if (t->piece[id].kind != OPS_PIECE_NORMAL)
            continue;
        least = !any || t->weight[id] < least ? t->weight[id] : least;
        best = !any || t->weight[id] > best ? t->weight[id] : best;
        any = true;
    }
    t->unk_weight = least - 10;
    for (size_t id = 0; id < t->n; id++)
        if (t->piece[id].kind == OPS_PIECE_USER)
            t->weight[id] = user_weight(ops_tokenizer_piece(t, (int32_t)id), best);
}

ops_status ops_tok_vocab_done(ops_tok_maker *m, ops_err *reterr)
{
    ops_tokenizer *t = m->t;
    size_t n = 0;
    bool ok = make_trie(t, true, &t->user, &n);
    if (ok && n > OPS_TOKENIZER_USER_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s: %zu user-defined pieces, at most %d are read", m->where, n,
                        OPS_TOKENIZER_USER_MAX);
    if (t->model == OPS_TOK_UNIGRAM) {
        make_weights(t);
        ok = ok && make_trie(t, false, &t->trie, &n);
        if (ok && t->trie == NULL)
            return ops_fail(reterr, OPS_ECORRUPT, "%s: no piece can come out of a text", m->where);
    }
    ok = ok && (t->byte_level || make_inside(t));
    make_bytes(t);
    make_ends(t);
    const int32_t ids[] = {t->bos, t->eos, t->unk};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] < -1 || (ids[i] >= 0 && (size_t)ids[i] >= t->n))
            return ops_fail(reterr, OPS_ECORRUPT,
                            "%s: the id %d of bos, eos or unknown is not in the vocabulary of %zu", m->where,
                            (int)ids[i], t->n);
    return ok ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "%s: tables of %zu pieces", m->where, t->n);
}
