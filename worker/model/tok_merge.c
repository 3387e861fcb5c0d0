/* Merging one word: symbols are joined pair by pair, the best pair first and of equals the leftmost, until none is left.
 * Short words scan their pairs for each merge; longer ones keep the pairs in a heap, whose stale entries are seen by the
 * length they were made for. Both give the same ids. */
#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "worker/model/tok_internal.h"

enum { NONE = UINT32_MAX };

typedef struct symbol {
    uint32_t at, n; /* bytes of the word; n 0: eaten by the one before */
    uint32_t prev, next;
    int32_t id; /* -1: no piece */
} symbol;

typedef struct candidate {
    uint64_t key; /* how good, the less the better; then the place of the left symbol */
    uint32_t right, n;
    int32_t id;
} candidate;

typedef OPS_VEC(candidate) heap;

typedef struct work {
    const ops_tokenizer *t;
    ops_slice word;
    symbol *s;
    uint32_t n;
} work;

/* A float's bits, turned so that the greater score is the lesser number. */
static uint32_t by_score(float score)
{
    const float f = score + 0.0f; /* -0 becomes 0 */
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (bits & 0x80000000u) != 0 ? bits : ~(bits | 0x80000000u);
}

/* Can the symbols l and r become one piece? */
static bool pair(const work *w, uint32_t l, uint32_t r, candidate *ret)
{
    const symbol *a = &w->s[l], *b = &w->s[r];
    uint32_t rank;
    int32_t id;
    if (w->t->model == OPS_TOK_BPE) {
        if (a->id < 0 || b->id < 0 || !ops_pairs_get(w->t->pairs, a->id, b->id, &rank, &id))
            return false;
    } else {
        if (a->n + b->n > w->t->piece_max)
            return false;
        id = ops_tok_lookup(w->t, ops_slice_sub(w->word, a->at, a->n + b->n));
        if (id < 0)
            return false;
        rank = by_score(w->t->score[id]);
    }
    *ret = (candidate){(uint64_t)rank << 32 | l, r, a->n + b->n, id};
    return true;
}

static void join(work *w, uint32_t l, uint32_t r, int32_t id)
{
    w->s[l].n += w->s[r].n;
    w->s[l].id = id;
    w->s[r].n = 0;
    w->s[l].next = w->s[r].next;
    if (w->s[l].next != NONE)
        w->s[w->s[l].next].prev = l;
}

/* --- few symbols: the candidate of each symbol and its right neighbour in an array --- */
static void scan(work *w, candidate *best)
{
    static const candidate nothing = {UINT64_MAX, 0, 0, -1};
    best[0] = nothing;
    for (uint32_t i = 1; i < w->n; i++)
        best[i] = nothing;
    for (uint32_t i = 0; i + 1 < w->n; i++)
        (void)pair(w, i, i + 1, &best[i]);
    for (;;) {
        uint32_t l = 0;
        for (uint32_t i = 1; i < w->n; i++)
            if (best[i].key < best[l].key)
                l = i;
        if (best[l].id < 0)
            return;
        const uint32_t r = best[l].right, before = w->s[l].prev;
        join(w, l, r, best[l].id);
        best[r] = nothing;
        if (w->s[l].next == NONE || !pair(w, l, w->s[l].next, &best[l]))
            best[l] = nothing;
        if (before != NONE && !pair(w, before, l, &best[before]))
            best[before] = nothing;
    }
}

/* --- many: a binary heap --- */
static bool push(heap *h, candidate c)
{
    if (!ops_vec_push(h, c))
        return false;
    size_t i = h->n - 1;
    for (; i > 0 && c.key < h->v[(i - 1) / 2].key; i = (i - 1) / 2)
        h->v[i] = h->v[(i - 1) / 2];
    h->v[i] = c;
    return true;
}

static candidate pop(heap *h)
{
    const candidate top = h->v[0], last = h->v[--h->n];
    size_t i = 0;
    for (size_t c = 1; c < h->n; c = 2 * i + 1) {
        if (c + 1 < h->n && h->v[c + 1].key < h->v[c].key)
            c++;
        if (last.key <= h->v[c].key)
            break;
        h->v[i] = h->v[c];
        i = c;
    }
    h->v[i] = last;
    return top;
}

static bool offer(const work *w, heap *h, uint32_t l, uint32_t r)
{
    candidate c;
    return l == NONE || r == NONE || !pair(w, l, r, &c) || push(h, c);
}

