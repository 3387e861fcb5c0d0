/* How an incident looks: one place for the verbs that end with one. */
#ifndef OPS_OPSCTL_INCIDENT_SHOW_H
#define OPS_OPSCTL_INCIDENT_SHOW_H

#include "opsctl/remote/remote.h"
#include "proto/ops/v1/incident.pb-c.h"

/* In full, or as -o says. */
void ops_incident_show(ops_remote *r, const Ops__V1__Incident *m);
/* One line; as -o says otherwise. */
void ops_incident_show_line(ops_remote *r, const Ops__V1__Incident *m);
/* "open", "reopened", "acknowledged", "resolved", "merged", in the language of the answers. */
const char *ops_incident_state(const ops_remote *r, const Ops__V1__Incident *m);
/* "i-..." of "incident/i-..." */
char *ops_incident_id(char *word);

#endif
