/* The BERT encoder as a sentence embedder or under a head, on the kernel table: embeddings and layer norm, `layers` times attention and
 * feed-forward with erf-GELU, each with its residual and layer norm after it, then the mean over the tokens of a text or
 * the row of its first, divided by its length. Heads: classifier(tanh(pooler(first row))), or classifier of every row. Texts of any lengths are packed one behind the other, nothing is padded.
 * Architecture: Devlin et al. 2018 (arXiv:1810.04805); pooling: Reimers and Gurevych 2019 (arXiv:1908.10084).
 * @thread a model belongs to the thread of its device */
#ifndef OPS_WORKER_BERT_H
#define OPS_WORKER_BERT_H

#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "kernels/include/kern.h"
#include "worker/model/bert_config.h"
#include "worker/model/lm_source.h"

enum { OPS_BERT_TOKENS_MAX = 65536 };

typedef struct ops_bert ops_bert;

/* Checks that `source` holds what `config` needs (names of Hugging Face with or without "bert." in front, or those of the
 * GGUF format; a GGUF file must hold nothing else), then copies it to the device, the matrices of the layers packed as
 * `weights` whatever type they have in the file (all else becomes f32). `kern` and `dev` must outlive *ret; `source` may go. One
 * call of ops_bert_embed takes up to tokens_max tokens in up to seqs_max texts; memory for that is taken here.
 * OPS_ECORRUPT names the tensor; OPS_EUNIMPL its element type; OPS_EINVAL: limits out of range; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_bert_load_from(const ops_bert_config *config, const ops_lm_source *source,
                                           const ops_kern *kern, ops_kern_dev *dev, ops_kern_type weights,
                                           int tokens_max, int seqs_max, ops_bert **ret, ops_err *reterr);
/* The same from one file of a folder. */
OPS_MUST_USE ops_status ops_bert_load(const ops_bert_config *config, const ops_safetensors *st,
                                      const ops_kern *kern, ops_kern_dev *dev, ops_kern_type weights,
                                      int tokens_max, int seqs_max, ops_bert **ret, ops_err *reterr);
void ops_bert_free(ops_bert *b);
OPS_AUTO_DEFINE(ops_bert, ops_bert_free)

/* `seqs` texts: text i is ids[starts[i]..starts[i+1]), starts[0] is 0, none empty, none longer than config.positions.
 * `ret`: seqs * hidden floats. OPS_EINVAL: such a rule is broken, or an id is not in the vocabulary; OPS_ETOOBIG: more
 * than the limits; OPS_ENOMEM; OPS_EINTERNAL: the device failed. */
OPS_MUST_USE ops_status ops_bert_embed(ops_bert *b, const int32_t *ids, const int32_t *starts, int seqs,
                                       float *ret, ops_err *reterr);

/* What the head says of the same batch, as it comes out of the classifier (no softmax, no sigmoid): [seqs][labels], or of a
 * head over tokens [tokens][labels]. `types` (NULL: all 0) says of each token which of a pair of texts it is of. Errors as
 * above; OPS_EINVAL: the model has no head, or a type is not the model's. */
OPS_MUST_USE ops_status ops_bert_classify(ops_bert *b, const int32_t *ids, const int32_t *types,
                                          const int32_t *starts, int seqs, float *ret, ops_err *reterr);

/* Tests: called with the rows of each stage as it is done: "embeddings", "layer.0.attention" (its context),
 * "layer.0.attended" (after the layer norm), "layer.0.output", ..., "pooled". NULL switches it off. */
typedef void ops_bert_watch_fn(void *ctx, const char *stage, const float *rows, int m, int n);
void ops_bert_watch(ops_bert *b, ops_bert_watch_fn *fn, void *ctx);

#endif
