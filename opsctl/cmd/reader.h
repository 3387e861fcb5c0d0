/* Lines of a plain, gzip or zstd file, or of standard input; which one is told by the first bytes. */
#ifndef OPS_OPSCTL_READER_H
#define OPS_OPSCTL_READER_H

#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum { OPS_READER_LINE_MAX = 1 << 20 };

typedef struct ops_reader ops_reader;

/* "-": standard input. */
OPS_MUST_USE ops_status ops_reader_open(const char *path, ops_reader **ret, ops_err *reterr);
void ops_reader_close(ops_reader *r);
OPS_AUTO_DEFINE(ops_reader, ops_reader_close)
/* The next line without its end, until the next call; *ret_end at the end. Longer ones come in pieces of
 * OPS_READER_LINE_MAX. OPS_ECORRUPT: damaged compression, names the file. */
OPS_MUST_USE ops_status ops_reader_line(ops_reader *r, ops_slice *ret, bool *ret_end, ops_err *reterr);
/* Bytes of the file consumed so far, and its size (0: not known). */
void ops_reader_progress(const ops_reader *r, uint64_t *ret_done, uint64_t *ret_total);

#endif
