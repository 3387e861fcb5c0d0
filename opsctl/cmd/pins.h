/* Files of pins, as opsctl reads them. */
#ifndef OPS_OPSCTL_PINS_H
#define OPS_OPSCTL_PINS_H

#include "coordinator/pin/pinset.h"

/* "-" is not taken. OPS_EINVAL: FILE:LINE: why. */
OPS_MUST_USE ops_status ops_pins_read(const char *path, ops_pinset **ret, ops_err *reterr);

#endif
