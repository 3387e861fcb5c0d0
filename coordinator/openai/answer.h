/* What is answered, as the OpenAI API writes it. Pure. @thread any */
#ifndef OPS_COORDINATOR_OPENAI_ANSWER_H
#define OPS_COORDINATOR_OPENAI_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status/status.h"
#include "base/text/strbuf.h"

/* {"object":"list","data":[{"object":"embedding","index":i,"embedding":...}],"model":...,"usage":...}: rows * dim floats.
 * base64: of the vector's little-endian f32, without line ends. */
void ops_openai_embeddings(const float *v, size_t rows, size_t dim, ops_slice model, uint64_t tokens,
                           bool base64, ops_strbuf *out);

typedef struct ops_openai_model {
    ops_slice name;
    int64_t created_s; /* Unix time */
} ops_openai_model;
void ops_openai_model_list(const ops_openai_model *v, size_t n, ops_strbuf *out);
void ops_openai_model_one(const ops_openai_model *m, ops_strbuf *out);

/* {"error":{"message":...,"type":...,"param":...,"code":...}}; `param` NULL or "" is null; `code` NULL or "": the one
 * that clients of the API know the status by (context_length_exceeded, invalid_api_key, rate_limit_exceeded,
 * unsupported_parameter), else null. */
void ops_openai_error(ops_status st, const char *message, const char *param, const char *code,
                      ops_strbuf *out);

#endif
