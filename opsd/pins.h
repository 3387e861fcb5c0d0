/* The file of pins that analysis.template_pins names: read at the start, at SIGHUP and when it changes; each change is in the
 * audit. Main's thread alone, but for opsd_port_pin_changes. */
#ifndef OPSD_PINS_H
#define OPSD_PINS_H

#include "base/conf/conf.h"
#include "coordinator/pin/pinset.h"

typedef struct opsd_daemon opsd_daemon;
typedef struct opsd_pins opsd_pins;

/* Reads and checks the file that `c` names, for `opsd config validate` and before a reload. OPS_EINVAL: FILE:LINE: why. */
OPS_MUST_USE ops_status opsd_pins_check(const ops_conf *c, ops_err *reterr);
/* After the owners are there, before they start. A file that is not valid is refused like any other setting. */
OPS_MUST_USE ops_status opsd_pins_open(opsd_daemon *d, ops_err *reterr);
/* About once a second, and after a reload (`now`): looks whether the file changed and hands it to the owners. What is not
 * valid, or gone, leaves the pins as they were; it is logged and noted in the audit, once. */
void opsd_pins_look(opsd_daemon *d, bool now);
void opsd_pins_close(opsd_pins *p);

#endif
