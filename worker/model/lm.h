/* Decoders (GPT-2, Llama, Qwen 2, Qwen 3, Gemma 3) over the table of kernels/: token ids in, logits of the next token out, for many
 * sequences at once. A step takes tokens of any mixture of sequences, chunks of prompts beside single tokens, packed one
 * behind the other with nothing padded; keys and values lie in blocks of a cache, and which blocks are a sequence's is
 * the caller's to say. What a sequence gets depends on nothing else in the batch nor on how its prompt was cut, bit for bit.
 *
 *   x = embed_scale * table[id]                       then `layers` times
 *   x += post(out(attend(rope(norm(q h)), rope(norm(k h)), v h)))    h = rmsnorm(x), v without rope
 *   x += post(down(act(gate h) * up h))               h = rmsnorm(x)
 *   logits = head rmsnorm(x)
 * q, k, v carry biases in Qwen 2; q and k have norms per head in Qwen 3 and Gemma 3; `post` is a norm in Gemma 3. GPT-2 adds
 * a learned row per position to the table's instead of turning q and k, has layer norms, biases everywhere and no gate.
 * Formulas: Radford et al. 2019 (GPT-2), Touvron et al. 2023 (arXiv:2302.13971), Qwen 2 (arXiv:2407.10671), Qwen 3 (arXiv:2505.09388), Gemma 3
 * (arXiv:2503.19786). Names of keys and tensors: the GGUF format (github.com/ggml-org/ggml docs/gguf.md, gguf-py constants).
 * @thread a model belongs to the thread of its device; the device's own threads do the work */
#ifndef OPS_WORKER_LM_H
#define OPS_WORKER_LM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "kernels/include/kern.h"
#include "worker/model/greatest.h"
#include "worker/model/lm_source.h"

enum {
    OPS_LM_LAYERS_MAX = 1024,
    OPS_LM_HIDDEN_MAX = 65536,
    OPS_LM_INNER_MAX = 1 << 20,
    OPS_LM_CONTEXT_MAX = 1 << 24,
    OPS_LM_TOKENS_MAX = 65536 /* of a step */
};

typedef enum ops_lm_arch {
    OPS_LM_LLAMA,
    OPS_LM_QWEN2,
    OPS_LM_QWEN3,
    OPS_LM_GEMMA3,
    OPS_LM_GPT2,
    OPS_LM_ARCHS
} ops_lm_arch;

/* Whose names the tensors have, and how they lie: those of a GGUF file, of transformers, or of transformers without the
 * prefix that a model with a head puts before them. */
typedef enum ops_lm_layout { OPS_LM_GGUF, OPS_LM_HF, OPS_LM_HF_BARE } ops_lm_layout;

typedef struct ops_lm_config {
    ops_lm_arch arch;
    ops_lm_layout layout;
    int vocab, context; /* ids are below vocab; positions below context */
    int layers, hidden, inner;
    int heads, kv_heads, width; /* heads / kv_heads queries to a key; elements of one head */
    int rotary;                 /* elements of a head that are turned; 0: positions are learned */
    float eps, theta, scale;    /* of the norms; of the rotation; of q k^T */
    float embed_scale;
    float rope_slower; /* angles are divided by it; 1: not */
    float rope_low,
        rope_high; /* Llama 3's rule: see ops_kern_rope_factors; 0: every angle is divided alike */
    int rope_context;
    int window,
        period; /* layer i sees `window` tokens, its own included, unless (i + 1) % period is 0; window 0: all */
    float theta_window; /* of layers with a window, whose angles are not divided */
    bool bias, head_norms, post_norms, gelu, half_split;
    bool layer_norm; /* and biases everywhere, one map for q, k, v, no gate: GPT-2 */
    bool tied;       /* no head of its own: the table is the head */
} ops_lm_config;

/* The hyperparameters, each within its bounds and fitting the others. OPS_EUNIMPL names an architecture or a feature that is
 * not built; OPS_ECORRUPT the key that is missing or out of range, with its value. */
OPS_MUST_USE ops_status ops_lm_config_read(const ops_gguf *g, ops_lm_config *ret, ops_err *reterr);
/* The same from config.json of a Hugging Face folder. */
OPS_MUST_USE ops_status ops_lm_config_parse(ops_slice json, ops_lm_config *ret, ops_err *reterr);
int ops_lm_window_layers(const ops_lm_config *c); /* that look back over a window only */
const char *ops_lm_arch_name(ops_lm_arch arch);   /* "llama" */

