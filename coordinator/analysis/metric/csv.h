/* Rows of `timestamp,value[,value...]` as the offline command takes them. Time in Unix seconds, decimals allowed; a value
 * that is empty or no number is NaN. @thread any */
#ifndef OPS_ANALYSIS_METRIC_CSV_H
#define OPS_ANALYSIS_METRIC_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"

enum { OPS_METRIC_COLUMNS_MAX = 256 };

/* Counts the value columns of the header line. */
OPS_MUST_USE ops_status ops_metric_csv_header(ops_slice line, size_t *ret_columns, ops_err *reterr);
/* Reads one row of `columns` values; `number` is the line's, for the message. */
OPS_MUST_USE ops_status ops_metric_csv_row(ops_slice line, size_t number, size_t columns,
                                           int64_t *ret_time_ns, double *ret_values, ops_err *reterr);

#endif
