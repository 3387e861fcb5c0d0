/* `opsctl offline metrics - [--train N]`: the baselines over rows of a file, no daemon.
 *
 * Answers one row `score,alert` per data row, each as soon as the row is read: a row depends on itself and earlier ones.
 * One column is judged by its baseline (baseline.h), several as one component (component.h), whose normal stretch is the
 * first `train` rows. Late and repeated rows are answered with the row before and no alert.
 *
 * @thread: any, one at a time. */
#ifndef OPS_ANALYSIS_METRIC_OFFLINE_H
#define OPS_ANALYSIS_METRIC_OFFLINE_H

#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"

/* Sets *ret to the next line without its line feed and returns OPS_OK; OPS_ENOTFOUND at the end. The slice is used
 * until the next call only. */
typedef ops_status (*ops_metric_read)(void *u, ops_slice *ret, ops_err *reterr);
/* Takes a piece of output, whole rows. */
typedef ops_status (*ops_metric_write)(void *u, ops_slice rows, ops_err *reterr);

OPS_MUST_USE ops_status ops_metric_offline(ops_metric_read read, void *read_u, ops_metric_write write,
                                           void *write_u, uint64_t train, ops_err *reterr);

#endif
