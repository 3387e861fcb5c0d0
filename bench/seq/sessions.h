/* Sessions of a random workflow as batches for the trained model. Ids: 0 begins, 1 ends, 2 unknown, then the events. */
#ifndef OPS_BENCH_SEQ_SESSIONS_H
#define OPS_BENCH_SEQ_SESSIONS_H

#include <stdint.h>
#include <stdlib.h>

#include "tests/support/flows.h"
#include "worker/train/seqlm.h"

enum { CONTEXT = 128, BATCH_MAX = 256 };

typedef struct batch {
    int32_t ids[BATCH_MAX * CONTEXT], target[BATCH_MAX * CONTEXT], starts[BATCH_MAX + 1];
    int seqs;
} batch;

static inline int32_t id_of(const flow *f, uint64_t event)
{
    return event >= 1 && event <= f->events ? (int32_t)event + 2 : 2;
}

/* The session's first CONTEXT - 1 events, with both marks. */
static inline void batch_add(batch *b, const flow *f, const flow_session *s)
{
    int32_t at = b->seqs == 0 ? 0 : b->starts[b->seqs];
    size_t n = s->n < CONTEXT - 1 ? s->n : CONTEXT - 1;
    b->starts[0] = 0;
    for (size_t i = 0; i <= n; i++) {
        b->ids[at + (int32_t)i] = i == 0 ? 0 : id_of(f, s->ev[i - 1]);
        b->target[at + (int32_t)i] = i == s->n ? 1 : i == n ? id_of(f, s->ev[n]) : id_of(f, s->ev[i]);
    }
    b->starts[++b->seqs] = at + (int32_t)n + 1;
}

static inline ops_seqlm_batch batch_view(const batch *b)
{
    return (ops_seqlm_batch){b->ids, b->target, b->starts, b->seqs};
}

static inline ops_seqlm_config model_for(const flow *f)
{
    return (ops_seqlm_config){
        .kinds = (int)f->events + 3, .dim = 64, .heads = 4, .layers = 2, .context = CONTEXT};
}

#endif
