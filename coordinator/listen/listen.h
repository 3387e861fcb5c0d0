/* A bound socket from "host:port", for every door that listens. */
#ifndef OPS_COORDINATOR_LISTEN_LISTEN_H
#define OPS_COORDINATOR_LISTEN_LISTEN_H

#include "base/status/status.h"

#include <stdint.h>

/* Binds "127.0.0.1:80", "[::1]:80", "localhost:0" (and listens when `type` is SOCK_STREAM); non-blocking, close-on-exec.
 * Port 0 lets the kernel choose. OPS_EEXIST names the holder of a port in use. */
OPS_MUST_USE ops_status ops_listen_open(const char *address, int type, int *ret_fd, uint16_t *ret_port,
                                        ops_err *reterr);

#endif
