/* A request for embeddings. https://platform.openai.com/docs/api-reference/embeddings/create @thread any */
#ifndef OPS_COORDINATOR_OPENAI_EMBEDDINGS_H
#define OPS_COORDINATOR_OPENAI_EMBEDDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum {
    OPS_EMBEDDINGS_TEXTS_MAX = 256,
    OPS_EMBEDDINGS_TEXT_BYTES_MAX = 64 * 1024,
    OPS_EMBEDDINGS_MODEL_MAX = 127
};

typedef struct ops_embeddings ops_embeddings;

/* `param`: the field that is wrong, for the error's form; a constant text or "". OPS_EINVAL, OPS_ETOOBIG, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_embeddings_read(ops_slice body, ops_embeddings **ret, const char **ret_param,
                                            ops_err *reterr);
void ops_embeddings_free(ops_embeddings *e);
OPS_AUTO_DEFINE(ops_embeddings, ops_embeddings_free)

/* What was asked; lives as long as e. */
ops_slice ops_embeddings_model(const ops_embeddings *e);
const ops_slice *ops_embeddings_texts(const ops_embeddings *e, size_t *ret_n); /* at least one, none empty */
bool ops_embeddings_base64(const ops_embeddings *e);
uint32_t ops_embeddings_dimensions(const ops_embeddings *e); /* 0: not given */

#endif
