/* Inside of a sealed bundle, for the files of this room. Ids are places in the sorted lists of names. */
#ifndef OPS_INCIDENT_BUNDLE_IN_H
#define OPS_INCIDENT_BUNDLE_IN_H

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/mem/arena.h"
#include "coordinator/analysis/incident/bundle.h"

typedef OPS_VEC(ops_slice) ops_names_list;

/* Strings seen, each once. Before sealing an id is the order of arrival, after it the order of the bytes. */
typedef struct ops_names {
    ops_map *ids; /* id + 1 as a pointer */
    ops_names_list list;
} ops_names;

typedef struct ops_sample {
    uint32_t component, metric;
    double time_s, value;
} ops_sample;

typedef struct ops_line {
    uint32_t component;
    ops_slice message;
    double time_s;
} ops_line;

#define OPS_SPAN_ROOT UINT64_MAX
typedef struct ops_span {
    uint64_t id, parent; /* hashes over trace and span; OPS_SPAN_ROOT: no parent */
    uint64_t trace;
    double start_s, duration_s;
    uint32_t component, operation, status;
} ops_span;

struct ops_bundle {
    ops_bundle_limits lim;
    ops_arena text;
    ops_names components, names; /* names: metrics, operations and statuses */
    OPS_VEC(ops_sample) samples; /* by component, metric, time, value */
    OPS_VEC(ops_line) lines;     /* by time, component, message */
    OPS_VEC(ops_span) spans;     /* by start, then everything else */
    ops_bundle_stats stats;
    bool sealed;
};

static inline ops_slice ops_bundle_component(const ops_bundle *b, uint32_t id)
{
    return b->components.list.v[id];
}
static inline ops_slice ops_bundle_name(const ops_bundle *b, uint32_t id)
{
    return b->names.list.v[id];
}

#endif
