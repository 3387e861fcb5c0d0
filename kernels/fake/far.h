/* A device whose memory is not the caller's: the processor's kernels in another process, reached through the table alone.
 * Whoever reads or writes a buffer other than by upload and download, forgets to wait, or keeps something in the host that
 * the device should have, fails here as on an accelerator. For tests: it is slow, and starts a process.
 *
 * Runs are done when somebody waits for them, not before. If the other process is gone every function says
 * OPS_KERN_ENOMEM, as a device that is out of reach.
 * @thread one device belongs to one thread; open it while the process has one thread alone */
#ifndef OPS_KERNELS_FAKE_FAR_H
#define OPS_KERNELS_FAKE_FAR_H

#include "kernels/include/kern.h"

ops_kern_status ops_kern_far_open(int threads, ops_kern_dev **ret);
const ops_kern *ops_kern_far(void); /* lives as long as the program */

#endif
