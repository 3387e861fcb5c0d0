/* How many different series each tenant has, so that no tenant takes more than its share. Private to coordinator/shard.
 *
 * A series counts from its first sample until it was not seen for one to two hours; then it makes room for another. What
 * is known is hashes of series, in memory: after a start they come back with their next samples. @thread any */
#ifndef OPS_SHARD_CARDINALITY_H
#define OPS_SHARD_CARDINALITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "proto/codec/sample.h"

typedef struct ops_cardinality ops_cardinality;

enum { OPS_CARDINALITY_TENANTS_MAX = 256 };

OPS_MUST_USE ops_status ops_cardinality_new(size_t series_max, ops_cardinality **ret, ops_err *reterr);
void ops_cardinality_free(ops_cardinality *c);
OPS_AUTO_DEFINE(ops_cardinality, ops_cardinality_free)

/* Whether the series may come in; now_ns is any steady clock. Also false past OPS_CARDINALITY_TENANTS_MAX tenants and when
 * the heap is out. */
bool ops_cardinality_admit(ops_cardinality *c, ops_slice tenant, const ops_series_id *id, int64_t now_ns);
/* Series of all tenants that count now. */
size_t ops_cardinality_count(ops_cardinality *c);

#endif
