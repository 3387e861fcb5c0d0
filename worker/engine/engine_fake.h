/* The fake engine: each word (bytes between ASCII blanks, ASCII case ignored) hashes to a fixed direction, a text is the
 * normalised sum of its words. Texts that share words come out near each other, so that grouping can be tried without a
 * model. Deterministic across machines up to the rounding of sqrt. */
#ifndef OPS_WORKER_ENGINE_FAKE_H
#define OPS_WORKER_ENGINE_FAKE_H

#include "worker/engine/engine.h"

enum { OPS_ENGINE_FAKE_DIM_MAX = 4096, OPS_ENGINE_FAKE_TOKENS_MAX = 256 };

/* dim 1..OPS_ENGINE_FAKE_DIM_MAX. OPS_EINVAL, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_engine_fake_new(uint32_t dim, ops_engine **ret, ops_err *reterr);

#endif
