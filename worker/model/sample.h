/* From logits to the next token: the greatest, or one drawn after penalties, temperature, top-k, min-p and top-p, in this
 * order. Pure: parameters, history and logits decide the token.
 *
 *   penalties, for a token seen `c` > 0 times in the last `window` tokens:
 *     l > 0 ? l / repeat : l * repeat                       (Keskar et al. 2019, arXiv:1909.05858, section 4.1)
 *     l -= c * frequency + presence                         (the OpenAI API's presence_penalty and frequency_penalty)
 *   l / temperature; the top_k greatest; p = softmax; p >= min_p * max p (Nguyen et al. 2024, arXiv:2407.01082);
 *   the fewest greatest whose p come to top_p (Holtzman et al. 2019, arXiv:1904.09751); one drawn by p
 * Among equals the lower id comes first. Logits of minus infinity and NaN are never chosen.
 * @thread a sampler has one owner */
#ifndef OPS_WORKER_SAMPLE_H
#define OPS_WORKER_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "worker/model/greatest.h"

enum {
    OPS_SAMPLE_VOCAB_MAX = 1 << 24,
    OPS_SAMPLE_WINDOW_MAX = 1 << 20,
    OPS_SAMPLE_TOP_MAX = OPS_GREATEST_MAX
};

typedef struct ops_sample_params {
    float temperature;         /* 0: greedy, and what follows it has no say; at most 100 */
    int top_k;                 /* 0: all, of which the OPS_SAMPLE_TOP_MAX greatest are looked at */
    float top_p;               /* in (0, 1]; 1: all */
    float min_p;               /* in [0, 1]; 0: all */
    float repeat;              /* in (0, 100]; 1: none */
    float presence, frequency; /* in [-100, 100]; 0: none */
    int window;                /* tokens that penalties look back on, at most OPS_SAMPLE_WINDOW_MAX */
    uint64_t seed;
} ops_sample_params;

/* Greedy, no penalties. */
ops_sample_params ops_sample_defaults(void);

typedef struct ops_sample_choice {
    int32_t id;
    float logprob; /* ln of the token's share of softmax(logits) as they were given */
} ops_sample_choice;

typedef struct ops_sampler ops_sampler;

/* OPS_EINVAL names the parameter that is out of range, with its value; OPS_ENOMEM. Nothing is allocated afterwards. */
OPS_MUST_USE ops_status ops_sampler_new(const ops_sample_params *p, int vocab, ops_sampler **ret,
                                        ops_err *reterr);
void ops_sampler_free(ops_sampler *s);
OPS_AUTO_DEFINE(ops_sampler, ops_sampler_free)

/* A token of the history: of the prompt, or the one chosen last. Ids outside the vocabulary are passed over. */
void ops_sampler_saw(ops_sampler *s, int32_t id);

/* Chooses by `logits`[vocab], which stay as they are; does not add the token to the history. `ret_top` (may be NULL) gets the
 * `n_top` likeliest tokens by the logits as given, at most OPS_SAMPLE_TOP_MAX, id -1 where there are no more.
 * OPS_ECORRUPT: no logit is a number above minus infinity; OPS_EINVAL: n_top. */
OPS_MUST_USE ops_status ops_sampler_choose(ops_sampler *s, const float *logits, ops_sample_choice *ret,
                                           ops_sample_choice *ret_top, int n_top, ops_err *reterr);

/* Does it need all logits, because penalties may change which are the greatest? */
bool ops_sampler_needs_all(const ops_sampler *s);
/* How many of the greatest logits decide the next token, unless all do, and tell the n_top likeliest. */
int ops_sampler_needs(const ops_sampler *s, int n_top);
/* The same choice from the `top` greatest, at least as many as ops_sampler_needs says; `logits` are read where all are needed
 * and may else be NULL. Shares are good to 1e-6, and the same whether or not logits are given. */
OPS_MUST_USE ops_status ops_sampler_choose_greatest(ops_sampler *s, const ops_greatest *row, int top,
                                                    const float *logits, ops_sample_choice *ret,
                                                    ops_sample_choice *ret_top, int n_top, ops_err *reterr);

#endif
