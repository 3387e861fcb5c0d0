/* Inside: does a text speak of a component? */
#ifndef OPS_INCIDENT_NAMES_H
#define OPS_INCIDENT_NAMES_H

#include "coordinator/analysis/incident/bundle_in.h"

#define OPS_NAMED_NONE UINT32_MAX
/* In larger systems nobody is looked for by name: it would cost more than all the rest. */
enum { OPS_NAMED_COMPONENTS_MAX = 512 };

/* The name without what an orchestrator appended: from the first later part on that has a digit and five characters or
 * more ("shop-579b9bff58-t2dbm": "shop"). */
ops_slice ops_name_stem(ops_slice component);

/* Does the component's stem stand in the text as a word of its own, whatever its case? Stems under three bytes are no names. */
bool ops_name_in(ops_slice text, ops_slice component);

/* The component whose stem stands in the text as a word of its own, whatever its case; the longest, and not `but`.
 * OPS_NAMED_NONE: none. Stems under three bytes are no names. */
uint32_t ops_name_find(const ops_bundle *b, ops_slice text, uint32_t but);

#endif
