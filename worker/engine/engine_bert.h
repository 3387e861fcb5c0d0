/* The real engine: a BERT-family sentence embedder, or an encoder under a head, from a GGUF file or a Hugging Face folder, on the kernels of the processor. */
#ifndef OPS_WORKER_ENGINE_BERT_H
#define OPS_WORKER_ENGINE_BERT_H

#include "kernels/include/kern.h"
#include "worker/engine/engine.h"

enum { OPS_ENGINE_BATCH_TOKENS_DEFAULT = 256 };

typedef struct ops_engine_bert_conf {
    const char *path; /* a GGUF file, or a folder (worker/model/bert_file.h) */
    const char *name; /* NULL: the last part of the path, without ".gguf" */
    uint32_t
        batch_tokens_max; /* 0: OPS_ENGINE_BATCH_TOKENS_DEFAULT; raised to one text's tokens_max when below */
    ops_kern_type weights; /* of the layers' matrices; F32 is 0. It is part of content_hash */
    uint32_t threads;      /* that compute together, the caller's among them; 0: one per processor */
    bool delayed;          /* kernels queue their runs until waited for (tests) */
} ops_engine_bert_conf;

/* Reads, checks and loads the model; nothing of `conf` or the files is needed afterwards. OPS_ENOTFOUND or OPS_EIO: a
 * file; OPS_ECORRUPT: its content, named with the place; OPS_EUNIMPL: an architecture, activation or pooling that is
 * not built, named; OPS_ETOOBIG: over a bound; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_engine_bert_open(const ops_engine_bert_conf *conf, ops_engine **ret,
                                             ops_err *reterr);

/* Where the models lie: $OPSD_MODELS, else $XDG_DATA_HOME/opsd/models, else ~/.local/share/opsd/models, and below it
 * `name`. OPS_ENOTFOUND: none of the variables is set; OPS_ETOOBIG: longer than `cap`. */
OPS_MUST_USE ops_status ops_engine_bert_folder(const char *name, char *ret, size_t cap, ops_err *reterr);

#endif
