/* coordinator/ingest/multiline.h: joins stack traces into one event per stream key.
 *
 * Knows Java (also Caused by, Suppressed, ... n more), Python (also chained), Go panics and goroutine dumps, C++
 * terminate and gdb-like backtraces, JavaScript; and any indented continuation. Each stream holds at most one event
 * open; streams may interleave. An event is emitted when a line that does not continue it arrives, when it reaches a
 * bound, or when tick() finds it older than hold_ns_max. With streams_max keys open the oldest is emitted first.
 * @thread one owner */
#ifndef OPS_COORDINATOR_INGEST_MULTILINE_H
#define OPS_COORDINATOR_INGEST_MULTILINE_H

#include "base/status/status.h"
#include "base/text/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ops_multiline ops_multiline;

typedef struct ops_multiline_conf {
    uint32_t lines_max;     /* default 512 */
    size_t event_bytes_max; /* default 256 KiB */
    int64_t hold_ns_max;    /* default 2 s since the last line */
    uint32_t streams_max;   /* default 1024 */
} ops_multiline_conf;

typedef struct ops_multiline_event {
    ops_slice key, text; /* lines joined with '\n', no newline at the end */
    uint32_t lines;
    bool truncated;   /* a bound ended it */
    int64_t first_ns; /* receive time of the first line */
} ops_multiline_event;
typedef void (*ops_multiline_emit)(void *u, const ops_multiline_event *event);

void ops_multiline_conf_default(ops_multiline_conf *ret);
OPS_MUST_USE ops_status ops_multiline_new(const ops_multiline_conf *conf, ops_multiline_emit emit, void *u,
                                          ops_multiline **ret, ops_err *reterr);
/* Drops what is still open without emitting; call ops_multiline_flush() first to keep it. */
void ops_multiline_free(ops_multiline *m);

/* One line of stream `key`. `partial`: the next line of the key goes on without a newline (CRI tag P).
 * OPS_ENOMEM: the line was not taken, earlier ones are kept. */
OPS_MUST_USE ops_status ops_multiline_push(ops_multiline *m, ops_slice key, ops_slice line, bool partial,
                                           int64_t recv_ns, ops_err *reterr);
/* Emits events whose last line is older than hold_ns_max. */
void ops_multiline_tick(ops_multiline *m, int64_t now_ns);
/* Emits all. */
void ops_multiline_flush(ops_multiline *m);
size_t ops_multiline_open(const ops_multiline *m);

#endif
