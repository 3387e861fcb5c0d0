/* coordinator/ingest/line_internal.h: what the line shapes share: the record being filled and the stamp readers. */
#ifndef OPS_COORDINATOR_INGEST_LINE_INTERNAL_H
#define OPS_COORDINATOR_INGEST_LINE_INTERNAL_H

#include "coordinator/ingest/line.h"

enum { LINE_ATTRS_MAX = 64, LINE_DEPTH_MAX = 3 };

typedef struct line_out {
    const ops_line_ctx *ctx;
    ops_arena *arena;
    int64_t time_ns, outer_time_ns; /* 0: none; outer: of the envelope, used when the inner line has none */
    uint8_t severity;
    uint32_t flags;
    ops_slice service, message, trace_id, span_id;
    ops_attr attrs[LINE_ATTRS_MAX];
    uint32_t n, depth;
    bool partial;
} line_out;

/* Adds an attribute; with no value nothing; with the table full TRUNCATED. */
void line_attr(line_out *o, ops_slice key, ops_slice val);
/* Copies into the arena; TRUNCATED and false when it is full. */
bool line_dup(line_out *o, ops_slice s, ops_slice *ret);
/* 32 and 16 hex digits to ids. */
void line_ids(line_out *o, ops_slice trace, ops_slice span);
/* Parses what an envelope holds. */
ops_line_shape line_any(line_out *o, ops_slice line);

/* Readers of a stamp at the head of *s: on true *s is what follows and *ret_ns the time. */
bool line_stamp_iso(const ops_line_ctx *ctx, ops_slice *s,
                    int64_t *ret_ns); /* 2026-01-02T03:04:05.6Z, 2026/01/02 ... */
bool line_stamp_bsd(const ops_line_ctx *ctx, ops_slice *s,
                    int64_t *ret_ns); /* Jan  2 03:04:05, year inferred */
bool line_stamp_clf(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns); /* 02/Jan/2026:03:04:05 +0000 */
bool line_stamp_ctime(const ops_line_ctx *ctx, ops_slice *s,
                      int64_t *ret_ns); /* Fri Jan 02 03:04:05.6 2026 */
bool line_stamp_redis(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns); /* 02 Jan 2026 03:04:05.678 */
bool line_stamp_klog(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns);  /* 0102 03:04:05.678901 */
bool line_stamp_short(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns); /* 26/01/02 03:04:05 */
/* A number of seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by size. */
bool line_epoch(double v, int64_t *ret_ns);

/* Shapes: true when the line has it; then *o is filled. False: *o is untouched. */
bool line_json(line_out *o, ops_slice line, ops_line_shape *ret_shape);
bool line_logfmt(line_out *o, ops_slice line);
bool line_rfc5424(line_out *o, ops_slice line);
bool line_rfc3164(line_out *o, ops_slice line);
bool line_cri(line_out *o, ops_slice line);
bool line_access(line_out *o, ops_slice line);
bool line_klog(line_out *o, ops_slice line);
bool line_redis(line_out *o, ops_slice line);
/* Everything that begins with a full date: PostgreSQL, nginx error, rsyslog with ISO stamps, and `time level text`. */
bool line_dated(line_out *o, ops_slice line, ops_line_shape *ret_shape);

/* `ERROR: text`, `[warn] text` without a stamp: sets severity and message. */
bool line_levelled(line_out *o, ops_slice line);

static inline bool line_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}
static inline void line_skip(ops_slice *s, size_t n)
{
    s->p += n;
    s->n -= n;
}
static inline void line_blanks(ops_slice *s)
{
    while (s->n > 0 && (*s->p == ' ' || *s->p == '\t'))
        line_skip(s, 1);
}
/* Takes the bytes up to the next blank. */
static inline ops_slice line_word(ops_slice *s)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t' && s->p[n] != '\n')
        n++;
    const ops_slice w = {s->p, n};
    line_skip(s, n);
    return w;
}

#endif
