/* A decoder as people keep it, with all that belongs to it: one GGUF file, or a Hugging Face folder (config.json,
 * model.safetensors or its index and shards, tokenizer.json, tokenizer_config.json, generation_config.json,
 * chat_template.jinja; the last three may be absent). @thread immutable once opened */
#ifndef OPS_WORKER_LM_FILE_H
#define OPS_WORKER_LM_FILE_H

#include "worker/model/chat.h"
#include "worker/model/lm.h"

typedef struct ops_lm_file ops_lm_file;

/* Maps the file, or config.json and the weights of the folder, and parses their containers. Mappings live until freed (see
 * mapped.h). Errors name the file: OPS_ENOTFOUND, OPS_ECORRUPT, OPS_ETOOBIG, OPS_EUNIMPL, OPS_EIO, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_lm_file_open(const char *path, ops_lm_file **ret, ops_err *reterr);
void ops_lm_file_free(ops_lm_file *f);
OPS_AUTO_DEFINE(ops_lm_file, ops_lm_file_free)

const ops_gguf *ops_lm_file_gguf(const ops_lm_file *f);     /* NULL: it is a folder */
const ops_shards *ops_lm_file_shards(const ops_lm_file *f); /* NULL: it is a file */
ops_slice ops_lm_file_json(const ops_lm_file *f);           /* config.json; empty: it is a file */
size_t ops_lm_file_bytes(const ops_lm_file *f);             /* of the file, or of all files of weights */

ops_lm_source ops_lm_file_source(const ops_lm_file *f); /* its tensors; `f` must outlive it */

/* As ops_lm_config_read, ops_lm_config_parse. */
OPS_MUST_USE ops_status ops_lm_file_config(const ops_lm_file *f, ops_lm_config *ret, ops_err *reterr);
/* As ops_lm_load_from with that config; afterwards `f` may go. */
OPS_MUST_USE ops_status ops_lm_file_load(const ops_lm_file *f, const ops_kern *kern, ops_kern_dev *dev,
                                         const ops_lm_limits *limits, ops_lm **ret, ops_err *reterr);
/* As ops_tokenizer_from_gguf, ops_tokenizer_from_folder. */
OPS_MUST_USE ops_status ops_lm_file_tokenizer(const ops_lm_file *f, ops_tokenizer **ret, ops_err *reterr);
/* The template in chat_template.jinja goes before that in tokenizer_config.json, of which `default` is taken where it has
 * several. OPS_ENOTFOUND: the model brings none; others as ops_chat_new. `t`: the model's own. */
OPS_MUST_USE ops_status ops_lm_file_chat(const ops_lm_file *f, const ops_tokenizer *t, ops_chat **ret,
                                         ops_err *reterr);

#endif
