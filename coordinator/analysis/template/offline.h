/* `opsctl offline templates [--online] -`: the miner over a stream of lines, no daemon.
 *
 * Answers one row per line, `group<TAB>template`, in input order. Offline, the rows come after all input was read and
 * show the final group. Online, each row shows what stood when its line arrived, and after the last line one row
 * `=old<TAB>new` follows per folded group. Groups are numbered from 1 in order of first appearance.
 *
 * Memory: 4 bytes per line offline, none per line online, and the miner's own bound. @thread: any, one at a time. */
#ifndef OPS_ANALYSIS_OFFLINE_H
#define OPS_ANALYSIS_OFFLINE_H

#include <stdbool.h>

#include "base/status/status.h"
#include "base/text/slice.h"
#include "coordinator/analysis/template/pin.h"

/* Sets *ret to the next line without its line feed and returns OPS_OK; OPS_ENOTFOUND at the end. The slice is used
 * until the next call only. */
typedef ops_status (*ops_templates_read)(void *u, ops_slice *ret, ops_err *reterr);
/* Takes a piece of output, whole rows. */
typedef ops_status (*ops_templates_write)(void *u, ops_slice rows, ops_err *reterr);

/* `pins` may be NULL. */
OPS_MUST_USE ops_status ops_templates_offline(ops_templates_read read, void *read_u,
                                              ops_templates_write write, void *write_u, bool online,
                                              const ops_pin_set *pins, ops_err *reterr);

#endif
