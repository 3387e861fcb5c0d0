#include "worker/grammar/vocab.h"

#include <stdlib.h>

#include "base/mem/alloc.h"
#include "worker/grammar/vocab_internal.h"

void ops_grammar_vocab_free(ops_grammar_vocab *v)
{
    if (v == NULL)
        return;
    ops_free(v->node);
    ops_free(v->ids);
    ops_free(v->at);
    ops_free(v->text);
    ops_free(v->plain);
    ops_free(v);
}

size_t ops_grammar_vocab_count(const ops_grammar_vocab *v)
{
    return v->n;
}

static ops_slice bytes_of(const ops_grammar_vocab *v, int32_t id)
{
    return ops_slice_of(v->text + v->at[id], v->at[id + 1] - v->at[id]);
}

static int by_bytes(const void *a, const void *b, void *ctx)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    const int order = ops_slice_cmp(bytes_of(ctx, x), bytes_of(ctx, y));
    return order != 0 ? order : (x > y) - (x < y);
}

/* Bytes that two pieces share at their start. */
static size_t shared(ops_slice a, ops_slice b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

/* Lays the sorted ids out as a trie: a piece leaves the nodes that it does not share with the one before. */
static void lay(ops_grammar_vocab *v, uint32_t *path)
{
    size_t depth = 0, nodes = 1;
    v->node[0] = (ops_gv_node){.byte = 0};
    path[0] = 0;
    ops_slice last = {NULL, 0};
    for (size_t i = 0; i < v->n_ids; i++) {
        const ops_slice s = bytes_of(v, v->ids[i]);
        const size_t keep = shared(last, s);
        for (; depth > keep; depth--)
            v->node[path[depth]].next = (uint32_t)nodes;
        for (; depth < s.n; nodes++) {
            const uint8_t byte = (uint8_t)s.p[depth++];
            v->node[nodes] = (ops_gv_node){.byte = byte, .depth = (uint16_t)depth, .token_at = (uint32_t)i};
            path[depth] = (uint32_t)nodes;
        }
        last = s;
    }
    for (size_t d = 0; d <= depth; d++)
        v->node[path[d]].next = (uint32_t)nodes;
    v->n_nodes = nodes;
    v->node[nodes] = (ops_gv_node){.next = (uint32_t)nodes, .token_at = (uint32_t)v->n_ids};
}

/* The node that follows in the order of UTF-8 inside a string: how many continuation bytes must come, and in which range
 * the next lies (RFC 3629, section 4). False: no such byte there. */
typedef struct utf8_place {
    uint8_t left, lo, hi;
} utf8_place;

static bool utf8_go(utf8_place *at, uint8_t b)
{
    if (at->left > 0) {
        if (b < at->lo || b > at->hi)
            return false;
        *at = (utf8_place){(uint8_t)(at->left - 1), 0x80, 0xbf};
        return true;
    }
    if (b < 0x80) {
        *at = (utf8_place){0, 0, 0};
        return b >= 0x20 && b != '"' && b != '\\' && b != 0x7f;
    }
    if (b < 0xc2 || b > 0xf4)
        return false;
    *at = (utf8_place){(uint8_t)(b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3), 0x80, 0xbf};
    if (b == 0xe0)
        at->lo = 0xa0;
    if (b == 0xed)
        at->hi = 0x9f;
    if (b == 0xf0)
        at->lo = 0x90;
    if (b == 0xf4)
        at->hi = 0x8f;
    return true;
}

/* Where a code point would start: from each byte of the piece, is the rest plain, and how many code points does it begin?
 * A byte that has no token of its own is no byte of a grammar, so it is not plain either. chars[d] is -1 where it is not. Backwards, so that the time is linear. */
static void plain_ends(const ops_grammar_vocab *v, ops_slice s, int16_t *chars)
{
    chars[s.n] = 0;
    for (size_t d = s.n; d-- > 0;) {
        utf8_place at = {0, 0, 0};
        size_t i = d;
        bool good = true;
        do {
            good = v->single[(uint8_t)s.p[i]] && utf8_go(&at, (uint8_t)s.p[i]);
            i++;
        } while (good && at.left > 0 && i < s.n);
        chars[d] = (int16_t)(good && chars[i] >= 0 ? chars[i] + 1 : -1);
    }
}

/* Which nodes are reached by plain bytes alone. */
static void mark_paths(ops_grammar_vocab *v)
{
    utf8_place at[OPS_TOKENIZER_PIECE_MAX + 1] = {{0, 0, 0}};
    bool good[OPS_TOKENIZER_PIECE_MAX + 1] = {true};
    v->node[0].plain = v->node[0].from_root = true;
    for (size_t i = 1; i < v->n_nodes; i++) {
        ops_gv_node *n = &v->node[i];
        at[n->depth] = at[n->depth - 1];
        good[n->depth] = good[n->depth - 1] && v->single[n->byte] && utf8_go(&at[n->depth], n->byte);
        n->from_root = good[n->depth] && at[n->depth].left == 0;
        n->plain = true;
    }
}

/* A node is plain when every piece below it is, from there. */
static void mark_plain(ops_grammar_vocab *v, uint32_t *path)
{
    int16_t chars[OPS_TOKENIZER_PIECE_MAX + 1];
    mark_paths(v);
    size_t node = 1;
    for (size_t i = 0; i < v->n_ids; i++) {
        const ops_slice s = bytes_of(v, v->ids[i]);
        for (; node < v->n_nodes && v->node[node].token_at <= i; node++)
            path[v->node[node].depth] = (uint32_t)node;
        plain_ends(v, s, chars);
        for (size_t d = 0; d <= s.n; d++) {
            ops_gv_node *n = &v->node[path[d]];
            n->plain = n->plain && chars[d] >= 0;
            if (n->plain && chars[d] > n->chars)
                n->chars = (uint16_t)chars[d];
        }
        if (chars[0] < 0)
            continue;
        v->plain[v->ids[i] / 32] |= 1U << (v->ids[i] % 32);
        if (chars[0] > v->plain_chars)
            v->plain_chars = (uint16_t)chars[0];
    }
}

static ops_status build(ops_grammar_vocab *v, ops_err *reterr)
{
    size_t bytes = v->at[v->n], longest = 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->at[i + 1] > v->at[i]) {
            v->ids[v->n_ids++] = (int32_t)i;
            const size_t n = v->at[i + 1] - v->at[i];
            longest = n > longest ? n : longest;
            if (n == 1)
                v->single[(uint8_t)v->text[v->at[i]]] = true;
        }
    qsort_r(v->ids, v->n_ids, sizeof *v->ids, by_bytes, v);
    v->node = ops_calloc(bytes + 2, sizeof *v->node);
    v->plain = ops_calloc(ops_grammar_mask_words(v->n) + 1, sizeof *v->plain);
    OPS_AUTO(ops_free) void *path = ops_calloc(longest + 1, sizeof(uint32_t));
    if (v->node == NULL || v->plain == NULL || path == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "vocabulary of %zu tokens: out of memory", v->n);
    lay(v, path);
    mark_plain(v, path);
    void *less = ops_realloc(v->node, (v->n_nodes + 1) * sizeof *v->node);
    v->node = less != NULL ? less : v->node;
    return OPS_OK;
}

