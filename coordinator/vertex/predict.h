/* A prediction request and its answer. @thread any */
#ifndef OPS_COORDINATOR_VERTEX_PREDICT_H
#define OPS_COORDINATOR_VERTEX_PREDICT_H

#include <stddef.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/strbuf.h"

enum { OPS_PREDICT_INSTANCES_MAX = 256, OPS_PREDICT_TEXT_BYTES_MAX = 64 * 1024 };

typedef struct ops_predict ops_predict;

/* {"instances":[...]}. OPS_EINVAL, OPS_ETOOBIG name the instance; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_predict_read(ops_slice body, ops_predict **ret, ops_err *reterr);
void ops_predict_free(ops_predict *p);
OPS_AUTO_DEFINE(ops_predict, ops_predict_free)
const ops_slice *ops_predict_texts(const ops_predict *p,
                                   size_t *ret_n); /* at least one, none empty; as long as p */

/* {"predictions":[{"embeddings":{"values":[...]}}]}: rows * dim floats. */
void ops_predict_answer(const float *v, size_t rows, size_t dim, ops_strbuf *out);
/* {"error":"..."} */
void ops_predict_error(const char *message, ops_strbuf *out);

#endif
