/* A file or a folder as the model that it holds, on the kernels of the processor. */
#ifndef OPS_WORKER_OPEN_MODEL_H
#define OPS_WORKER_OPEN_MODEL_H

#include "worker/engine/engine_bert.h"
#include "worker/serve/runner.h"

typedef struct ops_model_conf {
    ops_kern_type weights;  /* of a model that embeds, as engine_bert.h has it */
    uint32_t threads;       /* that compute together; 0: one per processor */
    uint32_t context, seqs; /* of a model that writes, as generator.h has them; 0: its defaults */
    uint64_t cache_bytes;
} ops_model_conf;

/* Where `path` is: it starts with "/" or ".", or is the name of something below the models' folder
 * (ops_engine_bert_folder()). OPS_EINVAL: it leads out of that folder, or is empty. */
OPS_MUST_USE ops_status ops_model_path(const char *path, char *ret, size_t cap, ops_err *reterr);

/* What is at this path: a folder of the BERT family embeds; a GGUF file, a folder with one, or another
 * folder of Hugging Face's writes. `name` empty: from the path. OPS_ENOTFOUND;
 * others as engine_bert.h and generator.h have them. */
OPS_MUST_USE ops_status ops_model_open(const ops_model_conf *conf, const char *at, const char *name,
                                       ops_engine **ret_engine, ops_writer **ret_writer, ops_err *reterr);
/* The same for ops_runner_open_with(), where ops_model_path() says; borrows conf. */
ops_runner_opener ops_model_opener(ops_model_conf *conf);

#endif