/* Pieces by number, from either source. */
typedef struct source {
    const ops_tokenizer *t;
    const ops_slice *pieces;
    const int32_t *ends;
    size_t n_ends;
} source;

static ops_slice piece_of(const source *s, size_t i)
{
    if (s->t == NULL)
        return s->pieces[i];
    const ops_piece_kind kind = ops_tokenizer_kind(s->t, (int32_t)i);
    const bool chosen = kind == OPS_PIECE_NORMAL || kind == OPS_PIECE_USER || kind == OPS_PIECE_BYTE;
    return chosen && !ops_tokenizer_ends(s->t, (int32_t)i) ? ops_tokenizer_piece(s->t, (int32_t)i)
                                                           : ops_slice_of(NULL, 0);
}

static ops_status ends_of(ops_grammar_vocab *v, const source *s, ops_err *reterr)
{
    for (size_t i = 0; s->t != NULL && i < v->n && v->n_ends < OPS_GRAMMAR_ENDS_MAX; i++)
        if (ops_tokenizer_ends(s->t, (int32_t)i))
            v->ends[v->n_ends++] = (int32_t)i;
    for (size_t i = 0; i < s->n_ends; i++) {
        const int32_t id = s->ends[i];
        if (id < 0 || (size_t)id >= v->n || i >= OPS_GRAMMAR_ENDS_MAX || s->pieces[id].n > 0)
            return ops_fail(reterr, OPS_EINVAL,
                            "end %zu of the vocabulary is id %d: outside, more than %d, or a token with text",
                            i, (int)id, OPS_GRAMMAR_ENDS_MAX);
        v->ends[v->n_ends++] = id;
    }
    if (v->n_ends == 0)
        return ops_fail(reterr, OPS_EINVAL, "no id of the vocabulary ends a text");
    return OPS_OK;
}

static ops_status make(const source *s, size_t n, ops_grammar_vocab **ret, ops_err *reterr)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n && bytes <= OPS_GRAMMAR_VOCAB_BYTES_MAX; i++) {
        const size_t more = piece_of(s, i).n;
        if (more > OPS_TOKENIZER_PIECE_MAX)
            return ops_fail(reterr, OPS_ETOOBIG, "token %zu has %zu bytes, more than %d", i, more,
                            OPS_TOKENIZER_PIECE_MAX);
        bytes += more;
    }
    if (n > OPS_TOKENIZER_VOCAB_MAX || bytes > OPS_GRAMMAR_VOCAB_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "vocabulary of %zu tokens and %zu bytes, more than %d and %d", n,
                        bytes, OPS_TOKENIZER_VOCAB_MAX, OPS_GRAMMAR_VOCAB_BYTES_MAX);
    OPS_AUTO(ops_grammar_vocab_free) ops_grammar_vocab *v = ops_calloc(1, sizeof *v);
    if (v != NULL) {
        v->n = n;
        v->at = ops_calloc(n + 1, sizeof *v->at);
        v->text = ops_malloc(bytes + 1);
        v->ids = ops_calloc(n + 1, sizeof *v->ids);
    }
    if (v == NULL || v->at == NULL || v->text == NULL || v->ids == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "vocabulary of %zu tokens: out of memory", n);
    for (size_t i = 0; i < n; i++) {
        const ops_slice p = piece_of(s, i);
        if (p.n > 0)
            memcpy(v->text + v->at[i], p.p, p.n);
        v->at[i + 1] = v->at[i] + (uint32_t)p.n;
    }
    ops_status st = ends_of(v, s, reterr);
    if (st == OPS_OK)
        st = build(v, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(v);
    return st;
}

ops_status ops_grammar_vocab_new(const ops_tokenizer *t, ops_grammar_vocab **ret, ops_err *reterr)
{
    const source s = {.t = t};
    return make(&s, ops_tokenizer_count(t), ret, reterr);
}

ops_status ops_grammar_vocab_from_pieces(const ops_slice *pieces, size_t n, const int32_t *ends,
                                         size_t n_ends, ops_grammar_vocab **ret, ops_err *reterr)
{
    const source s = {.pieces = pieces, .ends = ends, .n_ends = n_ends};
    return make(&s, n, ret, reterr);
}
