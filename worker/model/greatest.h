/* The greatest logits of a row, as ops_lm_step_greatest writes and a sampler reads them: [top + 1], best first, the lower id
 * first among equals, id -1 where there are no more above minus infinity. The last tells of all logits of the row: how many
 * are above minus infinity, and the natural logarithm of the sum of their e^logit. */
#ifndef OPS_WORKER_GREATEST_H
#define OPS_WORKER_GREATEST_H

#include <stdint.h>

#include "kernels/include/kern.h"

enum { OPS_GREATEST_MAX = OPS_KERN_TOP_MAX };

typedef struct ops_greatest {
    int32_t id;
    float logit;
} ops_greatest;

#endif
