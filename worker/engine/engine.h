/* The engine port: texts in, unit vectors out. Two implementations under one conformance suite: a BERT model on the
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

typedef struct ops_engine_info {
    char model[OPS_ENGINE_NAME_MAX];            /* "all-MiniLM-L6-v2": the name of the model's folder */
    char content_hash[OPS_ENGINE_HASH_HEX + 1]; /* everything a vector depends on, as hex */
    uint32_t dim;                               /* floats per vector */
    uint32_t tokens_max;       /* of one text, special tokens included; a longer text is cut */
    uint32_t batch_tokens_max; /* computed at once; more only takes more steps */
} ops_engine_info;

/* Asked between steps; true ends the call with OPS_ECANCELLED. */
typedef struct ops_engine_stop {
    bool (*asked)(void *ctx);
    void *ctx;
} ops_engine_stop;

typedef struct ops_engine ops_engine;
typedef struct ops_engine_ops {
    ops_status (*embed)(ops_engine *e, const ops_slice *texts, size_t n, float *ret, uint64_t *ret_tokens,
                        const ops_engine_stop *stop, ops_err *reterr);
    uint32_t (*tokens)(ops_engine *e, ops_slice text);
    void (*free)(ops_engine *e);
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
/* What the text costs in tokens, special tokens included, at most info.tokens_max. */
uint32_t ops_engine_tokens(ops_engine *e, ops_slice text);
const ops_engine_info *ops_engine_info_get(const ops_engine *e); /* lives as long as the engine */
void ops_engine_free(ops_engine *e);                             /* NULL is fine */
OPS_AUTO_DEFINE(ops_engine, ops_engine_free)

#endif