static bool drain(work *w, heap *h)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (!offer(w, h, i, w->s[i].next))
            return false;
    while (h->n > 0) {
        const candidate c = pop(h);
        const uint32_t l = (uint32_t)c.key;
        /* symbols only grow: what has the length it had is what it was */
        if (w->s[l].n == 0 || w->s[l].next != c.right || w->s[l].n + w->s[c.right].n != c.n)
            continue;
        join(w, l, c.right, c.id);
        if (!offer(w, h, w->s[l].prev, l) || !offer(w, h, l, w->s[l].next))
            return false;
    }
    return true;
}

/* --- the symbols a word starts with --- */
static uint32_t add(work *w, uint32_t at, uint32_t bytes, int32_t id)
{
    const uint32_t i = w->n++;
    w->s[i] = (symbol){at, bytes, i > 0 ? i - 1 : NONE, NONE, id};
    if (i > 0)
        w->s[i - 1].next = i;
    return i;
}

static void add_bytes(work *w)
{
    for (uint32_t i = 0; i < w->word.n; i++)
        (void)add(w, i, 1, w->t->byte_id[(unsigned char)w->word.p[i]]);
}

static bool all_bytes(const ops_tokenizer *t, ops_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (t->byte_id[(unsigned char)s.p[i]] < 0)
            return false;
    return t->byte_fallback;
}

/* A code point without a piece falls apart into bytes before the merges in a BPE by ranks, after them with scores. */
static void add_codes(work *w)
{
    for (uint32_t i = 0; i < w->word.n;) {
        const uint32_t n = (uint32_t)ops_tok_bytes((unsigned char)w->word.p[i]);
        const ops_slice code = ops_slice_sub(w->word, i, n);
        const int32_t id = ops_tok_lookup(w->t, code);
        if (id < 0 && w->t->model == OPS_TOK_BPE && all_bytes(w->t, code))
            for (uint32_t j = 0; j < n; j++)
                (void)add(w, i + j, 1, w->t->byte_id[(unsigned char)code.p[j]]);
        else
            (void)add(w, i, n, id);
        i += n;
    }
}

ops_status ops_tok_put(ops_tok_out *out, int32_t id, ops_err *reterr)
{
    out->after_unk = false;
    return ops_tokens_put(out->to, id, reterr);
}

/* A code point (or, byte-level, a byte) that is no piece: its bytes' tokens, the unknown token, or nothing. */
ops_status ops_tok_put_unknown(const ops_tokenizer *t, ops_slice text, ops_tok_out *out, ops_err *reterr)
{
    ops_status st = OPS_OK;
    if (!t->byte_level && all_bytes(t, text)) {
        for (size_t i = 0; i < text.n && st == OPS_OK; i++)
            st = ops_tok_put(out, t->byte_id[(unsigned char)text.p[i]], reterr);
        return st;
    }
    /* a byte that the alphabet lacks is dropped, as the reference does, when the "unknown" token is a control token */
    if (t->unk < 0 || ops_tokenizer_kind(t, t->unk) == OPS_PIECE_CONTROL || (out->after_unk && t->fuse_unk))
        return OPS_OK;
    st = ops_tok_put(out, t->unk, reterr);
    out->after_unk = true;
    return st;
}

static ops_status put_all(const work *w, ops_tok_out *out, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (uint32_t i = 0; i != NONE && st == OPS_OK; i = w->s[i].next)
        st = w->s[i].id >= 0
                 ? ops_tok_put(out, w->s[i].id, reterr)
                 : ops_tok_put_unknown(w->t, ops_slice_sub(w->word, w->s[i].at, w->s[i].n), out, reterr);
    return st;
}

ops_status ops_tok_merge(const ops_tokenizer *t, ops_slice word, size_t scan_max, ops_tok_out *out,
                         ops_err *reterr)
{
    if (word.n == 0)
        return OPS_OK;
    if (t->ignore_merges && word.n <= t->piece_max) {
        const int32_t whole = ops_tok_lookup(t, word);
        if (whole >= 0)
            return ops_tok_put(out, whole, reterr);
    }
    symbol few[OPS_TOK_SCAN_MAX];
    candidate best[OPS_TOK_SCAN_MAX];
    OPS_AUTO(ops_free) void *block = word.n > OPS_TOK_SCAN_MAX ? ops_malloc(word.n * sizeof(symbol)) : NULL;
    if (word.n > OPS_TOK_SCAN_MAX && block == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a word of %zu bytes", word.n);
    work w = {t, word, block != NULL ? block : few, 0};
    if (t->byte_level)
        add_bytes(&w);
    else
        add_codes(&w);
    bool ok = true;
    if (w.n <= scan_max && w.n <= OPS_TOK_SCAN_MAX)
        scan(&w, best);
    else {
        heap h = {0};
        ok = drain(&w, &h);
        ops_vec_done(&h);
    }
    return ok ? put_all(&w, out, reterr) : ops_fail(reterr, OPS_ENOMEM, "a word of %zu bytes", word.n);
}
