/* The report of incidents as one page: no scripts, nothing from elsewhere, everything escaped. */
#ifndef OPS_OPSCTL_INCIDENT_HTML_H
#define OPS_OPSCTL_INCIDENT_HTML_H

#include "base/text/strbuf.h"
#include "coordinator/analysis/incident/incidents.h"

/* Failures are in b->failed. */
void ops_incident_html(ops_strbuf *b, const ops_bundle *bundle, const ops_incidents *l);

#endif
