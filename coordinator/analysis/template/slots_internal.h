/* The state of slots. Private to the room. */
#ifndef OPS_ANALYSIS_SLOTS_INTERNAL_H
#define OPS_ANALYSIS_SLOTS_INTERNAL_H

#include "base/sketch/hll.h"
#include "base/sketch/quant.h"
#include "coordinator/analysis/template/slots.h"
#include "coordinator/analysis/template/value.h"

typedef struct slot {
    uint64_t seen;
    uint32_t kinds[OPS_VALUE_KINDS]; /* weight by kind, halved together when one is full */
    ops_hll distinct;
    ops_topk top;
    ops_quant numbers;
} slot;

struct ops_slots {
    slot *v;
    uint8_t n, cap;
    uint64_t further, lost;
};

/* slots.c: room for n slots; those new are empty. */
ops_status ops_slots_reserve(ops_slots *s, size_t n);

#endif
