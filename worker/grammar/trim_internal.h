/* What trimming looks up: a grammar's edges and calls the other way round. */
#ifndef OPS_WORKER_GRAMMAR_TRIM_INTERNAL_H
#define OPS_WORKER_GRAMMAR_TRIM_INTERNAL_H

#include "worker/grammar/build_internal.h"

typedef struct ops_gb_trimmer {
    ops_grammar *g;
    uint32_t *edge_from, *edge_next, *edges_in;         /* edges into a state: a list, numbers + 1 */
    uint32_t *call_from, *to_next, *to_in;              /* calls that go on at a state */
    uint32_t *rule_next, *rule_in;                      /* calls of a rule */
    uint32_t *starts_at;                                /* by state: rule that starts there + 1 */
    OPS_VEC(uint32_t) found[OPS_GRAMMAR_DEPTH_MAX + 2]; /* states by what they need */
    bool out_of_memory;
} ops_gb_trimmer;

/* bytes.c: every state learns how few bytes end its rule. */
void ops_gb_find_bytes(ops_gb_trimmer *t);

#endif
