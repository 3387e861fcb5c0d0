/* One sequence written to its end by one owner: the simple way to use a decoder, for the command line, tests and benches.
 * @thread that of the model's device */
#ifndef OPS_WORKER_GENERATE_H
#define OPS_WORKER_GENERATE_H

#include "base/text/slice.h"
#include "worker/model/lm.h"
#include "worker/model/sample.h"
#include "worker/model/stops.h"
#include "worker/model/tokenizer.h"

typedef struct ops_generate_params {
    ops_sample_params sample;
    int tokens_max;        /* 0: what the context leaves */
    const ops_slice *stop; /* texts that end the answer and are no part of it */
    size_t n_stop;
    int n_top; /* likeliest tokens told with each, at most OPS_SAMPLE_TOP_MAX */
} ops_generate_params;

typedef struct ops_generate_token {
    ops_sample_choice choice;
    const ops_sample_choice *top; /* [n_top] */
    ops_slice
        text; /* what can be shown now: whole UTF-8, nothing that may yet turn out to be a stop text; often empty.
                       Text of earlier tokens may come with a later one */
} ops_generate_token;

/* Called for every token, and once more with id -1 when text was left at the end. False ends the generation. */
typedef bool ops_generate_fn(void *ctx, const ops_generate_token *token);

typedef enum ops_generate_end {
    OPS_GENERATE_EOG,     /* the model ended its turn */
    OPS_GENERATE_STOPPED, /* a stop text */
    OPS_GENERATE_LENGTH,  /* tokens_max, or the end of the context */
    OPS_GENERATE_CALLED_OFF
} ops_generate_end;

typedef struct ops_generate_result {
    ops_generate_end end;
    int tokens; /* chosen, the one that ended the turn included */
} ops_generate_result;

/* Uses the first blocks of the model's cache, of which all layers have the same (limits.window_blocks 0). OPS_ETOOBIG: prompt and tokens_max pass the longest sequence or the blocks, with
 * the numbers, before anything is computed; OPS_EINVAL: an empty prompt, an id outside the vocabulary, parameters; OPS_ENOMEM;
 * others as ops_lm_step and ops_sampler_choose. */
OPS_MUST_USE ops_status ops_generate(ops_lm *m, const ops_tokenizer *t, const int32_t *prompt, size_t n,
                                     const ops_generate_params *params, ops_generate_fn *fn, void *ctx,
                                     ops_generate_result *ret, ops_err *reterr);

#endif
