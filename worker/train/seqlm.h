/* A small causal attention model over the events of sessions, trained on site: how surprising is each event after those
 * before it? Of the GPT-2 form (Radford et al. 2019): learnt positions, norm before each part, GELU, output tied to the
 * table of events; saved under that family's names, so that it loads wherever GPT-2 does.
 *
 * Ids are 0 .. kinds - 1; which event has which id is the caller's. A batch is sequences of at most `context` ids, packed
 * without padding; target[i] is the id that came after ids[i].
 *
 * Everything follows from the seed and the batches: the same calls give the same bits on one machine.
 * @thread one owner at a time. */
#ifndef OPS_TRAIN_SEQLM_H
#define OPS_TRAIN_SEQLM_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

enum {
    OPS_SEQLM_KINDS_MAX = 65536,
    OPS_SEQLM_DIM_MAX = 1024,
    OPS_SEQLM_LAYERS_MAX = 24,
    OPS_SEQLM_CONTEXT_MAX = 1024,
    OPS_SEQLM_TOKENS_MAX = 65536, /* of a batch */
};

typedef struct ops_seqlm_config {
    int kinds, dim, heads, layers, context; /* heads divides dim */
} ops_seqlm_config;

typedef struct ops_seqlm_batch {
    const int32_t *ids, *target; /* starts[seqs] of each */
    const int32_t *starts;       /* seqs + 1, from 0, ascending */
    int seqs;
} ops_seqlm_batch;

typedef struct ops_seqlm_tensor {
    const char *name; /* "transformer.h.0.ln_1.weight" */
    int rank, dim[2];
    float *value, *grad; /* grad: NULL until the first gradient was taken */
} ops_seqlm_tensor;

typedef struct ops_seqlm_step {
    float rate, decay; /* decay on matrices only */
    float norm_max;    /* the gradient is scaled down to this norm; 0: never */
} ops_seqlm_step;

typedef struct ops_seqlm ops_seqlm;

/* Weights from normal distributions by GPT-2's rule: 0.02, and 0.02 / sqrt(2 layers) where a part joins the stream. */
OPS_MUST_USE ops_status ops_seqlm_new(const ops_seqlm_config *config, uint64_t seed, ops_seqlm **ret,
                                      ops_err *reterr);
void ops_seqlm_free(ops_seqlm *m);
OPS_AUTO_DEFINE(ops_seqlm, ops_seqlm_free)

ops_seqlm_config ops_seqlm_get_config(const ops_seqlm *m);
size_t ops_seqlm_tensors(const ops_seqlm *m);
ops_seqlm_tensor ops_seqlm_tensor_at(const ops_seqlm *m, size_t i);
size_t ops_seqlm_weights(const ops_seqlm *m); /* numbers in all tensors */

/* ret_surprise[i] = -log P(target[i]), natural logarithm. OPS_EINVAL names what is wrong with the batch. */
OPS_MUST_USE ops_status ops_seqlm_score(ops_seqlm *m, const ops_seqlm_batch *b, float *ret_surprise,
                                        ops_err *reterr);
/* The chances of every id after ids[at]. `ret` has room for config.kinds. */
OPS_MUST_USE ops_status ops_seqlm_expect(ops_seqlm *m, const ops_seqlm_batch *b, int at, float *ret,
                                         ops_err *reterr);
/* The gradient of the mean surprise, into every tensor's grad. */
OPS_MUST_USE ops_status ops_seqlm_gradient(ops_seqlm *m, const ops_seqlm_batch *b, double *ret_mean,
                                           ops_err *reterr);
/* A gradient and one AdamW update (beta 0.9 and 0.999, eps 1e-8). *ret_mean is the mean surprise before it. */
OPS_MUST_USE ops_status ops_seqlm_train(ops_seqlm *m, const ops_seqlm_batch *b, const ops_seqlm_step *how,
                                        double *ret_mean, ops_err *reterr);

/* A whole safetensors file, F32, with GPT-2's names; and its config.json. Both go into a folder that GPT-2 loads from. The
 * moments of AdamW are not kept: training goes on from a file as if it began. */
OPS_MUST_USE ops_status ops_seqlm_save(const ops_seqlm *m, ops_strbuf *out, ops_err *reterr);
OPS_MUST_USE ops_status ops_seqlm_save_config(const ops_seqlm *m, ops_strbuf *out, ops_err *reterr);
/* From the bytes of such a file; the extents give the rest of the configuration. OPS_ECORRUPT names the tensor that is
 * missing, strange or misshapen, or holds what is no number; OPS_EINVAL a configuration out of range; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_seqlm_load(ops_slice file, int heads, ops_seqlm **ret, ops_err *reterr);

#endif