/* What memory is taken for when a model is loaded; a step takes none. */
typedef struct ops_lm_limits {
    int tokens;        /* of a step, at most OPS_LM_TOKENS_MAX */
    int outputs;       /* rows of logits of a step, at most `tokens` */
    int seqs;          /* of a step, at most `tokens` */
    int positions;     /* of a sequence, at most config.context; 0: config.context */
    int block;         /* tokens of a block; 16 is quickest for short ones, any multiple of 16 is quick */
    int blocks;        /* of the cache, which every layer has, or */
    int window_blocks; /* layers with a window this many of their own; 0: as many as the others, and the same */
    bool cache_f32;    /* keys and values in f32, else f16 */
    bool exact;        /* the kernels' formulas in double: slow, what the quick way is judged by */
} ops_lm_limits;

typedef struct ops_lm ops_lm;

/* Checks hyperparameters, then that the file holds exactly the tensors they ask for, in their shapes, then takes memory and
 * copies the weights to the device: `g` and its file may go. `kern` and `dev` must outlive *ret. OPS_ECORRUPT names the tensor
 * that is missing, misshapen or not of the architecture; OPS_EINVAL a limit; others as ops_lm_config_read; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_lm_load(const ops_gguf *g, const ops_kern *kern, ops_kern_dev *dev,
                                    const ops_lm_limits *limits, ops_lm **ret, ops_err *reterr);
/* The same for hyperparameters already read, from wherever the tensors lie. */
OPS_MUST_USE ops_status ops_lm_load_from(const ops_lm_config *config, const ops_lm_source *source,
                                         const ops_kern *kern, ops_kern_dev *dev, const ops_lm_limits *limits,
                                         ops_lm **ret, ops_err *reterr);
void ops_lm_free(ops_lm *m);
OPS_AUTO_DEFINE(ops_lm, ops_lm_free)

const ops_lm_config *ops_lm_config_of(const ops_lm *m);
const ops_lm_limits *ops_lm_limits_of(const ops_lm *m); /* positions filled in */
int ops_lm_table(
    const ops_lm *m); /* entries of a sequence's row of a batch's table: ceil(positions / block) */
size_t
ops_lm_step_bytes(const ops_lm *m); /* of weights in the file's own form that one step of one token reads */

/* Tokens of a step. A sequence's tokens are in the order of their positions; the keys of all its positions before the first
 * of them were written by earlier steps into the same blocks. */
typedef struct ops_lm_batch {
    int tokens, seqs, outputs;
    const int32_t *ids;  /* [tokens] */
    const int32_t *rows; /* [tokens][2]: the sequence, 0..seqs-1, and the position in it */
    const int32_t *
        table; /* [seqs][ops_lm_table()]: position p lies in block table[seq][p / block]; entries past the last
                             position are not read. Two sequences may share blocks that neither writes */
    const int32_t *
        window_table; /* with limits.window_blocks, else not read: the same for layers with a window. Blocks of positions that
                             none of a sequence's tokens here looks at are not read: entries may be -1, blocks another's */
    const int32_t *
        out; /* [outputs]: tokens of the batch, by their place, whose next token's logits are wanted; ascending; 0
                             outputs: keys and values are kept, nothing else */
    const uint32_t *mask; /* NULL, or [outputs][(vocab + 31) / 32]: ids whose bit is 0 get minus infinity */
} ops_lm_batch;

/* `ret`: [outputs][vocab] (NULL will do for 0 outputs); untouched on failure. OPS_EINVAL names the token, position or block that is out of range, OPS_ETOOBIG
 * the limit that is passed: then nothing was written. OPS_EINTERNAL: the device failed; what the step's blocks hold is
 * undefined. */
OPS_MUST_USE ops_status ops_lm_step(ops_lm *m, const ops_lm_batch *batch, float *ret, ops_err *reterr);
/* The same with the greatest logits selected by the device, `top` of each, 1 to OPS_GREATEST_MAX. `ret`: [outputs][top + 1];
 * `ret_logits`: as above, or NULL: they are not brought here. OPS_EINVAL: `top`, or no outputs. */
OPS_MUST_USE ops_status ops_lm_step_greatest(ops_lm *m, const ops_lm_batch *batch, int top, ops_greatest *ret,
                                             float *ret_logits, ops_err *reterr);

#endif
