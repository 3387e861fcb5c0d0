/* coordinator/ingest/line.h: one raw log line to a record, its shape recognised without configuration.
 *
 * The message is the text without time and level; what the shape names besides goes to attributes. A line that fits
 * no shape is its own message, with receive time and severity 0; nothing is ever dropped. Envelopes are opened: a CRI
 * or Docker line is parsed again as what it holds.
 * Time zones: an explicit offset wins, `Z` is UTC, else zone_offset_s. RFC 3164 has no year: the year that brings the
 * stamp closest to receive time is taken, so December lines received in January are last year's. */
#ifndef OPS_COORDINATOR_INGEST_LINE_H
#define OPS_COORDINATOR_INGEST_LINE_H

#include "base/mem/arena.h"
#include "base/text/slice.h"
#include "coordinator/ingest/normal.h"

#include <stdbool.h>

typedef enum ops_line_shape {
    OPS_LINE_PLAIN,
    OPS_LINE_JSON,
    OPS_LINE_LOGFMT,
    OPS_LINE_RFC5424,
    OPS_LINE_RFC3164,
    OPS_LINE_CRI,
    OPS_LINE_DOCKER,
    OPS_LINE_ACCESS, /* Apache common and combined, nginx access; a status of 500 and above is an error */
    OPS_LINE_NGINX_ERROR,
    OPS_LINE_POSTGRES,
    OPS_LINE_KLOG,
    OPS_LINE_REDIS,
    OPS_LINE_TIMED, /* `time [thread] level logger: text` and its relatives */
    OPS_LINE_SHAPE_COUNT
} ops_line_shape;
const char *ops_line_shape_name(ops_line_shape shape);

typedef struct ops_line_ctx {
    const ops_ingest_limits *limits;
    int64_t recv_ns;
    int32_t zone_offset_s; /* for stamps without a zone, seconds east of UTC */
    ops_slice service;     /* when the line names none; empty: unknown_service */
} ops_line_ctx;

/* Parses `line` (no trailing newline needed; may hold newlines when joined). Slices of *ret point into `line` or the
 * arena. With the arena at its cap attributes are left out and OPS_RECORD_TRUNCATED is set. Returns the outermost
 * shape; *ret_inner, when not NULL, the shape inside an envelope (else the same). A CRI line that holds only a part
 * of a line, or Docker's log without newline, sets *ret_partial when not NULL. @thread any */
ops_line_shape ops_line_parse(const ops_line_ctx *ctx, ops_slice line, ops_arena *arena, ops_record *ret,
                              ops_line_shape *ret_inner, bool *ret_partial);

#endif
