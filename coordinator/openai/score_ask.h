/* A request for relevance or for labels. `POST /v1/rerank` is as several servers have it (Cohere's form: query, documents, top_n,
 * return_documents), `POST /v1/classify` takes `input` as embeddings do. @thread any */
#ifndef OPS_COORDINATOR_SCORE_ASK_H
#define OPS_COORDINATOR_SCORE_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum {
    OPS_SCORE_ASK_TEXTS_MAX = 256,
    OPS_SCORE_ASK_TEXT_BYTES_MAX = 64 * 1024, /* of the query too */
    OPS_SCORE_ASK_MODEL_MAX = 127
};

typedef struct ops_score_ask {
    ops_slice model, query;                   /* query: of a rerank */
    ops_slice texts[OPS_SCORE_ASK_TEXTS_MAX]; /* documents or input: at least one, none empty, without NUL */
    size_t n;
    size_t top_n; /* 1 to n */
    bool with_documents;
    void *root; /* what they point into */
} ops_score_ask;

/* `param`: the field that is wrong, a constant text or "". OPS_EINVAL, OPS_ETOOBIG, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_score_ask_rerank(ops_slice body, ops_score_ask **ret, const char **ret_param,
                                             ops_err *reterr);
OPS_MUST_USE ops_status ops_score_ask_classify(ops_slice body, ops_score_ask **ret, const char **ret_param,
                                               ops_err *reterr);
void ops_score_ask_free(ops_score_ask *a);
OPS_AUTO_DEFINE(ops_score_ask, ops_score_ask_free)

/* A packed ops.v1.ScoreTask; *ret is the caller's (ops_free). OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_score_ask_pack(const ops_score_ask *a, void **ret, size_t *ret_n,
                                           ops_err *reterr);

#endif
