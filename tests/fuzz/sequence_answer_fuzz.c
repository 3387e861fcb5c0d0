/* What a worker says of sessions: taken for an answer to what was asked, or not. */
#include <stdlib.h>

#include "coordinator/learn/thing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Ops__V1__SequenceAnswer *m = ops__v1__sequence_answer__unpack(NULL, size, data);
    if (m == NULL)
        return 0;
    const thing asked = {.n = 2};
    ops_session_surprise scores[2];
    ops_session_answer a;
    if (learn_trained(m->trained, &a) &&
        (a.model.n > OPS_SESSION_MODEL_MAX || a.model_hash.n >= OPS_SESSION_HASH_MAX))
        abort();
    for (size_t i = 0; i < m->n_groups; i++)
        if (learn_scored(&asked, m->groups[i], scores, &a) &&
            (a.n != 2 || a.scores[1].expected_n > OPS_SESSION_EXPECTED_MAX))
            abort();
    ops__v1__sequence_answer__free_unpacked(m, NULL);
    return 0;
}
