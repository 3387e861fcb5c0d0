/* Samples of series as they are stored: what metrics become after decoding, normalising and redacting.
 *
 * A batch is what the stream log keeps under one offset beside the record batches of record.h: series of one tenant and
 * one partition, each with its samples, in arrival order. Layout, all integers LEB128 varints unless said otherwise
 * (format version 1):
 *   u8 'S' | u8 version | tenant(len, bytes) | recv_ns fixed 8 BE |
 *   per series: u8 kind | service ref | name | label count, (key, value)* | sample count,
 *               (zigzag(time_ns - previous time_ns), u8 flags, value as 8 bytes BE)*
 * A service ref is 0 followed by the name (which then gets the next number) or the number of a name seen before. The
 * previous time of a batch's first sample is recv_ns. Readers take any bytes: OPS_ECORRUPT with the offset, never a crash. */
#ifndef OPS_PROTO_SAMPLE_H
#define OPS_PROTO_SAMPLE_H

#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"
#include "proto/codec/record.h"

typedef enum ops_series_kind {
    OPS_SERIES_GAUGE = 1, /* a value that goes up and down */
    OPS_SERIES_COUNTER,   /* a sum since some start: only grows, or begins anew */
    OPS_SERIES_DELTA,     /* what was added since the sample before */
    OPS_SERIES_BUCKET,    /* a counter that is one bucket of a histogram: kept, not judged by itself */
    OPS_SERIES_BUCKET_DELTA,
    OPS_SERIES_KIND_COUNT
} ops_series_kind;

enum ops_sample_flag {
    OPS_SAMPLE_STALE = 1,   /* the series has ended: no value */
    OPS_SAMPLE_NO_TIME = 2, /* no time given: receive time taken */
};

typedef struct ops_sample {
    int64_t time_ns; /* Unix ns */
    double value;    /* finite, or stale */
    uint8_t flags;   /* enum ops_sample_flag */
} ops_sample;

/* Borrowed throughout: slices belong to whoever handed the series over. */
typedef struct ops_series_id {
    ops_series_kind kind;
    ops_slice service, name;
    const ops_attr *labels; /* ascending by key, each key once, no empty values; the name is not among them */
    uint32_t label_count;
} ops_series_id;

enum { OPS_SERIES_LABELS_MAX = 64, OPS_SAMPLE_BATCH_TAG = 'S' };

typedef struct ops_sample_writer ops_sample_writer;

/* `bytes_max` bounds the encoded batch. NULL when the heap is out. */
ops_sample_writer *ops_sample_writer_new(size_t bytes_max);
void ops_sample_writer_free(ops_sample_writer *w);
OPS_AUTO_DEFINE(ops_sample_writer, ops_sample_writer_free)
/* Starts an empty batch. */
OPS_MUST_USE ops_status ops_sample_writer_begin(ops_sample_writer *w, ops_slice tenant, int64_t recv_ns);
/* A series with its samples, 1 and more. OPS_EAGAIN: does not fit any more, the batch is unchanged: send it, begin anew.
 * OPS_ETOOBIG: would not fit an empty batch either. */
OPS_MUST_USE ops_status ops_sample_writer_add(ops_sample_writer *w, const ops_series_id *id,
                                              const ops_sample *samples, size_t n);
/* The batch so far, borrowed until the next begin. */
ops_slice ops_sample_writer_bytes(const ops_sample_writer *w);
uint32_t ops_sample_writer_count(const ops_sample_writer *w); /* samples */
int64_t ops_sample_writer_min_time_ns(const ops_sample_writer *w);
int64_t ops_sample_writer_max_time_ns(const ops_sample_writer *w);

/* Called per series in order; a status other than OPS_OK stops the walk and is returned. */
typedef ops_status (*ops_series_fn)(void *u, ops_slice tenant, const ops_series_id *id,
                                    const ops_sample *samples, size_t n, ops_err *reterr);
OPS_MUST_USE ops_status ops_sample_batch_walk(ops_slice batch, ops_series_fn fn, void *u, ops_err *reterr);

/* Appends `name{key="value",...}`, as Prometheus writes a series: what people see and what tells series apart. */
void ops_series_text(const ops_series_id *id, ops_strbuf *b);

#endif
