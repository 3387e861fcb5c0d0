/* Inside of the openai room: what the handlers share. */
#ifndef OPS_COORDINATOR_OPENAI_INTERNAL_H
#define OPS_COORDINATOR_OPENAI_INTERNAL_H

#include "coordinator/dispatch/dispatch.h"
#include "coordinator/http/server.h"
#include "coordinator/openai/answer.h"

#define OPENAI_JSON "application/json"
enum { OPENAI_ANSWER_BYTES_MAX = 64 << 20 };

/* Answers in the API's form; says when to come again where that helps. `param`, `code`: NULL or "" are null. */
void openai_refuse(ops_http_req *req, ops_status st, const char *message, const char *param,
                   const char *code);

enum openai_job { OPENAI_EMBEDS = 1, OPENAI_WRITES = 2 };

typedef struct openai_models {
    ops_dispatch_worker worker[OPS_DISPATCH_WORKERS_MAX];
    ops_openai_model v[OPS_DISPATCH_WORKERS_MAX * OPS_DISPATCH_MODELS_MAX];
    unsigned jobs[OPS_DISPATCH_WORKERS_MAX * OPS_DISPATCH_MODELS_MAX]; /* of v: openai_job */
    size_t n;
} openai_models;

/* Every model that some worker has, once, since the first of them attached; freed with ops_free. NULL: no memory. */
openai_models *openai_models_now(ops_dispatch *d);
const ops_openai_model *openai_models_find(const openai_models *m, ops_slice name);
void openai_models_refuse(ops_http_req *req, const openai_models *m, ops_slice name);
/* Is there such a model for the job? Otherwise the request is refused and this is false. */
bool openai_model_is_there(ops_dispatch *d, ops_http_req *req, ops_slice name, enum openai_job job);

/* completions.c; user: the dispatch */
void openai_on_chat(ops_http_req *req, void *user);
void openai_on_completion(ops_http_req *req, void *user);

#endif
