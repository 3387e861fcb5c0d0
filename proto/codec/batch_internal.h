/* What batches of records and of samples have in common: the head, numbered service names, and that what did not fit leaves
 * no trace. Private to the room. */
#ifndef OPS_CODEC_BATCH_INTERNAL_H
#define OPS_CODEC_BATCH_INTERNAL_H

#include "base/coll/map.h"
#include "base/text/codec.h"
#include "base/text/strbuf.h"
#include "proto/codec/record.h"

typedef struct batch_writer {
    ops_strbuf buf;
    ops_map *services; /* name -> number (1-based) as pointer-sized integer */
    size_t head_bytes, bytes_max;
    uint32_t count;
    int64_t last_time_ns, min_time_ns, max_time_ns;
} batch_writer;

void batch_init(batch_writer *b, size_t bytes_max); /* at most OPS_RECORD_BATCH_BYTES_MAX */
void batch_done(batch_writer *b);
/* Empties it and writes the head: `lead` (tag and version), the tenant, the time of receipt. OPS_ENOMEM. */
OPS_MUST_USE ops_status batch_begin(batch_writer *b, ops_slice lead, ops_slice tenant, int64_t recv_ns);
/* May an entry of at most `bound` bytes come? OPS_ETOOBIG: into no batch; OPS_EAGAIN: into the next. */
OPS_MUST_USE ops_status batch_room(const batch_writer *b, size_t bound, ops_slice service);
void batch_put_varint(batch_writer *b, uint64_t v);
void batch_put_bytes(batch_writer *b, ops_slice s);
void batch_put_attrs(batch_writer *b, const ops_attr *attrs, uint32_t n);
void batch_put_service(batch_writer *b, ops_slice service);
/* Ends an entry that began at `mark`: its service has a number from now on. OPS_ENOMEM: the entry is rolled back. */
OPS_MUST_USE ops_status batch_keep(batch_writer *b, size_t mark, ops_slice service);
void batch_saw(batch_writer *b, int64_t time_ns); /* into min and max */

#endif
