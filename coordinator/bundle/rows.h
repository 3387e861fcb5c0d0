/* Rows of a recorded case, one line at a time, into a bundle: metrics as CSV, logs and spans as JSON lines.
 * Invalid UTF-8 becomes U+FFFD before JSON is read. A row that can not be read is counted by the caller and costs
 * nothing else. @thread: any, one bundle at a time. */
#ifndef OPS_COORDINATOR_BUNDLE_ROWS_H
#define OPS_COORDINATOR_BUNDLE_ROWS_H

#include "base/status/status.h"
#include "base/text/slice.h"
#include "coordinator/analysis/incident/bundle.h"

/* `time,component,metric,value`. Fields may be quoted as RFC 4180 has it; a metric's own commas need no quotes. A value
 * that is empty or NaN is a sample that was not taken: OPS_OK, nothing added. The header and blank lines: the same.
 * OPS_EINVAL: not a row, says why. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_rows_metric(ops_bundle *b, ops_slice line, ops_err *reterr);

/* One JSON object: `time`, `component`, `message`. OPS_EINVAL: not such a row. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_rows_line(ops_bundle *b, ops_slice line, ops_err *reterr);

/* One JSON object: `trace`, `span`, `parent`, `component`, `operation`, `start`, `duration`, `status`; ids and status
 * may be numbers; parent, operation and status may be missing. OPS_EINVAL: not such a row. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_rows_span(ops_bundle *b, ops_slice line, ops_err *reterr);

#endif
