/* Made-up systems that break in known ways: a random topology under load, one fault, and what would be recorded. The
 * same seed gives the same world. */
#ifndef OPS_TESTS_INCIDENT_WORLD_H
#define OPS_TESTS_INCIDENT_WORLD_H

#include "coordinator/analysis/incident/bundle.h"

typedef enum world_fault {
    WORLD_CPU_HOG,
    WORLD_MEMORY_LEAK,
    WORLD_SLOW_CALLEE, /* packets of the component are delayed */
    WORLD_ERROR_STORM,
    WORLD_PACKET_LOSS,
    WORLD_CRASH,
    WORLD_BUSY_DISK, /* the disk is busy: slow by itself */
    WORLD_FAULTS
} world_fault;

enum { WORLD_METRICS = 1, WORLD_SPANS = 2, WORLD_LINES = 4, WORLD_COMPONENTS_MAX = 16 };

typedef struct world_options {
    uint64_t seed;
    world_fault fault;
    int with;              /* WORLD_METRICS | ... */
    double step_s;         /* between samples */
    double past_s, rest_s; /* before and after the fault was seen */
    bool reversed;         /* rows in the opposite order */
    bool quiet;            /* no fault at all */
    ops_bundle_limits limits;
} world_options;

typedef struct world_truth {
    char component[32];
    double at_s;
    size_t components;
} world_truth;

/* A sealed bundle. */
ops_status world_make(const world_options *o, ops_bundle **ret, world_truth *ret_truth);
const char *world_fault_name(world_fault f);

#endif
