/* A prediction request and its answer. @thread any */
#ifndef OPS_COORDINATOR_VERTEX_PREDICT_H
#define OPS_COORDINATOR_VERTEX_PREDICT_H

#include <stddef.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/strbuf.h"
#include "coordinator/generate/ask.h"

enum { OPS_PREDICT_INSTANCES_MAX = 256, OPS_PREDICT_TEXT_BYTES_MAX = 64 * 1024 };

typedef struct ops_predict ops_predict;

/* {"instances":[...],"parameters":{...}}: either all are texts for vectors, or all ask for text to be written, at most
 * OPS_ASK_TASKS_MAX. OPS_EINVAL, OPS_ETOOBIG name the instance or the parameter; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_predict_read(ops_slice body, ops_predict **ret, ops_err *reterr);
void ops_predict_free(ops_predict *p);
OPS_AUTO_DEFINE(ops_predict, ops_predict_free)
/* For vectors, none empty; *ret_n is 0 where text is to be written. As long as p. */
const ops_slice *ops_predict_texts(const ops_predict *p, size_t *ret_n);
/* One an instance, each one task; *ret_n is 0 where there are texts. As long as p. */
ops_ask *ops_predict_asks(ops_predict *p, size_t *ret_n);

/* {"predictions":[{"embeddings":{"values":[...]}}]}: rows * dim floats. */
void ops_predict_answer(const float *v, size_t rows, size_t dim, ops_strbuf *out);

/* What was written for one instance. */
typedef struct ops_predict_written {
    ops_strbuf text;
    Ops__V1__FinishReason finish;
    uint32_t prompt_tokens, tokens;
} ops_predict_written;
/* {"predictions":[{"content":"...","finishReason":"STOP"}],"metadata":{"tokenMetadata":{...}}} */
void ops_predict_answer_text(const ops_predict_written *v, size_t n, ops_strbuf *out);
/* {"error":"..."} */
void ops_predict_error(const char *message, ops_strbuf *out);

#endif
