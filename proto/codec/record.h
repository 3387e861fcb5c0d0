/* The record: one log line after decoding, normalising and redacting, and the batch it is stored in.
 *
 * A batch is what the stream log keeps under one offset: records of one tenant and one partition, in arrival order.
 * Layout, all integers LEB128 varints unless said otherwise (format version 1):
 *   u8 version | tenant(len, bytes) | recv_ns fixed 8 BE |
 *   per record: zigzag(time_ns - previous time_ns) | u8 severity | flags | service ref | message | trace id | span id |
 *               attribute count, (key, value)*
 * A service ref is 0 followed by the name (which then gets the next number) or the number of a name seen before.
 * Readers take any bytes: a batch cut short or lying about a length is OPS_ECORRUPT with the offset, never a crash. */
#ifndef OPS_PROTO_RECORD_H
#define OPS_PROTO_RECORD_H

#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

typedef struct ops_attr {
    ops_slice key, val; /* value rendered as text */
} ops_attr;

enum ops_record_flag {
    OPS_RECORD_TIME_CLAMPED = 1, /* event time lay outside the accepted window and was moved to its edge */
    OPS_RECORD_MULTILINE = 2,    /* several lines joined (a stack trace) */
    OPS_RECORD_BAD_UTF8 = 4,     /* bytes that were no UTF-8 were replaced by U+FFFD */
    OPS_RECORD_TRUNCATED = 8,    /* the message was cut at the limit */
    OPS_RECORD_NO_TIME = 16,     /* no event time given: receive time taken */
    OPS_RECORD_REDACTED = 32,    /* something was taken out of the message or an attribute */
    OPS_RECORD_SPAN = 64         /* no log line: a failed span in words */
};

/* Borrowed throughout: slices belong to whoever handed the record over. */
typedef struct ops_record {
    int64_t time_ns;  /* event time, Unix ns */
    int64_t recv_ns;  /* receive time, Unix ns */
    uint8_t severity; /* OpenTelemetry severity number 1..24, 0 unknown */
    uint32_t flags;   /* enum ops_record_flag */
    ops_slice service, message;
    ops_slice trace_id, span_id; /* raw 16 and 8 bytes, or empty */
    const ops_attr *attrs;
    uint32_t attr_count;
} ops_record;

enum { OPS_RECORD_ATTRS_MAX = 128, OPS_RECORD_BATCH_BYTES_MAX = 4 * 1024 * 1024 };

typedef struct ops_record_writer ops_record_writer;

/* `bytes_max` bounds the encoded batch. NULL when the heap is out. */
ops_record_writer *ops_record_writer_new(size_t bytes_max);
void ops_record_writer_free(ops_record_writer *w);
OPS_AUTO_DEFINE(ops_record_writer, ops_record_writer_free)
/* Starts an empty batch. */
OPS_MUST_USE ops_status ops_record_writer_begin(ops_record_writer *w, ops_slice tenant, int64_t recv_ns);
/* OPS_EAGAIN: does not fit any more, the batch is unchanged: send it, begin anew. OPS_ETOOBIG: would not fit an empty
 * batch either. */
OPS_MUST_USE ops_status ops_record_writer_add(ops_record_writer *w, const ops_record *r);
/* The batch so far, borrowed until the next begin. */
ops_slice ops_record_writer_bytes(const ops_record_writer *w);
uint32_t ops_record_writer_count(const ops_record_writer *w);
int64_t ops_record_writer_min_time_ns(const ops_record_writer *w);
int64_t ops_record_writer_max_time_ns(const ops_record_writer *w);

/* Called per record in order; a status other than OPS_OK stops the walk and is returned. */
typedef ops_status (*ops_record_fn)(void *u, ops_slice tenant, uint32_t index, const ops_record *r);
OPS_MUST_USE ops_status ops_record_batch_walk(ops_slice batch, ops_record_fn fn, void *u, ops_err *reterr);

#endif
