/* An encoder as people keep it, with all that belongs to it: one GGUF file (or a folder with just one in it), or a folder
 * with config.json, tokenizer.json, model.safetensors and, where they are there, the side files of sentence-transformers.
 * @thread immutable once opened */
#ifndef OPS_WORKER_BERT_FILE_H
#define OPS_WORKER_BERT_FILE_H

#include "worker/model/bert.h"
#include "worker/model/wordpiece.h"

enum { OPS_BERT_FILE_HASH_HEX = 32 };

typedef struct ops_bert_file ops_bert_file;

/* Does the path lead to such a model? False too where it can not be read. */
bool ops_bert_file_is(const char *path);
/* Maps the files and reads what the model says of itself, a head included unless there is 1_Pooling/config.json,
 * which says that it embeds. Mappings live until freed (see mapped.h).
 * OPS_ENOTFOUND or OPS_EIO: a file; OPS_ECORRUPT, OPS_EUNIMPL, OPS_ETOOBIG: its content, named; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_bert_file_open(const char *path, ops_bert_file **ret, ops_err *reterr);
void ops_bert_file_free(ops_bert_file *f);
OPS_AUTO_DEFINE(ops_bert_file, ops_bert_file_free)

const ops_bert_config *ops_bert_file_config(const ops_bert_file *f);
/* The names of the labels of its head, one after the other, each ended by a NUL; NULL without a head. */
const char *ops_bert_file_labels(const ops_bert_file *f);
const ops_gguf *ops_bert_file_gguf(const ops_bert_file *f); /* NULL: it is a folder */
ops_slice ops_bert_file_json(const ops_bert_file *f);       /* config.json; empty: it is a GGUF file */
/* Everything a vector depends on but the type of the weights, as hex. */
void ops_bert_file_hash(const ops_bert_file *f, char ret[OPS_BERT_FILE_HASH_HEX + 1], ops_kern_type weights);

/* As ops_wordpiece_parse or _from_gguf; OPS_ECORRUPT too where ids or special tokens do not fit the model. */
OPS_MUST_USE ops_status ops_bert_file_words(const ops_bert_file *f, ops_wordpiece **ret, ops_err *reterr);
/* As ops_bert_load_from, under `config`: the file's own, or that without its head. */
OPS_MUST_USE ops_status ops_bert_file_load(const ops_bert_file *f, const ops_bert_config *config,
                                           const ops_kern *kern, ops_kern_dev *dev, ops_kern_type weights,
                                           int tokens_max, int seqs_max, ops_bert **ret, ops_err *reterr);

#endif
