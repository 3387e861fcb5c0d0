/* Which components there are and who calls whom, as far as signs told: a component whose words name another one calls it, or is
 * called by it; either way they are neighbours. Nothing is known beforehand, and no name is read but those of the components.
 *
 * Bounded: at the bound of components a new one is not taken in (OPS_EAGAIN); at that of calls the one least seen gives way.
 * @thread: one owner at a time. Pure: no clock, no I/O. */
#ifndef OPS_INCIDENT_TOPOLOGY_H
#define OPS_INCIDENT_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum { OPS_TOPOLOGY_COMPONENTS_MAX = 512, OPS_TOPOLOGY_CALLS_MAX = 1024, OPS_TOPOLOGY_NAME_MAX = 256 };
#define OPS_TOPOLOGY_NONE UINT32_MAX

typedef struct ops_topology ops_topology;

typedef struct ops_topology_call {
    uint32_t caller, callee, seen;
    bool sure; /* spans said so: caller and callee are what they are called here */
} ops_topology_call;

OPS_MUST_USE ops_status ops_topology_new(ops_topology **ret, ops_err *reterr);
void ops_topology_free(ops_topology *t);
OPS_AUTO_DEFINE(ops_topology, ops_topology_free)

/* *ret_new (may be NULL): it was not known. OPS_EAGAIN: full; OPS_EINVAL: an empty name, or a longer one than the bound. */
OPS_MUST_USE ops_status ops_topology_add(ops_topology *t, ops_slice name, bool *ret_new, ops_err *reterr);
OPS_MUST_USE ops_status ops_topology_add_call(ops_topology *t, uint32_t caller, uint32_t callee,
                                              uint32_t seen, ops_err *reterr);
/* What a component says: whom of the known ones it names, it calls. Unknown components say nothing. *ret_new (may be NULL): a
 * call was learnt. */
OPS_MUST_USE ops_status ops_topology_hear(ops_topology *t, ops_slice component, ops_slice text, bool *ret_new,
                                          ops_err *reterr);

/* Spans told of a call. *ret_new (may be NULL): it was not known for sure. */
OPS_MUST_USE ops_status ops_topology_add_sure(ops_topology *t, uint32_t caller, uint32_t callee,
                                              bool *ret_new, ops_err *reterr);

uint32_t ops_topology_find(const ops_topology *t, ops_slice name);
size_t ops_topology_count(const ops_topology *t);
ops_slice ops_topology_name(const ops_topology *t, uint32_t id);
size_t ops_topology_call_count(const ops_topology *t);
const ops_topology_call *ops_topology_call_at(const ops_topology *t, size_t i);
/* Either calls the other. */
/* The one calls the other, for sure. */
bool ops_topology_calls(const ops_topology *t, uint32_t caller, uint32_t callee);
bool ops_topology_near(const ops_topology *t, uint32_t a, uint32_t b);

#endif
