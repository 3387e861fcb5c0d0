/* The engine port: texts in, unit vectors out, or what a head says of them. Two implementations under one conformance suite: a BERT model on the
 * kernel table (engine_bert.h) and a fake that hashes words (engine_fake.h).
 * @thread an engine is used by one thread at a time; ops_engine_info_get may be called from any */
#ifndef OPS_WORKER_ENGINE_H
#define OPS_WORKER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum { OPS_ENGINE_TEXTS_MAX = 1024, OPS_ENGINE_NAME_MAX = 128, OPS_ENGINE_HASH_HEX = 32 };

typedef enum ops_engine_does {
    OPS_ENGINE_EMBEDS,     /* vectors */
    OPS_ENGINE_RERANKS,    /* how well a text answers a query: one number */
    OPS_ENGINE_CLASSIFIES, /* which label a text has */
    OPS_ENGINE_TAGS        /* which labels words of a text have */
} ops_engine_does;

typedef struct ops_engine_info {
    ops_engine_does does;
    char model[OPS_ENGINE_NAME_MAX];            /* "all-MiniLM-L6-v2": the name of the model's folder */
    char content_hash[OPS_ENGINE_HASH_HEX + 1]; /* everything a vector depends on, as hex */
    uint32_t dim;                               /* floats per vector; 0: it does not embed */
    uint32_t label_count;                       /* 0: it embeds */
    const char *labels;        /* their names, each ended by a NUL; live as long as the engine */
    uint32_t tokens_max;       /* of one text, special tokens included; a longer text is cut */
    uint32_t batch_tokens_max; /* computed at once; more only takes more steps */
} ops_engine_info;

/* Asked between steps; true ends the call with OPS_ECANCELLED. */
typedef struct ops_engine_stop {
    bool (*asked)(void *ctx);
    void *ctx;
} ops_engine_stop;

/* What is asked of a head. */
typedef struct ops_engine_question {
    const ops_slice *query; /* of a model that reranks; else NULL */
    const ops_slice *texts;
    size_t n;
    uint32_t first; /* added to the places of texts in spans */
} ops_engine_question;

/* Words side by side of one label: bytes [begin, end) of their text. */
typedef struct ops_engine_span {
    uint32_t text, begin, end;
    const char *label; /* without "B-" or "I-"; lives as long as the engine */
    float probability; /* the mean over its words */
} ops_engine_span;
typedef struct ops_engine_spans { /* zeroed: none; the caller frees `v` (ops_free) */
    ops_engine_span *v;
    size_t n, cap;
} ops_engine_spans;

typedef struct ops_engine ops_engine;
typedef struct ops_engine_ops {
    ops_status (*embed)(ops_engine *e, const ops_slice *texts, size_t n, float *ret, uint64_t *ret_tokens,
                        const ops_engine_stop *stop, ops_err *reterr);
    uint32_t (*tokens)(ops_engine *e, ops_slice text);
    void (*free)(ops_engine *e);
    /* NULL: it has no head. */
    ops_status (*score)(ops_engine *e, const ops_engine_question *q, float *ret, ops_engine_spans *spans,
                        uint64_t *ret_tokens, const ops_engine_stop *stop, ops_err *reterr);
} ops_engine_ops;
struct ops_engine { /* the head of every implementation */
    const ops_engine_ops *ops;
    ops_engine_info info;
};

/* Vectors of `n` texts (1..OPS_ENGINE_TEXTS_MAX), row after row, each of info.dim floats and length 1, into `ret`
 * (n * dim floats, the caller's). *ret_tokens (may be NULL): tokens computed. A text is any bytes, also none: bytes
 * that are no UTF-8 are ignored. The vector of a text depends on that text alone, bit for bit.
 * `stop` may be NULL. OPS_EINVAL: n is 0; OPS_ETOOBIG: n over the bound; OPS_ENOMEM; OPS_ECANCELLED.
 * On failure `ret` holds nothing to rely on. */
OPS_MUST_USE ops_status ops_engine_embed(ops_engine *e, const ops_slice *texts, size_t n, float *ret,
                                         uint64_t *ret_tokens, const ops_engine_stop *stop, ops_err *reterr);
/* Probabilities of `n` texts (bounds as above), row after row, of label_count each, into `ret`; or, of an engine that tags, spans
 * behind those in *spans and nothing into `ret` (NULL is fine). A pair that is too long loses from its longer text first. The other
 * of the two is not touched. OPS_EINVAL too: the engine has no head, or wants a query and has none. Else as above. */
OPS_MUST_USE ops_status ops_engine_score(ops_engine *e, const ops_engine_question *q, float *ret,
                                         ops_engine_spans *spans, uint64_t *ret_tokens,
                                         const ops_engine_stop *stop, ops_err *reterr);
/* What the text costs in tokens, special tokens included, at most info.tokens_max. */
uint32_t ops_engine_tokens(ops_engine *e, ops_slice text);
const ops_engine_info *ops_engine_info_get(const ops_engine *e); /* lives as long as the engine */
void ops_engine_free(ops_engine *e);                             /* NULL is fine */
OPS_AUTO_DEFINE(ops_engine, ops_engine_free)

#endif
