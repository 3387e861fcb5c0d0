/* Whether, when and what: the incidents in a bundle, found without being told a time.
 *
 * The time of the bundle is cut into stretches of ten seconds or more. What each component shows in one (a series, its
 * failed spans, its slow requests, its lines that speak of failure) is compared with its own usual stretch; what is far
 * off for half a minute is an alarm. Alarms near each other are a candidate, and a candidate of which `rank` finds a
 * cause that is clear enough is an incident. So a single odd sample, or a restart that harms nobody, is none.
 *
 * @thread: any, over a sealed bundle. Pure: no clock, no I/O. */
#ifndef OPS_INCIDENT_INCIDENTS_H
#define OPS_INCIDENT_INCIDENTS_H

#include "coordinator/analysis/incident/rank.h"

typedef struct ops_incident {
    double start_s, end_s; /* Unix seconds; end_s 0: it goes on at the end of the bundle */
    const char
        *severity; /* "critical": a fifth of some component's requests fail; "error": some; else "warning" */
    ops_slice summary;        /* one sentence */
    const ops_rank *causes;   /* of what was seen up to two minutes after the start */
    const uint32_t *affected; /* components in alarm, by name; ids for ops_incidents_component */
    size_t affected_count;
} ops_incident;

typedef struct ops_incidents ops_incidents;

/* The bundle must outlive the answer. */
OPS_MUST_USE ops_status ops_incidents_new(const ops_bundle *b, ops_incidents **ret, ops_err *reterr);
void ops_incidents_free(ops_incidents *l);
OPS_AUTO_DEFINE(ops_incidents, ops_incidents_free)

/* In order of their start. */
size_t ops_incidents_count(const ops_incidents *l);
const ops_incident *ops_incidents_at(const ops_incidents *l, size_t i);
ops_slice ops_incidents_component(const ops_incidents *l, uint32_t id);

#endif
