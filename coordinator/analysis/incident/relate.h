/* Does a new sign belong to an incident? A sum of named terms in bits, as `rank` has it for causes:
 *
 *   time      -log2 of the chance that an unrelated incident begins as near to one of the members as the sign does, by how
 *             often this tenant has incidents: in a quiet fleet nearness alone says enough, in a busy one it does not
 *   service   a member is of the same service
 *   topology  a member is of a service that calls this one, or is called by it
 *   meaning   a member has a template in common with it, or most of its words
 *   said      somebody merged, or split, the like of it before
 *
 * It belongs where the sum is at least OPS_RELATE_JOINS_BITS. Pure. */
#ifndef OPS_INCIDENT_RELATE_H
#define OPS_INCIDENT_RELATE_H

#include "base/mem/arena.h"
#include "base/status/status.h"
#include "coordinator/analysis/incident/sign.h"
#include "coordinator/analysis/incident/topology.h"

#define OPS_RELATE_JOINS_BITS 5.0

typedef enum ops_relate_kind {
    OPS_RELATE_TIME,
    OPS_RELATE_SERVICE,
    OPS_RELATE_TOPOLOGY,
    OPS_RELATE_MEANING,
    OPS_RELATE_SAID,
    OPS_RELATE_KINDS
} ops_relate_kind;

const char *ops_relate_kind_name(ops_relate_kind kind);

typedef struct ops_relate_term {
    double bits;
    ops_slice text; /* in the arena; empty when bits is 0 */
} ops_relate_term;

typedef struct ops_relate_case {
    const ops_topology *topology;
    const ops_sign *members;
    size_t member_count;
    const ops_lesson *lessons;
    size_t lesson_count;
    double incidents_per_day; /* of this tenant, of late; below 6 it is taken for 6 */
} ops_relate_case;

/* *ret_bits: the sum. */
OPS_MUST_USE ops_status ops_relate(const ops_relate_case *c, const ops_sign *s, ops_arena *text,
                                   ops_relate_term ret_terms[OPS_RELATE_KINDS], double *ret_bits);

#endif
