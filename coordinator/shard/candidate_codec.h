/* Candidates as bytes: what a partition's DELTA carries to the tenant's finding book through the outbox.
 * Layout (format version 1): u8 version, then each field of ops_candidate in order; integers as varints, signed ones
 * zigzag, doubles as their 8 bytes big-endian, texts as length and bytes. */
#ifndef OPS_SHARD_CANDIDATE_CODEC_H
#define OPS_SHARD_CANDIDATE_CODEC_H

#include "base/status/status.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/detect/candidate.h"

/* Appends; check b->failed. */
void ops_candidate_put(ops_strbuf *b, const ops_candidate *c);

/* Slices of *ret point into `bytes`; the statistic's name into `statistic`, which takes 64 bytes. OPS_ECORRUPT names the offset. */
OPS_MUST_USE ops_status ops_candidate_get(ops_slice bytes, ops_candidate *ret, char statistic[64],
                                          ops_err *reterr);

#endif
