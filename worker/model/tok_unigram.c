/* The best segmentation of one word: the path through its pieces whose summed log-probabilities are greatest (Viterbi), a
 * code point that is no piece counting as the least piece minus ten (Kudo 2018, and the constant of SentencePiece). Time
 * is linear in the bytes times the longest piece. */
#include "base/mem/alloc.h"
#include "worker/model/tok_internal.h"

typedef struct best { /* way to a byte of the word */
    double weight;
    uint32_t from;
    int32_t id; /* -1: a code point that is no piece */
    bool reached;
} best;

/* `single`: sums are kept as SentencePiece keeps them, in single precision, which decides between ways of equal weight. */
static void offer(best *b, uint32_t from, double weight, int32_t id, bool single)
{
    if (!b->reached || weight > b->weight)
        *b = (best){single ? (double)(float)weight : weight, from, id, true};
}

static void forward(const ops_tokenizer *t, ops_slice word, best *b)
{
    const bool single = !t->raw_user;
    b[0] = (best){0, 0, -1, true};
    for (size_t i = 0; i < word.n;) {
        const size_t code = ops_tok_bytes((unsigned char)word.p[i]);
        bool alone = false; /* the code point is a piece itself */
        uint32_t node = 0;
        int32_t id;
        for (size_t j = i; j < word.n && ops_trie_step(t->trie, &node, (unsigned char)word.p[j], &id); j++)
            if (id >= 0) {
                offer(&b[j + 1], (uint32_t)i, b[i].weight + t->weight[id], id, single);
                alone = alone || j + 1 == i + code;
            }
        const double unknown = b[i].weight + t->unk_weight;
        if (!alone)
            offer(&b[i + code], (uint32_t)i, unknown, -1, single);
        i += code;
    }
}

ops_status ops_tok_unigram(const ops_tokenizer *t, ops_slice word, ops_tok_out *out, ops_err *reterr)
{
    best few[257];
    OPS_AUTO(ops_free) void *block = NULL;
    if (word.n >= sizeof few / sizeof *few && (block = ops_malloc((word.n + 1) * sizeof(best))) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a word of %zu bytes", word.n);
    best *b = block != NULL ? block : few;
    memset(b, 0, (word.n + 1) * sizeof *b);
    forward(t, word, b);
    /* turn the way around: `weight` is not needed any more, so each place takes the one that follows it */
    uint32_t next = (uint32_t)word.n;
    for (uint32_t at = next; at > 0;) {
        const uint32_t from = b[at].from;
        b[from].weight = (double)next;
        next = at = from;
    }
    ops_status st = OPS_OK;
    for (uint32_t at = 0; at < word.n && st == OPS_OK;) {
        const uint32_t to = (uint32_t)b[at].weight;
        st = b[to].id >= 0 ? ops_tok_put(out, b[to].id, reterr)
                           : ops_tok_put_unknown(t, ops_slice_sub(word, at, to - at), out, reterr);
        at = to;
    }
    return st;
}
