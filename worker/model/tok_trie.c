/* Pieces as a byte trie in one array: the children of a node lie side by side, sorted by byte. Built level by level from the
 * sorted keys, so a node is a range of keys that share its bytes. */
#include <stdlib.h>

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "worker/model/tok_internal.h"

typedef struct node {
    uint32_t child; /* the first */
    int32_t id;     /* -1: no piece ends here */
    uint16_t children;
    uint8_t byte;
} node;

typedef struct span { /* keys below a node, and their bytes so far */
    uint32_t from, to, depth;
} span;

struct ops_trie {
    OPS_VEC(node) nodes;
};

static int by_text(const void *a, const void *b)
{
    const ops_trie_key *x = a, *y = b;
    const int order = ops_slice_cmp(x->text, y->text);
    return order != 0 ? order : (x->id > y->id) - (x->id < y->id);
}

typedef OPS_VEC(span) spans;

/* Adds the children of node i. A span's keys agree in their first `depth` bytes; those of exactly that length end here. */
static bool expand(ops_trie *t, spans *q, const ops_trie_key *keys, uint32_t i)
{
    span s = q->v[i];
    if (s.from < s.to && keys[s.from].text.n == s.depth)
        t->nodes.v[i].id = keys[s.from].id;
    while (s.from < s.to && keys[s.from].text.n == s.depth)
        s.from++;
    t->nodes.v[i].child = (uint32_t)t->nodes.n;
    while (s.from < s.to) {
        const char byte = keys[s.from].text.p[s.depth];
        uint32_t to = s.from + 1;
        while (to < s.to && keys[to].text.p[s.depth] == byte)
            to++;
        const node child = {.id = -1, .byte = (uint8_t)byte};
        const span below = {s.from, to, s.depth + 1};
        if (!ops_vec_push(&t->nodes, child) || !ops_vec_push(q, below))
            return false;
        t->nodes.v[i].children++;
        s.from = to;
    }
    return true;
}

ops_trie *ops_trie_new(ops_trie_key *keys, size_t n)
{
    qsort(keys, n, sizeof *keys, by_text);
    spans q = {0};
    OPS_AUTO(ops_trie_free) ops_trie *t = ops_calloc(1, sizeof *t);
    const node root = {.id = -1};
    const span all = {0, (uint32_t)n, 0};
    bool ok = t != NULL && ops_vec_push(&t->nodes, root) && ops_vec_push(&q, all);
    for (uint32_t i = 0; ok && i < t->nodes.n; i++)
        ok = expand(t, &q, keys, i);
    ops_vec_done(&q);
    return ok ? OPS_STEAL(t) : NULL;
}

void ops_trie_free(ops_trie *t)
{
    if (t == NULL)
        return;
    ops_vec_done(&t->nodes);
    ops_free(t);
}

bool ops_trie_step(const ops_trie *t, uint32_t *at, unsigned char byte, int32_t *ret_id)
{
    const node *n = &t->nodes.v[*at];
    uint32_t lo = n->child, hi = n->child + n->children;
    while (lo < hi) {
        const uint32_t mid = (lo + hi) / 2;
        if (t->nodes.v[mid].byte < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == n->child + n->children || t->nodes.v[lo].byte != byte)
        return false;
    *at = lo;
    *ret_id = t->nodes.v[lo].id;
    return true;
}

size_t ops_trie_longest(const ops_trie *t, ops_slice text, int32_t *ret_id)
{
    size_t longest = 0;
    uint32_t at = 0;
    int32_t id;
    for (size_t i = 0; i < text.n && ops_trie_step(t, &at, (unsigned char)text.p[i], &id); i++)
        if (id >= 0) {
            longest = i + 1;
            *ret_id = id;
        }
    return longest;
}
