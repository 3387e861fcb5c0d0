/* Inside: the spans of a bundle as a forest, with the kinds of operations and whom they call. */
#ifndef OPS_INCIDENT_TRACES_H
#define OPS_INCIDENT_TRACES_H

#include "coordinator/analysis/incident/bundle_in.h"

#define OPS_TRACES_NONE UINT32_MAX

/* An operation of a component. `callee` when it is the near end of a call to another component: learnt from the spans
 * that stand under it, or, where none ever does, from a component's name in its own. */
typedef struct ops_trace_op {
    uint32_t component, operation;
    uint32_t callee; /* OPS_TRACES_NONE: work of its own */
    uint32_t usual;  /* who answers it through one span, be it a call or an entry; OPS_TRACES_NONE */
    bool silent;     /* the callee has no spans under this operation */
    uint32_t spans[2], alone[2]; /* before and after: all, and those without a child */
    uint32_t entries;            /* spans that came in from outside */
} ops_trace_op;

typedef struct ops_traces {
    const ops_span *spans;
    size_t n;
    double at_s;
    uint32_t *parent; /* place of the parent, OPS_TRACES_NONE for none */
    uint32_t *op;     /* place in ops */
    uint32_t *first;  /* children of i: kids[first[i]] to kids[first[i + 1]], by start */
    uint32_t *kids;
    OPS_VEC(ops_trace_op) ops;
    ops_slice *op_names; /* by place in ops */
    double scale_s;      /* a duration that is felt here: a fiftieth of the middle root's */
} ops_traces;

OPS_MUST_USE ops_status ops_traces_init(ops_traces *t, const ops_bundle *b, double at_s);
void ops_traces_done(ops_traces *t);

/* Time of the span in which none of its children ran. */
double ops_traces_self_s(const ops_traces *t, uint32_t i);
/* The one child in another component through which a call is answered; OPS_TRACES_NONE. */
uint32_t ops_traces_far_end(const ops_traces *t, uint32_t i);
/* Its parent is another component, or none. */
bool ops_traces_is_entry(const ops_traces *t, uint32_t i);
static inline int ops_traces_after(const ops_traces *t, uint32_t i)
{
    return t->spans[i].start_s >= t->at_s;
}

#endif
