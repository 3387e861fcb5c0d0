/* The regex port of coordinator/analysis/rules over PCRE2: whole text, `.` matches newlines, as Prometheus has it.
 *
 * Prometheus takes RE2. What only PCRE2 knows (look-around, back references, recursion, atomic groups, \K, conditions) is
 * refused by name; a match that runs into its limit is an error, never an answer. @thread one at a time per compiled regex. */
#ifndef OPS_RULESET_REGEX_H
#define OPS_RULESET_REGEX_H

#include "coordinator/analysis/rules/source.h"

/* Static: may be used by any number of queries. */
extern const ops_rules_regex ops_ruleset_regex;

#endif
