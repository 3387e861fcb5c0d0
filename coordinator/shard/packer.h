/* Records of one request into log entries: redacted, routed, packed. Private to coordinator/shard.
 * @thread one at a time */
#ifndef OPS_SHARD_PACKER_H
#define OPS_SHARD_PACKER_H

#include "base/mem/arena.h"
#include "coordinator/ingest/normal.h"
#include "coordinator/ingest/samples.h"
#include "coordinator/redact/redact.h"
#include "proto/codec/record.h"
#include "storage/streamlog/streamlog.h"

typedef struct ops_packer ops_packer;

OPS_MUST_USE ops_status ops_packer_new(uint32_t partitions, const ops_ingest_limits *limits,
                                       int32_t zone_offset_s, ops_packer **ret, ops_err *reterr);
void ops_packer_free(ops_packer *p);
OPS_AUTO_DEFINE(ops_packer, ops_packer_free)

/* Starts a request: `redactor` (NULL: none) and `tenant` are borrowed until the last add. */
OPS_MUST_USE ops_status ops_packer_begin(ops_packer *p, ops_redactor *redactor, ops_slice tenant,
                                         int64_t recv_ns, ops_err *reterr);
/* One record, as an ops_ingest_sink. */
ops_status ops_packer_add(void *packer, const ops_record *r, ops_err *reterr);
/* One series with its samples, as an ops_series_sink: labels redacted, routed by its service. */
ops_status ops_packer_add_samples(void *packer, const ops_series_id *id, const ops_sample *samples, size_t n,
                                  ops_sample_reason *ret_reason, ops_err *reterr);
/* Bytes that stay as they are under stream key `service`: traces. */
OPS_MUST_USE ops_status ops_packer_add_opaque(ops_packer *p, char tag, ops_slice service, ops_slice raw,
                                              uint64_t items, int64_t min_ns, int64_t max_ns,
                                              ops_err *reterr);
/* All of it as entries, borrowed until the next begin. With `seed` (16 bytes) each gets a dedupe key made of it, the partition
 * and its ordinal; left out when a record had no time of its own. */
OPS_MUST_USE ops_status ops_packer_finish(ops_packer *p, const uint8_t *seed, ops_slice note_key,
                                          ops_slice note, const ops_streamlog_entry **ret, size_t *ret_count,
                                          ops_err *reterr);
/* Since begin. */
uint64_t ops_packer_records(const ops_packer *p);
uint64_t ops_packer_oversized(const ops_packer *p); /* left out: larger than a batch may be */
const uint32_t *ops_packer_redactions(const ops_packer *p);

#endif
