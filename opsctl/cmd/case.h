/* A recorded case in a folder: metrics.csv, logs.jsonl, traces.jsonl, at.txt, plain, .gz or .zst; without logs.jsonl the
 * files logs/COMPONENT.log. Each may be missing, but not all. */
#ifndef OPS_OPSCTL_CASE_H
#define OPS_OPSCTL_CASE_H

#include <stdio.h>

#include "coordinator/analysis/incident/bundle.h"

/* Reads and seals. Rows that could not be read are counted on `err`, with the first one's place and reason.
 * OPS_ENOTFOUND: no such folder, or none of the files in it. */
OPS_MUST_USE ops_status ops_case_read(const char *dir, FILE *err, ops_bundle **ret, ops_err *reterr);

/* The time in at.txt. OPS_ENOTFOUND: no such file; OPS_EINVAL: no number in it. */
OPS_MUST_USE ops_status ops_case_at(const char *dir, double *ret_s, ops_err *reterr);

#endif
