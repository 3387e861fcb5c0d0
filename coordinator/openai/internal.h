/* Inside of the openai room: what the handlers share. */
#ifndef OPS_COORDINATOR_OPENAI_INTERNAL_H
#define OPS_COORDINATOR_OPENAI_INTERNAL_H

#include "coordinator/dispatch/dispatch.h"
#include "coordinator/http/server.h"

#define OPENAI_JSON "application/json"
enum { OPENAI_ANSWER_BYTES_MAX = 64 << 20 };

/* Answers in the API's form; says when to come again where that helps. `param`, `code`: NULL or "" are null. */
void openai_refuse(ops_http_req *req, ops_status st, const char *message, const char *param,
                   const char *code);

/* Is there such a model, and does it do the job ("embed", "generate", "rerank", "classify")? Otherwise the request is refused and this is false. */
bool openai_model_is_there(ops_dispatch *d, ops_http_req *req, ops_slice name, const char *job);
/* GET of all models, and of the one called `name`. */
void openai_answer_models(ops_http_req *req, ops_dispatch *d);
void openai_answer_model(ops_http_req *req, ops_dispatch *d, ops_slice name);

/* scores.c; user: the dispatch */
void openai_on_rerank(ops_http_req *req, void *user);
void openai_on_classify(ops_http_req *req, void *user);

/* completions.c; user: the dispatch */
void openai_on_chat(ops_http_req *req, void *user);
void openai_on_completion(ops_http_req *req, void *user);

#endif
