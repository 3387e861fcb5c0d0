/* A trained model of sessions as a coordinator may send one: refused, or it scores whatever sessions there are. */
#include <stdlib.h>

#include "worker/train/seqfit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_seqlm *m = NULL;
    if (ops_seqfit_load(ops_slice_of((const char *)data, size), &m, NULL) != OPS_OK)
        return 0;
    const uint32_t kinds = ops_seqfit_kinds(m), ids[] = {0, kinds, kinds - 1}, lengths[] = {2, 1};
    const ops_seqfit_sessions s = {ids, 3, lengths, 2, kinds};
    ops_seqfit_score score[2];
    if (ops_seqfit_score_all(m, &s, 1, score, NULL) == OPS_OK)
        for (int i = 0; i < 2; i++)
            if (score[i].place > lengths[i] || score[i].expected_n > OPS_SEQFIT_EXPECTED_MAX)
                abort();
    ops_seqlm_free(m);
    return 0;
}
