/* Inside of a vocabulary: a byte trie in depth-first order. */
#ifndef OPS_WORKER_GRAMMAR_VOCAB_INTERNAL_H
#define OPS_WORKER_GRAMMAR_VOCAB_INTERNAL_H

#include <stdbool.h>

#include "worker/grammar/vocab.h"

/* Node i's first child is i + 1 where next > i + 1; its next sibling is `next`. Node 0 is the root. */
typedef struct ops_gv_node {
    uint32_t next;     /* past everything below */
    uint32_t token_at; /* in ids: of this node, then of those below */
    uint16_t depth;    /* bytes from the root */
    uint8_t byte;
    bool
        plain; /* from the boundary of a code point here, everything below is the inside of a JSON string without
                       escapes or its end in the middle of a code point */
    bool from_root; /* the way here from the root is plain, and this is the boundary of a code point */
    uint16_t chars; /* the most code points begun below, where plain */
} ops_gv_node;

struct ops_grammar_vocab {
    size_t n; /* ids */
    ops_gv_node *node;
    size_t n_nodes; /* node[n_nodes] is past the end: its token_at closes the last */
    int32_t *ids;   /* by trie order */
    size_t n_ids;
    uint32_t *at; /* of id i: its bytes are text[at[i]] up to text[at[i + 1]]; none: never chosen */
    char *text;
    size_t n_ends;
    int32_t ends[OPS_GRAMMAR_ENDS_MAX];
    bool single[256];     /* a token stands for this byte alone */
    uint32_t *plain;      /* mask of the tokens that are plain from the root ... */
    uint16_t plain_chars; /* ... and the most code points of one */
};

#endif
