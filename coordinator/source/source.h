/* Lines that opsd fetches itself: followed files, and syslog listeners over TCP and UDP.
 *
 * Both hand batches to one sink. A followed file's batch carries the checkpoint that is true once the batch is stored;
 * the sink stores both in one write, so a crash neither loses nor doubles a line. OPS_EAGAIN from the sink is
 * back-pressure: files are not read on, TCP connections are not read, UDP datagrams wait in the kernel's buffer (and
 * what the kernel drops there is counted). */
#pragma once
#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPS_SOURCE_BATCH_LINES_MAX 512
#define OPS_SOURCE_CKPT_BYTES      44

/* Where reading goes on. `head` guards against an inode number used again for another file. */
typedef struct ops_source_ckpt {
    uint64_t dev, inode;
    uint64_t offset;    /* of the first byte not yet handed over */
    uint64_t head_hash; /* ops_hash64 of the first head_bytes bytes, seed 0 */
    uint32_t head_bytes;
    uint64_t lines; /* handed over from this file so far */
} ops_source_ckpt;

void ops_source_ckpt_put(const ops_source_ckpt *c, uint8_t out[OPS_SOURCE_CKPT_BYTES]); /* big-endian */
OPS_MUST_USE ops_status ops_source_ckpt_get(ops_slice in, ops_source_ckpt *ret);

typedef enum ops_source_kind {
    OPS_SOURCE_FILE,
    OPS_SOURCE_SYSLOG_TCP,
    OPS_SOURCE_SYSLOG_UDP
} ops_source_kind;

typedef struct ops_source_line {
    ops_slice text; /* without its line end; never empty */
    bool truncated; /* longer than line_bytes_max: this is its head, the rest was dropped and counted */
} ops_source_line;

typedef struct ops_source_batch {
    ops_source_kind kind;
    ops_slice source;             /* the file's path; for syslog the peer's address */
    const ops_source_line *lines; /* valid during the call */
    size_t line_count;            /* 1..OPS_SOURCE_BATCH_LINES_MAX */
    const ops_source_ckpt *ckpt;  /* NULL for syslog; keyed by `source` */
} ops_source_batch;

/* All or nothing. OPS_OK: taken. OPS_EAGAIN: offered again later, unchanged. Anything else: the batch is dropped and
 * counted (syslog), or the file is set aside with its error shown in the stats (files). @thread the source's own */
typedef struct ops_source_sink {
    void *user;
    ops_status (*lines)(void *user, const ops_source_batch *batch);
    /* The stored checkpoint of a file; false when there is none. NULL: never any. */
    bool (*load)(void *user, ops_slice source, ops_source_ckpt *ret);
} ops_source_sink;

typedef struct ops_source_conf {
    const char *const *globs; /* files to follow; glob(7) patterns, absolute */
    size_t glob_count;
    bool from_start; /* a file first seen at start-up: true: whole; false: from its end. Later ones: whole */
    unsigned files_max;     /* default 1024 */
    unsigned poll_ms;       /* default 250: how often a quiet file is looked at */
    unsigned rescan_ms;     /* default 2000: how often globs are expanded */
    size_t line_bytes_max;  /* default 64 KiB, at most 1 MiB */
    const char *syslog_tcp; /* "127.0.0.1:5514"; NULL: off */
    const char *syslog_udp;
    unsigned connections_max; /* syslog TCP, default 256 */
    unsigned idle_timeout_s;  /* syslog TCP, default 600 */
} ops_source_conf;

typedef struct ops_source_stats {
    uint64_t lines, bytes, truncated_lines, batches_refused, rotations, truncations, read_errors,
        framing_errors;
    uint64_t datagrams, connections_accepted, connections_refused, dropped_lines;
    uint32_t files_open, connections_open;
    char last_error[256];
} ops_source_stats;

typedef struct ops_source ops_source;

/* Checks and binds; OPS_EEXIST names the holder of a port in use. The sink must outlive the source. */
OPS_MUST_USE ops_status ops_source_new(const ops_source_conf *conf, const ops_source_sink *sink,
                                       ops_source **ret, ops_err *reterr);
/* One thread for the files and one for the listeners, as far as configured. */
OPS_MUST_USE ops_status ops_source_start(ops_source *s, ops_err *reterr);
/* Stops and joins; what was read but not taken by the sink is read again next time (files). */
void ops_source_free(ops_source *s);
OPS_AUTO_DEFINE(ops_source, ops_source_free)

uint16_t ops_source_tcp_port(const ops_source *s); /* 0: off */
uint16_t ops_source_udp_port(const ops_source *s);
void ops_source_stats_get(ops_source *s, ops_source_stats *ret); /* @thread any */
