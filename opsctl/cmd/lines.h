/* A file, plain, gz or zst, or standard input, line by line. */
#ifndef OPS_OPSCTL_CMD_LINES_H
#define OPS_OPSCTL_CMD_LINES_H

#include <stdio.h>

#include "base/status/status.h"
#include "base/text/slice.h"
#include "opsctl/cmd/reader.h"

typedef struct ops_lines {
    FILE *in;
    ops_reader *packed; /* instead of `in` when the file is compressed */
    const char *name;
    char *line; /* getline's own buffer: from the C heap */
    size_t cap;
    bool own; /* `in` is to be closed */
} ops_lines;

/* `name` is a path, or "-" for `standard`. Borrowed until closed. */
OPS_MUST_USE ops_status ops_lines_open(ops_lines *l, const char *name, FILE *standard, ops_err *reterr);
void ops_lines_close(ops_lines *l);
/* u is an ops_lines: the next line without its line feed, OPS_ENOTFOUND at the end. */
ops_status ops_lines_read(void *u, ops_slice *ret, ops_err *reterr);
/* u is a FILE: whole rows out. */
ops_status ops_lines_write(void *u, ops_slice rows, ops_err *reterr);

#endif
