/* Inside: calls between components that went wrong, and which of their two ends is to blame. */
#ifndef OPS_INCIDENT_EDGES_H
#define OPS_INCIDENT_EDGES_H

#include "coordinator/analysis/incident/board.h"

typedef struct ops_edge {
    uint32_t caller, callee;
    double bits;     /* how much went wrong on it; 0: it was seen and is fine */
    uint32_t op;     /* the operation it was seen most on */
    double from, to; /* what was measured there, before and after */
    double since_s;
    double calls, bad; /* for counting while the list is built */
} ops_edge;

typedef OPS_VEC(ops_edge) ops_edges;

/* The edge, added when it is new; NULL when the heap is out. */
ops_edge *ops_edges_of(ops_edges *l, uint32_t caller, uint32_t callee);
/* The callee's share of the blame, 0 to 1. A bad call has two ends; the one whose other calls are bad as well is the
 * likelier cause, and one whose other calls are fine is cleared by each of them. Nothing known, the callee has 2/3. */
double ops_edges_callee_share(const ops_edges *l, const ops_edge *e);
/* Says them of both ends. Each next edge of a component counts half of the one before. `what` is printed between the
 * names and the figures: "calls to it from X (op) WHAT 5 UNIT, before 1 UNIT"; figures are multiplied by `scale`. */
OPS_MUST_USE ops_status ops_edges_blame(ops_board *d, ops_edges *l, ops_rank_kind kind,
                                        const ops_slice *op_names, const char *what, const char *unit,
                                        double scale);

#endif
