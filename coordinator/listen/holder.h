/* Who listens on a TCP port of this network namespace: /proc/net/tcp{,6} names the socket, /proc/PID/fd its holder. */
#pragma once
#include "base/status/status.h"
#include <stdint.h>
#include <sys/types.h>

typedef struct ops_port_holder_info {
    pid_t pid;
    char name[64]; /* /proc/PID/comm */
} ops_port_holder_info;

/* OPS_ENOTFOUND: nobody listens there; OPS_EPERM: somebody does, but another user's process we may not look into. */
OPS_MUST_USE ops_status ops_port_holder(uint16_t port, ops_port_holder_info *ret);

/* "127.0.0.1:4317 is in use by opsd (pid 1234)", as far as can be known; always OPS_EEXIST. */
ops_status ops_port_in_use(const char *address, uint16_t port, ops_err *reterr);
