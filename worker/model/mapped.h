/* A file read through a mapping. Whoever shortens the file meanwhile kills the reader (SIGBUS), so a mapping lives only
 * while a model loads: everything is copied out of it. */
#ifndef OPS_WORKER_MAPPED_H
#define OPS_WORKER_MAPPED_H

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

typedef struct ops_mapped ops_mapped;

/* Maps a regular file of at most bytes_max. OPS_ENOTFOUND: no such file; OPS_ETOOBIG with both sizes; OPS_EIO: the
 * system's words; OPS_ENOMEM. An empty file maps as an empty slice. */
OPS_MUST_USE ops_status ops_mapped_open(const char *path, size_t bytes_max, ops_mapped **ret,
                                        ops_err *reterr);
ops_slice ops_mapped_bytes(const ops_mapped *m);
void ops_mapped_free(ops_mapped *m);
OPS_AUTO_DEFINE(ops_mapped, ops_mapped_free)

#endif
